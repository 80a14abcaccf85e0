package mitm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/mitm/http1"
)

// flushAt is how many bytes of an answer are gathered before they are written.
const flushAt = 32 << 10

// errDone ends a session whose connection has served its last answer.
var errDone = errors.New("mitm: the connection is at its end")

// A session plays HTTP/1 to one client: requests are answered one after the
// other, in the order in which they came.
type session struct {
	c     net.Conn
	over  <-chan struct{} // closed when all is to end
	start time.Time
	dec   *http1.Decoder
	enc   *http1.Encoder
	event func(e exchange.Event, answer func(exchange.Event) error) error
	emit  func(exchange.Event)       // take, as a value that is made once
	reply func(exchange.Event) error // answer, likewise
	out   []byte                     // answer bytes not written yet
	ahead []byte                     // what the client sent during a pause
	sent  bool                       // a byte of the answer under way was written
	lost  error                      // why a write failed
	wait  exchange.Event             // what the player is to be called with
	due   time.Time                  // and when, unless the client says something before; zero: never
	armed time.Time                  // the deadline of reading, which may be before that; zero: none
	err   error                      // why the session ends
}

// newSession is the session of o's client on c, answered by event. It does not
// outlast ctx by long: the caller closes c then.
func newSession(ctx context.Context, c net.Conn, o exchange.Origin, event func(exchange.Event, func(exchange.Event) error) error) *session {
	s := &session{c: c, over: ctx.Done(), start: time.Now(), dec: http1.NewDecoder(schemeOf(o)), event: event}
	s.emit, s.reply = s.take, s.answer
	return s
}

// serve answers until either side has ended, and closes the connection.
func (s *session) serve(tell Tell) {
	buf := make([]byte, startBuffer)
	for s.err == nil {
		if ahead := s.ahead; len(ahead) > 0 {
			s.ahead = nil
			s.feed(ahead)
			continue
		}
		n, err := s.read(buf)
		if n > 0 {
			s.feed(buf[:n])
		}
		if err != nil && s.err == nil {
			s.close(err)
		}
		if n == len(buf) && n < bulkBuffer {
			buf = make([]byte, bulkBuffer)
		}
	}
	var cut *abort
	if errors.As(s.err, &cut) {
		if cut.How == exchange.TLSAlert { // there is no handshake to end any more
			cut.How = exchange.Reset
		}
		deny(s.c, cut.End)
		return
	}
	shut(s.c)
}

// read reads what the client sends. If the player wants to be called before, it
// is, and nothing is read.
func (s *session) read(buf []byte) (int, error) {
	if !s.due.IsZero() && (s.armed.IsZero() || s.armed.After(s.due)) {
		s.arm(s.due)
	}
	n, err := s.c.Read(buf)
	if n > 0 || s.armed.IsZero() || !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	s.arm(time.Time{})
	if !s.due.IsZero() && !time.Now().Before(s.due) {
		s.due = time.Time{}
		s.take(s.wait)
		s.flush()
	}
	return 0, nil
}

// arm sets the deadline of reading. It is left as it is where the player wants to be
// called later than before, as after each message of a WebSocket: to set it costs
// more than to look again when it is over.
func (s *session) arm(at time.Time) {
	s.armed = at
	s.c.SetReadDeadline(at)
}

// feed answers what b asks.
func (s *session) feed(b []byte) {
	err := s.dec.Feed(exchange.Client, time.Since(s.start), b, s.emit)
	if s.err == nil {
		s.err = err
	}
	s.flush()
}

// close passes the end of the client on, and ends the session.
func (s *session) close(err error) {
	s.dec.Close(exchange.Client, time.Since(s.start), endOf(err), s.emit)
	s.flush()
	if s.err == nil {
		s.err = io.EOF
	}
}

// take is the decoder's emit.
func (s *session) take(e exchange.Event) {
	if s.err != nil {
		return
	}
	if e.Kind == exchange.KindHead {
		s.enc = http1.NewEncoder(e.Head)
	}
	if err := s.event(e, s.reply); err != nil && s.err == nil {
		s.err = err
	}
}

// answer sends the next event of an answer to the client.
func (s *session) answer(e exchange.Event) error {
	if e.Kind == exchange.KindWait {
		s.wait, s.due = exchange.Event{Stream: e.Stream, Kind: e.Kind}, time.Time{}
		if e.Pause > 0 {
			s.due = time.Now().Add(e.Pause)
		}
		return nil
	}
	if e.Pause > 0 && s.err == nil {
		s.err = s.pause(e.Pause)
	}
	if s.err != nil {
		return s.undelivered()
	}
	out, err := s.enc.Encode(s.out, e)
	if err != nil {
		return fmt.Errorf("HTTP/1 answer: %w", err)
	}
	s.out = out
	if e.Kind == exchange.KindEnd {
		s.end(e)
	}
	if err := s.dec.Answer(e, s.emit); err != nil {
		return err
	}
	if e.Kind == exchange.KindEnd {
		err := s.undelivered()
		s.sent = false
		if s.lost == nil {
			return nil // that the session ends with it is no failure of the answer
		}
		return err
	}
	if e.Kind == exchange.KindHead && e.Head.Status < 200 || len(s.out) >= flushAt {
		s.flush()
	}
	return s.undelivered()
}

// undelivered is why the session ends, if it does, and says so where nothing of
// the answer under way was written.
func (s *session) undelivered() error {
	if s.err == nil || s.sent {
		return s.err
	}
	return fmt.Errorf("%w: %w", exchange.ErrUndelivered, s.err)
}

// end is the end of an answer. What was cut when it was recorded is cut again;
// what ended with the connection ends with it again.
func (s *session) end(e exchange.Event) {
	switch {
	case e.End.How != exchange.Complete:
		s.flush()
		cut := *e.End
		cut.Conn = cut.How == exchange.Truncated && s.enc.ByClose() // else it would have been whole
		s.err = &abort{cut}
	case s.enc.Last():
		s.flush()
		if s.err == nil {
			s.err = errDone
		}
	default:
		s.flush() // who asked is told whether the client has it
	}
}

// flush writes what is gathered.
func (s *session) flush() {
	if len(s.out) == 0 {
		return
	}
	_, err := s.c.Write(s.out)
	s.out = s.out[:0]
	if cap(s.out) > 2*flushAt {
		s.out = nil
	}
	if err == nil {
		s.sent = true
		return
	}
	s.lost = err
	if s.err == nil {
		s.err = err
	}
}

// pass flushes, and returns why the session ends, if it does.
func (s *session) pass() error {
	s.flush()
	return s.undelivered()
}

// An abort is a recorded answer that did not end as the protocol says.
type abort struct{ exchange.End }

// Error says how it ended.
func (a *abort) Error() string { return "the recorded answer was " + a.How.String() }
