package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/serge-net/serge-net/redirect"
)

// finish ends the recording, writes the end of the report, and returns the exit
// code: the command's own, and ours only where that is 0.
func (r *runner) finish(status redirect.ExitStatus, escapes []redirect.Escape) int {
	incomplete := r.recorded(status)
	tally, unserved := r.replayed(escapes)
	for _, e := range escapes {
		r.report.warnf("escaped: %s", escapeLine(e))
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

// recorded closes the recorder and tells what it has, and whether that is not
// all that passed.
func (r *runner) recorded(status redirect.ExitStatus) (incomplete bool) {
	if r.recorder == nil {
		return false
	}
	sum, err := r.recorder.Close(status.Code != 0)
	if err != nil {
		r.report.warnf("error: record %s: %v", r.flags.cassette, err)
		return true
	}
	own(r.flags.cassetteDir)
	switch {
	case sum.Path == "":
		r.report.sayf("nothing to record: the command made no exchange")
	case !sum.Changed:
		r.report.sayf("recorded %d interactions: nothing changed in %s; %s", sum.Interactions, sum.Path, seconds(time.Since(r.start)))
	default:
		r.report.sayf("recorded %d interactions to %s; %s", sum.Interactions, sum.Path, seconds(time.Since(r.start)))
	}
	return r.report.incomplete()
}

// replayed tells what was served, and returns how many requests missed and
// whether nothing was served though something is recorded.
func (r *runner) replayed(escapes []redirect.Escape) (missed int, unserved bool) {
	if r.player == nil {
		return 0, false
	}
	t := r.player.Tally()
	missed = r.report.misses()
	s := served{
		exact:    t.Exact,
		assumed:  t.Assumed,
		unused:   len(t.Unused),
		escaped:  len(escapes),
		isolated: r.replays() && missed == 0 && len(r.flags.bypass) == 0,
	}
	for _, a := range t.Assumptions {
		s.assumptions = append(s.assumptions, fmt.Sprintf("%s %s  %s", a.Method, a.URL, a.Evidence))
	}
	for _, a := range t.Ambiguous {
		s.assumptions = append(s.assumptions, fmt.Sprintf("%s %s  ambiguous: %s", a.Method, a.URL, a.Evidence))
	}
	r.report.end(s, time.Since(r.start))
	unserved = r.mode == "replay" && t.Exact+t.Assumed == 0 && missed == 0 && len(r.cassette.Interactions) > 0
	if unserved {
		r.report.warnf("nothing was served, though %s holds %d interactions: did the command reach the network at all?",
			r.cassettePath(), len(r.cassette.Interactions))
	}
	return missed, unserved
}

// escapeLine is one escape with what can be done about it.
func escapeLine(e redirect.Escape) string {
	line := fmt.Sprintf("%s to %s refused, %d times", strings.ToUpper(e.Protocol), e.Dst, e.Count)
	switch e.Why {
	case "quic":
		return line + ": QUIC is not recorded; clients fall back to TCP"
	case "hermetic":
		return line + ": nothing but loopback leaves this run"
	}
	return line
}
