package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/redirect"
)

// open opens the cassette directory, saves what a killed recorder left in it,
// decides the mode, and opens what that reads and writes.
func (r *runner) open() error {
	r.mode = r.flags.mode
	r.cassette = &cassette.Cassette{Name: r.flags.cassette}
	store, err := cassette.Open(r.flags.cassetteDir)
	if err != nil {
		return hint(err, "--cassette-dir names a directory, which the first recording makes")
	}
	r.store = store
	if r.mode == "passthrough" {
		return nil
	}
	r.before = footprintOf(r.paths())
	if err := r.recover(); err != nil {
		return err
	}
	if err := r.load(); err != nil {
		return err
	}
	if r.mode == "replay" && r.flags.onMiss != "record" {
		return nil
	}
	r.recorder, err = r.store.Record(r.flags.cassette, cassette.RecordOptions{
		With:   "serge-net " + versionName(),
		Append: r.mode != "record",
	})
	if err != nil && !errors.Is(err, cassette.ErrBusy) {
		return hintUnlessHinted(err, "a recording needs a --cassette-dir that can be written; a replay does not")
	}
	return err
}

// recover makes a cassette of what a recorder that was killed left behind. One
// that is still at work keeps its own.
func (r *runner) recover() error {
	name := r.flags.cassette
	sum, was, err := r.store.Recover(name)
	switch {
	case errors.Is(err, cassette.ErrBusy):
		return nil // Record refuses; a replay of the old cassette may go on
	case err != nil && r.mode == "replay" && !errors.Is(err, cassette.ErrName):
		r.report.warnf("%v", err) // the cassette itself can be replayed all the same
		return nil
	case err != nil:
		return err
	case was && sum.Changed:
		r.before.own(r.paths())
		r.report.warnf("a recording of %s was cut off; recovered %s to %s", name, interactions(sum.Interactions), sum.Path)
	case was:
		r.report.warnf("a recording of %s was cut off before anything new was recorded", name)
	}
	return nil
}

// load reads the cassette and turns mode auto into what it means here: replay
// what is recorded, and record what is not, but never in CI.
func (r *runner) load() error {
	name, auto := r.flags.cassette, r.mode == "auto"
	if r.mode == "record" {
		return nil
	}
	c, err := r.store.Load(name)
	switch {
	case err == nil && auto && c.Incomplete && !inCI():
		r.report.warnf("cassette %s is from a recording that did not end well; recording it again", name)
		r.mode = "record"
		return nil
	case err == nil:
		r.cassette = c
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case auto && inCI():
		return hint(fmt.Errorf("no cassette %s, and CI=true never records", r.cassettePath()),
			"record it where the network is and commit it: serge-net record %s -- %s", name, shellWords(r.argv))
	case r.mode == "replay":
		return noCassette(r.store, name, fmt.Sprintf("record it first: serge-net record %s -- %s", name, shellWords(r.argv)))
	case auto:
		r.mode = "record"
		return nil
	}
	if auto {
		r.mode = "replay"
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
func (r *runner) cassettePath() string { return r.store.Path(r.flags.cassette) }

// abandon undoes what open and prepare did, when the run cannot start.
func (r *runner) abandon() {
	if r.lane != nil {
		r.lane.Close()
	}
	if r.plan != nil {
		r.plan.Close()
	}
	if r.recorder != nil {
		r.recorder.Close(false)
	}
	if r.store != nil {
		r.before.removeEmpty(r.paths())
		r.store.Close()
	}
}

// started writes the start line.
func (r *runner) started() {
	name, lane := r.flags.cassette, laneName(r.lane.Lane(), r.lane.Refused())
	switch r.mode {
	case "passthrough":
		r.report.sayf("passthrough by %s", lane)
	case "record":
		r.report.sayf("record %s by %s", name, lane)
	default:
		r.report.sayf("%s %s (%s) by %s", r.mode, name, interactions(len(r.cassette.Interactions)), lane)
	}
}

// laneName is the lane that diverts and, in a word each, why those before it do
// not: "netns; not ebpf: missing CAP_BPF".
func laneName(l redirect.Lane, refused []error) string {
	name := l.String()
	for _, err := range refused {
		var e *redirect.LaneError
		if errors.As(err, &e) {
			name += fmt.Sprintf("; not %s: %s", e.Lane, reason(e.Err))
		}
	}
	return name
}

// reason is why a lane does not work, without what all such errors say.
func reason(err error) string {
	return strings.TrimPrefix(err.Error(), redirect.ErrUnsupported.Error()+": ")
}

// interactions is a number of them in words.
func interactions(n int) string {
	if n == 1 {
		return "1 interaction"
	}
	return fmt.Sprintf("%d interactions", n)
}
