package cassette

import (
	"slices"

	"github.com/serge-net/serge-net/cassette/secret"
	"github.com/serge-net/serge-net/ws"
)

// unmaskMost is how long a WebSocket frame may be, in bytes, to be looked into
// behind its mask. A longer one passes as it is.
const unmaskMost = 1 << 20

// An unmasking lets a WebSocket client's bytes through. A frame with a secret in
// it gets a masking key of zeros, under which the payload is what it says
// (RFC 6455, section 5.3): the same frame, as long, in which the secret is found.
type unmasking struct {
	set  *secret.Set
	held []byte // of a frame that has not all come
	skip uint64 // bytes of a frame that is too long
	lost bool   // it is no WebSocket
}

// next takes bytes in, and returns those that are through, valid until the next
// call. With final nothing is held back.
func (u *unmasking) next(b []byte, final bool) []byte {
	u.held = append(u.held, b...)
	at := 0
	for !u.lost && at < len(u.held) {
		if u.skip > 0 {
			n := min(u.skip, uint64(len(u.held)-at))
			at, u.skip = at+int(n), u.skip-n
			continue
		}
		h, n, err := ws.ParseHeader(u.held[at:])
		switch {
		case err != nil:
			u.lost = true
			continue
		case n > 0 && h.Length > unmaskMost:
			u.skip = uint64(n) + h.Length
			continue
		case n == 0 || uint64(len(u.held)-at-n) < h.Length:
			return u.through(at, final)
		}
		if h.Masked {
			u.frame(u.held[at:at+n+int(h.Length)], n, h.Key)
		}
		at += n + int(h.Length)
	}
	return u.through(len(u.held), final)
}

// frame looks into one, whose header is n bytes with the key at its end.
func (u *unmasking) frame(b []byte, n int, key [4]byte) {
	plain := slices.Clone(b[n:])
	ws.Mask(plain, plain, key, 0)
	if slices.ContainsFunc(u.set.Find(plain), real) {
		clear(b[n-len(key) : n])
		copy(b[n:], plain)
	}
}

// through lets the first n bytes pass.
func (u *unmasking) through(n int, final bool) []byte {
	if final {
		n = len(u.held)
	}
	out := slices.Clone(u.held[:n])
	u.held = append(u.held[:0], u.held[n:]...)
	return out
}
