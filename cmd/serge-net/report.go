package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serge-net/serge-net/certs"
	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/mitm"
)

// A report says to a person what a run does, on stderr or in a log file: stdout
// and the terminal are the command's. It is safe for concurrent use.
type report struct {
	quiet bool
	trust string // how a client that rejects our certificate comes to accept it; "": as a run has it
	// env is the command's environment, by which it is to trust us; nil: it got
	// none from us. It and accept are set before there is a connection.
	env       []string
	processes processes
	accept    string // the command that has a host bypassed in every run, but for the host; "": there is none

	mu      sync.Mutex
	to      io.Writer
	missed  int
	told    []*missed           // each once, the first missesMost
	missing map[string]*missed  // the same by their text
	flags   []string            // of accept, that misses named
	broken  bool                // the recording is incomplete
	seen    map[string]int      // what was said already, and how often it came
	rejects map[rejecter]string // what is said of each
	attend  []string            // lines that need attention at the end, in order
}

// newReport writes to w.
func newReport(w io.Writer, quiet bool) *report {
	return &report{to: w, quiet: quiet, seen: map[string]int{}, missing: map[string]*missed{}, rejects: map[rejecter]string{}}
}

// sayf writes one line, unless the run is quiet.
func (r *report) sayf(format string, args ...any) {
	if r.quiet {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.line(fmt.Sprintf(format, args...))
}

// warnf writes one line, also if the run is quiet.
func (r *report) warnf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.line(fmt.Sprintf(format, args...))
}

// line writes s, which may be several lines, with the program's name before it.
// Part of it may be from the network. mu is held.
func (r *report) line(s string) {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = exchange.Visible(l)
	}
	fmt.Fprintf(r.to, "serge-net: %s\n", strings.Join(lines, "\n"))
}

// once writes s now if it was not written before; the end says how often it came.
func (r *report) once(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[s]++
	if r.seen[s] == 1 {
		r.line(s)
		r.attend = append(r.attend, s)
	}
}

// miss writes m at once.
func (r *report) miss(m *exchange.Miss) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.missed++
	if m.Accept != "" && !slices.Contains(r.flags, m.Accept) {
		r.flags = append(r.flags, m.Accept)
	}
	text := m.Error()
	r.line(text)
	if was := r.missing[text]; was != nil {
		was.Times++
	} else if len(r.told) < missesMost {
		one := missedOf(m)
		r.told, r.missing[text] = append(r.told, &one), &one
	}
}

// missedOnes are the requests that missed.
func (r *report) missedOnes() []missed {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := []missed{}
	for _, m := range r.told {
		all = append(all, *m)
	}
	return all
}

// problems are the lines that need attention.
func (r *report) problems() []problem {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := []problem{}
	for _, s := range r.attend {
		all = append(all, problem{s, r.seen[s]})
	}
	return all
}

// document writes b as it is.
func (r *report) document(b []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, err := r.to.Write(b)
	return err
}

// trouble writes what went wrong on a connection, once for each kind and host.
func (r *report) trouble(t mitm.Trouble) {
	host := hostPort(t.Origin)
	switch t.Cause {
	case mitm.Unreachable:
		r.once(fmt.Sprintf("origin: %s: %v", host, t.Err))
	case mitm.Untrusted:
		r.once(fmt.Sprintf("origin: %s: %v\n  the client was refused too; to trust its CA: --upstream-ca FILE; to trust anybody: --upstream-insecure", host, certs.Explain(t.Err, t.Origin.Host())))
	case mitm.Rejected:
		r.once(r.rejection(t))
	case mitm.Opaque:
		r.once(fmt.Sprintf("not recorded: %s by %s: %v", host, callerName(t.Origin.Caller), t.Err))
	case mitm.Unrecorded:
		r.once(fmt.Sprintf("not recorded: %v\n  the command goes on; what was recorded until then stays readable", t.Err))
		r.mu.Lock()
		r.broken = true
		r.mu.Unlock()
	}
}

// hostPort is how o is named to a person.
func hostPort(o exchange.Origin) string {
	return fmt.Sprintf("%s:%d", o.Host(), o.Addr.Port())
}

// callerName is how a process is named to a person.
func callerName(c exchange.Caller) string {
	if c.PID == 0 {
		return "an unknown process"
	}
	return fmt.Sprintf("%s (pid %d)", c.Command, c.PID)
}

// A served is the numbers of a replay, as the end line gives them.
type served struct {
	exact, assumed, unused int
	isolation              string // what is said of it, with a comma before it; "": nothing
	assumptions            []string
	unsaid                 []string
}

// yesNo is b in a word.
func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// misses is how many requests missed.
func (r *report) misses() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.missed
}

// incomplete tells whether something that passed was not recorded.
func (r *report) incomplete() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.broken
}

// end writes the last lines of a run that replayed.
func (r *report) end(s served, took time.Duration) {
	r.sayf("%d served (%d exact, %d assumed), %d missed, %d unused%s; %s",
		s.exact+s.assumed, s.exact, s.assumed, r.misses(), s.unused, s.isolation, seconds(took))
	r.list("assumed", s.assumptions)
	r.list("ended early", s.unsaid)
}

// list writes lines, each once, with what they are of before them.
func (r *report) list(what string, lines []string) {
	lines = tallied(lines)
	for i, l := range lines {
		if i == listMost {
			r.warnf("%s: and %d more", what, len(lines)-i)
			break
		}
		r.warnf("%s: %s", what, l)
	}
}

// listMost is how many lines of a kind the end of a run lists: what a person would
// read.
const listMost = 100

// tallied is lines, each once, with how often it came.
func tallied(lines []string) []string {
	times := map[string]int{}
	var out []string
	for _, l := range lines {
		if times[l]++; times[l] == 1 {
			out = append(out, l)
		}
	}
	for i, l := range out {
		if n := times[l]; n > 1 {
			out[i] = fmt.Sprintf("%s, %d times", l, n)
		}
	}
	return out
}

// again tells how often a line came that was written once.
func (r *report) again() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.attend {
		if n := r.seen[s]; n > 1 {
			first, _, _ := strings.Cut(s, "\n")
			r.line(fmt.Sprintf("%d times: %s", n, first))
		}
	}
}

// seconds is a duration as the end line shows it.
func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
