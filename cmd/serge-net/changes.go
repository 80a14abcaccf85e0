package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/exchange"
)

// changesMost is how many differences of one interaction are printed where
// nobody asks for more: a screen's worth.
const changesMost = 20

// changed writes c, which needs attention if it is a finding.
func (e *engine) changed(c cassette.Change, finding bool) {
	more := ""
	if n := len(c.Diffs); n > changesMost && !e.flags.verbose {
		c.Diffs, more = c.Diffs[:changesMost], fmt.Sprintf("\n    and %d more; -v lists them", n-changesMost)
	}
	say := e.report.sayf
	if finding {
		say = e.report.warnf
	}
	say("%s", "changed: "+c.String()+more)
}

// verified compares what passed with the cassette and tells where they differ.
// What the client did not ask for is a finding only with --unused fail.
func (e *engine) verified() (incomplete, findings, unserved bool) {
	now, err := e.recorder.Observed()
	defer e.recorder.Close(false)
	if err != nil {
		e.report.warnf("error: verify %s: %v", e.flags.cassette, err)
	}
	if now == nil {
		return true, false, false
	}
	all, cerr := e.playOptions().Compare(e.cassette, now)
	if cerr != nil {
		e.report.warnf("error: verify %s: %v", e.flags.cassette, cerr)
		return true, false, false
	}
	var added, changed int
	var unasked []*cassette.Interaction
	for _, c := range all {
		switch {
		case c.New == nil:
			unasked = append(unasked, c.Old)
			continue
		case c.Old == nil:
			added++
		default:
			changed++
		}
		e.changed(c, true)
	}
	e.report.sayf("verified %s: %s, %d changed, %d not in the cassette, %d not asked for; %s",
		e.flags.cassette, interactions(len(now.Interactions)), changed, added, len(unasked), seconds(time.Since(e.start)))
	unserved = len(now.Interactions) == 0 && e.cassette.Len() > 0
	if unserved {
		e.nothing("asked for")
	}
	return err != nil || e.report.incomplete(), added+changed > 0 || e.unused(unasked), unserved
}

// refreshed tells what a refresh changed in the cassette.
func (e *engine) refreshed() {
	var changes []cassette.Change
	now, err := e.store.Load(e.flags.cassette)
	if err == nil {
		changes, err = e.playOptions().Compare(e.cassette, now)
	}
	if err != nil {
		e.report.warnf("error: compare with what was recorded before: %v", err)
	}
	for _, c := range changes {
		e.changed(c, false)
	}
}

// doubtful lists what was recorded that a replay should rather not repeat: it
// needs attention, for it is answered from then on.
func (e *engine) doubtful(sum cassette.Summary) {
	var lines []string
	for _, i := range sum.Doubtful {
		lines = append(lines, "recorded as it came: "+exchange.Visible(i.Line()))
	}
	e.listed(lines)
}

// unused tells of what was not asked for, as --unused says, and whether that is
// a finding.
func (e *engine) unused(rest []*cassette.Interaction) bool {
	if e.flags.unused != "report" && e.flags.unused != "fail" {
		return false
	}
	var lines []string
	for _, i := range rest {
		lines = append(lines, "unused: "+exchange.Visible(i.Line())+" ("+i.ID+")")
	}
	e.listed(lines)
	return e.flags.unused == "fail" && len(rest) > 0
}

// listed writes lines, and only the first of very many.
func (e *engine) listed(lines []string) {
	n := len(lines)
	if n > changesMost && !e.flags.verbose {
		what, _, _ := strings.Cut(lines[0], ":")
		lines = append(lines[:changesMost:changesMost], fmt.Sprintf("%s: and %d more; -v lists them", what, n-changesMost))
	}
	for _, l := range lines {
		e.report.warnf("%s", l)
	}
}

// overdue warns once of what was served after its time.
func (e *engine) overdue(all []cassette.Expiry) {
	if len(all) == 0 {
		return
	}
	x, more := all[0], ""
	if n := len(all) - 1; n > 0 {
		more = fmt.Sprintf(", and %d more like it", n)
	}
	e.report.warnf("warning: served a %s that expired %s: %s %s (%s)%s\n  what is signed cannot be moved to today; if the %s refuses it, give it a fake clock: faketime %s …",
		x.What, x.At.Format(time.RFC3339), x.Method, exchange.Visible(x.URL), x.ID, more, e.client, shellWords([]string{x.At.Add(-time.Minute).Format(time.DateTime)}))
}

// nothing warns that the client used nothing of a cassette that is not empty.
func (e *engine) nothing(done string) {
	e.report.warnf("nothing was %s, though %s holds %s: did the %s reach %s at all?",
		done, e.cassettePath(), interactions(e.cassette.Len()), e.client, e.reach)
}
