package foreign

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// streamFrom is from what size on, in bytes, a file is read piece by piece where
// its format allows it. Smaller ones are parsed whole, which tells errors better.
const streamFrom = 8 << 20

// A piece is an element of a file's list of exchanges, and where it stands.
type piece struct {
	v        *value
	at, size int64
}

// A stream reads a file piece by piece. It holds one piece at a time.
type stream struct {
	format string
	under  string                                // where pieces stand, as notes say it
	parse  func(b []byte, p int) (*value, error) // what begins at line or byte p
	each   func(d *draft, v *value) error
	rest   *value // what stands around the pieces, when all are read; nil for none
	// next is the next piece, or io.EOF behind the last.
	next func() (piece, error)
}

// streamOf is f as a stream, nil if it is in no format that can be one.
func streamOf(f io.Reader) (*stream, error) {
	b := bufio.NewReaderSize(f, 1<<16)
	head, err := b.Peek(512)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if _, _, ok := length(head); ok {
		return flowStream(b), nil
	}
	if len(head) > 0 && head[0] == '{' {
		return harStream(b)
	}
	return nil, nil
}

// flowStream reads mitmproxy's flows, which follow one another.
func flowStream(b *bufio.Reader) *stream {
	s := &stream{format: "mitmproxy", under: "[]", each: (*draft).mitmproxyFlow}
	s.parse = func(b []byte, p int) (*value, error) {
		v, _, err := tnetstring(b, p, 0)
		return v, err
	}
	var at int64
	s.next = func() (piece, error) {
		head, err := b.Peek(16)
		if len(head) == 0 {
			return piece{}, err
		}
		n, rest, ok := length(head)
		if !ok || int64(n) > most {
			return piece{}, fmt.Errorf("byte %d: not a tnetstring of up to %d MiB: %q", at, most>>20, head[:min(len(head), 12)])
		}
		size := int64(len(head)-len(rest)) + int64(n) + 1
		buf := new(bytes.Buffer)
		if _, err := io.CopyN(buf, b, size); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return piece{}, fmt.Errorf("byte %d: a length of %d, but less is left: %w", at, n, err)
		}
		p := piece{at: at, size: size}
		p.v, err = s.parse(buf.Bytes(), int(at))
		at += size
		return p, err
	}
	return s
}

// A lineCounter counts the lines of what is read through it.
type lineCounter struct {
	r    io.Reader
	read int64
	ends []int64 // offsets of line ends that lineAt has not passed
	line int
}

func (c *lineCounter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	for i, x := range b[:n] {
		if x == '\n' {
			c.ends = append(c.ends, c.read+int64(i))
		}
	}
	c.read += int64(n)
	return n, err
}

// lineAt is the line of offset, which never goes back.
func (c *lineCounter) lineAt(offset int64) int {
	n := 0
	for n < len(c.ends) && c.ends[n] < offset {
		n++
	}
	c.ends = append(c.ends[:0], c.ends[n:]...)
	c.line += n
	return c.line
}

// harStream reads a HAR whose entries come behind its creator. It is nil if f is
// no such.
func harStream(f io.Reader) (*stream, error) {
	c := &lineCounter{r: f, line: 1}
	dec := json.NewDecoder(c)
	log := &value{kind: '{', unit: "line", pos: 1}
	for _, want := range []json.Token{json.Delim('{'), "log", json.Delim('{')} {
		if t, err := dec.Token(); err != nil || t != want {
			return nil, nil
		}
	}
	if entries, err := logMembers(dec, c, log); err != nil || !entries {
		return nil, nil
	}
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return nil, nil
	}
	polly := isPolly(log)
	s := &stream{format: "har", under: "log.entries[]", parse: parseJSONAt}
	s.rest = &value{kind: '{', unit: "line", pos: 1, keys: []string{"log"}, kids: []*value{log}}
	s.each = func(d *draft, v *value) error { return harEntry{d, v, polly}.read() }
	s.next = func() (piece, error) {
		if !dec.More() {
			return piece{}, afterEntries(dec, c, log)
		}
		v, size, err := jsonPiece(dec, c)
		if err != nil {
			return piece{}, err
		}
		return piece{v, dec.InputOffset() - size, size}, nil
	}
	return s, nil
}

// logMembers reads members of a HAR's log up to its entries, or its end: then it
// is false.
func logMembers(dec *json.Decoder, c *lineCounter, log *value) (bool, error) {
	for {
		t, err := dec.Token()
		key, ok := t.(string)
		if err != nil || !ok || key == "entries" {
			return key == "entries", err
		}
		v, _, err := jsonPiece(dec, c)
		if err != nil {
			return false, err
		}
		log.keys, log.kids = append(log.keys, key), append(log.kids, v)
	}
}

// afterEntries reads what stands behind the entries of a HAR. It is io.EOF if
// that is a HAR's end.
func afterEntries(dec *json.Decoder, c *lineCounter, log *value) error {
	_, err := dec.Token() // the list's end
	more := false
	if err == nil {
		more, err = logMembers(dec, c, log)
	}
	if err == nil {
		_, err = dec.Token() // the file's value's end
	}
	switch {
	case more:
		return fmt.Errorf("line %d: a second list of entries", c.lineAt(dec.InputOffset()))
	case errors.Is(err, io.EOF):
		return fmt.Errorf("line %d: %w", c.lineAt(c.read), io.ErrUnexpectedEOF)
	case err != nil:
		return fmt.Errorf("line %d: %w", c.lineAt(dec.InputOffset()), err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("line %d: something follows the JSON value", c.lineAt(dec.InputOffset()))
	}
	return io.EOF
}

// jsonPiece is the next value of dec, and its size in bytes.
func jsonPiece(dec *json.Decoder, c *lineCounter) (*value, int64, error) {
	var raw json.RawMessage
	if err := dec.Decode(&raw); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, 0, fmt.Errorf("line %d: %w", c.lineAt(dec.InputOffset()), err)
	}
	if len(raw) > most {
		return nil, 0, fmt.Errorf("line %d: an entry is larger than %d MiB", c.lineAt(dec.InputOffset()), most>>20)
	}
	size := int64(len(raw))
	v, err := parseJSONAt(raw, c.lineAt(dec.InputOffset()-size))
	return v, size, err
}

// readStream takes in a stream. Bodies are read again when they are told.
func (d *draft) readStream(s *stream) error {
	for {
		p, err := s.next()
		if errors.Is(err, io.EOF) {
			if s.rest != nil {
				skipLog(s.rest.get("log"))
				d.leftovers(s.rest, "")
			}
			return nil
		}
		if err != nil {
			return err
		}
		before := len(d.rec.Exchanges)
		at, size, pos := p.at, p.size, p.v.pos // not p: its tree would stay
		if err := s.each(d, p.v); err != nil {
			return err
		}
		d.leftovers(p.v, s.under)
		for n := before; n < len(d.rec.Exchanges); n++ {
			e := &d.rec.Exchanges[n]
			e.RequestBody, e.ResponseBody = nil, nil
			e.again = func() (*Exchange, error) { return d.reread(s, at, size, pos) }
		}
	}
}

// reread is the exchange of a piece once more, which is size bytes from at.
func (d *draft) reread(s *stream, at, size int64, pos int) (*Exchange, error) {
	f, err := d.files.Open(d.name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, ok := f.(io.ReaderAt)
	if !ok {
		return nil, &fs.PathError{Op: "read", Path: d.name, Err: errors.ErrUnsupported}
	}
	b := make([]byte, size)
	if _, err := r.ReadAt(b, at); err != nil {
		return nil, err
	}
	v, err := s.parse(b, pos)
	if err != nil {
		return nil, err
	}
	once := &draft{files: d.files, name: d.name, rec: &Recording{Format: s.format}}
	if err := s.each(once, v); err != nil {
		return nil, err
	}
	if len(once.rec.Exchanges) != 1 {
		return nil, fmt.Errorf("%s: has changed since it was read", d.name)
	}
	return &once.rec.Exchanges[0], nil
}
