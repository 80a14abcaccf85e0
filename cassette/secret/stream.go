package secret

// behind is how many bytes that were passed on a Stream keeps to know what is
// before the next: as much as opens and beside look at.
const behind = 256

// A Stream finds the secrets of a text that comes in pieces. It is used by one
// goroutine at a time.
type Stream struct {
	set  *Set
	buf  []byte // from what was passed on last to what came last
	done int    // how much of buf was passed on
}

// Stream returns a Stream at its start.
func (s *Set) Stream() *Stream { return &Stream{set: s} }

// Next takes the next bytes and passes on, in order, all that is decided: text
// as it came, and secrets. What out is given is valid during the call. With
// final nothing is held back.
func (t *Stream) Next(b []byte, final bool, out func(text []byte, f *Finding)) {
	fast := len(t.buf) == t.done && len(t.buf) == 0
	if fast {
		t.buf = b // nothing is held: look at b where it is
	} else {
		t.buf = append(t.buf, b...)
	}
	found, decided := t.set.scan(t.buf, t.done, final)
	at := t.done
	for i := range found {
		f := &found[i]
		if f.From > at {
			out(t.buf[at:f.From], nil)
		}
		out(t.buf[f.From:f.To], f)
		at = f.To
	}
	if decided > at {
		out(t.buf[at:decided], nil)
		at = decided
	}
	keep := max(0, at-behind)
	rest := t.buf[keep:]
	if fast {
		t.buf = append([]byte(nil), rest...)
	} else {
		t.buf = t.buf[:copy(t.buf, rest)]
	}
	t.done = at - keep
}

// Held is how many bytes are held back.
func (t *Stream) Held() int { return len(t.buf) - t.done }
