package mitm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/mitm/http1"
)

// A forward serves a client whose requests are in absolute form, each to an
// origin of its own. They go Way by a leg, a connection in memory to the origin
// of the moment, in the form that a diverted client would have sent; what comes
// back is the client's, byte for byte. One decoder sees the client's bytes
// and the answers, and tells where each begins and ends. A request waits for the
// answers before it.
//
// The client is read by one goroutine (forward.go), the leg by another
// (answers.go).
type forward struct {
	x      *Explicit
	ctx    context.Context // the connection's, and ends with it
	client *peeked
	caller exchange.Caller
	start  time.Time
	legs   sync.WaitGroup

	mu      sync.Mutex
	dec     *http1.Decoder
	request *http1.Encoder // of the request that is being read
	steps   []step         // what the client's bytes ask for, not done yet
	way     *out           // to the origin of the moment; nil: none yet
	answer  *answering     // to the last request that was passed on; nil: none was
	last    bool           // no request comes after it on this connection
	through bool           // it made the connection a tunnel
}

// An out is the way to one origin.
type out struct {
	*leg
	to    exchange.Origin
	ended context.Context // done when it has
	end   context.CancelFunc
}

// A step is something that a client's bytes ask for.
type step struct {
	to      *exchange.Origin // of a request that begins; nil: bytes go on
	connect bool             // a request for a tunnel; bytes are its head
	upgrade bool             // the request's answer decides what comes behind it
	answer  *answering       // that is due to the request
	err     error            // why the request is not to be had
	bytes   []byte
}

// A connecter ends a forward whose client asks for a tunnel after its requests.
type connecter struct{ ask []byte }

// Error implements error.
func (*connecter) Error() string { return "CONNECT follows" }

// A refusal ends a forward whose client asks for what is not to be had.
type refusal struct{ error }

// forward serves c, which it owns.
func (x *Explicit) forward(ctx context.Context, c *peeked, caller exchange.Caller) {
	legs, cancel := context.WithCancel(ctx)
	defer cancel()
	f := &forward{x: x, ctx: legs, client: c, caller: caller, start: time.Now(), dec: http1.NewDecoder("http")}
	err := f.serve()
	var connect *connecter
	var refused *refusal
	switch {
	case errors.As(err, &connect):
		f.turnTo(nil)
		f.legs.Wait()
		c.ahead = append(connect.ask, c.ahead...)
		o, err := askedByConnect(c, caller)
		x.hand(ctx, c, o, err, func() bool { return true })
		return
	case errors.Is(err, io.EOF):
		f.hangUp(exchange.Complete)
	case errors.Is(err, errDone):
		linger(c)
		cancel()
	case errors.As(err, &refused):
		linger(c)
		cancel()
		defer x.refuse(c, refused)
	default:
		f.hangUp(exchange.Reset)
	}
	f.legs.Wait()
	shut(c)
}

// linger gives c the time to take what was written, which closing it while it
// still sends would destroy.
func linger(c *peeked) {
	closeWrite(c)
	c.SetReadDeadline(time.Now().Add(time.Second))
	io.Copy(io.Discard, c)
}

// hangUp passes on how the client ended.
func (f *forward) hangUp(how exchange.How) {
	switch {
	case f.way == nil:
	case how == exchange.Complete:
		f.way.CloseWrite()
	default:
		reset(f.way.leg)
	}
}

// serve reads the client to its end, or to that of the last answer.
func (f *forward) serve() error {
	buf := make([]byte, startBuffer)
	for {
		n, err := f.client.Read(buf)
		if n > 0 {
			if err := f.ask(buf[:n]); err != nil {
				return err
			}
		}
		if n == len(buf) && n < bulkBuffer {
			buf = make([]byte, bulkBuffer)
		}
		if err != nil && f.isLast() {
			return errDone
		}
		if err != nil {
			return err
		}
	}
}

// isLast tells whether the connection ends with the answer under way.
func (f *forward) isLast() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last && !f.through
}

// ask does what b asks for.
func (f *forward) ask(b []byte) error {
	f.mu.Lock()
	err := f.dec.Feed(exchange.Client, time.Since(f.start), b, f.event)
	f.mu.Unlock()
	if err := f.doAll(); err != nil {
		return err
	}
	if err != nil {
		return f.refuse(http.MethodGet, err)
	}
	return nil
}

// doAll does the steps that there are.
func (f *forward) doAll() error {
	f.mu.Lock()
	steps := f.steps
	f.steps = nil
	f.mu.Unlock()
	for _, s := range steps {
		if err := f.do(s); err != nil {
			return err
		}
	}
	return nil
}

// event takes what either side did. It is called with mu held, by the decoder.
func (f *forward) event(e exchange.Event) {
	if e.From == exchange.Server {
		f.answered(e)
		return
	}
	if e.Kind == exchange.KindHead {
		f.steps = append(f.steps, f.begins(e))
		return
	}
	var s step
	if f.through {
		s.bytes = append(s.bytes, e.Data...)
	} else {
		s.bytes, s.err = f.request.Encode(nil, e)
	}
	if len(s.bytes) > 0 || s.err != nil {
		f.steps = append(f.steps, s)
	}
}

// begins is the step of a request's head.
func (f *forward) begins(e exchange.Event) (s step) {
	f.request = http1.NewRequestEncoder()
	s.answer = &answering{method: e.Head.Method, enc: http1.NewEncoder(e.Head), done: make(chan struct{})}
	s.bytes, s.err = f.request.Encode(nil, e)
	s.connect = e.Head.Method == http.MethodConnect
	_, s.upgrade = exchange.Get(e.Head.Fields, "Upgrade")
	if s.err != nil || s.connect {
		return s
	}
	authority, rest, err := aim(e.Head.Method, e.Head.Target)
	if err != nil {
		s.err = err
		return s
	}
	host, port, err := hostPort80(authority)
	if err != nil {
		s.err = err
		return s
	}
	o, err := named(host, port, f.caller)
	s.to, s.err = &o, err
	s.bytes = toOrigin(e.Head, s.bytes, authority, rest)
	return s
}

// do does s.
func (f *forward) do(s step) error {
	if s.answer != nil {
		if err := f.await(); err != nil {
			return err
		}
	}
	switch {
	case s.err != nil && s.answer != nil:
		return f.refuse(s.answer.method, s.err)
	case s.err != nil:
		return f.refuse(http.MethodGet, s.err)
	case s.connect:
		f.mu.Lock()
		defer f.mu.Unlock()
		return &connecter{append(s.bytes, f.dec.Rest(exchange.Client)...)}
	case s.to != nil:
		f.mu.Lock()
		f.answer = s.answer
		f.mu.Unlock()
		f.turnTo(s.to)
	}
	if _, err := f.way.Write(s.bytes); err != nil {
		f.await() // the origin is gone; the client gets what it said last
		return errDone
	}
	if s.upgrade {
		if err := f.await(); err != nil {
			return err
		}
		return f.doAll()
	}
	return nil
}

// await waits for the end of the answer under way, or until the client is
// connected through. An error means that no request can follow.
func (f *forward) await() error {
	f.mu.Lock()
	a := f.answer
	f.mu.Unlock()
	if a == nil {
		return nil
	}
	<-a.done
	if f.isLast() {
		return errDone
	}
	return nil
}

// refuse tells the client, after the answers that are due, that its request is
// not to be had.
func (f *forward) refuse(method string, err error) error {
	if done := f.await(); done != nil {
		return done
	}
	f.client.Write(apology(http.StatusBadRequest, method, err))
	return &refusal{fmt.Errorf("a client's request: %w", err)}
}

// turnTo makes sure of a way to o; nil ends the one there is.
func (f *forward) turnTo(o *exchange.Origin) {
	if w := f.way; w != nil {
		if o != nil && w.to.Name == o.Name && w.to.Addr == o.Addr && w.ended.Err() == nil {
			return
		}
		f.setWay(nil)
		w.Close()
		w.end()
	}
	if o == nil {
		return
	}
	near, far := newLeg()
	w := &out{leg: near, to: *o}
	w.ended, w.end = context.WithCancel(f.ctx)
	f.setWay(w)
	say := func(err error) bool { return err == nil || f.apologise(w, err) }
	f.legs.Go(func() { f.x.Way.Handle(w.ended, &peeked{Conn: far, say: say}, w.to) })
	f.legs.Go(func() { f.relay(w) })
}

// setWay makes w the way of the moment.
func (f *forward) setWay(w *out) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.way = w
}
