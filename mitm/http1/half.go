package http1

import (
	"bytes"
	"fmt"

	"github.com/serge-net/serge-net/exchange"
)

// state is where in a message one side of the connection is.
type state uint8

const (
	inHead      state = iota
	inLength          // left bytes of body to come
	inClose           // body until the connection ends
	inChunkLine       // a chunk-size line
	inChunk           // left bytes of chunk to come
	inChunkCR         // the CR behind a chunk
	inChunkLF         // the LF behind a chunk
	inTrailers        // behind the last chunk's line
	inHold            // behind a request whose answer decides
	inTunnel          // Data until the connection ends
	inShut            // closed
)

// keepBuf is the most capacity of a buffer that is kept between messages:
// ordinary heads fit, and an idle connection holds no more than this.
const keepBuf = 16 << 10

// half is one side of a connection.
type half struct {
	from   exchange.Side
	state  state
	stream uint64 // of the message being read, or that was read last

	left  int64  // of the body or chunk
	chunk int64  // size of a chunk of which no Data was told yet
	line  []byte // its chunk-size line; behind the last chunk, that one's
	plain bool   // line is as it would be printed

	buf    []byte // what came of a head, line or section that is not whole
	kept   int    // how much of buf is unread: it may outlive its reading by one event
	seek   int    // where to look for the next LF
	ends   []int  // offsets of the LFs found
	blanks int    // how many empty lines are in front

	asks   bool // client: the request wants a tunnel, and the answer is open
	tunnel bool // what follows the message is a tunnel
	shut   bool // client: closed as last tells while the answer was open
	rest   []byte

	head   exchange.Head
	fields []exchange.Field
	last   exchange.End
}

// step takes what it can of b in h's state and says how much that was.
func (d *Decoder) step(h *half, b []byte, o out) (int, error) {
	switch h.state {
	case inHead:
		return d.stepHead(h, b, o)
	case inLength, inChunk:
		n := min(int64(len(b)), h.left)
		h.left -= n
		if done := h.left == 0; done && h.state == inChunk {
			h.state = inChunkCR
			h.data(b[:n], o)
		} else {
			h.data(b[:n], o)
			if done {
				d.finish(h, o)
			}
		}
		return int(n), nil
	case inClose, inTunnel:
		h.data(b, o)
		return len(b), nil
	case inChunkLine:
		return h.stepChunkLine(b)
	case inChunkCR, inChunkLF:
		if want := "\r\n"[h.state-inChunkCR]; b[0] != want {
			return 0, fmt.Errorf("%w: %q behind a chunk", errSyntax, b[0])
		}
		h.state++
		if h.state == inTrailers {
			h.state = inChunkLine
		}
		return 1, nil
	case inTrailers:
		return d.stepTrailers(h, b, o)
	case inHold:
		if h.kept+len(b) > MaxHead {
			return 0, fmt.Errorf("%w: %d bytes behind an unanswered upgrade", ErrTooLong, h.kept+len(b))
		}
		h.buf = append(h.buf[:h.kept], b...)
		h.kept = len(h.buf)
		return len(b), nil
	}
	return 0, fmt.Errorf("%w: bytes behind the end", errSyntax)
}

// data tells a piece of body; the first of a chunk has the chunk's line.
func (h *half) data(b []byte, o out) {
	e := exchange.Event{Stream: h.stream, From: h.from, Kind: exchange.KindData, At: o.at, Data: b, Chunk: h.chunk}
	if h.chunk > 0 && !h.plain {
		e.Raw = h.line
	}
	h.chunk = 0
	o.emit(e)
}

// end tells the end of h's message or tunnel.
func (h *half) end(o out, end exchange.End, raw []byte) {
	h.last = end
	if len(raw) == 0 {
		raw = nil
	}
	o.emit(exchange.Event{Stream: h.stream, From: h.from, Kind: exchange.KindEnd, At: o.at, End: &h.last, Raw: raw})
}

// finish ends h's message as the protocol says and readies h for what follows.
func (d *Decoder) finish(h *half, o out) {
	h.trim()
	if h.from == exchange.Server {
		d.pop()
	}
	h.begin()
	h.end(o, exchange.End{}, nil)
}

// begin readies h for what follows a message: it is called before the End is
// told, so that the answer may be made while it is told.
func (h *half) begin() {
	switch {
	case h.asks:
		h.state = inHold
	case h.tunnel:
		h.state = inTunnel
	default:
		h.state = inHead
	}
}

// gather collects lines up to and with an empty one, over as many calls as it
// takes. Empty lines in front are part of the block if skip. It returns the
// block once whole, and how much of b was taken; who has read it calls drop.
func (h *half) gather(b []byte, skip bool) (block []byte, n int, err error) {
	had, src := h.kept, b
	if had > 0 {
		h.buf = append(h.buf[:had], b[:min(len(b), MaxHead-had)]...)
		src = h.buf
	} else if len(src) > MaxHead {
		src = src[:MaxHead]
	}
	end := h.findEnd(src, skip)
	if end >= 0 {
		return src[:end], end - had, nil
	}
	if len(src) >= MaxHead {
		return nil, 0, fmt.Errorf("%w: head or trailers of over %d bytes", ErrTooLong, MaxHead)
	}
	if had == 0 {
		h.buf = append(h.buf[:0], src...)
	}
	h.kept = len(h.buf)
	return nil, len(b), nil
}

// drop forgets the block that gather returned. Its bytes stay as they are
// until the next gather.
func (h *half) drop() { h.kept, h.seek = 0, 0 }

// findEnd looks on from h.seek for an empty line in b, notes the line ends it
// passes, and returns the offset behind it or -1.
func (h *half) findEnd(b []byte, skip bool) int {
	if h.seek == 0 {
		h.ends, h.blanks = h.ends[:0], 0
	}
	for {
		i := bytes.IndexByte(b[h.seek:], '\n')
		if i < 0 {
			h.seek = len(b)
			return -1
		}
		i += h.seek
		h.seek = i + 1
		start := 0
		if n := len(h.ends); n > 0 {
			start = h.ends[n-1] + 1
		}
		h.ends = append(h.ends, i)
		empty := i == start || i == start+1 && b[start] == '\r'
		switch {
		case !empty:
		case skip && h.blanks == len(h.ends)-1:
			h.blanks++
		default:
			return i + 1
		}
	}
}

// trim gives back buffers that an unusual message made large.
func (h *half) trim() {
	if cap(h.buf) > keepBuf && h.kept == 0 {
		h.buf = nil
	}
	if cap(h.fields) > keepBuf/64 {
		h.fields, h.ends = nil, nil
	}
}

// unread is the framing that came since the last event.
func (h *half) unread() []byte {
	switch h.state {
	case inChunk:
		if h.chunk > 0 {
			return h.line // of its data nothing came
		}
		return nil
	case inTrailers:
		return append(h.line, h.buf[:h.kept]...)
	}
	return h.buf[:h.kept]
}
