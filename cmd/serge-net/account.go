package main

import (
	"errors"
	"strings"
	"time"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/exchange"
)

// An account is what the end of a run's report says, for programs. Its keys are
// those of docs/report.schema.json; accountVersion is raised if one is taken
// away or means something else.
type account struct {
	Version  int             `json:"version"`
	Program  string          `json:"program"`           // "serge-net 0.1.0"
	Command  string          `json:"command,omitempty"` // without its arguments, which may hold secrets
	Mode     string          `json:"mode"`
	Lane     string          `json:"lane,omitempty"` // "" if it did not come to one
	Cassette accountCassette `json:"cassette"`
	Started  time.Time       `json:"started"`
	Duration int64           `json:"duration_ms"`
	ExitCode int             `json:"exit_code"`
	Error    string          `json:"error,omitempty"` // why it did not start, or not end well
	Replay   *accountReplay  `json:"replay,omitempty"`
	Record   *accountRecord  `json:"record,omitempty"`
	Isolated *bool           `json:"isolated,omitempty"` // absent where it cannot be told
	Escapes  []escape        `json:"escapes"`
	Loopback string          `json:"loopback,omitempty"` // servers on this host that were used
	Problems []problem       `json:"problems"`
}

const accountVersion = 1

// An accountCassette says which cassette it was.
type accountCassette struct {
	Name         string `json:"name"`
	Path         string `json:"path,omitempty"`
	Interactions int    `json:"interactions"` // when the run began
}

// An accountReplay is what was served.
type accountReplay struct {
	Served      int        `json:"served"`
	Exact       int        `json:"exact"`
	Assumed     int        `json:"assumed"`
	Missed      int        `json:"missed"`
	Assumptions []assumed  `json:"assumptions"`
	Ambiguous   []assumed  `json:"ambiguous"`
	Unsaid      []assumed  `json:"unsaid"` // WebSockets that ended before their clients had said all
	Misses      []missed   `json:"misses"` // each once, the first missesMost of them
	Unused      []recorded `json:"unused"`
	used        []recorded // what was served, for JUnit
}

// An accountRecord is what was recorded.
type accountRecord struct {
	Interactions int            `json:"interactions"`
	Kept         int            `json:"kept"`              // of those, word for word as they were
	Skipped      int            `json:"skipped"`           // exchanges of which too little is known to replay them
	Total        int            `json:"total"`             // in the cassette now
	Secrets      map[string]int `json:"secrets,omitempty"` // different ones that are placeholders in it, by class
	Path         string         `json:"path,omitempty"`
	Changed      bool           `json:"changed"`
	Incomplete   bool           `json:"incomplete"`
	Error        string         `json:"error,omitempty"`
}

// An assumed is a difference that was taken for none, and why.
type assumed struct {
	Method   string `json:"method"`
	URL      string `json:"url"`
	Evidence string `json:"evidence"`
}

// A missed is a request for which nothing is recorded.
type missed struct {
	Method  string   `json:"method"`
	URL     string   `json:"url"`
	Times   int      `json:"times"`
	Reason  string   `json:"reason,omitempty"`
	Nearest *near    `json:"nearest,omitempty"`
	Hosts   []string `json:"recorded_hosts,omitempty"`
	Accept  string   `json:"accept,omitempty"`
	text    string   // as a person reads it
}

// A near is the recorded request that comes nearest to one that missed.
type near struct {
	Method   string       `json:"method"`
	URL      string       `json:"url"`
	Served   int          `json:"served"`
	Recorded int          `json:"recorded"`
	Diffs    []difference `json:"diffs"`
}

// A difference is one place in which two requests differ.
type difference struct {
	At       string `json:"at"`
	Recorded string `json:"recorded"`
	Live     string `json:"live"`
	Why      string `json:"why,omitempty"` // what speaks against taking one for the other
}

// A recorded is an interaction of the cassette.
type recorded struct {
	ID     string `json:"id"`
	Method string `json:"method"`
	URL    string `json:"url"`
}

// An escape is something that the command did beside us.
type escape struct {
	Kind  string   `json:"kind"` // refused, passed, resident or resolver
	To    string   `json:"to"`
	Why   string   `json:"why,omitempty"`
	Use   string   `json:"use,omitempty"` // what UDP of that port is for
	Count uint64   `json:"count,omitempty"`
	By    []sender `json:"by,omitempty"` // of it who is known
	Text  string   `json:"text"`
}

// A problem is a line of the report that needs attention.
type problem struct {
	Text  string `json:"text"`
	Times int    `json:"times"`
}

// missesMost is of how many different misses an account tells.
const missesMost = 1000

// newAccount is that of a run that begins.
func newAccount(e *engine) *account {
	return &account{
		Version: accountVersion, Program: "serge-net " + versionName(), Mode: e.flags.mode, Started: e.start.UTC(),
		Cassette: accountCassette{Name: e.flags.cassette}, Escapes: []escape{}, Problems: []problem{},
	}
}

// finish adds what is known when all is over, and err is what the run returned.
func (a *account) finish(e *engine, err error) {
	a.Duration = time.Since(e.start).Milliseconds()
	if e.mode != "" {
		a.Mode = e.mode
	}
	if e.store != nil {
		a.Cassette.Path = e.cassettePath()
	}
	if e.cassette != nil {
		a.Cassette.Interactions = e.cassette.Len()
	}
	a.ExitCode = exitStart
	var coded *exit
	if errors.As(err, &coded) {
		a.ExitCode, err = coded.Code, coded.Err
	}
	if err != nil {
		a.Error = strings.TrimPrefix(err.Error(), "serge-net: ")
	}
	a.Problems = append(a.Problems, e.report.problems()...)
	if a.Replay != nil {
		a.Replay.Misses = e.report.missedOnes()
	}
}

// replayed adds what was served of c.
func (a *account) replayed(c *cassette.Cassette, t cassette.Tally, misses int) {
	r := &accountReplay{Served: t.Exact + t.Assumed, Exact: t.Exact, Assumed: t.Assumed, Missed: misses,
		Assumptions: assumptions(t.Assumptions), Ambiguous: assumptions(t.Ambiguous), Unsaid: assumptions(t.Unsaid), Misses: []missed{}, Unused: []recorded{}}
	unused := map[*cassette.Interaction]bool{}
	for _, i := range t.Unused {
		unused[i] = true
		r.Unused = append(r.Unused, recordedOf(i))
	}
	for _, i := range c.Interactions {
		if !unused[i] {
			r.used = append(r.used, recordedOf(i))
		}
	}
	a.Replay = r
}

// recordedOf is i in an account.
func recordedOf(i *cassette.Interaction) recorded {
	return recorded{i.ID, i.Request.Method, i.Request.URL}
}

// assumptions are all in an account.
func assumptions(all []cassette.Assumption) []assumed {
	out := []assumed{}
	for _, one := range all {
		out = append(out, assumed(one))
	}
	return out
}

// recorded adds what a recording came to.
func (a *account) recorded(s cassette.Summary, err error) {
	a.Record = &accountRecord{Interactions: s.Recorded, Kept: s.Kept, Skipped: s.Skipped, Total: s.Interactions, Secrets: s.Secrets, Path: s.Path, Changed: s.Changed, Incomplete: s.Incomplete}
	if err != nil {
		a.Record.Error = err.Error()
	}
}

// beside adds what the command did beside us.
func (a *account) beside(o *outside) {
	lines := o.lines() // in this order
	add := func(e escape) {
		e.Text = lines[len(a.Escapes)]
		a.Escapes = append(a.Escapes, e)
	}
	for _, s := range o.refused() {
		add(s.escape("refused"))
	}
	for _, l := range o.strayed() {
		add(escape{Kind: "resident", To: localName(l), Why: l.Resident, Count: l.Count})
	}
	for _, path := range o.open {
		add(escape{Kind: "resolver", To: path})
	}
	for _, s := range o.passed() {
		e := s.escape("passed")
		e.Text = s.passage()
		a.Escapes = append(a.Escapes, e)
	}
	a.Loopback = o.used()
	if o.err != nil {
		a.Problems = append(a.Problems, problem{"what escaped cannot be told in full: " + o.err.Error(), 1})
	}
}

// missedOf is m in an account.
func missedOf(m *exchange.Miss) missed {
	out := missed{Method: m.Method, URL: m.URL, Reason: m.Reason, Hosts: m.Hosts, Accept: m.Accept, Times: 1, text: m.Error()}
	if n := m.Nearest; n != nil {
		out.Nearest = &near{n.Method, n.URL, n.Served, n.Recorded, []difference{}}
		for _, d := range n.Diffs {
			out.Nearest.Diffs = append(out.Nearest.Diffs, difference(d))
		}
	}
	return out
}
