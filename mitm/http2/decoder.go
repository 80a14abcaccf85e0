// Package http2 turns the bytes of an HTTP/2 connection into events (Decoder),
// answers a client from events (Serve), and takes an exchange's events to an
// origin (Upstream).
//
// The Decoder keeps what an exchange is made of: the fields with their order,
// bytes and duplicates, the data, the trailers, the interim answers and the
// error codes. Frame sizes, padding, priorities and flow control are the
// connection's, not the exchange's; so are pushed streams, whose fields are
// read for the compression state they change, and dropped.
//
// A connection that became HTTP/2 by "Upgrade: h2c" is decoded from the client
// preface on. The upgrading request was the HTTP/1 decoder's, and its answer,
// on stream 1, is not told: who cares for it has to refuse the upgrade.
package http2

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/serge-net/serge-net/exchange"
)

// Preface is what every client sends first (RFC 9113, section 3.4).
const Preface = http2.ClientPreface

// Limits of what a Decoder holds. A connection beyond one is not understood.
const (
	// MaxFrame is the most bytes of a frame that has to be whole to be read;
	// DATA does not, and may have the 16 MiB that RFC 9113, section 4.2, allows.
	// Origins announce 16 KiB to 1 MiB.
	MaxFrame = 1 << 20
	// MaxBlock is the most bytes of a compressed field section: as many as
	// http1.MaxHead. nghttp2 takes 64 KiB, net/http 1 MiB.
	MaxBlock = 256 << 10
	// MaxFields is the most bytes of a field section by the count of RFC 9113,
	// section 6.5.2: what net/http takes (DefaultMaxHeaderBytes).
	MaxFields = 1 << 20
	// MaxTable is the largest HPACK table that a side may ask for; browsers ask
	// for 64 KiB.
	MaxTable = 1 << 20
	// MaxStreams is the most streams open at once; servers announce 100 to 250.
	MaxStreams = 16 << 10
	// maxExcused is of how many streams that were answered in full, and need send
	// no more, what the client had sent already is waited for.
	maxExcused = 64
)

// errFraming is wrapped by whatever a Decoder refuses.
var errFraming = errors.New("malformed")

// IsPreface tells whether b, the first bytes of a client, is the preface, or,
// if more, that it takes more bytes to tell.
func IsPreface(b []byte) (ok, more bool) {
	n := min(len(b), len(Preface))
	if string(b[:n]) != Preface[:n] {
		return false, false
	}
	return n == len(Preface), n < len(Preface)
}

// Greets tells whether b, the first bytes of a server, begin with its SETTINGS. In
// clear text it may send them before it has heard the client (RFC 9113, section 3.4).
func Greets(b []byte) bool {
	if len(b) < frameHeader {
		return false
	}
	size := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
	return size%6 == 0 && size <= 16<<10 && b[3] == byte(http2.FrameSettings) && bytes.Equal(b[4:frameHeader], make([]byte, 5))
}

// Decoder turns the bytes of one HTTP/2 connection into events, from the
// client's preface and the server's first SETTINGS on. Feed a side's bytes
// before they are passed on. See exchange.Decoder. Heads and their fields are
// reused: who keeps a Head copies it; the strings in it may be kept.
//
// A request's Authority is :authority, else the host field. :protocol of an
// extended CONNECT (RFC 8441) is kept as the first field; a plain CONNECT's
// Target is its authority.
type Decoder struct {
	halves  [2]half
	streams map[uint32]*stream
	newest  uint32 // highest id that the client opened
	excused []uint32
	err     error
}

// stream is what is known of an open stream.
type stream struct{ headed, ended [2]bool }

// NewDecoder returns a Decoder of one connection.
func NewDecoder() *Decoder {
	d := &Decoder{streams: map[uint32]*stream{}}
	for i := range d.halves {
		h := &d.halves[i]
		h.from, h.frameMax = exchange.Side(i), 16<<10
		h.table = hpack.NewDecoder(4<<10, h.field)
		h.table.SetMaxStringLength(MaxBlock)
	}
	d.halves[exchange.Client].preface = len(Preface)
	return d
}

// out is where the events of one call go.
type out struct {
	at   time.Duration
	emit func(exchange.Event)
}

// Feed implements exchange.Decoder.
func (d *Decoder) Feed(from exchange.Side, at time.Duration, b []byte, emit func(exchange.Event)) error {
	h := &d.halves[from]
	for d.err == nil && len(b) > 0 {
		n, err := d.step(h, b, out{at, emit})
		if err != nil {
			d.err = fmt.Errorf("%s, HTTP/2 stream %d: %w", from, h.frame.stream, err)
		}
		b = b[n:]
	}
	return d.err
}

// Close implements exchange.Decoder. A stream that from had not ended is
// truncated, or reset where a GOAWAY said why.
func (d *Decoder) Close(from exchange.Side, at time.Duration, end exchange.End, emit func(exchange.Event)) error {
	if d.err != nil {
		return d.err
	}
	h := &d.halves[from]
	switch {
	case h.goaway != 0:
		end.How, end.Code, end.Err = exchange.Reset, h.goaway, goawayText(h.goaway)
	case end.How == exchange.Complete:
		end.How, end.Err, end.Conn = exchange.Truncated, "the connection ended before the stream did", true
	default:
		end.Conn = true
	}
	for _, id := range d.open() {
		d.end(id, from, end, out{at, emit})
	}
	return nil
}

// end tells the end of from's side of stream id, once.
func (d *Decoder) end(id uint32, from exchange.Side, end exchange.End, o out) {
	s := d.streams[id]
	if s == nil || s.ended[from] {
		return
	}
	s.ended[from] = true
	if s.ended[exchange.Client] && s.ended[exchange.Server] {
		delete(d.streams, id)
	}
	o.emit(exchange.Event{Stream: uint64(id), From: from, Kind: exchange.KindEnd, At: o.at, End: &end})
}

// reset tells the end of stream id, which by abandoned with code: of its own
// side and then of the other, as far as they had not ended. After a whole answer
// a server's NO_ERROR says that it needs no more of the request (RFC 9113, section
// 8.1): what the client has sent meanwhile is still the request's. By a client's
// reset an answer ends as one that it did not wait for.
func (d *Decoder) reset(id uint32, by exchange.Side, code uint32, text string, o out) {
	end := exchange.End{How: exchange.Reset, Code: code, Err: text}
	if s := d.streams[id]; s != nil && by == exchange.Server && s.ended[by] && code == uint32(http2.ErrCodeNo) {
		d.excused = append(d.excused, id)
		if len(d.excused) > maxExcused {
			id, d.excused = d.excused[0], d.excused[1:]
			d.end(id, exchange.Client, end, o)
		}
		return
	}
	d.end(id, by, end, o)
	if by == exchange.Client {
		end.How = exchange.Left
	}
	d.end(id, 1-by, end, o)
}

// goawayText is the cause in words of an end by GOAWAY.
func goawayText(code uint32) string { return goAwayPrefix + http2.ErrCode(code).String() }

// goAwayPrefix begins the text of an end by GOAWAY, also in cassettes.
const goAwayPrefix = "GOAWAY "
