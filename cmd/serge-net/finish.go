package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/redirect"
)

// finish ends the recording, writes the end of the report, and returns the exit
// code: the command's own, and ours only where that is 0.
func (r *runner) finish(status redirect.ExitStatus, o outside) int {
	code := r.ended(status.Code != 0, &o)
	if status.Code != 0 {
		return status.Code
	}
	return code
}

// ended ends the recording, writes the end of the report, and returns the exit
// code of what went well but for that. failed says that the client did not.
func (e *engine) ended(failed bool, o *outside) int {
	e.callback.close()
	var incomplete, findings, unserved bool
	if e.mode == "verify" {
		incomplete, findings, unserved = e.verified()
	} else {
		incomplete = e.recorded(failed)
	}
	e.at(written)
	missed := 0
	if e.player != nil {
		missed, findings, unserved = e.replayed(o)
		if err := e.keepProposals(); err != nil {
			e.report.warnf("accept --last will know nothing of this run: %v", err)
		}
	}
	if o != nil {
		e.beside(o)
	}
	if e.mode == "passthrough" {
		e.report.sayf("passed through, nothing recorded; %s", seconds(time.Since(e.start)))
	}
	e.report.again()
	e.at(reported)
	switch {
	case incomplete:
		return exitIncomplete
	case missed > 0:
		return exitMissed
	case findings:
		return exitFindings
	case unserved:
		return exitUnserved
	}
	return 0
}

// beside tells what the command did beside us.
func (e *engine) beside(o *outside) {
	e.account.beside(o)
	if used := o.used(); used != "" {
		e.report.sayf("loopback used: %s", used)
	}
	for _, s := range o.passed() {
		e.report.sayf("passed, not recorded: %s", s.passage())
	}
	for _, l := range o.lines() {
		e.report.warnf("escaped: %s", l)
	}
	if o.err != nil {
		e.report.warnf("what escaped cannot be told in full: %v", o.err)
	}
}

// recorded closes the recorder and tells what it has, and whether that is not
// all that passed.
func (e *engine) recorded(failed bool) (incomplete bool) {
	if e.recorder == nil {
		return false
	}
	name := e.flags.cassette
	sum, err := e.recorder.Close(failed)
	e.account.recorded(sum, err)
	e.before.own(e.paths())
	if err != nil {
		e.report.warnf("error: record %s: %v", name, err)
		if errors.Is(err, cassette.ErrSecret) {
			e.report.warnf("hint: --bypass that host, unset the variable for the command, or --redact off if its value is no secret")
		}
	}
	took := seconds(time.Since(e.start))
	switch {
	case err != nil && !sum.Changed:
	case sum.Recorded == 0 && e.mode == "record":
		e.report.sayf("nothing to record: the %s made no exchange; %s", e.client, took)
	case sum.Recorded == 0:
		e.report.sayf("nothing new to record; %s", took)
	case !sum.Changed:
		e.report.sayf("recorded %s: nothing changed in %s; %s", interactions(sum.Recorded), e.cassettePath(), took)
	default:
		e.report.sayf("recorded %s to %s; %s", interactions(sum.Recorded), sum.Path, took)
	}
	e.replaced(sum)
	e.doubtful(sum)
	if e.mode == "refresh" && sum.Path == e.cassettePath() {
		e.refreshed()
	}
	switch {
	case !failed || !sum.Changed:
	case sum.Path != e.cassettePath():
		e.report.warnf("the command failed: %s stays as it was", e.cassettePath())
	default:
		e.report.warnf("the command failed: %s is marked incomplete", e.cassettePath())
	}
	return err != nil || e.report.incomplete()
}

// replayed tells what was served, and returns how many requests missed, whether
// something is as it must not be, and whether nothing was served though
// something is recorded.
//
// What is known of what the command did beside us is nil where that is not ours
// to say: a proxy's clients may go round it.
func (e *engine) replayed(o *outside) (missed int, findings, unserved bool) {
	t := e.player.Tally()
	missed = e.report.misses()
	e.account.replayed(e.cassette, t, missed)
	s := served{
		exact:   t.Exact,
		assumed: t.Assumed,
		unused:  t.Left,
	}
	if o != nil {
		isolated := e.replays() && missed == 0 && e.pass == nil && o.isolated()
		e.account.Isolated = &isolated
		s.isolation = fmt.Sprintf(", %d escaped; isolated: %s", o.escaped(), yesNo(isolated))
	}
	for _, a := range t.Assumptions {
		s.assumptions = append(s.assumptions, fmt.Sprintf("%s %s  %s", a.Method, a.URL, a.Evidence))
	}
	for _, a := range t.Ambiguous {
		s.assumptions = append(s.assumptions, fmt.Sprintf("%s %s  ambiguous: %s", a.Method, a.URL, a.Evidence))
	}
	for _, a := range t.Unsaid {
		s.unsaid = append(s.unsaid, fmt.Sprintf("%s %s  %s", a.Method, a.URL, a.Evidence))
	}
	e.report.end(s, time.Since(e.start))
	e.overdue(t.Expired)
	unserved = e.mode == "replay" && t.Exact+t.Assumed+t.Missed == 0 && e.cassette.Len() > 0
	if unserved {
		e.nothing("served")
	}
	return missed, e.unused(t.Unused), unserved
}

// accounted writes what --report asks for, however the run ended, and returns
// what it returned. That a report could not be written makes a run that went
// well incomplete.
func (e *engine) accounted(err error) error {
	e.account.finish(e, err)
	unwritten := e.flags.reports.write(e.account, e.report)
	if unwritten == nil {
		return err
	}
	e.report.warnf("error: %v", unwritten)
	var coded *exit
	if errors.As(err, &coded) && coded.Code == 0 {
		return &exit{Code: exitIncomplete}
	}
	return err
}
