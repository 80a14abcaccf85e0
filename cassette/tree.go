package cassette

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// A node is a JSON value with its tokens as they were written: number
// literals, string escapes, the order of keys and duplicates all survive.
type node struct {
	kind byte // '{', '[' or 's' for a scalar
	tok  string
	mem  []member
	kids []*node
}

// A member is a key and its value; the key is decoded, ktok is its token.
type member struct {
	key, ktok string
	val       *node
}

// syntaxError is invalid JSON at a byte offset.
type syntaxError struct {
	off int
	msg string
}

func (e *syntaxError) Error() string { return e.msg }

// position is the line and column, from 1, of offset off in b.
func position(b []byte, off int) (line, col int) {
	off = min(max(off, 0), len(b))
	before := b[:off]
	return bytes.Count(before, []byte("\n")) + 1, off - bytes.LastIndexByte(before, '\n')
}

// parseTree reads one JSON value. encoding/json says whether it is valid and
// how deep it may be; this only cuts it into tokens.
func parseTree(b []byte) (*node, error) {
	var probe json.RawMessage
	if err := json.Unmarshal(b, &probe); err != nil {
		off := len(b)
		if s, ok := err.(*json.SyntaxError); ok {
			off = int(s.Offset)
		}
		return nil, &syntaxError{max(off-1, 0), err.Error()}
	}
	p := treeParser{s: string(b)}
	return p.value(), nil
}

// treeParser walks valid JSON.
type treeParser struct {
	s string
	i int
}

func (p *treeParser) space() {
	for p.i < len(p.s) && strings.IndexByte(" \t\r\n", p.s[p.i]) >= 0 {
		p.i++
	}
}

func (p *treeParser) value() *node {
	p.space()
	switch p.s[p.i] {
	case '{':
		return p.object()
	case '[':
		return p.array()
	case '"':
		return &node{kind: 's', tok: p.str()}
	}
	from := p.i
	for p.i < len(p.s) && strings.IndexByte(" \t\r\n,]}", p.s[p.i]) < 0 {
		p.i++
	}
	return &node{kind: 's', tok: p.s[from:p.i]}
}

func (p *treeParser) str() string {
	from := p.i
	for p.i++; p.s[p.i] != '"'; p.i++ {
		if p.s[p.i] == '\\' {
			p.i++
		}
	}
	p.i++
	return p.s[from:p.i]
}

func (p *treeParser) object() *node {
	n := &node{kind: '{'}
	p.i++
	for p.space(); p.s[p.i] != '}'; p.space() {
		if p.s[p.i] == ',' {
			p.i++
			p.space()
		}
		k := p.str()
		p.space()
		p.i++ // the colon
		n.mem = append(n.mem, member{unquote(k), k, p.value()})
	}
	p.i++
	return n
}

func (p *treeParser) array() *node {
	n := &node{kind: '['}
	p.i++
	for p.space(); p.s[p.i] != ']'; p.space() {
		if p.s[p.i] == ',' {
			p.i++
		}
		n.kids = append(n.kids, p.value())
	}
	p.i++
	return n
}

// quote is s as a JSON string token, with nothing escaped that need not be.
// s is valid UTF-8.
func quote(s string) string {
	if !strings.ContainsFunc(s, func(c rune) bool { return c < 0x20 || c == '"' || c == '\\' }) {
		return `"` + s + `"`
	}
	var b bytes.Buffer
	b.Grow(len(s) + 2)
	b.WriteByte('"')
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b.WriteString(s[from:i])
		from = i + 1
		switch c {
		case '"', '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		default:
			fmt.Fprintf(&b, `\u%04x`, c)
		}
	}
	b.WriteString(s[from:])
	b.WriteByte('"')
	return b.String()
}

// unquote is the string that token tok stands for.
func unquote(tok string) string {
	if len(tok) >= 2 && strings.IndexByte(tok, '\\') < 0 {
		return tok[1 : len(tok)-1]
	}
	var s string
	if json.Unmarshal([]byte(tok), &s) != nil {
		return tok
	}
	return s
}

// The constructors of nodes.
func strNode(s string) *node { return &node{kind: 's', tok: quote(s)} }
func intNode[T int | int64 | uint16 | uint32](n T) *node {
	return &node{kind: 's', tok: fmt.Sprint(n)}
}
func list(kids ...*node) *node { return &node{kind: '[', kids: kids} }

func null() *node { return &node{kind: 's', tok: "null"} }

func stringList(ss []string) *node {
	n := list()
	for _, s := range ss {
		n.kids = append(n.kids, strNode(s))
	}
	return n
}

// add appends a member to an object.
func (n *node) add(key string, v *node) *node {
	n.kind = '{'
	n.mem = append(n.mem, member{key, quote(key), v})
	return n
}

// addString appends a member unless s is empty.
func (n *node) addString(key, s string) *node {
	if s != "" {
		n.add(key, strNode(s))
	}
	return n
}

// get is the value of key, or nil. Of duplicates the last counts, as in encoding/json.
func (n *node) get(key string) *node {
	if n == nil {
		return nil
	}
	for i := len(n.mem) - 1; i >= 0; i-- {
		if n.mem[i].key == key {
			return n.mem[i].val
		}
	}
	return nil
}

// isString says whether n is a string.
func (n *node) isString() bool { return n != nil && n.kind == 's' && n.tok[0] == '"' }

// isNull says whether n is absent or null.
func (n *node) isNull() bool { return n == nil || n.kind == 's' && n.tok == "null" }

// mapStrings returns n with f applied to every string token, keys included.
func (n *node) mapStrings(f func(string) string) *node {
	m := &node{kind: n.kind, tok: n.tok}
	if n.isString() {
		m.tok = f(n.tok)
	}
	for _, e := range n.mem {
		k := f(e.ktok)
		m.mem = append(m.mem, member{unquote(k), k, e.val.mapStrings(f)})
	}
	for _, k := range n.kids {
		m.kids = append(m.kids, k.mapStrings(f))
	}
	return m
}
