package foreign

import (
	"encoding/binary"
	"math"
	"strconv"
)

// isMsgpack says whether b begins with a MessagePack map or list of up to 15
// elements: no text does, such a byte only goes on a character of UTF-8.
func isMsgpack(b []byte) bool { return len(b) > 0 && b[0] >= 0x80 && b[0] <= 0x9f }

// parseMsgpack makes a tree of MessagePack:
// https://github.com/msgpack/msgpack/blob/master/spec.md.
func parseMsgpack(b []byte) (*value, error) {
	r := &msgpackReader{b: b}
	v, err := r.value(0)
	if err == nil && r.at < len(b) {
		err = (&value{pos: r.at, unit: "byte"}).fault("something follows the value")
	}
	return v, err
}

// A msgpackReader reads what is in b from at on.
type msgpackReader struct {
	b  []byte
	at int
}

// value reads the next value.
func (r *msgpackReader) value(depth int) (*value, error) {
	v := &value{pos: r.at, unit: "byte"}
	if depth > deepest {
		return nil, v.fault("nested deeper than %d", deepest)
	}
	head, err := r.take(v, 1)
	if err != nil {
		return nil, err
	}
	switch c := head[0]; {
	case c < 0x80 || c >= 0xe0: // small integers
		v.kind, v.text = 'n', strconv.Itoa(int(int8(c)))
		return v, nil
	case c < 0x90:
		return v, r.inside(v, '{', uint64(c&15), depth)
	case c < 0xa0:
		return v, r.inside(v, '[', uint64(c&15), depth)
	case c < 0xc0:
		return v, r.text(v, uint64(c&31))
	case c == 0xc0:
		v.kind = 'z'
		return v, nil
	case c == 0xc2 || c == 0xc3:
		v.kind, v.text = 'b', strconv.FormatBool(c == 0xc3)
		return v, nil
	case c == 0xca || c == 0xcb || c >= 0xcc && c <= 0xd3:
		return v, r.number(v, c)
	}
	return v, r.long(v, head[0], depth)
}

// long reads what has its length in bytes of their own.
func (r *msgpackReader) long(v *value, c byte, depth int) error {
	lengths := map[byte]int{0xc4: 1, 0xc5: 2, 0xc6: 4, 0xd9: 1, 0xda: 2, 0xdb: 4, 0xdc: 2, 0xdd: 4, 0xde: 2, 0xdf: 4}
	size, ok := lengths[c]
	if !ok {
		return v.fault("the MessagePack type 0x%x is not known", c)
	}
	n, err := r.uint(v, size)
	switch {
	case err != nil:
		return err
	case c >= 0xde:
		return r.inside(v, '{', n, depth)
	case c >= 0xdc:
		return r.inside(v, '[', n, depth)
	}
	return r.text(v, n)
}

// inside reads the n elements of v.
func (r *msgpackReader) inside(v *value, kind byte, n uint64, depth int) error {
	v.kind = kind
	if n > uint64(len(r.b)-r.at) { // each is a byte or more
		return v.fault("a length of %d, but %d bytes are left", n, len(r.b)-r.at)
	}
	for range n {
		k, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		if kind == '{' {
			v.keys = append(v.keys, k.text)
			if k, err = r.value(depth + 1); err != nil {
				return err
			}
		}
		v.kids = append(v.kids, k)
	}
	return nil
}

// text reads n bytes.
func (r *msgpackReader) text(v *value, n uint64) error {
	b, err := r.take(v, n)
	v.kind, v.text = 's', string(b)
	return err
}

// number reads the number of type c.
func (r *msgpackReader) number(v *value, c byte) error {
	size := 1 << (c & 3) // of 0xcc to 0xd3
	if c < 0xcc {
		size = 4 << (c & 1)
	}
	n, err := r.uint(v, size)
	v.kind = 'n'
	switch {
	case c == 0xca:
		v.text = strconv.FormatFloat(float64(math.Float32frombits(uint32(n))), 'g', -1, 32)
	case c == 0xcb:
		v.text = strconv.FormatFloat(math.Float64frombits(n), 'g', -1, 64)
	case c <= 0xcf:
		v.text = strconv.FormatUint(n, 10)
	default:
		unused := 64 - 8*size
		v.text = strconv.FormatInt(int64(n<<unused)>>unused, 10)
	}
	return err
}

// uint reads size bytes, the most significant first.
func (r *msgpackReader) uint(v *value, size int) (uint64, error) {
	b, err := r.take(v, uint64(size))
	var wide [8]byte
	copy(wide[8-len(b):], b)
	return binary.BigEndian.Uint64(wide[:]), err
}

// take is the next n bytes.
func (r *msgpackReader) take(v *value, n uint64) ([]byte, error) {
	if left := len(r.b) - r.at; n > uint64(left) {
		return nil, v.fault("a length of %d, but %d bytes are left", n, left)
	}
	b := r.b[r.at : r.at+int(n)]
	r.at += int(n)
	return b, nil
}
