package mitm

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/mitm/http1"
)

// Buffers of a relay start small, for the many short connections, and become
// bulkBuffer where one read filled them (measured 2026-11: beyond 64 KiB a copy
// gains nothing).
const (
	startBuffer = 4 << 10
	bulkBuffer  = 64 << 10
)

// A tap shows what passes on one connection to a decoder, and its events to a
// watch. It is safe for use by both directions at once.
type tap struct {
	origin exchange.Origin
	tell   Tell
	start  time.Time
	passed func(exchange.Event) // told what the server does too, if not nil
	emit   func(exchange.Event) // event, as a value that is made once

	mu  sync.Mutex
	dec exchange.Decoder // nil: what passes is not understood, or not watched
	w   exchange.Watch   // nil: nobody watches any more
	due due

	turn   *turn  // hears whether both sides turn to TLS; nil: nobody does
	hello  []byte // what the client has said inside TLS already, once they have
	secure func(ctx context.Context, client, server *peeked, t *tap) (c, s net.Conn, ok bool)

	frames framer
	told   func(exchange.Event) // watched, as a value that is made once
}

// newTap opens a watch on o. If that fails the bytes pass unwatched, which is
// told. A nil watcher watches nothing.
func newTap(watcher exchange.Watcher, dec exchange.Decoder, o exchange.Origin, tell Tell) *tap {
	t := &tap{origin: o, tell: tell, start: time.Now(), dec: dec}
	t.emit, t.told = t.event, t.watched
	if watcher == nil {
		return t
	}
	w, err := watcher.Open(o)
	if err != nil {
		tell.trouble(Unrecorded, o, err)
		return t
	}
	t.w = w
	return t
}

// event passes e on to the watch. It is called with mu held, by the decoder.
func (t *tap) event(e exchange.Event) {
	e, ok := t.due.see(e)
	if ok && t.w != nil {
		t.frames.event(e, t.told)
	}
	if t.passed != nil && e.From == exchange.Server {
		t.passed(e)
	}
}

// watched tells the watch of e.
func (t *tap) watched(e exchange.Event) {
	if t.w == nil {
		return
	}
	if err := t.w.Event(e); err != nil {
		t.fail(err)
	}
}

// fail gives the watch up: the client goes on without.
func (t *tap) fail(err error) {
	t.w.Close()
	t.w = nil
	t.tell.trouble(Unrecorded, t.origin, err)
}

// feed shows what from sent, before it is passed on: when feed returns, the
// kernel has the record of what the server sent, and of all before it. A request
// without an answer is worth nothing, so its record waits for that of the answer:
// one write(2) for both.
func (t *tap) feed(from exchange.Side, b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dec == nil {
		return
	}
	err := t.dec.Feed(from, time.Since(t.start), b, t.emit)
	if err != nil && from == exchange.Server {
		t.due.garbled(t.dec, time.Since(t.start), err, t.emit)
	}
	t.understood(err)
	if from == exchange.Server || t.dec == nil {
		t.flush()
	}
}

// gone shows that a write to side failed: it ended, and does not read either.
func (t *tap) gone(side exchange.Side) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if side == exchange.Client {
		t.due.leaves()
	}
}

// end shows that from sends no more.
func (t *tap) end(from exchange.Side, end exchange.End) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dec == nil {
		return
	}
	if from == exchange.Client {
		t.due.leaves()
	}
	t.understood(t.dec.Close(from, time.Since(t.start), end, t.emit))
	t.flush()
}

// understood gives the decoder up if it erred. Two errors are a matter of course
// and not told: an origin that says goodbye (408) on an idle connection, and a
// client that leaves in the middle of a head.
func (t *tap) understood(err error) {
	if err == nil {
		return
	}
	t.dec = nil
	if !errors.Is(err, http1.ErrUnsolicited) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.tell.trouble(Opaque, t.origin, err)
	}
}

// flush hands what the watch was told to the kernel.
func (t *tap) flush() {
	if t.w == nil {
		return
	}
	if err := t.w.Flush(); err != nil {
		t.fail(err)
	}
}

// blind tells whether what passes is not understood any more.
func (t *tap) blind() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.dec == nil
}

// close closes the watch.
func (t *tap) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.w != nil {
		if err := t.w.Close(); err != nil {
			t.tell.trouble(Unrecorded, t.origin, err)
		}
		t.w = nil
	}
}

// relay copies both ways between client and server until both have ended,
// showing t every byte before it passes on, and closes both. Where they turn to TLS
// it goes on inside.
func relay(ctx context.Context, client, server net.Conn, t *tap) {
	bothWays(ctx, client, server, t)
	if hello, turns := t.turning(); turns {
		c, s := peek(client), peek(server)
		c.ahead = append(hello, c.ahead...)
		s.SetReadDeadline(time.Time{})
		ok := false
		if client, server, ok = t.secure(ctx, c, s, t); ok {
			bothWays(ctx, client, server, t)
		}
	}
	t.close()
	shut(client)
	shut(server)
}

// bothWays relays until both sides have ended, or turn to TLS.
func bothWays(ctx context.Context, client, server net.Conn, t *tap) {
	stop := context.AfterFunc(ctx, func() {
		t.gone(exchange.Client) // the run is over: what the origin has not said yet, nobody waits for
		shut(client)
		shut(server)
	})
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { oneWay(server, client, exchange.Client, t) })
	oneWay(client, server, exchange.Server, t)
	both.Wait()
}

// oneWay copies what from sends on src to dst until it ends, and ends dst alike:
// FIN for FIN, RST for RST, each below TLS or in it.
func oneWay(dst, src net.Conn, from exchange.Side, t *tap) {
	buf := make([]byte, startBuffer)
	for {
		n, err := src.Read(buf)
		clear := t.clear(from, buf[:n])
		if clear > 0 {
			t.feed(from, buf[:clear])
			if _, err := dst.Write(buf[:clear]); err != nil {
				// dst is gone: src is told, and its reader on the other way wakes.
				t.gone(1 - from)
				t.end(from, exchange.End{How: exchange.Reset, Err: "the other side is gone"})
				reset(src)
				return
			}
			if n == len(buf) && n < bulkBuffer {
				buf = make([]byte, bulkBuffer)
			}
		}
		if clear < n {
			t.turns(dst, buf[clear:n])
			return
		}
		if err == nil {
			continue
		}
		if _, turns := t.turning(); turns {
			return
		}
		end := closing(src, err)
		t.end(from, end)
		if end.How == exchange.Complete {
			finish(dst, end)
		} else {
			reset(dst)
		}
		return
	}
}

// endOf tells how a connection ended by the error of reading it.
func endOf(err error) exchange.End {
	if errors.Is(err, io.EOF) {
		return exchange.End{}
	}
	return exchange.End{How: exchange.Reset, Err: cause(err), Errno: errnoOf(err)}
}
