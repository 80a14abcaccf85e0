package ws

import (
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// TestParseHeader has the examples of RFC 6455, section 5.7, and what section
// 5.2 forbids.
func TestParseHeader(t *testing.T) {
	for _, c := range []struct {
		name string
		in   string
		want Header
		n    int
		why  string // of the error
	}{
		{name: "empty"},
		{name: "hello", in: "\x81\x05Hello", want: Header{Fin: true, Opcode: Text, Length: 5}, n: 2},
		{name: "masked", in: "\x81\x85\x37\xfa\x21\x3d\x7f", want: Header{Fin: true, Opcode: Text, Masked: true, Key: [4]byte{0x37, 0xfa, 0x21, 0x3d}, Length: 5}, n: 6},
		{name: "fragment", in: "\x01\x03Hel", want: Header{Opcode: Text, Length: 3}, n: 2},
		{name: "256 bytes", in: "\x82\x7e\x01\x00", want: Header{Fin: true, Opcode: Binary, Length: 256}, n: 4},
		{name: "64 KiB", in: "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", want: Header{Fin: true, Opcode: Binary, Length: 65536}, n: 10},
		{name: "largest", in: "\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", want: Header{Fin: true, Opcode: Binary, Length: math.MaxInt64}, n: 10},
		{name: "reserved bits", in: "\xf1\x00", want: Header{Fin: true, RSV: 7, Opcode: Text}, n: 2},
		{name: "most significant bit", in: "\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", why: "length 0x8000000000000000 has the most significant bit"},
		{name: "125 in two bytes", in: "\x82\x7e\x00\x7d", why: "length 125 in 2 bytes: not its shortest form"},
		{name: "65535 in eight bytes", in: "\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", why: "length 65535 in 8 bytes: not its shortest form"},
		{name: "reserved opcode at once", in: "\x83", why: "reserved opcode 0x3"},
		{name: "reserved control opcode", in: "\x8f", why: "reserved opcode 0xF"},
		{name: "ping in fragments", in: "\x09", why: "ping frame in fragments"},
		{name: "long ping", in: "\x89\x7e", why: "ping frame of more than 125 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, n, err := ParseHeader([]byte(c.in))
			if c.why != "" {
				var e *Error
				if !errors.As(err, &e) || e.Why != c.why || e.Code != CodeProtocol {
					t.Fatalf("ParseHeader(%x) = %v, want %s", c.in, err, c.why)
				}
				return
			}
			if diff := cmp.Diff(c.want, got); diff != "" || n != c.n || err != nil {
				t.Errorf("ParseHeader(%x): %d, %v, want %d (-want +got):\n%s", c.in, n, err, c.n, diff)
			}
		})
	}
}

func TestMask(t *testing.T) {
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	r := rand.New(rand.NewPCG(3, 4))
	for n := range 100 {
		for at := range uint64(9) {
			src := make([]byte, n)
			want := make([]byte, n)
			for i := range src {
				src[i] = byte(r.Uint32())
				want[i] = src[i] ^ key[(at+uint64(i))%4]
			}
			dst := make([]byte, n+1)
			Mask(dst, src, key, at)
			if diff := cmp.Diff(append(want, 0), dst); diff != "" {
				t.Fatalf("Mask of %d bytes at %d (-want +got):\n%s", n, at, diff)
			}
		}
	}
}

// TestDirections holds sections 5.1 and 5.2: who masks, and what reserved bits
// mean without and with an extension.
func TestDirections(t *testing.T) {
	hello := []byte("Hello")
	masked := Header{Fin: true, Opcode: Text, Masked: true, Key: [4]byte{1, 2, 3, 4}}
	for _, c := range []struct {
		name string
		r    Reader
		h    Header
		why  string
	}{
		{"masked client", Reader{Masked: true}, masked, ""},
		{"masked server", Reader{}, masked, "masked frame of a server"},
		{"unmasked client", Reader{Masked: true}, Header{Fin: true, Opcode: Text}, "unmasked frame of a client"},
		{"RSV1 on a ping", Reader{Inflate: NewInflater(15, true)}, Header{Fin: true, Opcode: Ping, RSV: RSV1}, "reserved bits 100 in a ping frame"},
		{"RSV1 on a continuation", Reader{Inflate: NewInflater(15, true)}, Header{Fin: true, RSV: RSV1}, "reserved bits 100 in a continuation frame"},
		{"RSV2 with deflate", Reader{Inflate: NewInflater(15, true)}, Header{Fin: true, Opcode: Text, RSV: 0b110}, "reserved bits 110 in a text frame"},
		{"plain message with deflate", Reader{Inflate: NewInflater(15, true)}, Header{Fin: true, Opcode: Text}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.r.Feed(AppendFrame(nil, c.h, hello), func(Event) {})
			var e *Error
			if c.why == "" && err != nil || c.why != "" && (!errors.As(err, &e) || e.Why != c.why) {
				t.Errorf("Feed: %v, want %q", err, c.why)
			}
			if again := c.r.Feed(hello, func(Event) { t.Error("an event after the error") }); c.why != "" && again != err {
				t.Errorf("Feed again: %v, want %v", again, err)
			}
		})
	}
}

// TestLimit refuses at the header what is too long, and in the midst what
// inflates to too much; 2^63 - 1 bytes pass where nothing limits them.
func TestLimit(t *testing.T) {
	huge := AppendHeader(nil, Header{Fin: true, Opcode: Binary, Length: math.MaxInt64})
	e := Encoder{Deflate: NewDeflater(MaxWindowBits, false)}
	bomb, err := e.Append(nil, Binary, true, true, make([]byte, 1<<20))
	if err != nil || len(bomb) > 64<<10 {
		t.Fatalf("bomb of %d bytes: %v", len(bomb), err)
	}
	for _, c := range []struct {
		name  string
		limit uint64
		sent  string
		most  int // bytes that come out before the error
		code  Code
	}{
		{"at the limit", 10, frame(binMore, "12345") + frame(cont1, "67890"), 10, CodeAbnormal},
		{"at the header", 10, frame(binMore, "12345") + frame(cont1, "678901"), 5, CodeTooBig},
		{"a new message begins at 0", 10, frame(bin1, "1234567890") + frame(bin1, "1234567890"), 20, CodeAbnormal},
		{"2^63 - 1", 1 << 30, string(huge), 0, CodeTooBig},
		{"2^63 - 1 without a limit", 0, string(huge) + strings.Repeat("*", 1000), 1000, CodeAbnormal},
		{"bomb", 1 << 18, string(bomb), 1 << 18, CodeTooBig},
		{"bomb without a limit", 0, string(bomb), 1 << 20, CodeAbnormal},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Reader{Limit: c.limit, Inflate: NewInflater(MaxWindowBits, false)}
			size := 0
			err := r.Feed([]byte(c.sent), func(e Event) {
				if e.Kind == KindData {
					size += len(e.Data)
				}
			})
			if err == nil {
				err = r.Close()
			}
			if failure(err) != c.code || size > c.most {
				t.Errorf("%d bytes, then %v; want at most %d, then code %d", size, err, c.most, c.code)
			}
		})
	}
}

// TestClose says where a connection without a close frame ended.
func TestClose(t *testing.T) {
	for _, c := range []struct {
		name, sent string
		cut        bool
		rest       string
	}{
		{"nothing", "", false, ""},
		{"between messages", frame(text1, "Hello"), false, ""},
		{"in a header", "\x81", true, "\x81"},
		{"in a length", frame(text1, "Hello") + "\x82\x7f\x00\x01", true, "\x82\x7f\x00\x01"},
		{"in a payload", "\x81\x05Hel", true, ""},
		{"between fragments", "\x01\x05Hello", true, ""},
		{"in a control frame", "\x89\x05Hel", true, "\x89\x05Hel"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r Reader
			if err := r.Feed([]byte(c.sent), func(Event) {}); err != nil {
				t.Fatal(err)
			}
			err := r.Close()
			if !errors.Is(err, ErrAbnormal) || errors.Is(err, io.ErrUnexpectedEOF) != c.cut || string(r.Rest()) != c.rest {
				t.Errorf("Close: %v, rest %x; want cut %v, rest %x", err, r.Rest(), c.cut, c.rest)
			}
			if again := r.Close(); again != err {
				t.Errorf("Close again: %v", again)
			}
		})
	}
}

func TestCloseFrame(t *testing.T) {
	for _, c := range []struct {
		code   Code
		reason string
		ok     bool
	}{
		{CodeNormal, "bye", true}, {CodeNone, "", true}, {4999, strings.Repeat("r", MaxReason), true},
		{CodeNone, "why", false}, {CodeAbnormal, "", false}, {CodeTLSHandshake, "", false},
		{CodeNormal, strings.Repeat("r", MaxReason+1), false}, {CodeNormal, "\xff", false},
	} {
		b, err := AppendClose(nil, c.code, c.reason)
		if (err == nil) != c.ok {
			t.Errorf("AppendClose(%d, %q): %v", c.code, c.reason, err)
		}
		if err != nil {
			continue
		}
		if code, reason, err := ParseClose(b); code != c.code || reason != c.reason || err != nil {
			t.Errorf("ParseClose(%x) = %d, %q, %v; want %d, %q", b, code, reason, err, c.code, c.reason)
		}
	}
}

// TestEncoderRefuses holds what an Encoder does not print.
func TestEncoderRefuses(t *testing.T) {
	hello := []byte("Hello")
	for name, print := range map[string]func(*Encoder) ([]byte, error){
		"ping as a message":  func(e *Encoder) ([]byte, error) { return e.Append(nil, Ping, false, true, hello) },
		"text as a control":  func(e *Encoder) ([]byte, error) { return e.Control(nil, Text, hello) },
		"reserved control":   func(e *Encoder) ([]byte, error) { return e.Control(nil, 0xB, hello) },
		"long ping":          func(e *Encoder) ([]byte, error) { return e.Control(nil, Ping, make([]byte, 126)) },
		"close of one byte":  func(e *Encoder) ([]byte, error) { return e.Control(nil, Close, hello[:1]) },
		"more than there is": func(e *Encoder) ([]byte, error) { return e.Message(nil, Text, false, []int{3, 3}, hello) },
		"less than none":     func(e *Encoder) ([]byte, error) { return e.Message(nil, Text, false, []int{-1}, hello) },
		"continuation":       func(e *Encoder) ([]byte, error) { return e.Message(nil, Continuation, false, []int{1}, hello) },
		"message in another": func(e *Encoder) ([]byte, error) {
			b, err := e.Append(nil, Text, false, false, nil)
			if err != nil {
				t.Error(err)
			}
			b, err = e.Message(b, Text, false, nil, hello)
			return b[2:], err
		},
	} {
		if b, err := print(&Encoder{}); err == nil || len(b) > 0 {
			t.Errorf("%s: %x, %v", name, b, err)
		}
	}
}

// TestFragments has plans of fragments and the frames that they become.
func TestFragments(t *testing.T) {
	e := Encoder{Masked: true}
	for _, c := range []struct {
		plan []int
		want []uint64
	}{
		{nil, []uint64{5}}, {[]int{5}, []uint64{5}}, {[]int{2}, []uint64{2, 3}},
		{[]int{2, 3}, []uint64{2, 3}}, {[]int{0, 5, 0}, []uint64{0, 5, 0}}, {[]int{0}, []uint64{0, 5}},
	} {
		b, err := e.Message(nil, Text, false, c.plan, []byte("Hello"))
		if err != nil {
			t.Fatal(err)
		}
		got := read(&Reader{Masked: true}, b, 3)
		var sizes []uint64
		for _, h := range got.starts {
			sizes = append(sizes, h.Length)
		}
		if diff := cmp.Diff(c.want, sizes) + cmp.Diff([]string{"text: Hello"}, got.messages); diff != "" {
			t.Errorf("plan %v (-want +got):\n%s", c.plan, diff)
		}
	}
}

// TestText compares a check in pieces with utf8.Valid.
func TestText(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	alphabet := []string{"a", "é", "世", "\U0001F600", "\xe4", "\x80", "\xf4\x90", "\xed\xa0", "\xc0", "\U0010FFFF"}
	for range 20_000 {
		var s string
		for range r.IntN(8) {
			s += alphabet[r.IntN([]int{4, len(alphabet)}[r.IntN(2)])]
		}
		var x text
		ok := true
		for b := []byte(s); ok && len(b) > 0; {
			n := 1 + r.IntN(len(b))
			ok = x.add(b[:n])
			b = b[n:]
		}
		if got := ok && x.complete(); got != utf8.ValidString(s) {
			t.Fatalf("%q: %v in pieces, %v whole", s, got, !got)
		}
	}
}

func TestNames(t *testing.T) {
	for op, want := range map[Opcode]string{Continuation: "continuation", Text: "text", Binary: "binary", Close: "close", Ping: "ping", Pong: "pong", 0xB: "opcode 0xB"} {
		if got := op.String(); got != want {
			t.Errorf("Opcode(%d) = %q, want %q", op, got, want)
		}
	}
	if got, want := violation("x").Error(), "x (close code 1002)"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
}
