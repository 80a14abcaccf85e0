package cassette

import (
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The wire types of protobuf (protobuf.dev/programming-guides/encoding) that are
// read; groups are not.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireLen     = 2
	wireFixed32 = 5
)

// A protoField is one field of a message as it is on the wire.
type protoField struct {
	number, kind uint64
	val          []byte // of wireLen what it holds, else the number as a varint
	raw          []byte // all of it, with its tag
}

// protoMost is how deep messages are looked into.
const protoMost = 50

// protoFields cuts a message into its fields.
func protoFields(b []byte) ([]protoField, bool) {
	var out []protoField
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 || tag>>3 == 0 || tag>>3 > 1<<29-1 {
			return nil, false
		}
		f := protoField{number: tag >> 3, kind: tag & 7}
		from, size := n, 0
		switch f.kind {
		case wireVarint:
			if _, size = binary.Uvarint(b[n:]); size <= 0 {
				return nil, false
			}
		case wireFixed64:
			size = 8
		case wireLen:
			long, k := binary.Uvarint(b[n:])
			if k <= 0 || long > uint64(len(b)-n-k) {
				return nil, false
			}
			from, size = n+k, int(long)
		case wireFixed32:
			size = 4
		default:
			return nil, false
		}
		if len(b) < from+size {
			return nil, false
		}
		f.val, f.raw, b = b[from:from+size], b[:from+size], b[from+size:]
		if f.kind == wireFixed64 || f.kind == wireFixed32 {
			f.val = binary.AppendUvarint(nil, fixed(f.val))
		}
		out = append(out, f)
	}
	return out, true
}

// fixed is a little-endian number of four or eight bytes.
func fixed(b []byte) uint64 {
	if len(b) == 4 {
		return uint64(binary.LittleEndian.Uint32(b))
	}
	return binary.LittleEndian.Uint64(b)
}

// num is the number that f holds.
func (f protoField) num() uint64 {
	n, _ := binary.Uvarint(f.val)
	return n
}

// reads says whether a length-delimited field is taken for text rather than for
// a message: nobody can tell but by a description. What begins as the first
// fields of a message do, with a tab or a new line, is one if it is one to its end.
func reads(b []byte) bool {
	if !utf8.Valid(b) || slices.ContainsFunc(b, func(c byte) bool { return c < ' ' && c != '\n' && c != '\r' && c != '\t' }) {
		return false
	}
	if len(b) > 0 && b[0] < ' ' {
		_, message := protoFields(b)
		return !message
	}
	return true
}

// mapProto is the message b with f applied to the text of its fields, and the
// lengths made to fit. What may be a message is taken for one. It is false, and
// nothing was changed, if b is none.
func mapProto(b []byte, f func([]byte) []byte, depth int) ([]byte, bool) {
	fields, ok := protoFields(b)
	if !ok || depth > protoMost {
		return nil, false
	}
	out := make([]byte, 0, len(b))
	for _, d := range fields {
		if d.kind != wireLen {
			out = append(out, d.raw...)
			continue
		}
		val, message := mapProto(d.val, f, depth+1)
		if !message || len(d.val) == 0 {
			val = f(d.val)
		}
		if string(val) == string(d.val) {
			out = append(out, d.raw...) // its length may be written in an unusual way
			continue
		}
		out = binary.AppendUvarint(out, d.number<<3|wireLen)
		out = append(binary.AppendUvarint(out, uint64(len(val))), val...)
	}
	return out, true
}

// protoView is the message b as an object: its fields by number, those of one
// number as a list. It is nil if b is no message.
func protoView(b []byte, depth int) *node {
	fields, ok := protoFields(b)
	if !ok || depth > protoMost {
		return nil
	}
	n := &node{kind: '{'}
	for _, f := range fields {
		key, v := strconv.FormatUint(f.number, 10), f.view(depth)
		switch old := n.get(key); {
		case old == nil:
			n.add(key, v)
		case old.kind == '[':
			old.kids = append(old.kids, v)
		default:
			n = n.with(key, list(old, v))
		}
	}
	return n
}

// view is the value of f: text, a number, a message, or what it is as a member.
func (f protoField) view(depth int) *node {
	switch f.kind {
	case wireVarint:
		return &node{kind: 's', tok: strconv.FormatUint(f.num(), 10)}
	case wireFixed64:
		return (&node{}).add("fixed64", &node{kind: 's', tok: strconv.FormatUint(f.num(), 10)})
	case wireFixed32:
		return (&node{}).add("fixed32", &node{kind: 's', tok: strconv.FormatUint(f.num(), 10)})
	}
	if reads(f.val) {
		return strNode(string(f.val))
	}
	if m := protoView(f.val, depth+1); m != nil {
		return m
	}
	return (&node{}).add("base64", strNode(base64.StdEncoding.EncodeToString(f.val)))
}

// printProto is the message that a view shows. It is false if n is no view by
// numbers.
func printProto(n *node) ([]byte, bool) {
	if n == nil || n.kind != '{' {
		return nil, false
	}
	out := []byte{}
	for _, m := range n.mem {
		number, err := strconv.ParseUint(m.key, 10, 29)
		if err != nil || number == 0 {
			return nil, false
		}
		vals := []*node{m.val}
		if m.val.kind == '[' {
			vals = m.val.kids
		}
		for _, v := range vals {
			var ok bool
			if out, ok = appendProto(out, number, v); !ok {
				return nil, false
			}
		}
	}
	return out, true
}

// appendProto appends the field that v shows.
func appendProto(out []byte, number uint64, v *node) ([]byte, bool) {
	tag := func(kind uint64) { out = binary.AppendUvarint(out, number<<3|kind) }
	var val []byte
	switch {
	case v.isString():
		val = []byte(unquote(v.tok))
	case v.kind == 's':
		n, err := strconv.ParseUint(v.tok, 10, 64)
		tag(wireVarint)
		return binary.AppendUvarint(out, n), err == nil
	case v.get("fixed64") != nil:
		n, err := strconv.ParseUint(v.get("fixed64").tok, 10, 64)
		tag(wireFixed64)
		return binary.LittleEndian.AppendUint64(out, n), err == nil
	case v.get("fixed32") != nil:
		n, err := strconv.ParseUint(v.get("fixed32").tok, 10, 32)
		tag(wireFixed32)
		return binary.LittleEndian.AppendUint32(out, uint32(n)), err == nil
	case v.get("base64") != nil:
		var err error
		if val, err = base64.StdEncoding.DecodeString(v.text("base64")); err != nil {
			return nil, false
		}
	default:
		var ok bool
		if val, ok = printProto(v); !ok {
			return nil, false
		}
	}
	tag(wireLen)
	return append(binary.AppendUvarint(out, uint64(len(val))), val...), true
}

// isProtobuf says whether media type m is a protobuf message.
func isProtobuf(m string) bool {
	switch m {
	case "application/x-protobuf", "application/protobuf", "application/vnd.google.protobuf", "application/x-google-protobuf", "application/proto":
		return true
	}
	return strings.HasPrefix(m, "application/") && strings.HasSuffix(m, "+protobuf")
}
