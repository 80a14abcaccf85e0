package main

import (
	"fmt"
	"time"

	"github.com/serge-net/serge-net/redirect"
)

// finish ends the recording, writes the end of the report, and returns the exit
// code: the command's own, and ours only where that is 0.
func (r *runner) finish(status redirect.ExitStatus, o outside) int {
	incomplete := r.recorded(status)
	tally, unserved := r.replayed(o)
	r.beside(o)
	if r.mode == "passthrough" {
		r.report.sayf("passed through, nothing recorded; %s", seconds(time.Since(r.start)))
	}
	r.report.again()
	switch {
	case status.Code != 0:
		return status.Code
	case incomplete:
		return exitIncomplete
	case tally > 0:
		return exitMissed
	case unserved:
		return exitUnserved
	}
	return 0
}

// beside tells what the command did beside us.
func (r *runner) beside(o outside) {
	if used := o.used(); used != "" {
		r.report.sayf("loopback used: %s", used)
	}
	for _, l := range o.lines() {
		r.report.warnf("escaped: %s", l)
	}
	if o.err != nil {
		r.report.warnf("what escaped cannot be told in full: %v", o.err)
	}
}

// recorded closes the recorder and tells what it has, and whether that is not
// all that passed.
func (r *runner) recorded(status redirect.ExitStatus) (incomplete bool) {
	if r.recorder == nil {
		return false
	}
	name, failed := r.flags.cassette, status.Code != 0
	sum, err := r.recorder.Close(failed)
	r.before.own(r.paths())
	if err != nil {
		r.report.warnf("error: record %s: %v", name, err)
	}
	took := seconds(time.Since(r.start))
	switch {
	case err != nil && !sum.Changed:
	case sum.Recorded == 0 && r.mode == "record":
		r.report.sayf("nothing to record: the command made no exchange; %s", took)
	case sum.Recorded == 0:
		r.report.sayf("nothing new to record; %s", took)
	case !sum.Changed:
		r.report.sayf("recorded %s: nothing changed in %s; %s", interactions(sum.Recorded), r.cassettePath(), took)
	default:
		r.report.sayf("recorded %s to %s; %s", interactions(sum.Recorded), sum.Path, took)
	}
	switch {
	case !failed || !sum.Changed:
	case sum.Path != r.cassettePath():
		r.report.warnf("the command failed: %s stays as it was", r.cassettePath())
	default:
		r.report.warnf("the command failed: %s is marked incomplete", r.cassettePath())
	}
	return err != nil || r.report.incomplete()
}

// replayed tells what was served, and returns how many requests missed and
// whether nothing was served though something is recorded.
func (r *runner) replayed(o outside) (missed int, unserved bool) {
	if r.player == nil {
		return 0, false
	}
	t := r.player.Tally()
	missed = r.report.misses()
	s := served{
		exact:    t.Exact,
		assumed:  t.Assumed,
		unused:   len(t.Unused),
		escaped:  o.escaped(),
		isolated: r.replays() && missed == 0 && len(r.flags.bypass) == 0 && o.isolated(),
	}
	for _, a := range t.Assumptions {
		s.assumptions = append(s.assumptions, fmt.Sprintf("%s %s  %s", a.Method, a.URL, a.Evidence))
	}
	for _, a := range t.Ambiguous {
		s.assumptions = append(s.assumptions, fmt.Sprintf("%s %s  ambiguous: %s", a.Method, a.URL, a.Evidence))
	}
	r.report.end(s, time.Since(r.start))
	unserved = r.mode == "replay" && t.Exact+t.Assumed+t.Missed == 0 && len(r.cassette.Interactions) > 0
	if unserved {
		r.report.warnf("nothing was served, though %s holds %s: did the command reach the network at all?",
			r.cassettePath(), interactions(len(r.cassette.Interactions)))
	}
	return missed, unserved
}
