package cassette

import (
	"bytes"
	"strings"
)

// isLines says whether media type m is one JSON value a line.
func isLines(m string) bool {
	switch m {
	case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines", "application/jsonlines",
		"application/stream+json", "application/x-json-stream":
		return true
	}
	return isJSON(m) // as the watches of Kubernetes and the events of Docker come
}

// linesView shows b as a list of lines, those that are JSON as such and any other
// as text, or is nil if the first is not JSON. The style is that of the first; a
// line in another is text. What is behind the last line feed is the rest, unless
// it is JSON too.
func linesView(b string) *node {
	var s style
	lines := list()
	at := strings.LastIndexByte(b, '\n') + 1
	for line := range strings.Lines(b[:at]) {
		line = strings.TrimSuffix(line, "\n")
		v := s.lineView(line)
		switch {
		case v != nil:
		case s.name == "" && strings.TrimSpace(line) != "":
			return nil
		default:
			v = strNode(escape(line))
		}
		lines.kids = append(lines.kids, v)
	}
	end := "+newline"
	if v := s.lineView(b[at:]); v != nil {
		lines.kids, at, end = append(lines.kids, v), len(b), ""
	}
	if s.name == "" {
		return nil
	}
	return withRest((&node{}).add("ndjson", lines).add("style", strNode(s.name+end)), b[at:])
}

// printLines gives the bytes that linesView shows, but for the rest.
func printLines(n *node, name string) ([]byte, error) {
	name, end := strings.CutSuffix(name, "+newline")
	s, err := lineStyleOf(name)
	if err != nil {
		return nil, err
	}
	var b []byte
	for i, line := range n.elements() {
		if i > 0 {
			b = append(b, '\n')
		}
		if line.kind == 's' {
			b = append(b, unescape(line.scalar())...)
		} else {
			b = append(b, s.line(line)...)
		}
	}
	if end && len(n.elements()) > 0 {
		b = append(b, '\n')
	}
	return b, nil
}

// withRest adds to a view what is behind the last whole thing that it shows.
func withRest(n *node, rest string) *node {
	if rest == "" {
		return n
	}
	return n.add("rest", strNode(escape(rest)))
}

// lineStyleOf is the style called name, of those that take one line; "" is the first.
func lineStyleOf(name string) (style, error) {
	for _, s := range styles() {
		if s.indent == "" && (s.name == name || name == "") {
			return s, nil
		}
	}
	return style{}, unknownStyle(name)
}

// lineView is text, a line, as JSON in style s, or nil if it is an object or array
// in no such style. An s without a name becomes the first that text has.
func (s *style) lineView(text string) *node {
	v, name := jsonView([]byte(text))
	if v == nil {
		return nil
	}
	if s.name == "" {
		of, err := lineStyleOf(name)
		if err != nil {
			return nil // it takes several
		}
		*s = of
	}
	if s.line(v) != text {
		return nil
	}
	return v
}

// line prints v, which lineView gave, in style s.
func (s style) line(v *node) string {
	var b bytes.Buffer
	s.print(&b, v.mapStrings(unescape), 0)
	return b.String()
}
