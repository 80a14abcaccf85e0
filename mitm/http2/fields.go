package http2

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/serge-net/serge-net/exchange"
)

// field takes one field of a block; beyond MaxFields they are only counted.
func (h *half) field(f hpack.HeaderField) {
	if h.size += int(f.Size()); h.size <= MaxFields {
		h.fields = append(h.fields, exchange.Field{Name: f.Name, Value: f.Value})
	}
}

// fragment reads a piece of a field block, and the block at its end. The
// compression state changes even if nobody wants the fields.
func (d *Decoder) fragment(h *half, b []byte, o out) error {
	if h.block += len(b); h.block > MaxBlock {
		return fmt.Errorf("%w: field block of over %d bytes", errFraming, MaxBlock)
	}
	if _, err := h.table.Write(b); err != nil {
		return fmt.Errorf("field block: %w", err)
	}
	if !h.frame.flags.Has(http2.FlagHeadersEndHeaders) {
		return nil
	}
	h.inList = false
	if err := h.table.Close(); err != nil {
		return fmt.Errorf("field block: %w", err)
	}
	if h.size > MaxFields {
		return fmt.Errorf("%w: fields of over %d bytes", errFraming, MaxFields)
	}
	if h.drop {
		return nil
	}
	return d.list(h, o)
}

// list tells the fields of a whole block: a head or trailers.
func (d *Decoder) list(h *half, o out) error {
	id := h.frame.stream
	s := d.streams[id]
	if s == nil && h.from == exchange.Client && id%2 == 1 && id > d.newest {
		if len(d.streams) >= MaxStreams {
			return fmt.Errorf("%w: over %d open streams", errFraming, MaxStreams)
		}
		s = &stream{}
		d.streams[id], d.newest = s, id
	}
	if s == nil || s.ended[h.from] {
		return nil // pushed, or its frames crossed with a reset
	}
	e := exchange.Event{Stream: uint64(id), From: h.from, At: o.at}
	if s.headed[h.from] {
		if !h.last {
			return fmt.Errorf("%w: trailers that do not end the stream", errFraming)
		}
		e.Kind, e.Fields = exchange.KindTrailers, h.fields
	} else {
		if err := h.readHead(); err != nil {
			return err
		}
		e.Kind, e.Head = exchange.KindHead, &h.head
		s.headed[h.from] = h.head.Status == 0 || h.head.Status >= 200
		if !s.headed[h.from] && h.last {
			return fmt.Errorf("%w: status %d ends the stream", errFraming, h.head.Status)
		}
	}
	o.emit(e)
	if h.last {
		d.end(id, h.from, exchange.End{}, o)
	}
	return nil
}

// readHead fills h.head from h.fields: the pseudo fields stand in front, each
// once (RFC 9113, section 8.3).
func (h *half) readHead() error {
	h.head = exchange.Head{Version: "2"}
	var protocol, status string
	n, err := h.pseudo(&status, &protocol)
	if err != nil {
		return err
	}
	for _, f := range h.fields[n:] {
		if f.Name == "" || f.Name[0] == ':' {
			return fmt.Errorf("%w: %q behind other fields", errFraming, f.Name)
		}
	}
	if protocol != "" {
		n--
		h.fields[n] = exchange.Field{Name: ":protocol", Value: protocol}
	}
	h.head.Fields = h.fields[n:]
	if h.from == exchange.Server {
		code, err := strconv.ParseUint(status, 10, 16)
		if err != nil || len(status) != 3 || code < 100 {
			return fmt.Errorf("%w: status %q", errFraming, status)
		}
		h.head.Status = int(code)
		return nil
	}
	if h.head.Authority == "" {
		h.head.Authority, _ = exchange.Get(h.head.Fields, "host")
	}
	if h.head.Method == "CONNECT" && h.head.Target == "" {
		h.head.Target = h.head.Authority
	}
	if h.head.Method == "" || h.head.Target == "" {
		return fmt.Errorf("%w: a request without :method or :path", errFraming)
	}
	return nil
}

// pseudo reads the pseudo fields in front into h.head, status and protocol,
// and says how many they are.
func (h *half) pseudo(status, protocol *string) (int, error) {
	n := 0
	for ; n < len(h.fields) && len(h.fields[n].Name) > 0 && h.fields[n].Name[0] == ':'; n++ {
		var to *string
		switch name := h.fields[n].Name; {
		case h.from == exchange.Server && name == ":status":
			to = status
		case h.from == exchange.Server:
		case name == ":method":
			to = &h.head.Method
		case name == ":scheme":
			to = &h.head.Scheme
		case name == ":authority":
			to = &h.head.Authority
		case name == ":path":
			to = &h.head.Target
		case name == ":protocol":
			to = protocol
		}
		if to == nil || *to != "" {
			return 0, fmt.Errorf("%w: %s out of place", errFraming, h.fields[n].Name)
		}
		*to = h.fields[n].Value
	}
	return n, nil
}

// open is the ids of the open streams, in order.
func (d *Decoder) open() []uint32 { return slices.Sorted(maps.Keys(d.streams)) }
