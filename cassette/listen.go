package cassette

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/serge-net/serge-net/cassette/secret"
	"github.com/serge-net/serge-net/exchange"
)

// A listening is one side's messages of a call while they are recorded. Each is
// looked at for secrets when it is whole, and recorded then: so the journal has
// them in the order in which they passed, and their lengths fit.
type listening struct {
	framing
	held []byte         // of a message that is not whole, with what stands before it
	left int64          // bytes to come of one that is too large to be held,
	big  *secret.Stream // which it passes as
	last exchange.Event // what the rest is recorded as, without its data
}

// listen records e's data, of a call.
func (w *watch) listen(k *listening, e exchange.Event) {
	if e.Chunk != 0 { // how it was chunked is told now
		how := e
		how.Data, how.Raw = nil, w.r.hide.raw(e.Raw)
		w.piece(how, false, "")
	}
	b := e.Data
	e.Chunk, e.Raw, e.Data = 0, nil, nil
	k.last = e
	if len(k.held) > 0 {
		b = append(k.held, b...)
		k.held = nil
	}
	for len(b) > 0 {
		if k.left > 0 {
			n := min(k.left, int64(len(b)))
			k.left -= n
			w.passed(e, w.overwritten(k.big, b[:n], k.left == 0), false)
			b = b[n:]
			continue
		}
		if k.bare && len(b) > documentMost {
			k.left, k.big = math.MaxInt64, w.r.hide.set.Stream()
			continue
		}
		n := 0
		if !k.bare {
			n = wholeFrames(b)
		}
		if n == 0 {
			if !k.bare && len(b) >= framePrefix && frameSize(b) > documentMost {
				k.left, k.big = frameSize(b), w.r.hide.set.Stream()
				w.passed(e, b[:framePrefix], false)
				b = b[framePrefix:]
				continue
			}
			k.held = bytes.Clone(b)
			return
		}
		w.hideFrames(k, e, b[:n])
		b = b[n:]
	}
}

// passed records b as e's data.
func (w *watch) passed(e exchange.Event, b []byte, marked bool) {
	e.Data = b
	w.piece(e, marked, "")
}

// frameSize is the size of the message that b begins with.
func frameSize(b []byte) int64 { return int64(binary.BigEndian.Uint32(b[1:])) }

// wholeFrames is how many bytes of b are whole messages.
func wholeFrames(b []byte) int {
	n := 0
	for len(b)-n >= framePrefix {
		size := frameSize(b[n:])
		if int64(len(b)-n-framePrefix) < size {
			break
		}
		n += framePrefix + int(size)
	}
	return n
}

// hideFrames records b, whole messages, those without a secret as they came.
func (w *watch) hideFrames(k *listening, e exchange.Event, b []byte) {
	clean := 0 // bytes of b in front of which nothing was found, and which are not recorded
	for at := 0; at < len(b); {
		size := framePrefix + int(frameSize(b[at:]))
		f := frame{b[at], b[at+framePrefix : at+size]}
		if hidden, found := w.r.hide.frame(f, k.framing); found {
			if at > clean {
				w.passed(e, b[clean:at], false)
			}
			w.passed(e, hidden.append(nil), true)
			clean = at + size
		}
		at += size
	}
	if clean < len(b) {
		w.passed(e, b[clean:], false)
	}
}

// cut records what is held of k's, whose side has ended: a message that is the body,
// or what came of one that never was whole, in which a secret is overwritten.
func (w *watch) cut(k sieveKey) {
	c := w.calls[k]
	delete(w.calls, k)
	switch {
	case c == nil:
	case c.bare && c.big == nil && len(c.held) > 0:
		f, found := w.r.hide.frame(frame{0, c.held}, c.framing)
		w.passed(c.last, f.data, found)
	case c.bare && c.big != nil:
		w.passed(c.last, w.overwritten(c.big, nil, true), false)
	case len(c.held) > 0:
		w.passed(c.last, w.overwritten(w.r.hide.set.Stream(), c.held, true), false)
	}
}

// overwritten is data with each secret in it, and what was held back of it, made
// unreadable: as long as it was, so that lengths fit. What may begin a secret is
// held back, unless it is final.
func (w *watch) overwritten(s *secret.Stream, data []byte, final bool) []byte {
	var out []byte
	s.Next(data, final, func(text []byte, f *secret.Finding) {
		if f != nil && real(*f) {
			text = bytes.Repeat([]byte("x"), len(text))
		}
		out = append(out, text...)
	})
	return out
}

// frame is f without its secrets, in the cassette's form, and whether there are
// any. Where no placeholder can stand, because a secret is not within one text, it
// is overwritten.
func (h *hider) frame(f frame, fr framing) (frame, bool) {
	plain, ok := f.plain(fr.coding)
	found := h.set.Find(plain)
	if fr.json && h.set.HasPaths() {
		found = h.set.FindJSON(plain)
	}
	if len(found) == 0 {
		return f, false
	}
	if f.compressed() {
		if !ok {
			return frame{f.flags, h.struck(plain)}, true
		}
		f.flags |= frameUndone
	}
	f.data = plain
	f = f.mapText(fr, func(b []byte) []byte {
		if fr.json && h.set.HasPaths() {
			return h.marked(b, h.set.FindJSON(b))
		}
		return h.marked(b, h.set.Find(b))
	})
	f.data = h.struck(f.data)
	return f, true
}

// marked is b with placeholders where found says.
func (h *hider) marked(b []byte, found []secret.Finding) []byte {
	if len(found) == 0 {
		return b
	}
	var out []byte
	at := 0
	for _, f := range found {
		out = append(append(out, b[at:f.From]...), h.mark(f)...)
		at = f.To
	}
	return append(out, b[at:]...)
}

// struck is b with the secrets that are in it, between its placeholders, overwritten.
func (h *hider) struck(b []byte) []byte {
	texts, marks := cutMarks(string(b))
	var out []byte
	for i, text := range texts {
		at := 0
		for _, f := range h.set.Find([]byte(text)) {
			if real(f) {
				out = append(append(out, text[at:f.From]...), bytes.Repeat([]byte("x"), f.To-f.From)...)
				at = f.To
			}
		}
		out = append(out, text[at:]...)
		if i < len(marks) {
			out = append(out, marks[i]...)
		}
	}
	return out
}
