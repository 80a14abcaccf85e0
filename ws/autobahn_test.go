package ws

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// frame is a server's, with payload as it is to arrive.
func frame(first byte, payload string) string {
	h := Header{Fin: first&0x80 != 0, RSV: first >> 4 & 7, Opcode: Opcode(first & 15)}
	return string(AppendFrame(nil, h, []byte(payload)))
}

// First bytes of frames.
const (
	text1, textMore = 0x81, 0x01
	bin1, binMore   = 0x82, 0x02
	cont1, contMore = 0x80, 0x00
	close1          = 0x88
	ping1, pong1    = 0x89, 0x8A
)

// A conformance is a case of the Autobahn test suite, by its number: what is
// sent, what a Reader tells of it, and the code that the connection is to be
// failed with, 0 for none. CodeAbnormal is an end without a close frame.
type conformance struct {
	id   string
	sent string
	want []string
	code Code
}

// lengths are the payload sizes of cases 1.1 and 1.2.
var lengths = []int{0, 125, 126, 127, 128, 65535, 65536, 65536}

func framing() []conformance {
	var all []conformance
	for i, n := range lengths {
		s := strings.Repeat("*", n)
		b := strings.Repeat("\xFE", n)
		all = append(all,
			conformance{fmt.Sprintf("1.1.%d", i+1), frame(text1, s), []string{"text: " + s}, CodeAbnormal},
			conformance{fmt.Sprintf("1.2.%d", i+1), frame(bin1, b), []string{"binary: " + b}, CodeAbnormal})
	}
	return all
}

func pings() []conformance {
	long := strings.Repeat("\xFE", 125)
	ten := strings.Repeat(frame(ping1, "payload"), 10)
	return []conformance{
		{"2.1", frame(ping1, ""), []string{"ping: "}, CodeAbnormal},
		{"2.2", frame(ping1, "Hello, world!"), []string{"ping: Hello, world!"}, CodeAbnormal},
		{"2.3", frame(ping1, "\x00\xff\xfe\xfd\xfc\xfb\x00\xff"), []string{"ping: \x00\xff\xfe\xfd\xfc\xfb\x00\xff"}, CodeAbnormal},
		{"2.4", frame(ping1, long), []string{"ping: " + long}, CodeAbnormal},
		{"2.5", frame(ping1, long+"\xFE"), nil, CodeProtocol},
		{"2.7", frame(pong1, ""), []string{"pong: "}, CodeAbnormal},
		{"2.8", frame(pong1, "unsolicited"), []string{"pong: unsolicited"}, CodeAbnormal},
		{"2.9", frame(pong1, "unsolicited") + frame(ping1, "p"), []string{"pong: unsolicited", "ping: p"}, CodeAbnormal},
		{"2.10", ten, slices.Repeat([]string{"ping: payload"}, 10), CodeAbnormal},
	}
}

func reserved() []conformance {
	hello := frame(text1, "Hello")
	all := []conformance{
		{"3.1", frame(text1|0x40, "Hello"), nil, CodeProtocol},
		{"3.2", hello + frame(text1|0x20, "Hello") + frame(ping1, ""), []string{"text: Hello"}, CodeProtocol},
		{"3.3", hello + frame(text1|0x30, "Hello"), []string{"text: Hello"}, CodeProtocol},
		{"3.4", hello + frame(text1|0x40, "Hello"), []string{"text: Hello"}, CodeProtocol},
		{"3.5", frame(bin1|0x50, "\x00\xff"), nil, CodeProtocol},
		{"3.6", frame(ping1|0x60, "Hello"), nil, CodeProtocol},
		{"3.7", frame(close1|0x70, ""), nil, CodeProtocol},
	}
	for i, op := range []byte{3, 4, 5, 6, 7} {
		all = append(all, conformance{fmt.Sprintf("4.1.%d", i+1), hello + frame(0x80|op, "x"), []string{"text: Hello"}, CodeProtocol})
	}
	for i, op := range []byte{11, 12, 13, 14, 15} {
		all = append(all, conformance{fmt.Sprintf("4.2.%d", i+1), hello + frame(0x80|op, "x"), []string{"text: Hello"}, CodeProtocol})
	}
	return all
}

func fragments() []conformance {
	two := func(more byte) string { return frame(more, "frag1") + frame(cont1, "frag2") }
	ping := frame(ping1, "p")
	five := func(n string) string {
		return frame(textMore, "fragment1") + frame(contMore, "fragment2") + ping + frame(contMore, "fragment3") +
			frame(contMore, "fragment4") + n + frame(cont1, "fragment5")
	}
	whole := "text: fragment1fragment2fragment3fragment4fragment5"
	hello := frame(text1, "Hello")
	return []conformance{
		{"5.1", frame(ping1&^0x80, "frag1") + frame(cont1, "frag2"), nil, CodeProtocol},
		{"5.2", frame(pong1&^0x80, "frag1") + frame(cont1, "frag2"), nil, CodeProtocol},
		{"5.3", two(textMore), []string{"text: frag1frag2"}, CodeAbnormal},
		{"5.6", frame(textMore, "frag1") + ping + frame(cont1, "frag2"), []string{"ping: p", "text: frag1frag2"}, CodeAbnormal},
		{"5.9", frame(cont1, "lone") + hello, nil, CodeProtocol},
		{"5.12", frame(contMore, "lone") + hello, nil, CodeProtocol},
		{"5.15", two(textMore) + frame(contMore, "lone") + hello, []string{"text: frag1frag2"}, CodeProtocol},
		{"5.16", frame(contMore, "a") + frame(textMore, "b") + frame(cont1, "c"), nil, CodeProtocol},
		{"5.17", frame(cont1, "a") + frame(textMore, "b") + frame(cont1, "c"), nil, CodeProtocol},
		{"5.18", frame(textMore, "a") + frame(text1, "b"), nil, CodeProtocol},
		{"5.19", five(ping), []string{"ping: p", "ping: p", whole}, CodeAbnormal},
	}
}

func texts() []conformance {
	const greek = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"
	const bad = greek + "\xed\xa0\x80edited"
	all := []conformance{
		{"6.1.1", frame(text1, ""), []string{"text: "}, CodeAbnormal},
		{"6.1.2", frame(textMore, "") + frame(contMore, "") + frame(cont1, ""), []string{"text: "}, CodeAbnormal},
		{"6.1.3", frame(textMore, "") + frame(contMore, "middle") + frame(cont1, ""), []string{"text: middle"}, CodeAbnormal},
		{"6.2.1", frame(text1, greek), []string{"text: " + greek}, CodeAbnormal},
		{"6.2.2", frame(textMore, greek[:5]) + frame(cont1, greek[5:]), []string{"text: " + greek}, CodeAbnormal},
		{"6.3.1", frame(text1, bad), nil, CodeInvalid},
		{"6.3.2", frame(textMore, bad[:12]) + frame(contMore, bad[12:13]) + frame(cont1, bad[13:]), nil, CodeInvalid},
		// Without its end: the text is refused at the byte that makes it none.
		{"6.4.1", frame(textMore, greek) + frame(contMore, "\xf4\x90\x80\x80"), nil, CodeInvalid},
		{"6.4.2", frame(textMore, greek+"\xf4") + frame(contMore, "\x90"), nil, CodeInvalid},
		{"6.4.3", frame(text1, greek+"\xf4\x90\x80\x80edited")[:2+len(greek)+2], nil, CodeInvalid},
	}
	for i, s := range strings.Fields("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5 \x00 \xc2\x80 \xe0\xa0\x80 \xf0\x90\x80\x80 \x7f \xdf\xbf \xef\xbf\xbf " +
		"\xf4\x8f\xbf\xbf \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbd \xef\xbf\xbe") {
		all = append(all, conformance{fmt.Sprintf("6.5 to 6.22 valid %d", i), frame(text1, s), []string{"text: " + s}, CodeAbnormal})
	}
	for i, s := range strings.Fields("\xce \xce\xba\xe1 \xce\xba\xe1\xbd \xf8\x88\x80\x80\x80 \xfc\x84\x80\x80\x80\x80 \xf7\xbf\xbf\xbf \xfb\xbf\xbf\xbf\xbf " +
		"\xf4\x90\x80\x80 \x80 \xbf \x80\xbf \xc0 \xe0\x80 \xf0\x80\x80 \xfe \xff \xfe\xfe\xff\xff \xc0\xaf \xe0\x80\xaf \xf0\x80\x80\xaf " +
		"\xc1\xbf \xe0\x9f\xbf \xf0\x8f\xbf\xbf \xc0\x80 \xed\xa0\x80 \xed\xaf\xbf \xed\xbf\xbf \xed\xa0\x80\xed\xb0\x80") {
		all = append(all, conformance{fmt.Sprintf("6.6 to 6.21 invalid %d", i), frame(text1, s), nil, CodeInvalid})
	}
	return all
}

func closes() []conformance {
	reason := strings.Repeat("*", 123)
	normal := frame(close1, "\x03\xe8")
	hello := frame(text1, "Hello")
	all := []conformance{
		{"7.1.1", hello + normal, []string{"text: Hello", "close: \x03\xe8"}, 0},
		{"7.1.2", normal + normal, []string{"close: \x03\xe8"}, 0},
		{"7.1.3", normal + frame(ping1, ""), []string{"close: \x03\xe8"}, 0},
		{"7.1.4", normal + hello, []string{"close: \x03\xe8"}, 0},
		{"7.1.5", frame(textMore, "a") + normal + frame(cont1, "b"), []string{"close: \x03\xe8"}, 0},
		{"7.3.1", frame(close1, ""), []string{"close: "}, 0},
		{"7.3.2", frame(close1, "a"), nil, CodeProtocol},
		{"7.3.3", normal, []string{"close: \x03\xe8"}, 0},
		{"7.3.4", frame(close1, "\x03\xe8Hello"), []string{"close: \x03\xe8Hello"}, 0},
		{"7.3.5", frame(close1, "\x03\xe8"+reason), []string{"close: \x03\xe8" + reason}, 0},
		{"7.3.6", frame(close1, "\x03\xe8"+reason+"*"), nil, CodeProtocol},
		{"7.5.1", frame(close1, "\x03\xe8\xce\xba\xed\xa0\x80"), nil, CodeInvalid},
	}
	for _, c := range []Code{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		p := string([]byte{byte(c >> 8), byte(c)})
		all = append(all, conformance{fmt.Sprintf("7.7 code %d", c), frame(close1, p), []string{"close: " + p}, 0})
	}
	for _, c := range []Code{0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		p := string([]byte{byte(c >> 8), byte(c)})
		all = append(all, conformance{fmt.Sprintf("7.9 and 7.13 code %d", c), frame(close1, p), nil, CodeProtocol})
	}
	return all
}

// TestAutobahn rebuilds the cases that concern a codec, each fed whole and in
// single bytes.
func TestAutobahn(t *testing.T) {
	for _, c := range slices.Concat(framing(), pings(), reserved(), fragments(), texts(), closes()) {
		t.Run(c.id, func(t *testing.T) {
			for _, n := range []int{1 << 20, 1} {
				got := read(&Reader{}, []byte(c.sent), n)
				if diff := cmp.Diff(c.want, got.messages); diff != "" {
					t.Errorf("in pieces of %d (-want +got):\n%s", n, diff)
				}
				if code := failure(got.err); code != c.code {
					t.Errorf("in pieces of %d: %v, want code %d", n, got.err, c.code)
				}
				if string(got.wire) != c.sent {
					t.Errorf("events and rest are %x; %x was sent", got.wire, c.sent)
				}
			}
		})
	}
}

// failure is the code that err stands for.
func failure(err error) Code {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Code
	case errors.Is(err, ErrAbnormal):
		return CodeAbnormal
	}
	return 0
}

// TestAutobahnDeflate is cases 12 and 13: messages of these sizes, compressed
// under each of the agreements, in fragments and whole.
func TestAutobahnDeflate(t *testing.T) {
	sizes := []int{16, 64, 256, 1024, 4096, 8192, 131072, 16384, 32768, 65536}
	for i, p := range []Params{
		{}, {ServerNoTakeover: true}, {ServerBits: 9}, {ServerBits: 15},
		{ServerNoTakeover: true, ServerBits: 9}, {ServerNoTakeover: true, ServerBits: 15}, {ServerBits: 8},
	} {
		t.Run(fmt.Sprintf("13.%d", i+1), func(t *testing.T) {
			e := Encoder{Deflate: NewDeflater(p.Server())}
			r := Reader{Inflate: NewInflater(p.Server())}
			var sent []byte
			var want []string
			// The large ones under the first agreement only: what differs is small.
			last := len(sizes)
			if i > 0 {
				last = 6
			}
			for _, n := range sizes[:last] {
				for _, plan := range [][]int{nil, {n / 3, 0, n / 2}} {
					m := mixed(n)
					want = append(want, "binary: "+string(m))
					var err error
					if sent, err = e.Message(sent, Binary, true, plan, m); err != nil {
						t.Fatal(err)
					}
				}
			}
			got := read(&r, sent, 1000)
			if diff := cmp.Diff(want, got.messages); diff != "" || !errors.Is(got.err, ErrAbnormal) || errors.Is(got.err, io.ErrUnexpectedEOF) {
				t.Errorf("%v (-want +got):\n%.500s", got.err, diff)
			}
			if !bytes.Equal(got.wire, sent) {
				t.Error("events are not what was sent")
			}
		})
	}
}
