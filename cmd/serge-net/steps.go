package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/serge-net/serge-net/redirect"
)

// A step is a point that every run comes by. Killed at any of them, it leaves
// what the next run of the cassette makes good: a journal.
type step string

// The steps of a run, beside those of its diversion, which come between
// begun and closed: redirect.Lane.Steps.
const (
	begun    step = "begun"    // the cassette is read, and its journal made
	trusted  step = "trusted"  // there is a CA, and a plan for whom trusts it
	prepared step = "prepared" // there are the lane, the way and the stub: nothing is missing
	serving  step = "serving"  // connections are accepted
	finished step = "finished" // the command has ended
	closed   step = "closed"   // the lane is closed
	written  step = "written"  // the cassette is written, and the journal removed
	reported step = "reported" // all is said
)

// steps are the steps of a run, in order.
func steps() []step {
	return []step{begun, trusted, prepared, serving, finished, closed, written, reported}
}

// at tells that the run is at s.
func (e *engine) at(s step) {
	if e.reached != nil {
		e.reached(s)
	}
}

// follow has the report tell of each step as the run comes by it, and when.
func (r *runner) follow() {
	say := func(name any) { r.report.sayf("step: %v after %d ms", name, time.Since(r.start).Milliseconds()) }
	r.reached = func(s step) { say(s) }
	r.diverting = func(s redirect.Step, _, _ int) { say(s) }
}

// interruptible is a context that ends when a signal comes that would end us,
// so that what was begun can be undone. stop has signals do again what they did,
// and returns the *exit that follows from the one that came, nil if none did.
func interruptible(ctx context.Context) (_ context.Context, stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	signals, came := make(chan os.Signal, 1), make(chan os.Signal, 1)
	if all := endings(); len(all) > 0 { // none means every one
		signal.Notify(signals, all...)
	}
	done := make(chan struct{})
	wait := func() {
		select {
		case s := <-signals:
			came <- s
			cancel()
		case <-done:
		}
		close(came)
	}
	go wait()
	return ctx, func() error {
		signal.Stop(signals)
		close(done)
		defer cancel()
		if s, ok := <-came; ok {
			n, _ := s.(syscall.Signal)
			return &exit{Code: 128 + int(n), Err: fmt.Errorf("%v: the command was not started", s)}
		}
		return nil
	}
}
