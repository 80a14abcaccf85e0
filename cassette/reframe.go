package cassette

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
)

// A reframing is a marked body of messages, read with each of them mapped. What it
// maps keeps its form: the lengths are made to fit.
type reframing struct {
	from  io.Closer
	in    *bufio.Reader
	bare  bool // it is one message, with nothing before it
	each  func(frame) (frame, error)
	text  func([]byte) []byte // of what is no whole message
	ready []byte
	left  int64 // bytes of a message that is too large to be mapped
	err   error
}

// reframed maps each text in the marked body b by text; send has what was undone
// compressed again.
func (b Body) reframed(send bool, text func([]byte) []byte) (Body, error) {
	fr := *b.frames
	out, err := b.eachFrame(func(f frame) (frame, error) {
		if f.compressed() {
			return f, nil // nothing in it is marked
		}
		f = f.mapText(fr, text)
		if !send || f.flags&frameUndone == 0 {
			return f, nil
		}
		data, err := encoded(f.data, fr.coding)
		return frame{f.flags &^ frameUndone, data}, err
	}, text)
	out.marked = !send
	return out, err
}

// eachFrame is b with each message mapped by each, and what is no whole one by text.
func (b Body) eachFrame(each func(frame) (frame, error), text func([]byte) []byte) (Body, error) {
	open := func() (io.ReadCloser, error) {
		r, err := b.Open()
		if err != nil {
			return nil, err
		}
		return &reframing{from: r, in: bufio.NewReaderSize(r, pieceSize), bare: b.frames.bare, each: each, text: text}, nil
	}
	r, err := open()
	if err != nil {
		return b, err
	}
	defer r.Close()
	out := Body{frames: b.frames}
	if b.Size <= wholeMost {
		out.data, err = io.ReadAll(r)
		out.Size = int64(len(out.data))
		return out, err
	}
	out.Size, err = io.Copy(io.Discard, r)
	out.open = open
	return out, err
}

// Read reads mapped messages.
func (x *reframing) Read(b []byte) (int, error) {
	for len(x.ready) == 0 && x.left == 0 && x.err == nil {
		x.next()
	}
	if len(x.ready) > 0 {
		n := copy(b, x.ready)
		x.ready = x.ready[n:]
		return n, nil
	}
	if x.left > 0 {
		n, err := x.in.Read(b[:min(int64(len(b)), x.left)])
		x.left -= int64(n)
		if errors.Is(err, io.EOF) {
			x.left, x.err = 0, err
		}
		return n, err
	}
	return 0, x.err
}

// next reads a message.
func (x *reframing) next() {
	if x.bare {
		x.whole()
		return
	}
	prefix := make([]byte, framePrefix)
	n, err := io.ReadFull(x.in, prefix)
	if err != nil {
		if x.err = err; errors.Is(err, io.ErrUnexpectedEOF) {
			x.ready, x.err = x.text(prefix[:n]), io.EOF
		}
		return
	}
	size := int64(binary.BigEndian.Uint32(prefix[1:]))
	if size > documentMost {
		x.ready, x.left = prefix, size
		return
	}
	data := make([]byte, size)
	n, err = io.ReadFull(x.in, data)
	switch {
	case errors.Is(err, io.EOF) && size > 0, errors.Is(err, io.ErrUnexpectedEOF):
		x.ready, x.err = x.text(append(prefix, data[:n]...)), io.EOF
		return
	case err != nil && size > 0:
		x.err = err
		return
	}
	f, err := x.each(frame{prefix[0], data})
	if err != nil {
		x.err = err
		return
	}
	x.ready = f.append(nil)
}

// whole reads a body that is one message; of a larger one than is held its texts
// stay.
func (x *reframing) whole() {
	data, err := io.ReadAll(io.LimitReader(x.in, documentMost))
	if x.err = err; err != nil {
		return
	}
	if int64(len(data)) == documentMost {
		x.bare, x.ready, x.left = false, data, math.MaxInt64
		return
	}
	f, err := x.each(frame{0, data})
	if x.ready, x.err = f.data, err; err == nil {
		x.err = io.EOF
	}
}

// Close closes what is mapped.
func (x *reframing) Close() error { return x.from.Close() }

// eachFrameText is eachText of a body of messages.
func (b *Body) eachFrameText(f func(string) string) {
	changed := false
	out, err := b.reframed(false, func(text []byte) []byte {
		s := f(string(text))
		changed = changed || s != string(text)
		return []byte(s)
	})
	if err == nil && changed {
		*b = out
	}
}

// call is b, the messages of a call, without its secrets: b itself if there are none.
func (h *hider) call(b Body) (Body, error) {
	found := false
	text := func(data []byte) []byte {
		out := h.struck(data)
		found = found || !bytes.Equal(out, data)
		return out
	}
	out, err := b.eachFrame(func(f frame) (frame, error) {
		if b.marked && !f.compressed() {
			g := f.mapText(*b.frames, func(data []byte) []byte { return []byte(h.around(string(data))) })
			found = found || !bytes.Equal(g.data, f.data)
			return g, nil
		}
		g, some := h.frame(f, *b.frames)
		found = found || some
		return g, nil
	}, text)
	if err != nil || !found {
		return b, err
	}
	out.marked = true
	return out, nil
}
