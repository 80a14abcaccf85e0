package http2

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/serge-net/serge-net/exchange"
)

// frameHeader is the length of a frame's header (RFC 9113, section 4.1).
const frameHeader = 9

// part is which part of a frame comes next.
type part uint8

const (
	atHeader  part = iota
	atPadSize      // of DATA
	atData
	atPad
	atPayload // of a frame that has to be whole
	atSkipped // of a frame that tells nothing
)

// half is one side of a connection.
type half struct {
	from    exchange.Side
	preface int // bytes of it to come
	begun   bool
	part    part
	frame   struct {
		kind   http2.FrameType
		flags  http2.Flags
		stream uint32
		size   int
	}
	left     int    // of the part
	pad      int    // of a DATA frame
	buf      []byte // what came of a header or payload that is not whole
	frameMax int    // the largest frame the other side takes
	tableMax uint32 // the largest HPACK table it takes
	goaway   uint32 // the error code of its GOAWAY

	table  *hpack.Decoder
	inList bool // between HEADERS or PUSH_PROMISE and the block's end
	drop   bool // the block is a pushed request's
	last   bool // the block's HEADERS had END_STREAM
	block  int  // bytes of the block
	size   int  // of its fields
	head   exchange.Head
	fields []exchange.Field
}

// step takes what it can of b and says how much that was.
func (d *Decoder) step(h *half, b []byte, o out) (int, error) {
	if h.preface > 0 {
		n := min(h.preface, len(b))
		if want := Preface[len(Preface)-h.preface:]; string(b[:n]) != want[:n] {
			return 0, fmt.Errorf("%w: no client preface", errFraming)
		}
		h.preface -= n
		return n, nil
	}
	switch h.part {
	case atHeader:
		raw, n := h.whole(b, frameHeader)
		if raw == nil {
			return n, nil
		}
		return n, d.begin(h, raw, o)
	case atPadSize:
		h.pad, h.left = int(b[0]), h.frame.size-1-int(b[0])
		if h.left < 0 {
			return 0, fmt.Errorf("%w: padding of %d in DATA of %d bytes", errFraming, h.pad, h.frame.size)
		}
		d.data(h, nil, o)
		return 1, nil
	case atPayload:
		raw, n := h.whole(b, h.frame.size)
		if raw == nil {
			return n, nil
		}
		h.part = atHeader
		return n, d.payload(h, raw, o)
	}
	n := min(h.left, len(b))
	h.left -= n
	switch {
	case h.part == atData:
		d.data(h, b[:n], o)
	case h.left > 0:
	case h.part == atPad:
		d.dataEnd(h, o)
	default:
		h.part = atHeader
	}
	return n, nil
}

// whole gathers n bytes, over as many calls as it takes: nil until then. It
// returns how many of b were taken.
func (h *half) whole(b []byte, n int) ([]byte, int) {
	if len(h.buf) == 0 && len(b) >= n {
		return b[:n], n
	}
	taken := min(n-len(h.buf), len(b))
	h.buf = append(h.buf, b[:taken]...)
	if len(h.buf) < n {
		return nil, taken
	}
	raw := h.buf
	if h.buf = h.buf[:0]; cap(h.buf) > 64<<10 {
		h.buf = nil
	}
	return raw, taken
}

// begin reads a frame's header and decides how its payload is taken.
func (d *Decoder) begin(h *half, raw []byte, o out) error {
	f := &h.frame
	f.size = int(raw[0])<<16 | int(raw[1])<<8 | int(raw[2])
	f.kind, f.flags = http2.FrameType(raw[3]), http2.Flags(raw[4])
	f.stream = binary.BigEndian.Uint32(raw[5:]) &^ (1 << 31)
	isBlock := f.kind == http2.FrameHeaders || f.kind == http2.FramePushPromise || f.kind == http2.FrameContinuation
	switch {
	case !h.begun && f.kind != http2.FrameSettings:
		return fmt.Errorf("%w: %v where SETTINGS have to be", errFraming, f.kind)
	case f.size > h.frameMax:
		return fmt.Errorf("%w: frame of %d bytes, over the %d announced", errFraming, f.size, h.frameMax)
	case h.inList != (f.kind == http2.FrameContinuation):
		return fmt.Errorf("%w: %v in or without a field block", errFraming, f.kind)
	case (f.kind == http2.FrameData || isBlock) && f.stream == 0:
		return fmt.Errorf("%w: %v on stream 0", errFraming, f.kind)
	}
	h.begun = true
	h.left = f.size
	switch f.kind {
	case http2.FrameData:
		h.part, h.pad = atData, 0
		if f.flags.Has(http2.FlagDataPadded) {
			h.part = atPadSize
			if f.size == 0 {
				return fmt.Errorf("%w: padded DATA without padding", errFraming)
			}
			return nil
		}
		d.data(h, nil, o)
		return nil
	case http2.FrameHeaders, http2.FrameContinuation, http2.FramePushPromise,
		http2.FrameSettings, http2.FrameRSTStream, http2.FrameGoAway:
		if f.size > MaxFrame {
			return fmt.Errorf("%w: %v of %d bytes", errFraming, f.kind, f.size)
		}
		h.part = atPayload
		if f.size == 0 {
			h.part = atHeader
			return d.payload(h, nil, o)
		}
		return nil
	}
	if h.part = atSkipped; f.size == 0 {
		h.part = atHeader
	}
	return nil
}

// data tells a piece of DATA and goes on behind the last.
func (d *Decoder) data(h *half, b []byte, o out) {
	s := d.streams[h.frame.stream]
	if len(b) > 0 && s != nil && s.headed[h.from] && !s.ended[h.from] {
		o.emit(exchange.Event{Stream: uint64(h.frame.stream), From: h.from, Kind: exchange.KindData, At: o.at, Data: b})
	}
	switch {
	case h.left > 0:
		h.part = atData
	case h.pad > 0:
		h.part, h.left = atPad, h.pad
	default:
		d.dataEnd(h, o)
	}
}

// dataEnd ends a DATA frame, and its stream's side if it says so.
func (d *Decoder) dataEnd(h *half, o out) {
	h.part = atHeader
	if h.frame.flags.Has(http2.FlagDataEndStream) {
		d.end(h.frame.stream, h.from, exchange.End{}, o)
	}
}

// payload reads a whole frame.
func (d *Decoder) payload(h *half, b []byte, o out) error {
	f := &h.frame
	switch f.kind {
	case http2.FrameSettings:
		return d.settings(h, b)
	case http2.FrameRSTStream:
		if len(b) != 4 {
			return fmt.Errorf("%w: RST_STREAM of %d bytes", errFraming, len(b))
		}
		code := binary.BigEndian.Uint32(b)
		d.reset(f.stream, h.from, code, fmt.Sprintf("RST_STREAM %v by the %v", http2.ErrCode(code), h.from), o)
		return nil
	case http2.FrameGoAway:
		return d.goAway(h, b, o)
	case http2.FrameContinuation:
		return d.fragment(h, b, o)
	}
	b, err := h.unpad(b)
	if err != nil {
		return err
	}
	h.inList, h.drop, h.last, h.block, h.size, h.fields = true, false, false, 0, 0, h.fields[:0]
	if f.kind == http2.FramePushPromise {
		if len(b) < 4 {
			return fmt.Errorf("%w: PUSH_PROMISE of %d bytes", errFraming, len(b))
		}
		h.drop = true
		return d.fragment(h, b[4:], o)
	}
	h.last = f.flags.Has(http2.FlagHeadersEndStream)
	if f.flags.Has(http2.FlagHeadersPriority) {
		if len(b) < 5 {
			return fmt.Errorf("%w: HEADERS of %d bytes", errFraming, len(b))
		}
		b = b[5:]
	}
	return d.fragment(h, b, o)
}

// unpad takes the padding off HEADERS or PUSH_PROMISE; both have the same flag.
func (h *half) unpad(b []byte) ([]byte, error) {
	if !h.frame.flags.Has(http2.FlagHeadersPadded) {
		return b, nil
	}
	if len(b) == 0 || int(b[0]) > len(b)-1 {
		return nil, fmt.Errorf("%w: padding of a %v", errFraming, h.frame.kind)
	}
	return b[1 : len(b)-int(b[0])], nil
}

// settings notes what h announces: it binds the other side. The largest value
// ever announced counts, as the other side may not have seen the newest.
func (d *Decoder) settings(h *half, b []byte) error {
	if len(b)%6 != 0 || h.frame.stream != 0 {
		return fmt.Errorf("%w: SETTINGS of %d bytes", errFraming, len(b))
	}
	other := &d.halves[1-h.from]
	for ; len(b) > 0; b = b[6:] {
		value := binary.BigEndian.Uint32(b[2:])
		switch http2.SettingID(binary.BigEndian.Uint16(b)) {
		case http2.SettingHeaderTableSize:
			other.tableMax = max(other.tableMax, min(value, MaxTable))
			other.table.SetAllowedMaxDynamicTableSize(other.tableMax)
		case http2.SettingMaxFrameSize:
			if value < 1<<24 {
				other.frameMax = max(other.frameMax, int(value))
			}
		}
	}
	return nil
}

// goAway ends the streams that a leaving server has not looked at.
func (d *Decoder) goAway(h *half, b []byte, o out) error {
	if len(b) < 8 {
		return fmt.Errorf("%w: GOAWAY of %d bytes", errFraming, len(b))
	}
	lastID, code := binary.BigEndian.Uint32(b)&^(1<<31), binary.BigEndian.Uint32(b[4:])
	h.goaway = code
	if h.from == exchange.Client {
		return nil // it speaks of pushed streams
	}
	for _, id := range d.open() {
		if id > lastID {
			d.reset(id, h.from, code, goawayText(code), o)
		}
	}
	return nil
}
