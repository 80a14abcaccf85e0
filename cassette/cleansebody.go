package cassette

import (
	"bytes"
	"errors"
	"io"
	"slices"

	"github.com/serge-net/serge-net/cassette/secret"
)

// body is b without its secrets: b itself if there are none.
func (h *hider) body(b Body, coding string) (Body, error) {
	switch {
	case b.Size == 0:
		return b, nil
	case b.frames != nil:
		return h.call(b)
	}
	if b.marked {
		data, ok, err := b.Whole()
		if err != nil || !ok {
			return b, err // it was looked at when it was recorded
		}
		if text := h.around(string(data)); text != string(data) {
			b.data, b.Size, b.open, b.file, b.sum = []byte(text), int64(len(text)), nil, "", ""
		}
		return b, nil
	}
	out, err := h.hidden(b, coding)
	if err != nil { // it cannot be decoded: its bytes are all there is
		return h.hidden(b, "")
	}
	return out, nil
}

// hidden is body of b, which came with a content coding.
func (h *hider) hidden(b Body, coding string) (Body, error) {
	r, err := b.Open()
	if err != nil {
		return b, err
	}
	defer r.Close()
	if head := make([]byte, 4); coding == "" && b.Size >= 4 {
		if _, err := io.ReadFull(r, head); err != nil {
			return b, err
		}
		coding = codingOf(nil, head)
		r = io.NopCloser(io.MultiReader(bytes.NewReader(head), r))
	}
	plain, err := partDecoder(r, coding)
	if err != nil {
		return b, err
	}
	defer plain.Close()
	if b.Size <= wholeMost {
		data, err := io.ReadAll(io.LimitReader(plain, lookMost))
		if err != nil {
			return b, err
		}
		found := h.set.FindJSON(data)
		if !slices.ContainsFunc(found, real) {
			return b, nil
		}
		var text bytes.Buffer
		at := 0
		for _, f := range found {
			text.Write(data[at:f.From])
			text.WriteString(h.mark(f))
			at = f.To
		}
		text.Write(data[at:])
		return Body{Size: int64(text.Len()), data: text.Bytes(), marked: true, coding: coding}, nil
	}
	x := &sifting{from: plain, stream: h.set.Stream(), hide: h}
	size, err := io.Copy(io.Discard, x)
	if err != nil || !x.found {
		return b, err
	}
	open := func() (io.ReadCloser, error) {
		r, err := b.Open()
		if err != nil {
			return nil, err
		}
		plain, err := partDecoder(r, coding)
		return &sifting{from: plain, stream: h.set.Stream(), hide: h, closes: r}, err
	}
	return Body{Size: size, open: open, marked: true, coding: coding}, nil
}

// real says whether f is a secret.
func real(f secret.Finding) bool { return f.Class != secret.Literal }

// sifting is a text as it came, read in the cassette's form.
type sifting struct {
	from   io.ReadCloser
	closes io.Closer
	stream *secret.Stream
	hide   *hider
	ready  bytes.Buffer
	found  bool
	ended  bool
}

// Read reads text in the cassette's form.
func (x *sifting) Read(b []byte) (int, error) {
	buf := make([]byte, pieceSize)
	for x.ready.Len() == 0 && !x.ended {
		n, err := x.from.Read(buf)
		x.ended = errors.Is(err, io.EOF)
		x.stream.Next(buf[:n], x.ended, func(text []byte, f *secret.Finding) {
			if f != nil {
				x.found = x.found || real(*f)
				text = []byte(x.hide.mark(*f))
			}
			x.ready.Write(text)
		})
		if err != nil && !x.ended {
			return 0, err
		}
	}
	return x.ready.Read(b)
}

// Close closes what is read.
func (x *sifting) Close() error {
	err := x.from.Close()
	if x.closes != nil {
		err = errors.Join(err, x.closes.Close())
	}
	return err
}
