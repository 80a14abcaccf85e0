package redirect

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
)

// errLost is what Wait returns when init did not live to tell.
var errLost = errors.New("redirect: init was killed; the command was killed with it")

// A failure is why init could not prepare what the command needs.
type failure struct{ why string }

func (f *failure) Error() string { return f.why }

// run has init start c.
func (i *initProcess) run(ctx context.Context, c Command) (*Process, error) {
	if len(c.Argv) == 0 {
		return nil, errors.New("redirect: run: no command")
	}
	if !i.used.CompareAndSwap(false, true) {
		return nil, errors.New("redirect: run: a diversion runs one command")
	}
	if c.Env == nil {
		c.Env = os.Environ()
	}
	p := &Process{done: make(chan struct{})}
	p.signal = func(s os.Signal) error { return i.signal(s, false) }
	var signals <-chan os.Signal // nil: none comes
	stop := func() {}
	if c.Signals {
		signals, stop = catch()
	}
	if err := i.begin(c); err != nil {
		stop()
		return nil, fmt.Errorf("redirect: run %s: %w", c.Argv[0], err)
	}
	started := make(chan struct{})
	i.runs.Store(true)
	i.wait.Go(func() { i.supervise(p, started) })
	i.wait.Go(func() { defer stop(); i.relay(signals, p.done) })
	select {
	case <-started:
	case <-p.done:
		var f *failure
		if errors.As(p.err, &f) {
			return nil, fmt.Errorf("redirect: run %s: %w", c.Argv[0], f)
		}
	case <-ctx.Done():
		return nil, fmt.Errorf("redirect: run %s: %w", c.Argv[0], ctx.Err())
	}
	return p, nil
}

// begin hands c to init.
func (i *initProcess) begin(c Command) error {
	in, out, err := own(c.Stdin, os.Stdin), own(c.Stdout, os.Stdout), own(c.Stderr, os.Stderr)
	fds, e := inherited()
	if e != nil {
		return e
	}
	told, e := sealedCommand(c, fds)
	if e != nil {
		return e
	}
	files := []*os.File{told, in, out, err}
	others, e := opened(fds)
	defer func() {
		for _, f := range append(others, told) {
			f.Close()
		}
	}()
	if e != nil {
		return e
	}
	if err := send(i.ctl, message{Kind: msgRun}, append(files, others...)...); err != nil {
		return err
	}
	i.trace.reached(Asked)
	return nil
}

// signal has init send s to the command; unless its group got it too, if group is set.
func (i *initProcess) signal(s os.Signal, group bool) error {
	n, ok := s.(syscall.Signal)
	if !ok {
		return fmt.Errorf("redirect: signal %v: not one of this system", s)
	}
	return send(i.ctl, message{Kind: msgSignal, Signal: int(n), Group: group})
}

// relay passes on signals until done.
func (i *initProcess) relay(signals <-chan os.Signal, done <-chan struct{}) {
	for {
		select {
		case s := <-signals:
			i.signal(s, true) // init gone: then so is the command
		case <-done:
			return
		}
	}
}

// supervise reads what init tells until the command has ended. If init is gone
// before, it kills what is left of the target.
func (i *initProcess) supervise(p *Process, started chan<- struct{}) {
	defer close(p.done)
	for {
		m, files, err := receive(i.ctl)
		if err != nil {
			p.err = errLost
			i.kill()
			i.proc.Wait()
			return
		}
		switch m.Kind {
		case msgStep:
			i.told(m)
		case msgMounted:
			p.err = &failure{m.Err}
			return
		case msgStarted:
			p.pid = m.PID
			i.trace.reached(Running)
			close(started)
		case msgEnded:
			p.status = m.Status.exitStatus()
			if i.last != nil {
				i.last(files)
			}
			i.trace.reached(Told)
			return
		}
	}
}

// exitStatus is w as Wait returns it.
func (w *wireStatus) exitStatus() ExitStatus {
	s := ExitStatus{Code: w.Code, Signal: w.Signal, NotFound: w.NotFound, NotExecutable: w.NotExecutable}
	if w.Err != "" {
		s.Err = errors.New(w.Err)
	}
	return s
}
