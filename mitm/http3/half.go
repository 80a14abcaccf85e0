package http3

import (
	"fmt"
	"strconv"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// half is one side of a request's stream.
type half struct {
	from   exchange.Side
	stream uint64
	table  *table // of from

	number  varintReader
	inType  bool // the frame's type is read
	inFrame bool
	kind    uint64
	left    uint64         // of the frame's payload
	block   []byte         // of a HEADERS frame that is not whole
	strange bool           // no HTTP message
	tunnel  *exchange.Head // which is why: a request for one, that was not told

	waiting *section // whose entries are not there yet
	held    []byte   // what came behind it

	method   string        // of a request
	status   int           // of an answer, the final one
	length   int64         // of the body, by its content-length; -1 if that does not say
	got      int64         // of it
	opened   bool          // something was told
	headed   bool          // the final head was
	trailers bool          // behind them comes nothing
	end      *exchange.End // that waits behind held
	over     bool          // the end was told
}

// out is where the events of one call go.
type out struct {
	at   time.Duration
	emit func(exchange.Event)
}

// tell emits e.
func (h *half) tell(e exchange.Event, o out) {
	h.opened = true
	e.Stream, e.From, e.At = h.stream, h.from, o.at
	o.emit(e)
}

// feed takes what from sends.
func (h *half) feed(b []byte, o out) error {
	for len(b) > 0 && !h.over && !h.strange {
		if h.waiting != nil {
			h.held = append(h.held, b...)
			return nil
		}
		n, err := h.step(b, o)
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// step takes what it can of b and says how much that was.
func (h *half) step(b []byte, o out) (int, error) {
	if !h.inFrame {
		v, n, ok := h.number.take(b)
		switch {
		case !ok:
		case !h.inType:
			h.kind, h.inType = v, true
			h.strange = v == signalStream && !h.opened
		default:
			h.left, h.inType, h.inFrame = v, false, true
			return n, h.begin(o)
		}
		return n, nil
	}
	n := int(min(h.left, uint64(len(b))))
	h.left -= uint64(n)
	h.inFrame = h.left > 0
	switch h.kind {
	case frameData:
		h.got += int64(n)
		h.tell(exchange.Event{Kind: exchange.KindData, Data: b[:n]}, o)
	case frameHeaders:
		h.block = append(h.block, b[:n]...)
		if h.left == 0 {
			return n, h.headers(o)
		}
	}
	return n, nil
}

// begin looks at the frame that comes.
func (h *half) begin(o out) error {
	switch h.kind {
	case frameData:
		if !h.headed || h.trailers {
			return fmt.Errorf("%w: DATA out of place", errFraming)
		}
	case frameHeaders:
		if h.trailers {
			return fmt.Errorf("%w: HEADERS behind trailers", errFraming)
		}
		if h.left > MaxBlock {
			return fmt.Errorf("%w: fields of %d bytes", errFraming, h.left)
		}
		h.block = nil
		if h.left == 0 {
			h.inFrame = false
			return h.headers(o)
		}
	}
	h.inFrame = h.left > 0
	return nil
}

// headers takes a whole field section.
func (h *half) headers(o out) error {
	s, err := h.table.section(h.block)
	if err != nil {
		return err
	}
	if s.required > h.table.inserted() {
		h.waiting = &s
		return nil
	}
	return h.fields(s, o)
}

// resume goes on with what waited for the table, if that has it now.
func (h *half) resume(o out) error {
	if h.waiting == nil || h.waiting.required > h.table.inserted() {
		return nil
	}
	s, held := *h.waiting, h.held
	h.waiting, h.held = nil, nil
	if err := h.fields(s, o); err != nil {
		return err
	}
	if err := h.feed(held, o); err != nil {
		return err
	}
	if h.end != nil && h.waiting == nil {
		h.finish(*h.end, o)
	}
	return nil
}

// fields tells what a section is: a head, or trailers.
func (h *half) fields(s section, o out) error {
	all, err := h.table.fields(s)
	if err != nil {
		return err
	}
	if h.headed {
		h.trailers = true
		h.tell(exchange.Event{Kind: exchange.KindTrailers, Fields: all}, o)
		return nil
	}
	first, rest, err := pseudo(all)
	if err != nil {
		return err
	}
	head := &exchange.Head{Version: "3", Fields: rest}
	if h.from == exchange.Client {
		err = request(head, first)
	} else {
		head.Status, err = strconv.Atoi(first[":status"])
		if err != nil || head.Status < 100 || head.Status > 999 {
			err = fmt.Errorf("%w: status %.20q", errFraming, first[":status"])
		}
	}
	if err != nil {
		return err
	}
	if h.from == exchange.Client && Tunnel(head) != "" {
		h.tunnel, h.strange = head, true
		return nil
	}
	h.headed = h.from == exchange.Client || head.Status >= 200
	h.method, h.status, h.length = head.Method, head.Status, -1
	if v, ok := exchange.Get(rest, "content-length"); ok {
		if n, err := strconv.ParseUint(v, 10, 63); err == nil {
			h.length = int64(n)
		}
	}
	h.tell(exchange.Event{Kind: exchange.KindHead, Head: head}, o)
	return nil
}

// request fills in the head of a request, as http2.Decoder does.
func request(head *exchange.Head, first map[string]string) error {
	head.Method, head.Scheme = first[":method"], first[":scheme"]
	head.Authority, head.Target = first[":authority"], first[":path"]
	if head.Authority == "" {
		head.Authority, _ = exchange.Get(head.Fields, "host")
	}
	if head.Method == "CONNECT" && head.Target == "" {
		head.Target = head.Authority
	}
	if p := first[":protocol"]; p != "" {
		head.Fields = append([]exchange.Field{{Name: ":protocol", Value: p}}, head.Fields...)
	}
	if head.Method == "" || head.Target == "" {
		return fmt.Errorf("%w: a request without :method or :path", errFraming)
	}
	return nil
}

// close ends the side, behind what is held.
func (h *half) close(end exchange.End, o out) {
	if h.waiting != nil && end.How == exchange.Complete {
		h.end = &end
		return
	}
	h.finish(end, o)
}

// finish tells the end, once.
func (h *half) finish(end exchange.End, o out) {
	if h.over {
		return
	}
	if h.over = true; h.from == exchange.Client && !h.opened {
		return // it asked for nothing
	}
	if end.How == exchange.Complete && (!h.headed || h.inFrame || h.inType || h.number.n > 0) {
		end = exchange.End{How: exchange.Truncated, Err: "the stream ended before the message did"}
	}
	h.tell(exchange.Event{Kind: exchange.KindEnd, End: &end}, o)
	h.waiting, h.held, h.block = nil, nil, nil
}
