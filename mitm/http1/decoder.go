// Package http1 turns the bytes of an HTTP/1.0 or 1.1 connection into events
// and events into bytes. It does no I/O.
//
// Decoding is lossless: what an Encoder prints from the events of a message is
// the message, byte for byte. Head.Raw and Event.Raw carry what the other
// members do not: odd spacing, folded lines, bare LF, chunk extensions.
//
// Decoding is strict where two readers could take a request for different
// ones (RFC 9112, section 11.2): an error means "not understood", and what is
// not understood passes as opaque bytes. It is lenient with responses as far
// as every client reads them alike.
//
// Events go beyond the list in package exchange in two places. A stream that
// is upgraded has two Ends of the client: the request's, and at Close the
// tunnel's. The End of a message that was cut has, in Raw, the bytes of
// framing that were read after the last event.
package http1

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// Limits of what a Decoder holds. A message beyond one is not understood.
const (
	// MaxHead is the most bytes of a head or of a trailer section, and of what
	// a client may send behind an unanswered CONNECT or Upgrade. Servers take
	// 8 KiB a line (nginx large_client_header_buffers) to 1 MiB in all
	// (net/http DefaultMaxHeaderBytes); of a response, curl takes 300 KiB
	// (MAX_HTTP_RESP_HEADER_SIZE).
	MaxHead = 256 << 10
	// MaxChunkLine is the most bytes of a chunk-size line with its extensions:
	// Node's limit (CVE-2024-22019); net/http takes 4 KiB.
	MaxChunkLine = 16 << 10
	// MaxPending is the most requests without an answer. Programs that
	// pipeline at all stay under a hundred; load generators reach hundreds.
	MaxPending = 1024
)

var (
	// ErrUnsolicited is wrapped where a server sends with no request open, as
	// load balancers do (408) before they close an idle connection. It belongs
	// to no exchange, and a client has to drop it (RFC 9112, section 9.2).
	ErrUnsolicited = errors.New("answer without a request")
	// ErrTooLong is wrapped where a message is beyond one of the limits.
	ErrTooLong = errors.New("too long")
	// errSyntax is wrapped by whatever else a Decoder refuses.
	errSyntax = errors.New("malformed")
)

// Decoder turns the bytes of one HTTP/1 connection into events. Bytes of the
// client have to be fed before the server can have answered them, so feed
// them before they are passed on. See exchange.Decoder.
//
// A client's bytes behind a CONNECT or a request with Upgrade are held until
// the answer tells what they are. Heads and their fields are reused: who keeps
// a Head copies it; the strings in it may be kept.
type Decoder struct {
	scheme  string
	halves  [2]half
	pending []uint8 // what is to be known of each request without an answer
	done    uint64  // how many requests have theirs
	err     error
}

// What has to be remembered of a request to read its answer.
const (
	askedHead uint8 = 1 << iota
	askedConnect
	askedUpgrade
)

// NewDecoder returns a Decoder of a connection on which requests have scheme,
// "http" or "https".
func NewDecoder(scheme string) *Decoder {
	d := &Decoder{scheme: scheme}
	d.halves[exchange.Client].from = exchange.Client
	d.halves[exchange.Server].from = exchange.Server
	return d
}

// out is where the events of one call go.
type out struct {
	at   time.Duration
	emit func(exchange.Event)
}

// Feed implements exchange.Decoder.
func (d *Decoder) Feed(from exchange.Side, at time.Duration, b []byte, emit func(exchange.Event)) error {
	if d.err != nil {
		return d.err
	}
	return d.feed(&d.halves[from], b, out{at, emit})
}

// feed runs h over b. What an error leaves is kept for Rest.
func (d *Decoder) feed(h *half, b []byte, o out) error {
	for len(b) > 0 {
		n, err := d.step(h, b, o)
		if err != nil {
			d.err = fmt.Errorf("%s, HTTP/1 stream %d: %w", h.from, h.stream, err)
			h.rest = append(append(h.rest, h.unread()...), b...)
			return d.err
		}
		b = b[n:]
	}
	return nil
}

// Rest is, after an error, the bytes of from that no event has carried. It is
// valid until the Decoder is dropped.
func (d *Decoder) Rest(from exchange.Side) []byte {
	h := &d.halves[from]
	if h.rest != nil || d.err == nil {
		return h.rest
	}
	return h.unread()
}

// Answer tells d of a server's event that was made, not read: whoever plays
// the server calls it instead of feeding the server's bytes, in the order in
// which it answers, from within emit or outside. emit gets what the client
// sent behind a CONNECT or Upgrade that e answers.
func (d *Decoder) Answer(e exchange.Event, emit func(exchange.Event)) error {
	if d.err != nil {
		return d.err
	}
	switch {
	case e.Kind == exchange.KindHead && final(e.Head.Status):
		if len(d.pending) == 0 {
			return fmt.Errorf("stream %d: %w", e.Stream, ErrUnsolicited)
		}
		s := &d.halves[exchange.Server]
		s.stream = e.Stream
		return d.settle(s, tunnels(d.pending[0], e.Head.Status), out{e.At, emit})
	case e.Kind == exchange.KindEnd && len(d.pending) > 0:
		d.pop()
	}
	return nil
}

// settle decides what the client's bytes behind a CONNECT or Upgrade are, now
// that the server's head s.stream is known.
func (d *Decoder) settle(s *half, tunnel bool, o out) error {
	c := &d.halves[exchange.Client]
	if !c.asks || c.stream != s.stream {
		return nil
	}
	c.asks, c.tunnel = false, tunnel
	if c.state != inHold {
		return nil // its request is still being read
	}
	c.begin()
	held := c.buf[:c.kept]
	c.buf, c.kept = nil, 0
	if err := d.feed(c, held, o); err != nil || !c.shut {
		return err
	}
	return d.Close(exchange.Client, o.at, c.last, o.emit)
}

// pop forgets the oldest request without an answer.
func (d *Decoder) pop() {
	n := copy(d.pending, d.pending[1:])
	d.pending = d.pending[:n]
	d.done++
}

// Close implements exchange.Decoder. Requests that a closing server leaves
// without an answer get an End each. A client's head that is cut has no stream
// yet, nor has what it sent behind a CONNECT that was never answered: they are
// an error, io.ErrUnexpectedEOF wrapped, with the bytes in Rest.
func (d *Decoder) Close(from exchange.Side, at time.Duration, end exchange.End, emit func(exchange.Event)) error {
	if d.err != nil {
		return d.err
	}
	h, o := &d.halves[from], out{at, emit}
	if h.state == inShut {
		return nil
	}
	cut := end
	if cut.How == exchange.Complete {
		cut.How, cut.Err = exchange.Truncated, "the connection ended before the message did"
	}
	rest := h.unread()
	switch {
	case h.state == inClose && end.Conn:
		end.How, end.Err = exchange.Truncated, "the connection ended without close_notify"
		h.end(o, end, nil)
	case h.state == inTunnel || h.state == inClose:
		h.end(o, end, nil)
	case h.state != inHead && h.state != inHold:
		h.end(o, cut, rest)
	case h.state == inHold && d.halves[exchange.Server].state != inShut:
		h.shut, h.last = true, end // settle comes back to it
		return nil
	case from == exchange.Client && !blank(rest):
		d.err = fmt.Errorf("client: %d bytes behind request %d: %w", len(rest), h.stream, io.ErrUnexpectedEOF)
		return d.err
	case from == exchange.Server && len(d.pending) > 0:
		h.stream = d.done + 1
		h.end(o, cut, rest)
	default:
		h.state = inShut
		return nil
	}
	h.state = inShut
	if from == exchange.Server {
		return d.abandon(h, o, cut)
	}
	return nil
}

// abandon ends, for a server that has closed, the requests it did not answer
// but for the oldest, whose End was told. What a client sent behind a CONNECT
// that nobody answers stays unread.
func (d *Decoder) abandon(h *half, o out, cut exchange.End) error {
	for range len(d.pending) - 1 {
		h.stream++
		h.end(o, cut, nil)
	}
	d.pending = nil
	if c := &d.halves[exchange.Client]; c.state == inHold && c.shut {
		return d.Close(exchange.Client, o.at, c.last, o.emit)
	}
	return nil
}

// blank reports whether b is empty lines only.
func blank(b []byte) bool {
	for _, c := range b {
		if c != '\r' && c != '\n' {
			return false
		}
	}
	return true
}
