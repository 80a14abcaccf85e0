package cassette

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// isGRPC says whether media type m is framed as gRPC's messages are.
func isGRPC(m string) bool {
	return m == "application/grpc" || strings.HasPrefix(m, "application/grpc+proto") || m == "application/grpc-web" || m == "application/grpc-web+proto"
}

// isProtobuf says whether media type m is a protobuf message.
func isProtobuf(m string) bool {
	switch m {
	case "application/x-protobuf", "application/protobuf", "application/vnd.google.protobuf", "application/x-google-protobuf":
		return true
	}
	return false
}

// frames tells gRPC's messages: a byte that says whether it is compressed, four
// of length, and the message. If they are not, nothing is told and the result
// is false.
func (d *reader) frames(b []byte) bool {
	var bodies [][]byte
	for len(b) > 0 {
		if len(b) < 5 {
			return false
		}
		n := uint64(binary.BigEndian.Uint32(b[1:]))
		if uint64(len(b)-5) < n || b[0] > 1 {
			return false
		}
		body := b[5 : 5+n]
		if b[0] == 1 {
			plain, ok := Decoded(body, "gzip", wholeMost)
			if !ok {
				return false
			}
			body = plain
		}
		bodies = append(bodies, body)
		b = b[5+n:]
	}
	d.emit("body", 0, strconv.Itoa(len(bodies))+" messages")
	for i, m := range bodies {
		d.at = strconv.AppendInt(append(d.at[:0], "body.grpc/"...), int64(i), 10)
		if !d.message(m, 0) {
			d.put(0, string(m), false)
		}
		d.at = d.at[:0]
	}
	return true
}

// A protoField is one field of a message as it is on the wire.
type protoField struct {
	number, kind uint64
	val          []byte
}

// protoMost is how deep messages are looked into.
const protoMost = 50

// message tells a protobuf message: its fields by number, those of one number in
// their order. If it is none, nothing is told and the result is false.
func (d *reader) message(b []byte, depth int) bool {
	fields, ok := protoFields(b)
	if !ok || depth > protoMost {
		return false
	}
	slices.SortStableFunc(fields, func(a, b protoField) int { return int(a.number) - int(b.number) })
	d.put('{', strconv.Itoa(len(fields)), false)
	for _, f := range fields {
		long := len(d.at)
		d.at = strconv.AppendUint(append(d.at, '/'), f.number, 10)
		switch {
		case f.kind != 2:
			v, _ := varint(f.val)
			d.put(byte('0'+f.kind), strconv.FormatUint(v, 10), false)
		case text(f.val) || !d.message(f.val, depth+1):
			d.put('s', string(f.val), false)
		}
		d.at = d.at[:long]
	}
	return true
}

// text says whether a length-delimited field reads as text: then it is, or a
// message that nobody can tell from it.
func text(b []byte) bool {
	return utf8.Valid(b) && !slices.ContainsFunc(b, func(c byte) bool { return c < ' ' && c != '\n' && c != '\r' && c != '\t' })
}

// protoFields cuts a message into its fields (protobuf.dev/programming-guides/encoding).
func protoFields(b []byte) ([]protoField, bool) {
	var out []protoField
	for len(b) > 0 {
		tag, n := varint(b)
		if n <= 0 || tag>>3 == 0 || tag>>3 > 1<<29-1 {
			return nil, false
		}
		b = b[n:]
		f := protoField{number: tag >> 3, kind: tag & 7}
		size := 0
		switch f.kind {
		case 0:
			if _, size = varint(b); size <= 0 {
				return nil, false
			}
		case 1:
			size = 8
		case 2:
			long, n := varint(b)
			if n <= 0 || long > uint64(len(b)-n) {
				return nil, false
			}
			b, size = b[n:], int(long)
		case 5:
			size = 4
		default:
			return nil, false
		}
		if len(b) < size {
			return nil, false
		}
		f.val, b = b[:size], b[size:]
		if f.kind == 1 || f.kind == 5 {
			f.val = binary.AppendUvarint(nil, fixed(f.val))
		}
		out = append(out, f)
	}
	return out, true
}

// varint is the number that b begins with and how long it is.
func varint(b []byte) (uint64, int) { return binary.Uvarint(b) }

// fixed is a little-endian number of four or eight bytes.
func fixed(b []byte) uint64 {
	if len(b) == 4 {
		return uint64(binary.LittleEndian.Uint32(b))
	}
	return binary.LittleEndian.Uint64(b)
}
