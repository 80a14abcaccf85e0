package cassette

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

const (
	// wholeMost is how large a body may be, in bytes, to be held in memory,
	// shown in the cassette and compared by meaning. A larger one is a file,
	// and compared by its bytes.
	wholeMost = 1 << 20
	// base64Most is how large a binary body may be, in bytes, to stand in the cassette.
	base64Most = 8 << 10
)

// A Body is the bytes of one message as they passed, transfer coding removed.
// The zero value is none.
type Body struct {
	Size int64
	data []byte
	file string // its name in the bodies folder, if it is there
	sum  string // sha256 in hex, if it is known
	open func() (io.ReadCloser, error)

	marked bool   // there are secrets in it: see marked.go
	coding string // of a marked one: the content coding that is undone
	stale  string // the file that it was in before its placeholders were renamed
}

// bodyOf is the Body of b.
func bodyOf(b []byte) Body { return Body{Size: int64(len(b)), data: b} }

// Open returns the bytes as a stream. The caller closes it.
func (b Body) Open() (io.ReadCloser, error) {
	if b.open != nil {
		return b.open()
	}
	return io.NopCloser(bytes.NewReader(b.data)), nil
}

// Whole returns the bytes of a body of up to 1 MiB, and false for a larger one.
func (b Body) Whole() ([]byte, bool, error) {
	switch {
	case b.Size > wholeMost:
		return nil, false, nil
	case b.open == nil:
		return b.data, true, nil
	}
	r, err := b.open()
	if err != nil {
		return nil, false, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, b.Size+1))
	if err == nil && int64(len(data)) != b.Size {
		err = fmt.Errorf("body is %d bytes long, want %d", len(data), b.Size)
	}
	return data, err == nil, err
}

// Sum is the sha256 of the bytes, in hex.
func (b Body) Sum() (string, error) {
	if b.sum != "" {
		return b.sum, nil
	}
	r, err := b.Open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// sumOf is the sha256 of b, in hex.
func sumOf(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// bodyNode shows b, which has content coding, as a person would read it, such
// that readBody gives the same bytes back. Large and binary bodies are files
// already: see settle.
func bodyNode(b Body, coding string) (*node, error) {
	if b.Size == 0 {
		return null(), nil
	}
	if b.marked {
		return markedNode(b, viewNode)
	}
	if b.file != "" && b.data == nil {
		return fileNode(&node{}, b), nil
	}
	data, ok, err := b.Whole()
	if err != nil || !ok {
		return nil, fmt.Errorf("body of %d bytes was not made a file: %w", b.Size, errors.Join(err))
	}
	plain, ok := Decoded(data, coding, wholeMost)
	if !ok || coding == "" || len(plain) == 0 {
		return viewNode(data), nil
	}
	n := viewNode(plain)
	wire := (&node{}).add("encoding", strNode(coding)).add("of", strNode("sha256:"+sumOf(plain)))
	if b.file != "" {
		return n.add("wire", fileNode(wire, b)), nil
	}
	return n.add("wire", wire.add("base64", strNode(base64.StdEncoding.EncodeToString(data)))), nil
}

// fileNode adds to n where b is.
func fileNode(n *node, b Body) *node {
	return n.add("file", strNode(b.file)).add("sha256", strNode(b.sum)).add("size", intNode(b.Size))
}

// viewNode shows b as JSON, text, lines or base64, the first that gives b back.
func viewNode(b []byte) *node {
	n := &node{}
	if !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0 {
		return n.add("base64", strNode(base64.StdEncoding.EncodeToString(b)))
	}
	if v, st := jsonView(b); v != nil {
		return n.add("json", v).add("style", strNode(st))
	}
	text := escape(string(b))
	if strings.Contains(text, "\n") {
		return n.add("lines", stringList(strings.Split(text, "\n")))
	}
	return n.add("text", strNode(text))
}

// jsonView is b as a tree and the style that prints it back to b, or nil.
func jsonView(b []byte) (*node, string) {
	if len(b) == 0 || strings.IndexByte("{[", b[0]) < 0 {
		return nil, "" // a bare scalar reads better as text
	}
	n, err := parseTree(b)
	if err != nil {
		return nil, ""
	}
	text, end := bytes.CutSuffix(b, []byte("\n"))
	var out bytes.Buffer
	for _, s := range styles() {
		out.Reset()
		s.print(&out, n, 0)
		if !bytes.Equal(out.Bytes(), text) {
			continue
		}
		if end {
			s.name += "+newline"
		}
		if hasMarks(b) {
			n = n.mapStrings(escape)
		}
		return n, s.name
	}
	return nil, ""
}

// readView gives the bytes that a view shows.
func readView(n *node) ([]byte, error) {
	switch {
	case n.get("json") != nil:
		return printView(n.get("json"), n.text("style"))
	case n.get("text") != nil:
		return []byte(unescape(n.text("text"))), nil
	case n.get("lines") != nil:
		var ls []string
		for _, k := range n.get("lines").kids {
			ls = append(ls, unquote(k.tok))
		}
		return []byte(unescape(strings.Join(ls, "\n"))), nil
	case n.get("base64") != nil:
		return base64.StdEncoding.DecodeString(n.text("base64"))
	}
	return nil, errors.New("none of json, text, lines, base64, file is there")
}

// printView prints a JSON view in the style called name.
func printView(n *node, name string) ([]byte, error) {
	name, end := strings.CutSuffix(name, "+newline")
	if name == "" {
		name = "compact"
	}
	for _, s := range styles() {
		if s.name != name {
			continue
		}
		var out bytes.Buffer
		s.print(&out, n.mapStrings(unescape), 0)
		if end {
			out.WriteByte('\n')
		}
		return out.Bytes(), nil
	}
	return nil, fmt.Errorf("unknown style %q", name)
}

// readBody gives the body that n shows. files opens a name in the bodies folder.
func readBody(n *node, files func(name string) (io.ReadCloser, error)) (Body, error) {
	switch {
	case n.isNull():
		return Body{}, nil
	case n.isString(): // as older programs write it
		return bodyOf([]byte(unquote(n.tok))), nil
	case n.kind == '[':
		return bytesBody(n)
	case n.isMarked():
		return readMarked(n, func(n *node) (Body, error) { return readBody(n, files) })
	case n.get("file") != nil:
		return fileBody(n, files)
	}
	plain, err := readView(n)
	if err != nil {
		return Body{}, err
	}
	wire := n.get("wire")
	if wire == nil {
		return bodyOf(plain), nil
	}
	same := wire.text("of") == "sha256:"+sumOf(plain)
	switch {
	case same && wire.get("base64") != nil:
		data, err := base64.StdEncoding.DecodeString(wire.text("base64"))
		return bodyOf(data), err
	case same && wire.get("file") != nil:
		return fileBody(wire, files)
	}
	data, err := encoded(plain, wire.text("encoding"))
	return bodyOf(data), err
}

// bytesBody reads a body written as a list of numbers, as some older programs do.
func bytesBody(n *node) (Body, error) {
	b := make([]byte, 0, len(n.kids))
	for _, k := range n.kids {
		var v uint8
		if _, err := fmt.Sscan(k.tok, &v); err != nil {
			return Body{}, fmt.Errorf("byte %s: %w", k.tok, err)
		}
		b = append(b, v)
	}
	return bodyOf(b), nil
}

// fileBody reads a reference to a file in the bodies folder.
func fileBody(n *node, files func(string) (io.ReadCloser, error)) (Body, error) {
	name := n.text("file")
	if name == "" || strings.ContainsAny(name, `/\:`) || strings.HasPrefix(name, ".") {
		return Body{}, fmt.Errorf("file %q is not a name in the cassette's bodies folder", name)
	}
	size := n.number("size")
	if size < 0 {
		return Body{}, fmt.Errorf("file %q has size %d", name, size)
	}
	open := func() (io.ReadCloser, error) { return files(name) }
	return Body{Size: size, file: name, sum: n.text("sha256"), open: open}, nil
}
