package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/redirect"
)

// open opens the cassette directory, saves what a killed recorder left in it,
// decides the mode, and opens what that reads and writes.
func (e *engine) open(ctx context.Context) error {
	e.mode = e.flags.mode
	e.cassette = &cassette.Cassette{Name: e.flags.cassette}
	store, err := e.flags.rack.open()
	if err != nil {
		return hintUnlessHinted(err, "--cassette-dir names a directory, which the first recording makes")
	}
	e.store = store
	if cache, err := os.UserCacheDir(); err == nil {
		store.Cache = filepath.Join(cache, "serge-net")
	}
	if e.mode == "passthrough" {
		return e.ruled()
	}
	e.before = footprintOf(e.paths())
	if err := e.recover(); err != nil {
		return err
	}
	if err := e.load(); err != nil {
		return err
	}
	if err := e.aged(ctx); err != nil {
		return err
	}
	e.shared()
	if err := e.ruled(); err != nil {
		return err
	}
	if err := e.plays(); err != nil {
		return err
	}
	return e.record()
}

// record opens what the mode records to, if it does.
func (e *engine) record() (err error) {
	opt := e.flags.recordFlags.options()
	opt.Encrypt, opt.Format, opt.Redact, opt.Descriptors = e.flags.encrypt, formatCalled(e.flags.format), e.redact, e.descriptors
	if e.flags.cassette == defaultCassette {
		opt.Command = e.command
	}
	switch e.mode {
	case "replay":
		if e.flags.onMiss != "record" {
			return nil
		}
		opt.Append = true
	case "new", "append":
		opt.Append = true
	case "refresh":
		opt.Merge, opt.Renew = true, e.expired
	case "verify":
		e.recorder, err = cassette.Observe(opt)
		return err
	}
	e.recorder, err = e.store.Record(e.flags.cassette, opt)
	if err != nil && !errors.Is(err, cassette.ErrBusy) && hintOf(err) == "" {
		return hintUnlessHinted(err, "a recording needs a --cassette-dir that can be written; a replay does not")
	}
	return err
}

// defaultCassette is the one that a run has which names none.
const defaultCassette = "default"

// live tells whether all of this run goes to the origins.
func (e *engine) live() bool {
	return slices.Contains([]string{"record", "append", "refresh", "verify", "passthrough"}, e.mode)
}

// shared warns of a cassette that is the default of another command too: what
// one records, the other would replace or be answered from.
func (e *engine) shared() {
	c := e.cassette
	if e.mode == "record" { // then it is not loaded
		if old, err := e.store.Load(e.flags.cassette); err == nil {
			c = old
		}
	}
	first := c.Command()
	if e.flags.cassette == defaultCassette && e.command != "" && first != "" && first != e.command {
		e.report.warnf("warning: cassette %s was recorded by %s, and this is %s; --cassette NAME gives each its own", defaultCassette, first, e.command)
	}
}

// recover makes a cassette of what a recorder that was killed left behind. One
// that is still at work keeps its own. Who only verifies writes nothing.
func (e *engine) recover() error {
	name := e.flags.cassette
	if e.mode == "verify" {
		return nil
	}
	sum, was, err := e.store.Recover(name)
	switch {
	case errors.Is(err, cassette.ErrBusy):
		return nil // Record refuses; a replay of the old cassette may go on
	case err != nil && e.mode == "replay" && !errors.Is(err, cassette.ErrName):
		e.report.warnf("%v", err) // the cassette itself can be replayed all the same
		return nil
	case err != nil:
		return err
	case was && sum.Changed:
		e.before.own(e.paths())
		e.report.warnf("a recording of %s was cut off; recovered %s to %s", name, interactions(sum.Interactions), sum.Path)
	case was:
		e.report.warnf("a recording of %s was cut off before anything new was recorded", name)
	}
	return nil
}

// load reads the cassette and turns mode auto into what it means here: replay
// what is recorded, and record what is not, but never in CI.
func (e *engine) load() error {
	name, auto := e.flags.cassette, e.mode == "auto"
	if e.mode == "record" {
		return nil
	}
	open := e.store.Mount
	if e.mode == "verify" || e.mode == "refresh" { // which compare all of it
		open = e.store.Load
	}
	c, err := open(name)
	switch {
	case err == nil && auto && c.Incomplete && !inCI():
		e.report.warnf("cassette %s is from a recording that did not end well; recording it again", name)
		e.mode = "record"
		return nil
	case err == nil:
		e.cassette = c
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case auto && inCI():
		return hint(fmt.Errorf("no cassette %s, and CI=true never records", e.cassettePath()),
			"record it where the network is and commit it: %s", e.again("record"))
	case e.mode == "replay", e.mode == "verify", e.mode == "refresh":
		return noCassette(e.store, name, "record it first: "+e.again("record"))
	case auto:
		e.mode = "record"
		return nil
	}
	if auto {
		e.mode = "replay"
	}
	return nil
}

// noCassette says that store has none called name, and names the nearest, or
// else what to do.
func noCassette(store *cassette.Store, name, what string) error {
	missing := fmt.Errorf("no cassette %s", store.Path(name))
	entries, err := store.List()
	var names []string
	for _, e := range entries {
		if e.Name == name && e.Recording {
			return hint(missing, "a recording of it is under way, or was cut off: then the next run recovers it")
		}
		names = append(names, e.Name)
	}
	if near := nearest(name, names); err == nil && near != "" {
		return hint(missing, "did you mean %s? serge-net list shows what there is", near)
	}
	return hint(missing, "%s", what)
}

// inCI tells whether this is a CI job, as all CI systems say it.
func inCI() bool {
	v := os.Getenv("CI")
	return v != "" && v != "false" && v != "0"
}

// cassettePath is where the cassette is, as a person would name it.
func (e *engine) cassettePath() string { return e.store.Path(e.flags.cassette) }

// abandon undoes what open did, when nothing can start.
func (e *engine) abandon() {
	if e.recorder != nil {
		e.recorder.Close(false)
	}
	if e.store != nil {
		e.before.removeEmpty(e.paths())
		e.store.Close()
	}
}

// started writes the start line: what is done, and by what.
func (e *engine) started(by string) {
	name := e.flags.cassette
	if e.mode == "replay" && !e.replays() {
		by += "; misses go to the network, by --on-miss " + e.flags.onMiss
	}
	switch e.mode {
	case "passthrough":
		e.report.sayf("passthrough by %s", by)
	case "record":
		e.report.sayf("record %s by %s", name, by)
	default:
		e.report.sayf("%s %s (%s) by %s", e.mode, name, interactions(e.cassette.Len()), by)
	}
}

// laneName is how the target is diverted and, in a word each, why not by the
// lanes before: "netns; not ebpf: missing CAP_BPF".
func laneName(name string, refused []error) string {
	for _, err := range refused {
		var e *redirect.LaneError
		if errors.As(err, &e) {
			name += fmt.Sprintf("; not %s: %s", e.Lane, e.Reason())
		}
	}
	return name
}

// interactions is a number of them in words.
func interactions(n int) string {
	if n == 1 {
		return "1 interaction"
	}
	return fmt.Sprintf("%d interactions", n)
}
