package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/serge-net/serge-net/cassette"
)

// learn runs argv twice, recording both, and keeps the first recording with rules
// for what differed. It returns as run does; a recording that did not end well is
// not run again.
func (f *runFlags) learn(ctx context.Context, argv []string, say *report) error {
	if f.mode != "record" {
		return hint(errors.New("--learn is for recording"), "serge-net record %s --learn -- %s", f.cassette, shellWords(argv))
	}
	r := newRunner(f, argv, say)
	first := r.accounted(r.run(ctx))
	if !endedWell(first) {
		return first
	}
	store, err := f.rack.open()
	if err != nil {
		return err
	}
	defer store.Close()
	dir, err := os.MkdirTemp("", "serge-net-learn-*")
	if err != nil {
		return fmt.Errorf("learn: %w", err)
	}
	defer os.RemoveAll(dir)
	rules, err := store.Rules(f.cassette)
	if err != nil {
		return err
	}
	again := *f
	again.dir, again.bypass, again.reports = dir, slices.Concat(f.bypass, rules.Bypass), nil
	again.encrypt = f.encrypt || strings.HasSuffix(store.Path(f.cassette), "."+string(cassette.Encrypted))
	say.sayf("learn: the command runs once more, to see what differs")
	if second := newRunner(&again, argv, say).run(ctx); !endedWell(second) {
		say.warnf("learn: the second run did not end well; nothing was learned")
		return second
	}
	if err := f.compare(store, dir, say); err != nil {
		return fmt.Errorf("learn: %w", err)
	}
	return first
}

// endedWell tells whether a run's end was that of its command, with exit code 0.
func endedWell(err error) bool {
	var e *exit
	return errors.As(err, &e) && e.Code == 0 && e.Err == nil
}

// compare writes what differs between the cassette in store and that in dir into
// the former's rules.
func (f *runFlags) compare(store *cassette.Store, dir string, say *report) error {
	first, err := store.Load(f.cassette)
	if errors.Is(err, os.ErrNotExist) {
		return nil // there was nothing to record
	}
	if err != nil {
		return err
	}
	other, err := rack{dir, f.keyFile}.open()
	if err != nil {
		return err
	}
	defer other.Close()
	second, err := other.Load(f.cassette)
	if err != nil {
		return err
	}
	rules, err := cassette.Learn(first, second)
	if err != nil {
		return err
	}
	before := footprintOf(store.Paths(f.cassette))
	if _, err := store.Accept(f.cassette, cassette.Rules{Match: rules}); err != nil {
		return err
	}
	before.own(store.Paths(f.cassette))
	for _, r := range rules {
		say.sayf("learned: %s, which %s", r, r.Because)
	}
	if len(rules) == 0 {
		say.sayf("learned nothing: what differs is known without a rule")
	}
	return nil
}
