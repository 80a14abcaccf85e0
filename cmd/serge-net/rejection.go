package main

import (
	"errors"
	"fmt"

	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/mitm"
)

// A rejecter is a process that would not have our certificate for a host.
type rejecter struct {
	pid     int
	command string
	host    string // and port
}

// rejection says who did not accept our certificate for whom, and what to do. A
// process is looked at once for each host: it may try again and again.
func (r *report) rejection(t mitm.Trouble) string {
	c := t.Origin.Caller
	who := rejecter{c.PID, c.Command, hostPort(t.Origin)}
	r.mu.Lock()
	said, known := r.rejects[who]
	r.mu.Unlock()
	if !known {
		said = r.rejectionBy(r.processes.of(c).identified(), t)
		r.mu.Lock()
		r.rejects[who] = said
		r.mu.Unlock()
	}
	return said
}

// rejectionBy is what is said of a client that is p.
func (r *report) rejectionBy(p process, t mitm.Trouble) string {
	host := t.Origin.Host()
	how := "does not trust"
	if errors.Is(t.Err, mitm.ErrLeft) {
		how = "seems not to trust"
	}
	said := fmt.Sprintf("rejected: %s %s serge-net's certificate for %s: %v\n  %s",
		callerAs(t.Origin.Caller, p), how, hostPort(t.Origin), t.Err, p.remedy(r.env))
	if r.trust != "" {
		said += "\n  to have it trust us: " + r.trust
	}
	said += "\n  to let it pass unrecorded: --bypass " + host
	if r.accept != "" {
		said += "; in every run: " + r.accept + host
	}
	return said
}

// rejected tells whether a client did not accept our certificate.
func (r *report) rejected() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.rejects) > 0
}

// callerAs names c to a person, with the runtime that p is: "node (pid 42,
// Node.js 20)".
func callerAs(c exchange.Caller, p process) string {
	if c.PID == 0 || p.kind == "" || p.title() == c.Command {
		return callerName(c)
	}
	return fmt.Sprintf("%s (pid %d, %s)", c.Command, c.PID, p.title())
}

// inDir is the flag by which dir is the directory of cassettes, if it is to be
// said.
func inDir(dir string) string {
	if dir == "./cassettes" {
		return ""
	}
	return " --cassette-dir " + shellWords([]string{dir})
}
