package ws

import (
	"crypto/rand"
	"fmt"
)

// Encoder prints the frames of one direction. Its exported fields are set
// before the first frame. It is not safe for use by several goroutines at once.
//
// It prints what it is told in the order it is told, and refuses what would
// not be WebSocket. Whether a text is UTF-8 is left to the caller: a recorded
// one is.
type Encoder struct {
	// Masked says whose frames these are: a client masks all of them.
	Masked bool
	// Key makes the masking key of each frame. Nil means that crypto/rand does,
	// as RFC 6455, section 5.3, asks of clients of what is not known to them.
	Key func() [4]byte
	// Deflate is what was negotiated for this direction, nil if nothing was.
	Deflate *Deflater

	open       bool // a message is
	compressed bool // and it is compressed
	packed     []byte
}

// maxPacked is the most bytes that are kept to compress the next message into.
const maxPacked = 64 << 10

// Append appends a frame with payload, the whole message or a fragment of one:
// fin says whether it is the last. op is Text or Binary, and the same for all
// fragments of the message. If compress is set for the first, and if Deflate
// is set, the message is compressed, and each fragment is so that it can be
// inflated by itself: a receiver has all of payload before the next one.
func (e *Encoder) Append(dst []byte, op Opcode, compress, fin bool, payload []byte) ([]byte, error) {
	if op != Text && op != Binary {
		return dst, fmt.Errorf("%v frame: not one of a message", op)
	}
	h := Header{Fin: fin, Opcode: op}
	if e.open {
		h.Opcode = Continuation
	} else if e.compressed = compress && e.Deflate != nil; e.compressed {
		h.RSV = RSV1
	}
	e.open = !fin
	if !e.compressed {
		return e.frame(dst, h, payload), nil
	}
	e.packed = e.Deflate.Append(e.packed[:0], payload, fin)
	dst = e.frame(dst, h, e.packed)
	if cap(e.packed) > maxPacked {
		e.packed = nil
	}
	return dst, nil
}

// Message appends a message in frames. fragments has their sizes, counted before
// they are compressed; what they leave of payload is in one more. With none the
// message is one frame.
func (e *Encoder) Message(dst []byte, op Opcode, compress bool, fragments []int, payload []byte) ([]byte, error) {
	if e.open {
		return dst, fmt.Errorf("%v message within another", op)
	}
	left := len(payload)
	for _, n := range fragments {
		if n < 0 || n > left {
			return dst, fmt.Errorf("fragment of %d bytes where %d of the message are left", n, left)
		}
		left -= n
	}
	var err error
	for i, n := range fragments {
		fin := left == 0 && i == len(fragments)-1
		if dst, err = e.Append(dst, op, compress, fin, payload[:n]); err != nil || fin {
			return dst, err
		}
		payload = payload[n:]
	}
	return e.Append(dst, op, compress, true, payload)
}

// Control appends a control frame. Its payload is at most 125 bytes; that of a
// close frame is made by AppendClose.
func (e *Encoder) Control(dst []byte, op Opcode, payload []byte) ([]byte, error) {
	switch {
	case !op.Control() || op > Pong:
		return dst, fmt.Errorf("%v frame: not a control frame", op)
	case len(payload) > maxControl:
		return dst, fmt.Errorf("%v frame of %d bytes: %d are allowed", op, len(payload), maxControl)
	case op == Close:
		if _, _, err := ParseClose(payload); err != nil {
			return dst, err
		}
	}
	return e.frame(dst, Header{Fin: true, Opcode: op}, payload), nil
}

// frame appends a frame, masked if e's are.
func (e *Encoder) frame(dst []byte, h Header, payload []byte) []byte {
	if h.Masked = e.Masked; h.Masked {
		h.Key = e.key()
	}
	return AppendFrame(dst, h, payload)
}

func (e *Encoder) key() (k [4]byte) {
	if e.Key != nil {
		return e.Key()
	}
	_, _ = rand.Read(k[:]) // never fails, Go 1.24
	return k
}
