package http1

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/serge-net/serge-net/exchange"
)

// errFraming is wrapped by what an Encoder refuses: events that do not make a
// message. What was encoded until then stands; the connection cannot go on.
var errFraming = errors.New("events do not make a message")

// Encoder turns the events of one message, or of the interim answers and the
// answer to one request, into bytes. Decoded events give the bytes they were
// decoded from, but for a message that was cut between a chunk's data and the
// CRLF behind it: that CRLF is encoded.
//
// The answer recorded from HTTP/2 or 3 is given chunks of its own, one per
// Data, if it has no Content-Length and the client is of 1.1. HTTP/1 has no
// place for its trailers behind a body with a length: they are left out.
type Encoder struct {
	answer  bool
	flags   uint8
	version string // the request's
	close   bool   // the request's side wants no more after this
	tunnel  bool
	last    bool

	body    body
	headed  bool
	ended   bool  // the last chunk is written
	left    int64 // of the body or chunk
	inChunk bool
}

// NewEncoder returns an Encoder of the answer to req. It keeps nothing of req.
func NewEncoder(req *exchange.Head) *Encoder {
	_, upgrade := exchange.Get(req.Fields, "Upgrade")
	return &Encoder{
		answer:  true,
		flags:   asked(req.Method, upgrade),
		version: minor(req.Version),
		close:   has(req.Fields, "Connection", "close"),
	}
}

// minor is version, of HTTP/1, without a hold on the head that it came in.
func minor(version string) string {
	if version == "1.0" {
		return "1.0"
	}
	return "1.1"
}

// NewRequestEncoder returns an Encoder of a request, for a server of HTTP/1.1.
func NewRequestEncoder() *Encoder { return &Encoder{version: "1.1"} }

// Last reports, once the End is encoded, whether the connection can carry no
// other exchange: its closing is the end of the body, the message was cut, or
// one of the two sides said so.
func (c *Encoder) Last() bool { return c.last }

// ByClose reports whether the end of the connection is that of the body.
func (c *Encoder) ByClose() bool { return c.body.kind == byClose }

// Tunnel reports whether the head encoded last made the connection a tunnel.
func (c *Encoder) Tunnel() bool { return c.tunnel }

// Encode implements exchange.Encoder.
func (c *Encoder) Encode(dst []byte, e exchange.Event) ([]byte, error) {
	if !c.headed && e.Kind != exchange.KindHead && e.Kind != exchange.KindEnd {
		return dst, fmt.Errorf("%w: no head yet", errFraming)
	}
	switch e.Kind {
	case exchange.KindHead:
		return c.head(dst, e.Head)
	case exchange.KindData:
		return c.data(dst, e)
	case exchange.KindTrailers:
		return c.trailers(dst, e)
	case exchange.KindEnd:
		return c.end(dst, e)
	}
	return dst, fmt.Errorf("%w: kind %d", errFraming, e.Kind)
}

// head encodes h and learns from it how the body is framed.
func (c *Encoder) head(dst []byte, h *exchange.Head) ([]byte, error) {
	if c.headed {
		return dst, fmt.Errorf("%w: a second head", errFraming)
	}
	f, err := framingOf(h.Fields)
	if err == nil && c.answer {
		c.body, err = f.response(h, c.flags)
	} else if err == nil {
		c.body, err = f.request(h)
	}
	if err != nil {
		return dst, fmt.Errorf("head: %w", err)
	}
	if c.answer && !final(h.Status) {
		return AppendHead(dst, h), nil
	}
	c.headed, c.left = true, c.body.size
	c.tunnel = c.answer && tunnels(c.flags, h.Status)
	c.last = c.answer && (c.close || !persists(h, c.version) || c.body.kind == byClose)
	if c.body.kind == byClose && h.Version >= "2" && c.version != "1.0" {
		// Recorded from a protocol that frames by itself.
		c.body.kind, c.last = byChunks, c.close
		dst = AppendHead(dst, h)
		return append(dst[:len(dst)-2], "Transfer-Encoding: chunked\r\n\r\n"...), nil
	}
	return AppendHead(dst, h), nil
}

// persists reports whether the connection goes on behind the answer h to a
// request of version (RFC 9112, section 9.3).
func persists(h *exchange.Head, version string) bool {
	switch {
	case has(h.Fields, "Connection", "close"):
		return false
	case h.Version == "1.0" || version == "1.0":
		return has(h.Fields, "Connection", "keep-alive")
	}
	return true
}

// data encodes a piece of body. Where chunks are due and it is of none, it
// becomes one.
func (c *Encoder) data(dst []byte, e exchange.Event) ([]byte, error) {
	n := int64(len(e.Data))
	if c.tunnel || c.body.kind == byClose {
		return append(dst, e.Data...), nil
	}
	if c.body.kind == byChunks && !c.inChunk && (n > 0 || e.Chunk > 0) {
		if c.ended {
			return dst, fmt.Errorf("%w: data behind the trailers", errFraming)
		}
		c.inChunk, c.left = true, e.Chunk
		if e.Chunk == 0 {
			c.left = n
		}
		if e.Raw != nil {
			dst = append(dst, e.Raw...)
		} else {
			dst = append(strconv.AppendInt(dst, c.left, 16), "\r\n"...)
		}
	} else if e.Chunk > 0 && c.body.kind == byChunks {
		return dst, fmt.Errorf("%w: a chunk in a chunk", errFraming)
	}
	if n > c.left {
		return dst, fmt.Errorf("%w: %d bytes where %d are due", errFraming, n, c.left)
	}
	c.left -= n
	dst = append(dst, e.Data...)
	if c.inChunk && c.left == 0 {
		c.inChunk = false
		dst = append(dst, "\r\n"...)
	}
	return dst, nil
}

// trailers encodes the last chunk and the trailers, where chunks are.
func (c *Encoder) trailers(dst []byte, e exchange.Event) ([]byte, error) {
	if c.body.kind != byChunks {
		return dst, nil
	}
	if c.inChunk || c.ended {
		return dst, fmt.Errorf("%w: trailers at the wrong place", errFraming)
	}
	c.ended = true
	if e.Raw != nil {
		return append(dst, e.Raw...), nil
	}
	return append(appendFields(append(dst, "0\r\n"...), e.Fields), "\r\n"...), nil
}

// end encodes the last chunk if none was, or the framing a cut message had.
func (c *Encoder) end(dst []byte, e exchange.Event) ([]byte, error) {
	if e.End.How != exchange.Complete {
		c.last = true
		return append(dst, e.Raw...), nil
	}
	switch {
	case c.tunnel:
		c.last = true
	case !c.headed:
		return dst, fmt.Errorf("%w: an end, and no head", errFraming)
	case c.body.kind == byChunks && !c.ended && !c.inChunk:
		c.ended = true
		return append(dst, "0\r\n\r\n"...), nil
	case c.inChunk || c.body.kind == byLength && c.left > 0:
		return dst, fmt.Errorf("%w: %d bytes are missing", errFraming, c.left)
	}
	return dst, nil
}

// AppendHead appends h, a request's or a response's, as it was read: Raw if it
// has one, else its members printed. A head of HTTP/2 or 3 is printed as 1.1,
// with Host from its authority and the usual reason phrase.
func AppendHead(dst []byte, h *exchange.Head) []byte {
	if h.Raw != nil {
		return append(dst, h.Raw...)
	}
	foreign := h.Version != "1.0" && h.Version != "1.1"
	version := h.Version
	if foreign {
		version = "1.1"
	}
	if h.Status == 0 {
		dst = append(append(dst, h.Method...), ' ')
		dst = append(append(dst, h.Target...), " HTTP/"...)
		dst = append(append(dst, version...), "\r\n"...)
		if _, ok := exchange.Get(h.Fields, "Host"); foreign && !ok && h.Authority != "" {
			dst = append(append(append(dst, "Host: "...), h.Authority...), "\r\n"...)
		}
	} else {
		dst = append(append(append(dst, "HTTP/"...), version...), ' ')
		dst = append(strconv.AppendInt(dst, int64(h.Status), 10), ' ')
		reason := h.Reason
		if foreign && reason == "" {
			reason = http.StatusText(h.Status)
		}
		dst = append(append(dst, reason...), "\r\n"...)
	}
	return append(appendFields(dst, h.Fields), "\r\n"...)
}

// appendFields appends fields, a line each.
func appendFields(dst []byte, fields []exchange.Field) []byte {
	for i := range fields {
		dst = append(append(dst, fields[i].Name...), ": "...)
		dst = append(append(dst, fields[i].Value...), "\r\n"...)
	}
	return dst
}

// has reports whether the list in the fields of name has item.
func has(fields []exchange.Field, name, item string) bool {
	for _, f := range fields {
		if !strings.EqualFold(f.Name, name) {
			continue
		}
		for part := range strings.SplitSeq(f.Value, ",") {
			if strings.EqualFold(strings.Trim(part, " \t"), item) {
				return true
			}
		}
	}
	return false
}
