package ws

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzFrame holds that a header is read with the same result however it is
// cut, and that what was read is printed as it was.
func FuzzFrame(f *testing.F) {
	f.Add([]byte{0x81, 0x05}, []byte("Hello"))
	f.Add([]byte{0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}, []byte{})
	f.Add([]byte{0x82, 0x7E, 0x01, 0x00}, []byte("x"))
	f.Add([]byte{0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0}, []byte("x"))
	f.Add([]byte{0x82, 0x7F, 0x80, 0, 0, 0, 0, 1, 0, 0}, []byte{})
	f.Fuzz(func(t *testing.T, b, payload []byte) {
		h, n, err := ParseHeader(b)
		for i := range b {
			_, m, early := ParseHeader(b[:i])
			if early != nil && err == nil || m != 0 && m != n {
				t.Fatalf("ParseHeader(%x) = %d, %v; of all %x %d, %v", b[:i], m, early, b, n, err)
			}
		}
		if err != nil || n == 0 {
			return
		}
		if got := AppendHeader(nil, h); !bytes.Equal(got, b[:n]) {
			t.Fatalf("AppendHeader(%+v) = %x; it was parsed from %x", h, got, b[:n])
		}
		if h.Opcode.Control() {
			return
		}
		frame := AppendFrame(nil, h, payload)
		h, n, err = ParseHeader(frame)
		if err != nil || h.Length != uint64(len(payload)) {
			t.Fatalf("ParseHeader(%x) = %+v, %v", frame, h, err)
		}
		Mask(frame[n:], frame[n:], h.Key, 0)
		if !bytes.Equal(frame[n:], payload) {
			t.Fatalf("payload %x, want %x", frame[n:], payload)
		}
	})
}

// FuzzMessage holds that a Reader's events and Rest give back every byte, and
// that they do not depend on how the bytes came.
func FuzzMessage(f *testing.F) {
	var e Encoder
	plain, _ := e.Message(nil, Text, false, []int{1, 2, 0}, []byte("grüße"))
	plain, _ = e.Control(plain, Ping, []byte("p"))
	plain, _ = e.Control(plain, Close, []byte{3, 232})
	f.Add(append(plain, "behind"...), uint8(3), uint8(0))
	e = Encoder{Masked: true, Deflate: NewDeflater(MaxWindowBits, true)}
	zip, _ := e.Message(nil, Text, true, []int{3}, []byte("hello hello hello"))
	zip, _ = e.Message(zip, Binary, true, nil, []byte("hello hello hello"))
	f.Add(zip, uint8(5), uint8(7))
	f.Fuzz(func(t *testing.T, b []byte, cut, how uint8) {
		reader := func() *Reader {
			r := &Reader{Masked: how&1 != 0, Limit: uint64(how>>3) * 16}
			if how&2 != 0 {
				r.Inflate = NewInflater(MaxWindowBits, how&4 != 0)
			}
			return r
		}
		whole := read(reader(), b, len(b)+1)
		pieces := read(reader(), b, int(cut)+1)
		if diff := cmp.Diff(whole.messages, pieces.messages); diff != "" {
			t.Fatalf("in pieces of %d (-whole +pieces):\n%s", cut+1, diff)
		}
		for _, got := range []transcript{whole, pieces} {
			if !bytes.Equal(got.wire, b) {
				t.Fatalf("events and rest are %x; %x was read", got.wire, b)
			}
		}
		if (whole.err == nil) != (pieces.err == nil) || whole.err != nil && whole.err.Error() != pieces.err.Error() {
			t.Fatalf("error %v; in pieces of %d %v", whole.err, cut+1, pieces.err)
		}
	})
}

// FuzzDeflate inflates anything as compress/flate does, in pieces and with
// every window, and what a Deflater made into what it was made of.
func FuzzDeflate(f *testing.F) {
	f.Add([]byte{0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00}, uint8(3))
	f.Add([]byte{0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00}, uint8(0))
	f.Add(NewDeflater(15, true).Append(nil, bytes.Repeat([]byte("abcdefgh, 12345; "), 200), true), uint8(9))
	for level := flate.HuffmanOnly; level <= 9; level++ {
		var b bytes.Buffer
		w, _ := flate.NewWriter(&b, level)
		_, _ = w.Write(mixed(9000))
		_ = w.Flush()
		f.Add(b.Bytes()[:b.Len()-4], uint8(level))
	}
	f.Fuzz(func(t *testing.T, b []byte, n uint8) {
		want, wantOK := model(b)
		got, err := inflate(NewInflater(MaxWindowBits, true), b, int(n)+1)
		if (err == nil) != wantOK || wantOK && !bytes.Equal(got, want) {
			t.Fatalf("inflate(%x) = %x, %v; want %x, %v", b, got, err, want, wantOK)
		}
		bits := MinWindowBits + int(n)%(MaxWindowBits-MinWindowBits+1)
		takeover := n&0x80 != 0
		d, i := NewDeflater(bits, takeover), NewInflater(bits, takeover)
		for range 3 {
			packed := d.Append(nil, b, true)
			if got, err := inflate(i, packed, int(n)+1); err != nil || !bytes.Equal(got, b) {
				t.Fatalf("bits %d: %x became %x, then %x, %v", bits, b, packed, got, err)
			}
		}
	})
}

// model inflates a message with compress/flate, which stops at each final
// block. So what the sender removed is followed by one.
func model(b []byte) (out []byte, ok bool) {
	const end = tail + "\x01" + tail
	in := bytes.NewReader(append(bytes.Clone(b), end...)) // an io.ByteReader: nothing is read ahead
	for in.Len() > 0 {
		// An empty message, or one that ended with a final block.
		if in.Len() == len(end) {
			break
		}
		r := flate.NewReaderDict(in, out[max(0, len(out)-1<<15):])
		piece, err := io.ReadAll(r)
		out = append(out, piece...)
		if err != nil {
			return out, false
		}
	}
	return out, true
}

// inflate inflates the message b in pieces of n bytes.
func inflate(f *Inflater, b []byte, n int) ([]byte, error) {
	var out []byte
	emit := func(p []byte) error {
		out = append(out, p...)
		return nil
	}
	for p := range slices.Chunk(b, n) {
		if err := f.Feed(p, emit); err != nil {
			return out, err
		}
	}
	return out, f.End(emit)
}

// mixed returns n bytes, of which some repeat and some do not.
func mixed(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("alpha beta gamma delta epsilon zeta eta theta iota kappa")
	var b []byte
	for len(b) < n {
		b = append(b, words[r.IntN(len(words))]...)
		b = append(b, byte(r.IntN(256)), byte(r.IntN(4)))
	}
	return b[:n]
}

// A transcript is what a Reader made of bytes.
type transcript struct {
	messages []string // whole messages and control frames, as "text: payload"
	starts   []Header // of frames
	wire     []byte   // the bytes put together again from events and Rest
	err      error
}

// read feeds b to r in pieces of n bytes.
func read(r *Reader, b []byte, n int) transcript {
	var t transcript
	var message []byte
	var op Opcode
	var open, frame Header
	at := uint64(0)
	masked := func(p []byte) {
		start := len(t.wire)
		t.wire = append(t.wire, p...)
		Mask(t.wire[start:], p, frame.Key, at)
		at += uint64(len(p))
	}
	emit := func(e Event) {
		switch e.Kind {
		case KindStart, KindFrame:
			if e.Kind == KindStart {
				open, op, message = e.Header, e.Header.Opcode, nil
			}
			frame, at = e.Header, 0
			t.starts = append(t.starts, e.Header)
			t.wire = AppendHeader(t.wire, e.Header)
		case KindWire:
			masked(e.Data)
		case KindData:
			message = append(message, e.Data...)
			if open.RSV == 0 {
				masked(e.Data)
			}
		case KindEnd:
			t.messages = append(t.messages, fmt.Sprintf("%v: %s", op, message))
		case KindControl:
			t.messages = append(t.messages, fmt.Sprintf("%v: %s", e.Header.Opcode, e.Data))
			t.starts = append(t.starts, e.Header)
			t.wire = AppendFrame(t.wire, e.Header, e.Data)
		case KindExtra:
			t.wire = append(t.wire, e.Data...)
		}
	}
	fed := 0
	for p := range slices.Chunk(b, n) {
		// What is fed is the caller's: a copy shows if it is changed.
		mine := bytes.Clone(p)
		fed += len(p)
		t.err = r.Feed(mine, emit)
		if !bytes.Equal(mine, p) {
			panic("Feed changed what it was fed")
		}
		if t.err != nil {
			t.wire = append(t.wire, r.Rest()...)
			t.wire = append(t.wire, b[fed:]...)
			return t
		}
	}
	if t.err = r.Close(); t.err != nil {
		t.wire = append(t.wire, r.Rest()...)
	}
	return t
}
