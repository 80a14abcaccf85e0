package http3

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/quic-go/quic-go/quicvarint"

	"github.com/serge-net/serge-net/exchange"
)

// Decoder turns the bytes of one HTTP/3 connection's streams into events. It
// takes what exchange.Decoder does, stream by stream: feed what a side sends on
// a stream before it is passed on, in the order of the stream. Not safe for
// concurrent use. Heads and fields may be kept.
//
// Fields that refer to what QPACK's encoder has yet to send are told when that
// has come, which is before their receiver can read them either.
type Decoder struct {
	tables   [2]table // by whose encoder fills them
	messages map[uint64]*message
	oneWay   map[uint64]*oneWay
	strange  func(stream uint64, what string)
	err      error
}

// message is a stream of a request and its answer.
type message struct{ halves [2]half }

// oneWay is a unidirectional stream.
type oneWay struct {
	from   exchange.Side
	number varintReader
	typed  bool
	kind   uint64
	buf    []byte // of a control stream, until its SETTINGS are whole
	done   bool   // what comes tells nothing
}

// NewDecoder returns a Decoder of one connection. strange is told of each stream
// that is no HTTP message: a tunnel (see Tunnel), or what WebTransport sends beside.
func NewDecoder(strange func(stream uint64, what string)) *Decoder {
	return &Decoder{messages: map[uint64]*message{}, oneWay: map[uint64]*oneWay{}, strange: strange}
}

// Feed takes what from sends on stream. An error is for good.
func (d *Decoder) Feed(stream uint64, from exchange.Side, at time.Duration, b []byte, emit func(exchange.Event)) error {
	if d.err != nil || len(b) == 0 {
		return d.err
	}
	var err error
	switch o := (out{at, emit}); stream & 3 {
	case 0:
		h := &d.message(stream).halves[from]
		err = h.feed(b, o)
		d.estranged(stream, h)
	case 1: // HTTP/3 has none that a server opens, WebTransport has
		if d.oneWay[stream] == nil {
			d.oneWay[stream] = &oneWay{done: true}
			d.strange(stream, "a stream of WebTransport")
		}
	default:
		err = d.feedOneWay(stream, from, b, o)
	}
	if err == nil && d.held() > MaxHeld {
		err = fmt.Errorf("%w: more than %d bytes wait for QPACK's encoder", errFraming, MaxHeld)
	}
	if err != nil {
		d.err = fmt.Errorf("%s, HTTP/3 stream %d: %w", from, stream, err)
	}
	return d.err
}

// estranged gives stream up if h, a half of it, turned out to be no HTTP message.
func (d *Decoder) estranged(stream uint64, h *half) {
	if !h.strange {
		return
	}
	h.over = true
	what := "a stream of WebTransport"
	if h.tunnel != nil {
		what = Tunnel(h.tunnel) + " over HTTP/3"
	}
	d.strange(stream, what)
	delete(d.messages, stream)
	d.oneWay[stream] = &oneWay{done: true}
}

// message is that of a request's stream.
func (d *Decoder) message(stream uint64) *message {
	m := d.messages[stream]
	if m == nil {
		m = new(message)
		for i := range m.halves {
			m.halves[i] = half{from: exchange.Side(i), stream: stream, table: &d.tables[i]}
			m.halves[i].over = d.oneWay[stream] != nil // it was given up
		}
		d.messages[stream] = m
	}
	return m
}

// held is how many bytes wait for entries of a table.
func (d *Decoder) held() int {
	n := 0
	for _, m := range d.messages {
		for i := range m.halves {
			n += len(m.halves[i].held)
		}
	}
	return n
}

// answered says whether all of an answer came, but for the stream's end: a client
// that knows its length may not wait for that.
func (m *message) answered() bool {
	h := &m.halves[exchange.Server]
	switch {
	case !h.headed || h.inFrame:
		return false
	case m.halves[exchange.Client].method == http.MethodHead, h.status == http.StatusNoContent, h.status == http.StatusNotModified:
		return true
	}
	return h.length == h.got
}

// asked says whether all of a request came, but for the stream's end: an origin
// that answers without having seen that may say that it needs no more, with
// H3_NO_ERROR (RFC 9114, section 4.1).
func (m *message) asked() bool {
	h := &m.halves[exchange.Client]
	return h.headed && !h.inFrame && h.got == max(h.length, 0)
}

// Close tells how from ended its side of stream.
func (d *Decoder) Close(stream uint64, from exchange.Side, at time.Duration, end exchange.End, emit func(exchange.Event)) error {
	if d.err != nil {
		return d.err
	}
	m := d.messages[stream]
	if m == nil {
		return nil
	}
	unread := from == exchange.Client && end.How == exchange.Reset && end.Code == NoError
	if end.How == exchange.Left && m.answered() || unread && m.asked() {
		end = exchange.End{}
	}
	if h := &m.halves[from]; from == exchange.Client || m.halves[exchange.Client].opened {
		h.close(end, out{at, emit})
	}
	if m.halves[exchange.Client].over && m.halves[exchange.Server].over {
		delete(d.messages, stream)
	}
	return nil
}

// Hangup tells how the connection ended, and with it all streams that had not.
func (d *Decoder) Hangup(at time.Duration, end exchange.End, emit func(exchange.Event)) {
	if d.err != nil {
		return
	}
	for _, stream := range slices.Sorted(maps.Keys(d.messages)) {
		m := d.messages[stream]
		if !m.halves[exchange.Client].opened {
			continue
		}
		m.halves[exchange.Client].finish(end, out{at, emit})
		last := end
		if m.answered() {
			last = exchange.End{}
		}
		m.halves[exchange.Server].finish(last, out{at, emit})
	}
	clear(d.messages)
}

// feedOneWay takes what comes on a unidirectional stream.
func (d *Decoder) feedOneWay(stream uint64, from exchange.Side, b []byte, o out) error {
	s := d.oneWay[stream]
	if s == nil {
		s = &oneWay{from: from}
		d.oneWay[stream] = s
	}
	if !s.typed {
		kind, n, ok := s.number.take(b)
		if b = b[n:]; !ok {
			return nil
		}
		s.kind, s.typed = kind, true
		s.done = kind != streamControl && kind != streamEncoder
		if kind == streamTransport {
			d.strange(stream, "a stream of WebTransport")
		}
	}
	switch {
	case s.done || len(b) == 0:
		return nil
	case s.kind == streamControl:
		return d.control(s, b)
	}
	if err := d.tables[from].feed(b); err != nil {
		return err
	}
	for _, stream := range slices.Sorted(maps.Keys(d.messages)) {
		m := d.messages[stream]
		if err := m.halves[from].resume(o); err != nil {
			return err
		}
		d.estranged(stream, &m.halves[from])
		if m.halves[exchange.Client].over && m.halves[exchange.Server].over {
			delete(d.messages, stream)
		}
	}
	return nil
}

// control takes the SETTINGS, with which a control stream begins: they bind the
// other side's encoder.
func (d *Decoder) control(s *oneWay, b []byte) error {
	s.buf = append(s.buf, b...)
	kind, n, err := quicvarint.Parse(s.buf)
	if err != nil {
		return nil // not whole
	}
	size, m, err := quicvarint.Parse(s.buf[n:])
	switch {
	case err != nil:
		return nil
	case kind != frameSettings:
		return fmt.Errorf("%w: frame %#x where SETTINGS have to be", errFraming, kind)
	case size > MaxBlock:
		return fmt.Errorf("%w: SETTINGS of %d bytes", errFraming, size)
	case uint64(len(s.buf)-n-m) < size:
		return nil
	}
	err = eachSetting(s.buf[n+m:][:size], func(id uint64, value []byte) {
		if id == settingTable {
			d.tables[1-s.from].most, _, _ = quicvarint.Parse(value)
		}
	})
	s.buf, s.done = nil, true
	return err
}
