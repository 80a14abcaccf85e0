package cassette

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/serge-net/serge-net/exchange"
)

// A marked body has secrets in it: its bytes are in the cassette's form, with
// placeholders, and where it came with a content coding that is undone. What it
// was on the wire is nowhere: it would hold the secrets.

// tidy is b, which is in memory, as it came if there is no placeholder in it.
func (b Body) tidy() Body {
	if !b.marked || b.coding != "" || b.frames != nil {
		return b
	}
	if _, marks := cutMarks(string(b.data)); len(marks) == 0 {
		return bodyOf([]byte(unescape(string(b.data))))
	}
	return b
}

// wired is the content coding that the bytes of b still have, of c, with which
// they came.
func (b Body) wired(c string) string {
	if b.marked && b.coding != "" {
		return ""
	}
	return c
}

// text is the bytes of b without the content coding c, up to wholeMost, and
// whether they can be had.
func (b Body) text(c string) ([]byte, bool, error) {
	data, ok, err := b.Whole()
	if err != nil || !ok {
		return nil, false, err
	}
	data, ok = Decoded(data, b.wired(c), wholeMost)
	return data, ok, nil
}

// with is b with text in the place of what text gave for the content coding c.
func (b Body) with(text []byte, c string) (Body, error) {
	if b.marked {
		return Body{Size: int64(len(text)), data: text, marked: true, coding: b.coding, frames: b.frames}, nil
	}
	again, err := encoded(text, c)
	return bodyOf(again), err
}

// markedNode shows b, which is marked, the body of a message with fields: as
// viewNode does, with its placeholders. Where the view has none to be seen, a
// member says that it is one.
func markedNode(b Body, fields []exchange.Field) (*node, error) {
	var n *node
	if b.file != "" {
		n = fileNode(&node{}, b)
	} else {
		data, ok, err := b.Whole()
		if err != nil || !ok {
			return nil, fmt.Errorf("body of %d bytes was not made a file: %w", b.Size, errors.Join(err))
		}
		n = viewNode(data, fields).mapStrings(unescape)
	}
	if n.marked() {
		return b.codingNode(n), nil
	}
	return b.markNode(n), nil
}

// markNode adds to n that b, which it has, is marked.
func (b Body) markNode(n *node) *node {
	return b.codingNode(n.add("marked", &node{kind: 's', tok: "true"}))
}

// codingNode adds to n with which content coding b came, if with one.
func (b Body) codingNode(n *node) *node {
	if b.coding == "" {
		return n
	}
	return n.add("wire", (&node{}).add("encoding", strNode(b.coding)))
}

// marked says whether n shows a marked body.
func (n *node) marked() bool {
	return n.kind == '{' && (n.text("marked") == "true" || n.mentions(secretOpen))
}

// mentions says whether s is in a string of n.
func (n *node) mentions(s string) bool {
	return n.kind == 's' && strings.Contains(n.tok, s) || slices.ContainsFunc(n.kids, func(k *node) bool { return k.mentions(s) }) ||
		slices.ContainsFunc(n.mem, func(m member) bool { return strings.Contains(m.ktok, s) || m.val.mentions(s) })
}

// readMarked gives the marked body that n shows.
func readMarked(n *node, files opener) (Body, error) {
	b, err := readBody(n.without("wire").without("marked").mapStrings(escape), files)
	b.marked, b.coding = true, n.get("wire").text("encoding")
	return b, err
}

// filled is b with its placeholders filled in by value, as it is sent.
func (b Body) filled(value func(mark string) string) (Body, error) {
	if !b.marked {
		return b, nil
	}
	if b.frames != nil {
		return b.reframed(true, func(text []byte) []byte { return []byte(expand(string(text), value)) })
	}
	if data, ok, err := b.Whole(); ok || err != nil {
		if err != nil {
			return b, err
		}
		data, err = encoded([]byte(expand(string(data), value)), b.coding)
		return bodyOf(data), err
	}
	open := func() (io.ReadCloser, error) {
		r, err := b.open()
		if err != nil {
			return nil, err
		}
		return encoder(&expanding{from: r, value: value}, b.coding)
	}
	r, err := open()
	if err != nil {
		return b, err
	}
	defer r.Close()
	n, err := io.Copy(io.Discard, r) // its length has to be known before it is sent
	return Body{Size: n, open: open}, err
}

// holdMost is how far from its beginning a placeholder ends at most, in bytes.
const holdMost = 256

// expanding is a text in the cassette's form with its placeholders filled in.
type expanding struct {
	from  io.ReadCloser
	value func(mark string) string
	keep  bool   // value gives other marks: all else stays in the cassette's form
	held  []byte // read, not expanded
	ready []byte // expanded, not read
	err   error
}

// Read reads expanded text.
func (x *expanding) Read(b []byte) (int, error) {
	for len(x.ready) == 0 && (x.err == nil || len(x.held) > 0) {
		if x.err == nil {
			at := len(x.held)
			x.held = slices.Grow(x.held, pieceSize)
			var n int
			n, x.err = x.from.Read(x.held[at : at+pieceSize])
			x.held = x.held[:at+n]
		}
		end := len(x.held)
		if x.err == nil {
			end = closed(x.held)
		}
		if text := string(x.held[:end]); x.keep {
			x.ready = []byte(replaceMarks(text, x.value))
		} else {
			x.ready = []byte(expand(text, x.value))
		}
		x.held = append(x.held[:0], x.held[end:]...)
	}
	if len(x.ready) == 0 {
		return 0, x.err
	}
	n := copy(b, x.ready)
	x.ready = x.ready[n:]
	return n, nil
}

// closed is how much of b holds no placeholder or escape that may go on behind it.
func closed(b []byte) int {
	from := max(0, len(b)-holdMost)
	if i := bytes.LastIndex(b[from:], []byte("{{")); i >= 0 && !bytes.Contains(b[from+i:], []byte(secretClose)) {
		return from + i
	}
	if len(b) > 0 && b[len(b)-1] == '{' {
		return len(b) - 1
	}
	return len(b)
}

// Close closes what is expanded.
func (x *expanding) Close() error { return x.from.Close() }
