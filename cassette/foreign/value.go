package foreign

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// deepest is how far a file may be nested.
const deepest = 200

// A value is a piece of a file, whatever the file is written in. It remembers
// where it was and whether a reader asked for it: what nobody asked for is said
// to the user. Its methods are total: what is absent or of another kind is empty.
type value struct {
	kind byte // '{', '[', 's'tring, 'n'umber, 'b'oolean, 'z' for null
	text string
	keys []string // of '{', one for each kid
	kids []*value
	raw  []byte // of JSON: as it stands in the file
	pos  int
	unit string // of pos: "line" or "byte"
	used bool
}

// where is v's place in the file.
func (v *value) where() string {
	if v == nil {
		return "the file"
	}
	return v.unit + " " + strconv.Itoa(v.pos)
}

// fault is an error at v.
func (v *value) fault(format string, args ...any) error {
	return fmt.Errorf("%s: %s", v.where(), fmt.Sprintf(format, args...))
}

// peek is the member key, nil if there is none, and does not count as use.
func (v *value) peek(key string) *value {
	if v == nil {
		return nil
	}
	for i, k := range v.keys {
		if k == key {
			return v.kids[i]
		}
	}
	return nil
}

// get is the member key, nil if there is none.
func (v *value) get(key string) *value {
	k := v.peek(key)
	if k != nil {
		k.used = true
	}
	return k
}

// list is the elements of v.
func (v *value) list() []*value {
	if v == nil || v.kind != '[' {
		return nil
	}
	for _, k := range v.kids {
		k.used = true
	}
	return v.kids
}

// skip takes for used the members that say again what others say, whole.
func (v *value) skip(keys ...string) {
	for _, key := range keys {
		if k := v.get(key); k != nil {
			k.all()
		}
	}
}

// all takes v and everything in it for used.
func (v *value) all() {
	v.used = true
	for _, k := range v.kids {
		k.all()
	}
}

// string is the scalar v as text.
func (v *value) string() string {
	if v == nil {
		return ""
	}
	return v.text
}

// str is the scalar at key as text.
func (v *value) str(key string) string { return v.get(key).string() }

// float is the number v, and whether it is one.
func (v *value) float() (float64, bool) {
	if v == nil {
		return 0, false
	}
	f, err := strconv.ParseFloat(v.text, 64)
	return f, err == nil
}

// int is the number at key, 0 if it is none.
func (v *value) int(key string) int {
	f, _ := v.get(key).float()
	return int(f)
}

// empty says whether nothing is said by v.
func (v *value) empty() bool {
	if v == nil || v.kind == 'z' || v.kind == 's' && v.text == "" {
		return true
	}
	return (v.kind == '{' || v.kind == '[') && !slices.ContainsFunc(v.kids, func(k *value) bool { return !k.empty() })
}

// null says whether v is absent or null.
func (v *value) null() bool { return v == nil || v.kind == 'z' }

// A jsonReader makes a tree of JSON. It counts lines as it goes.
type jsonReader struct {
	b    []byte
	dec  *json.Decoder
	seen int
	line int
}

func parseJSON(b []byte) (*value, error) { return parseJSONAt(b, 1) }

// parseJSONAt is parseJSON of what begins at a line of its file.
func parseJSONAt(b []byte, line int) (*value, error) {
	r := &jsonReader{b: b, dec: json.NewDecoder(bytes.NewReader(b)), line: line}
	r.dec.UseNumber()
	v, err := r.value(0)
	if err == nil {
		if _, more := r.dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the JSON value")
		}
	}
	if err != nil {
		var syntax *json.SyntaxError
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			r.advance(len(b))
			err = io.ErrUnexpectedEOF
		case errors.As(err, &syntax):
			r.advance(int(syntax.Offset))
		default:
			r.advance(int(r.dec.InputOffset()))
		}
		return nil, fmt.Errorf("line %d: %w", r.line, err)
	}
	return v, nil
}

// advance counts the lines before offset.
func (r *jsonReader) advance(offset int) {
	offset = min(offset, len(r.b))
	if offset > r.seen {
		r.line += bytes.Count(r.b[r.seen:offset], []byte("\n"))
		r.seen = offset
	}
}

// value reads the next value.
func (r *jsonReader) value(depth int) (*value, error) {
	if depth > deepest {
		return nil, fmt.Errorf("nested deeper than %d", deepest)
	}
	t, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	end := int(r.dec.InputOffset())
	r.advance(end)
	v := &value{pos: r.line, unit: "line"}
	switch t := t.(type) {
	case nil:
		v.kind = 'z'
	case bool:
		v.kind, v.text = 'b', strconv.FormatBool(t)
	case json.Number:
		v.kind, v.text = 'n', t.String()
	case string:
		v.kind, v.text = 's', t
	case json.Delim:
		v.kind = byte(t)
		return v, r.inside(v, end-1, depth)
	}
	return v, nil
}

// inside reads what is in the object or list v, up to its end.
func (r *jsonReader) inside(v *value, start, depth int) error {
	for r.dec.More() {
		if v.kind == '{' {
			t, err := r.dec.Token()
			if err != nil {
				return err
			}
			key, _ := t.(string)
			v.keys = append(v.keys, key)
		}
		k, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		v.kids = append(v.kids, k)
	}
	if _, err := r.dec.Token(); err != nil {
		return err
	}
	v.raw = r.b[start:r.dec.InputOffset()]
	return nil
}
