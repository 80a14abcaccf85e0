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

// mixed1 is one HTTP/1 client's Mixed: its exchanges come one after the other.
type mixed1 struct {
	m      *Mixed
	ctx    context.Context // the connection's, and ends with it
	origin exchange.Origin
	play   func(exchange.Event, func(exchange.Event) error) error
	client net.Conn
	pass   func() error // writes what the client was answered
	server net.Conn     // the origin, nil until the first miss
	tap    *tap         // of server

	enc     *http1.Encoder // of the request being read
	held    spool          // its bytes, exactly as they came
	scratch []byte
	tunnel  *tunnel

	stop      func() bool    // of what closes server when ctx ends
	continued bool           // the request being read was answered 100 by us
	early     *exchange.Miss // that of the request being read, if its head was enough
	upgraded  bool           // the player answered 101: what follows is said to it
}

// event takes what the client did: see exchange.Play.
func (x *mixed1) event(e exchange.Event, answer func(exchange.Event) error) error {
	if x.tunnel != nil {
		return x.through(e)
	}
	if x.upgraded {
		return x.talk(e, answer)
	}
	if err := x.hold(e); err != nil {
		return err
	}
	if e.Kind == exchange.KindHead {
		x.continued, x.early = false, nil
		if waits(e.Head) {
			if err := x.goOn(e, answer); err != nil {
				return err
			}
		}
	}
	answer = x.once(answer)
	err := x.play(e, answer)
	if e.Kind == exchange.KindHead && errors.As(err, &x.early) {
		return nil // it goes on when all of it is here
	}
	if e.Kind != exchange.KindEnd {
		return err
	}
	defer x.held.reset()
	miss := x.early
	if (errors.As(err, &miss) || miss != nil) && e.End.How == exchange.Complete {
		x.m.missed(miss)
		return x.roundTrip(e, answer)
	}
	return err
}

// talk goes on with what the player upgraded: nothing of it can go to the origin.
func (x *mixed1) talk(e exchange.Event, answer func(exchange.Event) error) error {
	err := x.play(e, answer)
	miss := new(exchange.Miss)
	if !errors.As(err, &miss) {
		return err
	}
	x.m.Tell.miss(miss)
	if e.Kind == exchange.KindWait {
		return nil
	}
	return err
}

// hold keeps the bytes of the request that e is a part of.
func (x *mixed1) hold(e exchange.Event) error {
	if e.Kind == exchange.KindHead {
		x.enc = http1.NewRequestEncoder()
	}
	b, err := x.enc.Encode(x.scratch[:0], e)
	if err != nil {
		return fmt.Errorf("hold a request: %w", err)
	}
	x.scratch = b
	_, err = x.held.Write(b)
	return err
}

// roundTrip sends the held request to the origin and its answer to the client.
func (x *mixed1) roundTrip(e exchange.Event, answer func(exchange.Event) error) (err error) {
	if x.tap != nil && gone(x.server) {
		x.drop()
	}
	start := time.Now()
	if err := x.connect(); err != nil {
		return x.unreachable(failed(err, time.Since(start)))
	}
	tap := x.tap // drop forgets it
	var done, upgraded bool
	tap.passed = func(r exchange.Event) {
		if done || upgraded || err != nil {
			return
		}
		r.Stream = e.Stream
		upgraded = r.Kind == exchange.KindHead && r.Head.Status == 101
		done = r.Kind == exchange.KindEnd
		err = answer(r)
	}
	defer func() { tap.passed = nil }()
	if err := x.send(); err != nil {
		return err
	}
	buf := make([]byte, startBuffer)
	for !done && !upgraded && err == nil {
		n, rerr := x.server.Read(buf)
		if n > 0 {
			tap.feed(exchange.Server, buf[:n])
			if err == nil && !done { // a stream may not go on until its client has this
				err = x.pass()
			}
		}
		if rerr != nil {
			if x.ctx.Err() != nil {
				tap.gone(exchange.Client)
			}
			tap.end(exchange.Server, closing(x.server, rerr))
			x.drop()
			if !done && err == nil {
				err = &abort{exchange.End{How: exchange.Reset, Err: rerr.Error()}}
			}
		}
		if tap.blind() && !done && err == nil {
			return &abort{exchange.End{How: exchange.Reset, Err: "the origin's answer is not understood"}}
		}
	}
	if upgraded && err == nil {
		x.tunnel = &tunnel{server: x.server, tap: tap}
		x.tunnel.start(x.client)
	}
	if err != nil && !done && x.tap != nil { // the client is gone
		tap.gone(exchange.Client)
		tap.end(exchange.Server, exchange.End{How: exchange.Reset, Err: err.Error()})
		x.drop()
	}
	return err
}

// unreachable records the held request with end for an answer, by which the
// session ends.
func (x *mixed1) unreachable(end exchange.End) error {
	t := newTap(x.m.Watcher, http1.NewDecoder(schemeOf(x.origin)), x.origin, x.m.Tell)
	defer t.close()
	r, buf := x.held.reader(), make([]byte, bulkBuffer)
	for {
		n, err := r.Read(buf)
		t.feed(exchange.Client, buf[:n])
		if err != nil {
			break // of a spool that cannot be read enough is told
		}
	}
	t.end(exchange.Server, end)
	return &abort{end}
}

// idleLook is how long an idle connection is looked at before it is used again.
const idleLook = time.Millisecond

// gone tells whether an idle connection was closed by the origin. What is sent on
// one that is closed a moment later fails: to send it again could have it done twice.
func gone(c net.Conn) bool {
	c.SetReadDeadline(time.Now().Add(idleLook))
	defer c.SetReadDeadline(time.Time{})
	_, err := c.Read(make([]byte, 1))
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// send writes the held request, watched.
func (x *mixed1) send() error {
	r := x.held.reader()
	buf := make([]byte, bulkBuffer)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			x.tap.feed(exchange.Client, buf[:n])
			if _, err := x.server.Write(buf[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// connect makes sure of a watched connection to the origin.
func (x *mixed1) connect() error {
	if x.server == nil {
		c, o, err := x.m.dial(x.ctx, x.origin)
		if err != nil {
			return err
		}
		x.server, x.origin = c, o
	}
	if x.tap == nil {
		server := x.server
		x.stop = context.AfterFunc(x.ctx, func() { server.Close() })
		x.tap = newTap(x.m.Watcher, http1.NewDecoder(schemeOf(x.origin)), x.origin, x.m.Tell)
	}
	return nil
}

// through passes on what an upgraded client sends.
func (x *mixed1) through(e exchange.Event) error {
	switch e.Kind {
	case exchange.KindData:
		x.tap.feed(exchange.Client, e.Data)
		_, err := x.server.Write(e.Data)
		return err
	case exchange.KindEnd:
		x.tap.end(exchange.Client, *e.End)
		closeWrite(x.server)
		x.tunnel.done.Wait()
	}
	return nil
}

// drop closes the connection to the origin.
func (x *mixed1) drop() {
	if x.server != nil {
		shut(x.server)
		x.server = nil
	}
	if x.tap != nil {
		x.stop()
		x.tap.close()
		x.tap = nil
	}
}

// close ends the session's upstream.
func (x *mixed1) close() {
	if x.tunnel != nil {
		shut(x.server)
		x.tunnel.done.Wait()
	}
	x.drop()
	x.held.reset()
}

// waits tells whether a request's body comes only after a 100 (RFC 9110 section 10.1.1).
func waits(h *exchange.Head) bool {
	v, _ := exchange.Get(h.Fields, "Expect")
	return v == "100-continue" && h.Version != "1.0"
}

// goOn answers 100 at once: whether the origin would have refused the request is
// not known before its body is matched.
func (x *mixed1) goOn(e exchange.Event, answer func(exchange.Event) error) error {
	x.continued = true
	return answer(exchange.Event{
		Stream: e.Stream, From: exchange.Server, Kind: exchange.KindHead, At: e.At,
		Head: &exchange.Head{Status: 100, Reason: "Continue", Version: "1.1"},
	})
}

// once is answer without the 100s that come after ours.
func (x *mixed1) once(answer func(exchange.Event) error) func(exchange.Event) error {
	return func(r exchange.Event) error {
		switch {
		case r.Kind != exchange.KindHead:
		case r.Head.Status == 100 && x.continued:
			return nil
		case r.Head.Status == 101:
			x.upgraded = true
		}
		return answer(r)
	}
}
