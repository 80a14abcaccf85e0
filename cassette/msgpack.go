package cassette

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// A twin's records are MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md)
// of the same trees that the JSON form prints. What MessagePack has no type for
// is an extension: a JSON token as it was written, like 1.50 or "\u00e9".
// base64 is bin.
const extToken = 1

// kindBytes is a node whose tok is bytes: a bin under the key "bytes". JSON has
// no such value.
const kindBytes = 'b'

// deepMost is how deep values may nest: as deep as encoding/json goes.
const deepMost = 10000

// appendNode appends n, the value of key, as MessagePack.
func appendNode(b []byte, key string, n *node) []byte {
	switch n.kind {
	case '{':
		b = appendSize(b, 0x80, 16, 0, 0xde, len(n.mem))
		for _, m := range n.mem {
			if m.ktok == quote(m.key) {
				b = appendStr(b, m.key)
			} else {
				b = appendToken(b, m.ktok)
			}
			b = appendNode(b, m.key, m.val)
		}
		return b
	case '[':
		b = appendSize(b, 0x90, 16, 0, 0xdc, len(n.kids))
		for _, k := range n.kids {
			b = appendNode(b, "", k)
		}
		return b
	case kindBytes:
		return appendBin(b, n.tok)
	}
	return appendScalar(b, key, n.tok)
}

// appendScalar appends the JSON token tok, the value of key.
func appendScalar(b []byte, key, tok string) []byte {
	switch {
	case tok == "null":
		return append(b, 0xc0)
	case tok == "false":
		return append(b, 0xc2)
	case tok == "true":
		return append(b, 0xc3)
	case tok[0] == '"':
		s := unquote(tok)
		if quote(s) != tok {
			return appendToken(b, tok)
		}
		if inBase64(key) {
			if raw, err := base64.StdEncoding.DecodeString(s); err == nil && base64.StdEncoding.EncodeToString(raw) == s {
				return appendBin(b, string(raw))
			}
		}
		return appendStr(b, s)
	}
	if v, err := strconv.ParseInt(tok, 10, 64); err == nil && strconv.FormatInt(v, 10) == tok {
		return appendInt(b, v)
	}
	return appendToken(b, tok)
}

// inBase64 says whether the JSON form has base64 under key.
func inBase64(key string) bool { return key == "base64" || key == "binary" || key == "raw_head" }

func appendInt(b []byte, v int64) []byte {
	switch {
	case v >= -32 && v < 128:
		return append(b, byte(v))
	case v == int64(int32(v)):
		return binary.BigEndian.AppendUint32(append(b, 0xd2), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xd3), uint64(v))
}

func appendStr(b []byte, s string) []byte {
	return append(appendSize(b, 0xa0, 32, 0xd9, 0xda, len(s)), s...)
}

func appendBin(b []byte, s string) []byte {
	return append(appendSize(b, 0, 0, 0xc4, 0xc5, len(s)), s...)
}

func appendToken(b []byte, tok string) []byte {
	b = appendSize(b, 0, 0, 0xc7, 0xc8, len(tok))
	return append(append(b, extToken), tok...)
}

// appendSize appends a header with a size n: in the byte fix if n is below
// fixMost, behind the byte one if it is not zero and n fits in a byte, else
// behind two, in two bytes, or the byte after two, in four.
func appendSize(b []byte, fix byte, fixMost int, one, two byte, n int) []byte {
	switch {
	case n < fixMost:
		return append(b, fix|byte(n))
	case one != 0 && n < 1<<8:
		return append(b, one, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, two), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, two+1), uint32(n))
}

// unpack reads one value from s, which holds nothing else.
func unpack(s string) (*node, error) {
	u := unpacker{s: s}
	n := u.value("", 0)
	if u.bad == "" && u.i < len(s) {
		u.fail("more than one value")
	}
	if u.bad != "" {
		return nil, fmt.Errorf("MessagePack at byte %d: %s", u.i, u.bad)
	}
	return n, nil
}

// An unpacker reads MessagePack. After a fault, all it reads is empty.
type unpacker struct {
	s   string
	i   int
	bad string
}

func (u *unpacker) fail(why string) {
	if u.bad == "" {
		u.bad = why
	}
}

// take is the next n bytes.
func (u *unpacker) take(n uint64) string {
	if u.bad != "" || n > uint64(len(u.s)-u.i) {
		u.fail("it ends too early")
		return ""
	}
	from := u.i
	u.i += int(n)
	return u.s[from:u.i]
}

// number is the next n bytes, big-endian.
func (u *unpacker) number(n uint64) uint64 {
	var v uint64
	for _, c := range []byte(u.take(n)) {
		v = v<<8 | uint64(c)
	}
	return v
}

// value reads the value of key.
func (u *unpacker) value(key string, deep int) *node {
	lead := u.take(1)
	if u.bad != "" || deep > deepMost {
		u.fail("it nests too deep")
		return null()
	}
	switch c := lead[0]; {
	case c < 0x80, c >= 0xe0:
		return intNode(int(int8(c)))
	case c < 0x90:
		return u.object(uint64(c&0x0f), deep)
	case c < 0xa0:
		return u.array(uint64(c&0x0f), deep)
	case c < 0xc0:
		return u.text(uint64(c & 0x1f))
	case c == 0xc0:
		return null()
	case c == 0xc2:
		return &node{kind: 's', tok: "false"}
	case c == 0xc3:
		return &node{kind: 's', tok: "true"}
	case c >= 0xc4 && c <= 0xc6:
		return binNode(key, u.take(u.number(1<<(c-0xc4))))
	case c >= 0xc7 && c <= 0xc9:
		return u.token(u.number(1 << (c - 0xc7)))
	case c >= 0xcc && c <= 0xcf:
		return &node{kind: 's', tok: strconv.FormatUint(u.number(1<<(c-0xcc)), 10)}
	case c >= 0xd0 && c <= 0xd3:
		bits := 64 - 8<<(c-0xd0)
		return &node{kind: 's', tok: strconv.FormatInt(int64(u.number(1<<(c-0xd0)))<<bits>>bits, 10)}
	case c >= 0xd9 && c <= 0xdb:
		return u.text(u.number(1 << (c - 0xd9)))
	case c == 0xdc || c == 0xdd:
		return u.array(u.number(2<<(c-0xdc)), deep)
	case c == 0xde || c == 0xdf:
		return u.object(u.number(2<<(c-0xde)), deep)
	default:
		u.fail(fmt.Sprintf("type %#x, which no cassette has", c))
		return null()
	}
}

// binNode is the bytes s under key.
func binNode(key, s string) *node {
	if !inBase64(key) {
		return &node{kind: kindBytes, tok: s}
	}
	return strNode(base64.StdEncoding.EncodeToString([]byte(s)))
}

// text reads a string of n bytes.
func (u *unpacker) text(n uint64) *node {
	s := u.take(n)
	if !utf8.ValidString(s) {
		u.fail("text that is not UTF-8")
		return null()
	}
	return strNode(s)
}

// token reads an extension of n bytes: a JSON token.
func (u *unpacker) token(n uint64) *node {
	if typ := u.number(1); typ != extToken {
		u.fail(fmt.Sprintf("extension %d, which no cassette has", typ))
	}
	tok, err := parseTree([]byte(u.take(n)))
	if err != nil || tok.kind != 's' {
		u.fail("an extension that is no JSON token")
		return null()
	}
	return tok
}

func (u *unpacker) array(n uint64, deep int) *node {
	a := &node{kind: '[', kids: make([]*node, 0, min(n, 16))}
	for ; n > 0 && u.bad == ""; n-- {
		a.kids = append(a.kids, u.value("", deep+1))
	}
	return a
}

func (u *unpacker) object(n uint64, deep int) *node {
	o := &node{kind: '{'}
	for ; n > 0 && u.bad == ""; n-- {
		k := u.value("", deep+1)
		if !k.isString() {
			u.fail("a key that is no text")
			break
		}
		key := unquote(k.tok)
		o.mem = append(o.mem, member{key, k.tok, u.value(key, deep+1)})
	}
	return o
}
