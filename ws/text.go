package ws

import "unicode/utf8"

// text checks UTF-8 that comes in pieces. The zero value is at the beginning.
type text struct {
	open [utf8.UTFMax]byte // a rune whose other bytes are to come
	n    int
}

// add reports whether all that was added may begin a text: false as soon as
// there is a byte with which none goes on.
func (t *text) add(b []byte) bool {
	for t.n > 0 && len(b) > 0 {
		t.open[t.n] = b[0]
		t.n++
		b = b[1:]
		if utf8.FullRune(t.open[:t.n]) {
			if r, size := utf8.DecodeRune(t.open[:t.n]); r == utf8.RuneError && size == 1 {
				return false
			}
			t.n = 0
		}
	}
	// A rune that may be cut begins in the last three bytes. FullRune is true of
	// those that nothing can complete, too: Valid finds them.
	for i := len(b) - 1; i >= 0 && i >= len(b)-3; i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				t.n = copy(t.open[:], b[i:])
				b = b[:i]
			}
			break
		}
	}
	return utf8.Valid(b)
}

// complete reports whether no rune is cut, and begins anew.
func (t *text) complete() bool {
	ok := t.n == 0
	t.n = 0
	return ok
}
