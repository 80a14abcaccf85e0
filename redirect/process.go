package redirect

import (
	"context"
	"os"
)

// A Command is what Run starts. It gets the terminal, the process group, the
// working directory, and what else this process was started with, open files
// above the standard three too, as without us.
type Command struct {
	Argv []string // Argv[0] without a slash is looked up in Env's PATH
	Env  []string // "name=value"; nil means ours
	Dir  string   // empty means ours

	// Mounts are made in the command's private mount namespace, if it has one
	// (see Diversion.Private).
	Mounts []Mount

	// Stdin, Stdout and Stderr are the command's own; nil means ours.
	Stdin, Stdout, Stderr *os.File

	// Signals has HUP, INT, QUIT, TERM, USR1 and USR2 that are sent to us alone
	// passed on to the command until it ends, rather than end us. Those sent to
	// the process group, as the terminal does, reach it without us.
	Signals bool
}

// An ExitStatus is how a command ended.
type ExitStatus struct {
	Code   int // as it exited; 128+Signal if killed; 127 or 126 if it did not start
	Signal int // the number of the signal that killed it, else 0

	NotFound      bool // there is no such command: Code is 127
	NotExecutable bool // it cannot be executed: Code is 126
	Err           error
}

// A Process is a command that was started, or that could not be: Wait tells.
// Its methods are safe for concurrent use.
type Process struct {
	pid    int
	signal func(os.Signal) error
	done   chan struct{}
	status ExitStatus // read after done
	err    error      // the same
}

// Run starts c inside the target: its first packet is diverted. A Diversion
// runs one command. An error is ours; that the command is not found or not
// executable is the status that Wait returns.
func (d *Diversion) Run(ctx context.Context, c Command) (*Process, error) { return d.run(ctx, c) }

// PID returns the command's process id, 0 if it did not start.
func (p *Process) PID() int { return p.pid }

// Signal sends s to the command. After its end it returns os.ErrProcessDone.
func (p *Process) Signal(s os.Signal) error {
	select {
	case <-p.done:
		return os.ErrProcessDone
	default:
		return p.signal(s)
	}
}

// Wait waits for the command's end and until what it left running is killed.
// An error means that its status is lost: init was killed, and the target with it.
func (p *Process) Wait() (ExitStatus, error) {
	<-p.done
	return p.status, p.err
}
