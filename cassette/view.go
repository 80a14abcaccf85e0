package cassette

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/serge-net/serge-net/exchange"
)

// bodyNode shows b, the body of a message with fields, as a person would read
// it, such that readBody gives the same bytes back. Large and binary bodies are
// files already: see settle.
func bodyNode(b Body, fields []exchange.Field) (*node, error) {
	if b.Size == 0 {
		return null(), nil
	}
	if b.marked {
		return markedNode(b, fields)
	}
	c := coding(fields)
	if b.file != "" && (b.plain == nil || c == "") {
		return fileNode(&node{}, b), nil
	}
	wire := (&node{}).add("encoding", strNode(c))
	if b.file != "" {
		wire.add("of", strNode(hashOf(b.plain)))
		return viewNode(b.plain, fields).add("wire", fileNode(wire, b)), nil
	}
	data, ok, err := b.Whole()
	if err != nil || !ok {
		return nil, fmt.Errorf("body of %d bytes was not made a file: %w", b.Size, errors.Join(err))
	}
	plain, whole, ok := decodedPart(data, c, wholeMost)
	if !ok || c == "" || len(plain) == 0 {
		return viewNode(data, fields), nil
	}
	if !b.lean || !whole {
		wire.add("of", strNode(hashOf(plain))).add("base64", strNode(base64.StdEncoding.EncodeToString(data)))
	}
	return viewNode(plain, fields).add("wire", wire), nil
}

// hashOf is how a cassette names b by its hash.
func hashOf(b []byte) string { return "sha256:" + sumOf(b) }

// fileNode adds to n where b is.
func fileNode(n *node, b Body) *node {
	return n.add("file", strNode(b.file)).add("sha256", strNode(b.sum)).add("size", intNode(b.Size))
}

// mediaOf is the media type that fields name, and its boundary if it has one.
func mediaOf(fields []exchange.Field) (media, boundary string) {
	v, _ := exchange.Get(fields, "content-type")
	media, params, err := mime.ParseMediaType(v)
	if err != nil {
		return "", ""
	}
	return media, params["boundary"]
}

// viewNode shows b, the content of a message with fields: as parts if it is
// multipart, else as plainView does.
func viewNode(b []byte, fields []exchange.Field) *node {
	media, boundary := mediaOf(fields)
	if strings.HasPrefix(media, "multipart/") {
		if n := partsView(b, boundary); n != nil {
			return n
		}
	}
	return plainView(b, media)
}

// plainView shows b, which is of type media, as JSON, a form, events, JSON
// by lines, lines, text or base64: the first that gives b back.
func plainView(b []byte, media string) *node {
	n := &node{}
	if !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0 {
		return n.add("base64", strNode(base64.StdEncoding.EncodeToString(b)))
	}
	if v, st := jsonView(b); v != nil {
		return n.add("json", v).add("style", strNode(st))
	}
	var special *node
	switch media {
	case "application/x-www-form-urlencoded":
		special = formView(string(b))
	case "text/event-stream":
		special = eventsView(string(b))
	default:
		if isLines(media) {
			special = linesView(string(b))
		}
	}
	if special != nil {
		return special
	}
	text := escape(string(b))
	if strings.Contains(text, "\n") {
		return n.add("lines", stringList(strings.Split(text, "\n")))
	}
	return n.add("text", strNode(text))
}

// jsonDepth is how deep the JSON of a body may be nested to be shown as such:
// encoding/json reads 10,000, of which the cassette takes some.
const jsonDepth = 1000

// jsonView is b as a tree and the style that prints it back to b, or nil.
func jsonView(b []byte) (*node, string) {
	if len(b) == 0 || strings.IndexByte("{[", b[0]) < 0 {
		return nil, "" // a bare scalar reads better as text
	}
	n, err := parseTree(b)
	if err != nil || n.deeper(jsonDepth) {
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

// deeper says whether n is nested more than most deep.
func (n *node) deeper(most int) bool {
	if n.kind != 's' && most == 0 {
		return true
	}
	for _, m := range n.mem {
		if m.val.deeper(most - 1) {
			return true
		}
	}
	for _, k := range n.kids {
		if k.deeper(most - 1) {
			return true
		}
	}
	return false
}

// readView gives the bytes that a view shows. Its errors begin with where in n
// they are.
func readView(n *node) ([]byte, error) {
	for _, m := range n.members() {
		var b []byte
		var err error
		switch m.key {
		case "json":
			b, err = printView(m.val, n.text("style"))
		case "text":
			b = []byte(unescape(m.val.scalar()))
		case "lines":
			b = []byte(unescape(strings.Join(m.val.texts(), "\n")))
		case "form":
			b, err = printForm(m.val, n.text("style"))
		case "multipart":
			b, err = printParts(m.val, n.text("boundary"), n.text("style"))
		case "sse":
			b, err = printEvents(m.val, n.text("style"))
			b = append(b, unescape(n.text("rest"))...)
		case "ndjson":
			b, err = printLines(m.val, n.text("style"))
			b = append(b, unescape(n.text("rest"))...)
		case "base64":
			if b, err = base64.StdEncoding.DecodeString(m.val.scalar()); err != nil {
				err = fmt.Errorf("/base64: %w", err)
			}
		default:
			continue
		}
		return b, err
	}
	return nil, errors.New(": none of json, text, lines, ndjson, form, multipart, sse, base64, file is there")
}

// unknownStyle is the error for a style that a view does not have.
func unknownStyle(name string) error { return fmt.Errorf("/style: unknown style %q", name) }

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
	return nil, unknownStyle(name)
}

// readBody gives the body that n shows. files opens a name in the bodies folder.
// Its errors begin with where in n they are.
func readBody(n *node, files func(name string) (io.ReadCloser, error)) (Body, error) {
	switch {
	case n.isNull():
		return Body{}, nil
	case n.kind == 's': // as older programs write it
		return bodyOf([]byte(n.scalar())), nil
	case n.kind == '[':
		return bytesBody(n)
	case n.marked():
		return readMarked(n, files)
	case n.get("blob") != nil:
		return blobBody(n, files)
	case n.get("bytes") != nil && n.get("bytes").kind == kindBytes:
		b := bodyOf([]byte(n.get("bytes").tok))
		b.lean = n.text("lean") == "true"
		return b, nil
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
	b, err := wireBody(wire, plain, files)
	if err != nil {
		return Body{}, fmt.Errorf("/wire%w", err)
	}
	return b, nil
}

// wireBody is the body whose decoded form is plain and whose bytes wire has, if
// they are those of plain: else plain was edited, and is encoded.
func wireBody(wire *node, plain []byte, files func(string) (io.ReadCloser, error)) (Body, error) {
	same := wire.text("of") == hashOf(plain)
	switch {
	case same && wire.get("base64") != nil:
		data, err := base64.StdEncoding.DecodeString(wire.text("base64"))
		if err != nil {
			return Body{}, fmt.Errorf("/base64: %w", err)
		}
		return bodyOf(data), nil
	case same && wire.get("file") != nil:
		b, err := fileBody(wire, files)
		b.plain = plain
		return b, err
	}
	data, err := encoded(plain, wire.text("encoding"))
	if err != nil {
		return Body{}, fmt.Errorf("/encoding: body %w", err)
	}
	b := bodyOf(data)
	b.lean = true // these bytes never passed
	return b, nil
}

// bytesBody reads a body written as a list of numbers, as some older programs do.
func bytesBody(n *node) (Body, error) {
	b := make([]byte, 0, len(n.kids))
	for i, k := range n.kids {
		v, err := strconv.ParseUint(k.tok, 10, 8)
		if err != nil {
			return Body{}, fmt.Errorf("/%d: byte %s is not one of 0 to 255", i, k.compact())
		}
		b = append(b, byte(v))
	}
	return bodyOf(b), nil
}

// fileBody reads a reference to a file in the bodies folder.
func fileBody(n *node, files func(string) (io.ReadCloser, error)) (Body, error) {
	name := n.text("file")
	if name == "" || strings.ContainsAny(name, `/\:`) || strings.HasPrefix(name, ".") {
		return Body{}, fmt.Errorf("/file: %q is not a name in the cassette's bodies folder", name)
	}
	size := n.number("size")
	if size < 0 {
		return Body{}, fmt.Errorf("/size: %d is not the size of a file", size)
	}
	open := func() (io.ReadCloser, error) { return files(name) }
	return Body{Size: size, file: name, sum: n.text("sha256"), open: open}, nil
}
