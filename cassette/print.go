package cassette

import (
	"bufio"
	"bytes"
	"strings"
)

// A style is how a JSON text is spaced. Each is what a common printer writes.
type style struct {
	name         string
	comma, colon string
	indent       string
}

// styles are the spacings that a body can have and still be shown as JSON.
func styles() []style {
	return []style{
		{"compact", ",", ":", ""},      // encoding/json, JSON.stringify
		{"python", ", ", ": ", ""},     // json.dumps
		{"indent2", ",", ": ", "  "},   // JSON.stringify(v, null, 2)
		{"indent4", ",", ": ", "    "}, // json.dumps(v, indent=4)
	}
}

// print appends n in style s.
func (s style) print(b *bytes.Buffer, n *node, depth int) {
	if n.kind == 's' {
		b.WriteString(n.tok)
		return
	}
	open, end, count := byte('['), byte(']'), len(n.kids)
	if n.kind == '{' {
		open, end, count = '{', '}', len(n.mem)
	}
	b.WriteByte(open)
	for i := range count {
		if i > 0 {
			b.WriteString(s.comma)
		}
		s.newline(b, depth+1)
		if n.kind == '{' {
			b.WriteString(n.mem[i].ktok)
			b.WriteString(s.colon)
			s.print(b, n.mem[i].val, depth+1)
		} else {
			s.print(b, n.kids[i], depth+1)
		}
	}
	if count > 0 {
		s.newline(b, depth)
	}
	b.WriteByte(end)
}

func (s style) newline(b *bytes.Buffer, depth int) {
	if s.indent != "" {
		b.WriteByte('\n')
		b.WriteString(strings.Repeat(s.indent, depth))
	}
}

// lineWidth is the length in bytes up to which a value stays on one line.
const lineWidth = 100

// A layout prints a cassette: the same tree always gives the same lines, and
// what belongs together stays on one line.
type layout struct {
	w     *bufio.Writer
	width map[*node]int
}

// expanded are the keys whose values take a line per element even if short, so
// that a change to one element is a diff of one line.
func expanded(key string) bool {
	switch key {
	case "interactions", "request", "response", "headers", "trailers", "lines", "form", "multipart", "sse", "ndjson", "summary", "messages",
		"connections", "informational":
		return true
	}
	return false
}

// oneLine are the keys whose values stay on one line even if long: they vary
// from run to run, or would take hundreds of lines.
func oneLine(key string) bool {
	switch key {
	case "timing", "chunks", "chunk_ms", eventElement:
		return true
	}
	return false
}

// fits says whether n, the value of key, goes on one line.
func (l *layout) fits(n *node, key string) bool {
	switch {
	case n.kind == 's' || len(n.kids)+len(n.mem) == 0 || oneLine(key):
		return true
	case expanded(key):
		return false
	case n.kind == '[' && len(n.kids) == 2 && n.kids[0].kind == 's' && n.kids[1].kind == 's':
		return true // a header
	}
	return l.measure(n) <= lineWidth
}

// measure is the width of n on one line, or more than lineWidth if some part
// of it takes a line per element.
func (l *layout) measure(n *node) int {
	if n.kind == 's' {
		return len(n.tok)
	}
	if w, ok := l.width[n]; ok {
		return w
	}
	w := 2
	for _, m := range n.mem {
		if !l.fits(m.val, m.key) {
			w = lineWidth
		}
		w += len(m.ktok) + 4 + l.measure(m.val)
	}
	for _, k := range n.kids {
		w += 2 + l.measure(k)
	}
	w = min(w, lineWidth+1)
	l.width[n] = w
	return w
}

// print writes n, the value of key, whose first line is indented already.
func (l *layout) print(n *node, key string, depth int) {
	if l.fits(n, key) {
		var b bytes.Buffer
		style{comma: ", ", colon: ": "}.print(&b, n, 0)
		l.w.Write(b.Bytes())
		return
	}
	ends := "[]"
	if n.kind == '{' {
		ends = "{}"
	}
	pad := strings.Repeat("  ", depth)
	l.w.WriteByte(ends[0])
	for i, m := range n.mem {
		l.comma(i, pad)
		l.w.WriteString(m.ktok)
		l.w.WriteString(": ")
		l.print(m.val, m.key, depth+1)
	}
	for i, k := range n.kids {
		l.comma(i, pad)
		l.print(k, elementKey(key), depth+1)
	}
	l.w.WriteString("\n" + pad + ends[1:])
}

// elementKey is what an element of the array under key is printed as.
func elementKey(key string) string {
	switch key {
	case "interactions":
		return "request" // a line per member, as a request has
	case "sse", "ndjson":
		return eventElement
	}
	return ""
}

// eventElement stands for the key of an event, or of a line of JSON: no key in a
// cassette is this.
const eventElement = "an event"

func (l *layout) comma(i int, pad string) {
	if i > 0 {
		l.w.WriteByte(',')
	}
	l.w.WriteString("\n" + pad + "  ")
}
