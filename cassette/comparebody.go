package cassette

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/serge-net/serge-net/exchange"
)

// A content is a body and the fields that say how it is coded.
type content struct {
	Body
	fields []exchange.Field
}

// bodyDiffs is where a and b differ: by JSON pointer if both are JSON, by line
// if both are text.
func (c *comparison) bodyDiffs(a, b content) []exchange.Diff {
	if sameBody(a, b) {
		return nil
	}
	if x, y := a.messages(), b.messages(); x != nil && y != nil {
		return c.treeDiffs("", x, y, nil)
	}
	x, xok := a.text()
	y, yok := b.text()
	if !xok || !yok {
		return []exchange.Diff{{At: "body", Recorded: a.brief(), Live: b.brief()}}
	}
	if bytes.Equal(x, y) {
		return nil // the coding alone differs: content-encoding tells
	}
	old, new := objectOf(x), objectOf(y)
	if old == nil || new == nil {
		return c.textDiffs(string(x), string(y))
	}
	out := c.treeDiffs("", old, new, nil)
	if len(out) == 0 && !c.sameTexts([]string{string(x)}, []string{string(y)}) {
		return []exchange.Diff{{At: "body", Recorded: fmt.Sprintf("JSON in %d bytes", len(x)), Live: fmt.Sprintf("the same JSON, written otherwise, in %d bytes", len(y))}}
	}
	return out
}

// text is the bytes without their content coding, if they can be had and are text.
func (b content) text() ([]byte, bool) {
	plain, ok, err := b.Body.text(coding(b.fields))
	return plain, err == nil && ok && utf8.Valid(plain) && bytes.IndexByte(plain, 0) < 0
}

// messages are the messages of b by their fields, nil if it is not of a call or they
// are not protobuf.
func (b content) messages() *node {
	fr, ok := framingOf(b.fields)
	data, whole, err := b.Whole()
	if !ok || !whole || err != nil {
		return nil
	}
	all, rest := cutFrames(data)
	if len(rest) > 0 || fr.json {
		return nil
	}
	l := list()
	for _, f := range all {
		plain, _ := f.plain(fr.coding)
		n := protoView(plain, 0)
		if n == nil {
			return nil
		}
		l.kids = append(l.kids, n)
	}
	return l
}

// objectOf is b as a JSON object or array, or nil.
func objectOf(b []byte) *node {
	if n, err := parseTree(b); err == nil && n.kind != 's' {
		return n
	}
	return nil
}

// brief is b in a few words: its text if that is short, else its size and the
// beginning of its sha256.
func (b content) brief() string {
	const textMost = 80 // bytes: such a body is a word or a sentence
	if plain, ok := b.text(); ok && len(plain) <= textMost {
		return strconv.Quote(string(plain))
	}
	sum, err := b.Sum()
	if err != nil {
		return fmt.Sprintf("%d bytes, which cannot be read: %v", b.Size, err)
	}
	return fmt.Sprintf("%d bytes, sha256 %s…", b.Size, sum[:16])
}

// textDiffs is the lines in which a and b differ, if they have as many; else
// the first, and how many there are.
func (c *comparison) textDiffs(a, b string) []exchange.Diff {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	var out []exchange.Diff
	for n := range max(len(x), len(y)) {
		was, is := lineAt(x, n), lineAt(y, n)
		if c.sameTexts([]string{was}, []string{is}) && n < len(x) && n < len(y) {
			continue
		}
		out = append(out, exchange.Diff{At: fmt.Sprintf("body line %d", n+1), Recorded: was, Live: is})
		if len(x) != len(y) {
			return append(out, exchange.Diff{At: "body", Recorded: fmt.Sprintf("%d lines", len(x)), Live: fmt.Sprintf("%d lines", len(y))})
		}
	}
	return out
}

func lineAt(lines []string, n int) string {
	if n < len(lines) {
		return lines[n]
	}
	return ""
}

// treeDiffs adds to out where a and b, which are at the JSON pointer at, differ.
func (c *comparison) treeDiffs(at string, a, b *node, out []exchange.Diff) []exchange.Diff {
	switch {
	case a != nil && b != nil && a.kind == '{' && b.kind == '{':
		for _, m := range a.mem {
			out = c.treeDiffs(at+"/"+pointerToken(m.key), m.val, b.get(m.key), out)
		}
		for _, m := range b.mem {
			if a.get(m.key) == nil {
				out = c.treeDiffs(at+"/"+pointerToken(m.key), nil, m.val, out)
			}
		}
		return out
	case a != nil && b != nil && a.kind == '[' && b.kind == '[':
		for n := range max(len(a.kids), len(b.kids)) {
			out = c.treeDiffs(at+"/"+strconv.Itoa(n), a.at(n), b.at(n), out)
		}
		return out
	case a.isString() && b.isString() && c.sameTexts([]string{unquote(a.tok)}, []string{unquote(b.tok)}):
		return out
	}
	return appendDiff(out, "body "+at, brief(a), brief(b))
}

// at is n's n-th element, or nil.
func (n *node) at(i int) *node {
	if i < len(n.kids) {
		return n.kids[i]
	}
	return nil
}

// pointerToken is key as a part of a JSON pointer (RFC 6901 section 3).
func pointerToken(key string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

// brief is n as a diff shows it.
func brief(n *node) string {
	switch {
	case n == nil:
		return ""
	case n.isString():
		return quote(unquote(n.tok))
	}
	return n.compact()
}

// sayTheSame says whether the bodies of two requests are equal in canonical form.
func sayTheSame(a, b *Request) bool {
	bodyOf := func(r *Request) ([]atom, error) {
		all, err := new(rules).atomsOf(r)
		return slices.DeleteFunc(all, func(a atom) bool { return !strings.HasPrefix(a.at, "body") }), err
	}
	x, err := bodyOf(a)
	y, err2 := bodyOf(b)
	return err == nil && err2 == nil && slices.Equal(x, y)
}
