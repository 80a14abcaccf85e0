package cassette

import (
	"errors"
	"fmt"
	"strings"

	"github.com/serge-net/serge-net/exchange"
)

// partsMost is how many parts of a multipart body are shown.
const partsMost = 1000

// partsView shows b as the parts between boundary, each with its header fields
// and its content as plainView shows it, or is nil if that does not give b back.
func partsView(b []byte, boundary string) *node {
	if boundary == "" || valid(boundary) != boundary {
		return nil
	}
	text, end := strings.CutSuffix(string(b), "\r\n")
	text, whole := strings.CutSuffix(text, "\r\n--"+boundary+"--")
	text, begun := strings.CutPrefix(text, "--"+boundary+"\r\n")
	if !whole || !begun {
		return nil
	}
	blocks := strings.SplitN(text, "\r\n--"+boundary+"\r\n", partsMost+1)
	if len(blocks) > partsMost {
		return nil
	}
	parts := list()
	for _, block := range blocks {
		p := partView(block)
		if p == nil {
			return nil
		}
		parts.kids = append(parts.kids, p)
	}
	style := "bare"
	if end {
		style = "newline"
	}
	n := (&node{}).add("multipart", parts).add("boundary", strNode(escape(boundary))).add("style", strNode(style))
	if got, err := readView(n); err != nil || string(got) != string(b) {
		return nil
	}
	return n
}

// partView shows one part, or is nil.
func partView(block string) *node {
	head, content, ok := strings.Cut("\r\n"+block, "\r\n\r\n")
	if !ok {
		return nil
	}
	var fields []exchange.Field
	for line := range strings.SplitSeq(strings.TrimPrefix(head, "\r\n"), "\r\n") {
		name, value, ok := strings.Cut(line, ": ")
		if head != "" && !ok {
			return nil
		}
		if ok {
			fields = append(fields, exchange.Field{Name: name, Value: escape(value)})
		}
	}
	media, _ := mediaOf(fields)
	n := plainView([]byte(content), media)
	n.mem = append((&node{}).add("headers", fieldsNode(fields)).mem, n.mem...)
	return n
}

// printParts gives the bytes that partsView shows.
func printParts(n *node, boundary, style string) ([]byte, error) {
	if boundary == "" {
		return nil, errors.New("/boundary: is not there")
	}
	boundary = unescape(boundary)
	var b strings.Builder
	for i, p := range n.elements() {
		b.WriteString("--" + boundary + "\r\n")
		for _, f := range readFields(p.get("headers")) {
			b.WriteString(f.Name + ": " + unescape(f.Value) + "\r\n")
		}
		content, err := readView(p)
		if err != nil {
			return nil, fmt.Errorf("/multipart/%d%w", i, err)
		}
		b.WriteString("\r\n" + string(content) + "\r\n")
	}
	b.WriteString("--" + boundary + "--")
	switch style {
	case "", "newline":
		b.WriteString("\r\n")
	case "bare":
	default:
		return nil, unknownStyle(style)
	}
	return []byte(b.String()), nil
}
