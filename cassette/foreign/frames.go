package foreign

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"strings"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/exchange"
)

// webSocket are the messages of an upgraded stream that is a WebSocket. The
// format has no control frames: they are noted.
func (x *export) webSocket(i *cassette.Interaction) ([]harMessage, error) {
	if len(i.Upgraded) == 0 {
		return nil, nil
	}
	if up, _ := exchange.Get(i.Response.Fields, "upgrade"); !strings.EqualFold(up, "websocket") {
		x.note(i, "an upgraded stream is not carried")
		return nil, nil
	}
	if ext, _ := exchange.Get(i.Response.Fields, "sec-websocket-extensions"); ext != "" && !strings.Contains(ext, "no_context_takeover") {
		x.note(i, "compressed WebSocket messages may refer to earlier ones: those are not carried")
	}
	var out []harMessage
	var rest [2][]byte
	var parts [2]frame
	at := float64(x.c.RecordedAt.UnixMilli()+i.Timing.Start.Milliseconds()) / 1000
	for _, m := range i.Upgraded {
		b, err := x.bytes(i, m.Body)
		if err != nil {
			return nil, err
		}
		buf := append(rest[m.From], b...)
		for {
			f, n, ok := frameOf(buf)
			if !ok {
				break
			}
			buf = buf[n:]
			if f.opcode >= 8 {
				x.note(i, "WebSocket pings, pongs and closes are not carried")
				continue
			}
			p := &parts[m.From]
			if f.opcode != 0 {
				*p = frame{opcode: f.opcode, deflated: f.deflated}
			}
			p.data = append(p.data, f.data...)
			if !f.final {
				continue
			}
			if h, err := p.message(m.From, at); err != nil {
				x.note(i, "a compressed WebSocket message is not carried")
			} else {
				out = append(out, h)
			}
			*p = frame{}
		}
		rest[m.From] = bytes.Clone(buf)
	}
	return out, nil
}

// A frame is one of RFC 6455, or a message of several.
type frame struct {
	opcode          int
	final, deflated bool
	data            []byte // unmasked
}

// frameOf is the frame that b begins with and its length; false if it is not all there.
func frameOf(b []byte) (frame, int, bool) {
	if len(b) < 2 {
		return frame{}, 0, false
	}
	f := frame{opcode: int(b[0] & 15), final: b[0]&0x80 != 0, deflated: b[0]&0x40 != 0}
	masked, size, at := b[1]&0x80 != 0, uint64(b[1]&0x7f), 2
	switch {
	case size == 126 && len(b) >= 4:
		size, at = uint64(binary.BigEndian.Uint16(b[2:])), 4
	case size == 127 && len(b) >= 10:
		size, at = binary.BigEndian.Uint64(b[2:]), 10
	case size >= 126:
		return frame{}, 0, false
	}
	var mask [4]byte
	if masked {
		if len(b) < at+4 {
			return frame{}, 0, false
		}
		copy(mask[:], b[at:])
		at += 4
	}
	if uint64(len(b)-at) < size {
		return frame{}, 0, false
	}
	f.data = bytes.Clone(b[at : at+int(size)])
	for i := range f.data {
		f.data[i] ^= mask[i&3]
	}
	return f, at + int(size), true
}

// message is f as HAR has it.
func (f *frame) message(from exchange.Side, at float64) (harMessage, error) {
	data := f.data
	if f.deflated { // RFC 7692 7.2.2
		tail := io.MultiReader(bytes.NewReader(data), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff"))
		out, err := io.ReadAll(io.LimitReader(flate.NewReader(tail), plainMost))
		if err != nil && !errors.Is(err, io.EOF) {
			return harMessage{}, err
		}
		data = out
	}
	m := harMessage{Type: "send", Time: at, Opcode: f.opcode, Data: string(data)}
	if from == exchange.Server {
		m.Type = "receive"
	}
	if f.opcode == 2 || !textual(data) {
		m.Data = base64.StdEncoding.EncodeToString(data)
	}
	return m, nil
}
