package mitm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/mitm/http2"
)

// mixed2 is one HTTP/2 client's Mixed: its exchanges come concurrently, and
// those that miss share one connection to the origin.
type mixed2 struct {
	m      *Mixed
	ctx    context.Context // the connection's, and ends with it
	origin exchange.Origin
	play   exchange.Play
	start  time.Time

	mu       sync.Mutex
	idle     net.Conn // a connection that was made in the handshake, not in use yet
	server   *http2.Upstream
	watch    exchange.Watch // nil: nobody watches
	streams  map[uint64]*waiting
	numbered uint64 // the newest stream that the watch was told of
}

// waiting is a request that may have to go on to the origin.
type waiting struct {
	head     exchange.Head
	body     spool
	trailers []exchange.Field
	early    *exchange.Miss // if its head was enough
}

// event takes what the client did: see exchange.Play.
func (x *mixed2) event(e exchange.Event, answer func(exchange.Event) error) error {
	w, err := x.hold(e)
	if err != nil {
		return err
	}
	err = x.play.Event(e, answer)
	if e.Kind == exchange.KindHead && errors.As(err, &w.early) {
		return nil // it goes on when all of it is here
	}
	if e.Kind != exchange.KindEnd {
		return err
	}
	defer w.body.reset()
	miss := w.early
	if (errors.As(err, &miss) || miss != nil) && e.End.How == exchange.Complete {
		x.m.missed(miss)
		return x.forward(e, w, answer)
	}
	return err
}

// hold keeps what e adds to its request.
func (x *mixed2) hold(e exchange.Event) (*waiting, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	w := x.streams[e.Stream]
	switch e.Kind {
	case exchange.KindHead:
		w = &waiting{head: *e.Head}
		w.head.Fields = slices.Clone(e.Head.Fields)
		x.streams[e.Stream] = w
	case exchange.KindData:
		_, err := w.body.Write(e.Data)
		return w, err
	case exchange.KindTrailers:
		w.trailers = slices.Clone(e.Fields)
	case exchange.KindEnd:
		delete(x.streams, e.Stream)
	}
	return w, nil
}

// forward sends w to the origin and the answer to the client, watched.
func (x *mixed2) forward(e exchange.Event, w *waiting, answer func(exchange.Event) error) error {
	start := time.Now()
	server, stream, err := x.connect()
	if err != nil {
		return x.unreachable(e, w, failed(err, time.Since(start)), answer)
	}
	var last *exchange.Event // trailers: the client may leave when it has them, so their End is told first
	return server.RoundTrip(x.ctx, x.sent(w, stream), func(r exchange.Event) error {
		r.Stream = stream
		if r.Kind == exchange.KindEnd && r.End.How != exchange.Complete && x.ctx.Err() != nil {
			r.End = &exchange.End{How: exchange.Left, Err: "the client did not wait for the end"}
		}
		x.tell(r)
		r.Stream = e.Stream
		if r.Kind == exchange.KindTrailers {
			r.Fields = slices.Clone(r.Fields)
			last = &r
			return nil
		}
		if last != nil {
			if err := answer(*last); err != nil {
				return err
			}
		}
		return answer(r)
	})
}

// unreachable records w with end for an answer, on a watch of its own, and tells
// the client.
func (x *mixed2) unreachable(e exchange.Event, w *waiting, end exchange.End, answer func(exchange.Event) error) error {
	alone := &mixed2{m: x.m, origin: x.origin, start: x.start}
	alone.mu.Lock()
	alone.observe()
	alone.mu.Unlock()
	for range alone.sent(w, 1) {
		continue
	}
	r := exchange.Event{Stream: 1, From: exchange.Server, Kind: exchange.KindEnd, End: &end}
	alone.tell(r)
	alone.close()
	r.Stream = e.Stream
	return answer(r)
}

// sent is w's events, each told to the watch as the origin takes it.
func (x *mixed2) sent(w *waiting, stream uint64) iter.Seq[exchange.Event] {
	return func(yield func(exchange.Event) bool) {
		pass := func(e exchange.Event) bool {
			e.Stream, e.From = stream, exchange.Client
			x.tell(e)
			return yield(e)
		}
		if !pass(exchange.Event{Kind: exchange.KindHead, Head: &w.head}) {
			return
		}
		r, buf := w.body.reader(), make([]byte, startBuffer)
		for {
			n, err := r.Read(buf)
			if n > 0 && !pass(exchange.Event{Kind: exchange.KindData, Data: buf[:n]}) {
				return
			}
			if err != nil && !errors.Is(err, io.EOF) {
				pass(exchange.Event{Kind: exchange.KindEnd, End: &exchange.End{How: exchange.Truncated, Err: err.Error()}})
				return
			}
			if err != nil {
				break
			}
		}
		if len(w.trailers) > 0 && !pass(exchange.Event{Kind: exchange.KindTrailers, Fields: w.trailers}) {
			return
		}
		pass(exchange.Event{Kind: exchange.KindEnd, End: &exchange.End{}})
	}
}

// tell shows e to the watch, and hands it to the kernel before it passes on.
func (x *mixed2) tell(e exchange.Event) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.watch == nil {
		return
	}
	e.At = time.Since(x.start)
	err := x.watch.Event(e)
	if err == nil {
		err = x.watch.Flush()
	}
	if err != nil {
		x.watch.Close()
		x.watch = nil
		x.m.Tell.trouble(Unrecorded, x.origin, err)
	}
}

// connect makes sure of a connection to the origin that takes another exchange,
// and numbers that.
func (x *mixed2) connect() (*http2.Upstream, uint64, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.server == nil || !x.server.Usable() {
		if err := x.dial(); err != nil {
			return nil, 0, err
		}
	}
	x.numbered++
	return x.server, x.numbered, nil
}

// dial connects to the origin. x.mu is held: other streams that miss wait for
// the same connection.
func (x *mixed2) dial() error {
	c, o := x.idle, x.origin
	x.idle = nil
	if c == nil {
		var err error
		if c, o, err = x.m.dial(x.ctx, x.origin); err != nil {
			return err
		}
	}
	if o.TLS && o.ALPN != "h2" {
		c.Close()
		return fmt.Errorf("%s speaks no HTTP/2 any more", connected(o))
	}
	server, err := http2.NewUpstream(c)
	if err != nil {
		c.Close()
		return err
	}
	x.drop()
	x.server, x.origin = server, o
	x.observe()
	return nil
}

// observe opens a watch. x.mu is held.
func (x *mixed2) observe() {
	if x.m.Watcher == nil {
		return
	}
	var err error
	if x.watch, err = x.m.Watcher.Open(x.origin); err != nil {
		x.watch = nil
		x.m.Tell.trouble(Unrecorded, x.origin, err)
	}
}

// drop closes the connection to the origin. x.mu is held.
func (x *mixed2) drop() {
	if x.server != nil {
		x.server.Close()
		x.server = nil
	}
	if x.watch != nil {
		if err := x.watch.Close(); err != nil {
			x.m.Tell.trouble(Unrecorded, x.origin, err)
		}
		x.watch = nil
	}
}

// close ends it all, when the client has ended.
func (x *mixed2) close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.drop()
	if x.idle != nil {
		shut(x.idle)
	}
	for _, w := range x.streams {
		w.body.reset()
	}
}
