package mitm

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// hears waits for a client of what offer tells of to show what it speaks. One that may
// wait to be spoken to, where nothing else is recorded, is opaque at once, and so is
// one there that might still show to be HTTP. If the client says too little for too
// long the error is os.ErrDeadlineExceeded.
func hears(c *peeked, offer exchange.Offer) (Protocol, error) {
	if offer.Raw == exchange.All && offer.Opens {
		return ProtoOpaque, nil
	}
	passes := offer.Raw == exchange.All
	p, err := Sniff(c.ahead), error(nil)
	if p == Undecided && (!passes || held(c.ahead)) {
		c.SetReadDeadline(time.Now().Add(undecided))
		defer c.SetReadDeadline(time.Time{})
		p, err = sniffClient(c, passes)
	}
	if p == Undecided && err == nil {
		p = ProtoOpaque
	}
	return p, err
}

// opaque tells whether a client that has not shown what it speaks is taken for one of
// a conversation: it waits for the origin's first words, or for an answer to few of its own.
func opaque(c *peeked, offer exchange.Offer) bool {
	return offer.Raw != exchange.None && (offer.Opens || len(c.ahead) > 0)
}

// goodbye is how long a client may take to close a connection that its server has
// ended, so that what it still says does not reset what it has not read.
const goodbye = 10 * time.Second

// A rawSession plays a raw connection to its client: a player says what the origin
// said, inside TLS where it did.
type rawSession struct {
	c      *peeked
	origin exchange.Origin
	over   <-chan struct{} // closed when the run ends
	start  time.Time
	event  func(exchange.Event, func(exchange.Event) error) error
	accept func(*peeked, *exchange.Origin) (*peeked, error) // ends TLS

	due   time.Time     // when the player wants to be called, unless the client says something before; zero: never
	turns bool          // TLS is to begin
	fails *exchange.End // and fails so
	ended bool          // the server's half
	keeps bool          // what the client says is kept, until it is told something
	kept  []byte        // what it said, if it can be said to somebody else
	err   error         // why the session ends
}

// errDenied ends a session whose client was denied.
var errDenied = errors.New("mitm: the connection ends as it did when it was recorded")

// raw plays a raw connection to its client, and closes it, unless it misses.
func (r *Replay) raw(ctx context.Context, c *peeked, o exchange.Origin) {
	play, err := r.Player.Open(o)
	if err != nil {
		reset(c)
		r.Tell.missed(o, err.Error())
		return
	}
	defer play.Close()
	s := newRawSession(ctx, c, o, play.Event)
	s.accept = func(c *peeked, o *exchange.Origin) (*peeked, error) {
		t, err := r.accept(ctx, c, o)
		if err != nil {
			return nil, err
		}
		return r.Tell.inside(t, *o), nil
	}
	if m := s.serve(r.Tell); m != nil {
		reset(s.c)
		r.Tell.miss(m)
	}
}

// newRawSession is the session of o's client on c, answered by event.
func newRawSession(ctx context.Context, c *peeked, o exchange.Origin, event func(exchange.Event, func(exchange.Event) error) error) *rawSession {
	return &rawSession{c: c, origin: o, over: ctx.Done(), start: time.Now(), event: event}
}

// serve answers until both sides have ended, and closes the connection. If the client
// says what was not recorded, that is returned, and the connection is open.
func (s *rawSession) serve(tell Tell) *exchange.Miss {
	s.take(exchange.Event{From: exchange.Client, Kind: exchange.KindHead, Head: rawHead(s.origin)})
	buf := make([]byte, startBuffer)
	for s.err == nil {
		if s.turns {
			s.turn(tell)
			continue
		}
		n, err := s.read(buf)
		if n > 0 {
			s.keep(buf[:n])
			s.take(exchange.Event{From: exchange.Client, Kind: exchange.KindData, Data: buf[:n]})
		}
		if n == len(buf) && n < bulkBuffer {
			buf = make([]byte, bulkBuffer)
		}
		if err != nil && s.err == nil {
			end := endOf(err)
			s.take(exchange.Event{From: exchange.Client, Kind: exchange.KindEnd, End: &end})
			break
		}
	}
	var m *exchange.Miss
	if errors.As(s.err, &m) {
		return m
	}
	if !errors.Is(s.err, errDenied) {
		shut(s.c)
	}
	return nil
}

// read reads what the client says. If the player wants to be called before, it is.
func (s *rawSession) read(buf []byte) (int, error) {
	if s.due.IsZero() {
		return s.c.Read(buf)
	}
	s.c.SetReadDeadline(s.due)
	n, err := s.c.Read(buf)
	s.c.SetReadDeadline(time.Time{})
	switch {
	case n > 0 && s.ended:
		s.due = time.Now().Add(goodbye)
		return n, err
	case n > 0 || !errors.Is(err, os.ErrDeadlineExceeded):
		return n, err
	case s.ended:
		return 0, io.EOF
	}
	s.take(exchange.Event{From: exchange.Client, Kind: exchange.KindWait})
	return 0, nil
}

// keptMost is how much of a client is kept that nobody has answered yet, in bytes.
const keptMost = 1 << 20

// keep keeps b, which the client says, as long as nothing was said to it.
func (s *rawSession) keep(b []byte) {
	if s.keeps {
		s.kept = append(s.kept, b...)
		s.keeps = len(s.kept) <= keptMost
	}
}

// take tells the player what the client did.
func (s *rawSession) take(e exchange.Event) {
	e.Stream, e.At = rawStream, time.Since(s.start)
	if !s.ended {
		s.due = time.Time{}
	}
	if err := s.event(e, s.answer); err != nil && s.err == nil {
		s.err = err
	}
}

// answer does what the player says that the server does.
func (s *rawSession) answer(e exchange.Event) error {
	if s.err == nil {
		s.err = s.pause(e)
	}
	if s.err != nil {
		return s.err
	}
	switch e.Kind {
	case exchange.KindData:
		s.keeps, s.kept = false, nil
		_, s.err = s.c.Write(e.Data)
	case exchange.KindTLS:
		s.keeps, s.kept = false, nil
		s.turns, s.fails = true, e.End
	case exchange.KindEnd:
		s.end(*e.End)
	}
	return s.err
}

// pause waits for what is due later: e, or, if it says so, that the player is called.
func (s *rawSession) pause(e exchange.Event) error {
	switch {
	case e.Pause <= 0:
		return nil
	case e.Kind == exchange.KindWait:
		s.due = time.Now().Add(e.Pause)
		return nil
	}
	t := time.NewTimer(e.Pause)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-s.over:
		return net.ErrClosed
	}
}

// end ends the server's half as end says.
func (s *rawSession) end(end exchange.End) {
	s.ended, s.due = true, time.Now().Add(goodbye)
	if end.How != exchange.Complete {
		deny(s.c, end)
		s.err = errDenied
		return
	}
	closeWrite(s.c)
}

// turn ends TLS with the client, as its origin did.
func (s *rawSession) turn(tell Tell) {
	s.turns = false
	if s.fails != nil {
		s.c.SetReadDeadline(time.Now().Add(handshakeTimeout))
		_ = s.c.more() // that it says nothing changes nothing
		deny(s.c, *s.fails)
		s.err = errDenied
		return
	}
	c, err := s.accept(s.c, &s.origin)
	if err != nil {
		if rejected(err) {
			tell.trouble(Rejected, s.origin, err)
		}
		s.err = err
		return
	}
	s.c = c
	s.take(exchange.Event{From: exchange.Client, Kind: exchange.KindTLS})
}
