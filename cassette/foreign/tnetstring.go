package foreign

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// isTnetstring says whether b begins with a tnetstring's dictionary, as
// mitmproxy's files do: https://tnetstrings.info.
func isTnetstring(b []byte) bool {
	n, rest, ok := length(b)
	return ok && (len(rest) <= n || rest[n] == '}')
}

// length reads the length that b begins with.
func length(b []byte) (int, []byte, bool) {
	head, _, ok := bytes.Cut(b[:min(len(b), 16)], []byte(":"))
	if !ok || len(head) == 0 || len(head) > 10 {
		return 0, nil, false
	}
	for _, c := range head {
		if c < '0' || c > '9' {
			return 0, nil, false
		}
	}
	n, err := strconv.Atoi(string(head))
	return n, b[len(head)+1:], err == nil
}

// parseFlows makes a list of the tnetstrings that b is.
func parseFlows(b []byte) (*value, error) {
	all := &value{kind: '[', unit: "byte"}
	for at := 0; at < len(b); {
		v, n, err := tnetstring(b[at:], at, 0)
		if err != nil {
			return nil, err
		}
		all.kids = append(all.kids, v)
		at += n
	}
	return all, nil
}

// tnetstring reads the first of b, which is at offset at of the file, and says
// how long it is in bytes.
func tnetstring(b []byte, at, depth int) (*value, int, error) {
	v := &value{pos: at, unit: "byte"}
	if depth > deepest {
		return nil, 0, v.fault("nested deeper than %d", deepest)
	}
	n, rest, ok := length(b)
	if !ok {
		return nil, 0, v.fault("not a tnetstring: %q", b[:min(len(b), 12)])
	}
	if n >= len(rest) {
		return nil, 0, v.fault("a length of %d, but %d bytes are left", n, len(rest))
	}
	data, kind := rest[:n], rest[n]
	start := at + len(b) - len(rest)
	total := len(b) - len(rest) + n + 1
	switch kind {
	case ',', ';':
		v.kind, v.text = 's', string(data)
	case '#', '^':
		v.kind, v.text = 'n', string(data)
	case '!':
		v.kind, v.text = 'b', string(data)
	case '~':
		v.kind = 'z'
	case ']':
		v.kind = '['
		return v, total, v.parts(data, start, depth)
	case '}':
		v.kind = '{'
		return v, total, v.parts(data, start, depth)
	default:
		return nil, 0, v.fault("unknown type %q", kind)
	}
	return v, total, nil
}

// parts reads what is in a list or a dictionary.
func (v *value) parts(data []byte, at, depth int) error {
	for off := 0; off < len(data); {
		k, n, err := tnetstring(data[off:], at+off, depth+1)
		if err != nil {
			return err
		}
		off += n
		if v.kind == '{' {
			v.keys = append(v.keys, k.text)
			if off >= len(data) {
				return fmt.Errorf("%s: %w", k.where(), errors.New("a key without a value"))
			}
			if k, n, err = tnetstring(data[off:], at+off, depth+1); err != nil {
				return err
			}
			off += n
		}
		v.kids = append(v.kids, k)
	}
	return nil
}
