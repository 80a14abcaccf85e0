package ws

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// kib is a message of 1 KiB, as JSON APIs send them.
var kib = []byte(strings.Repeat(`{"id":1234,"op":"tick","data":[1.5,2.25]},`, 25)[:1024])

func BenchmarkMask(b *testing.B) {
	for _, n := range []int{16, 1 << 10, 64 << 10} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := make([]byte, n)
			b.SetBytes(int64(n))
			for b.Loop() {
				Mask(p, p, [4]byte{1, 2, 3, 4}, 1)
			}
		})
	}
}

// BenchmarkReader reads one message of 1 KiB a turn.
func BenchmarkReader(b *testing.B) {
	for _, c := range []struct {
		name         string
		masked, pack bool
		op           Opcode
		takeover     bool
	}{
		{"server", false, false, Binary, false},
		{"server text", false, false, Text, false},
		{"client text", true, false, Text, false},
		{"server text deflate", false, true, Text, false},
		{"server text takeover", false, true, Text, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			e := Encoder{Masked: c.masked, Deflate: NewDeflater(15, c.takeover)}
			r := Reader{Masked: c.masked, Inflate: NewInflater(15, c.takeover)}
			first, _ := e.Append(nil, c.op, c.pack, true, kib)
			again, _ := e.Append(nil, c.op, c.pack, true, kib)
			n := 0
			emit := func(e Event) { n += len(e.Data) }
			_ = r.Feed(first, emit)
			b.SetBytes(int64(len(kib)))
			b.ReportAllocs()
			for b.Loop() {
				if err := r.Feed(again, emit); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkGorillaReader is BenchmarkReader's peer, over bytes in memory.
func BenchmarkGorillaReader(b *testing.B) {
	frame := AppendFrame(nil, Header{Fin: true, Opcode: Text}, kib)
	d := websocket.Dialer{NetDial: func(_, _ string) (net.Conn, error) { return &memory{in: endless{b: frame}}, nil }}
	c, _, err := d.Dial("ws://a.example/", nil)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(kib)))
	b.ReportAllocs()
	for b.Loop() {
		_, r, err := c.NextReader()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEncoder prints one message of 1 KiB a turn.
func BenchmarkEncoder(b *testing.B) {
	for _, masked := range []bool{false, true} {
		b.Run(fmt.Sprintf("masked=%v", masked), func(b *testing.B) {
			e := Encoder{Masked: masked, Key: func() [4]byte { return [4]byte{1, 2, 3, 4} }}
			var dst []byte
			b.SetBytes(int64(len(kib)))
			b.ReportAllocs()
			for b.Loop() {
				dst, _ = e.Append(dst[:0], Text, false, true, kib)
			}
		})
	}
}

// BenchmarkDeflate compresses one message a turn, and says how large it is.
func BenchmarkDeflate(b *testing.B) {
	for _, takeover := range []bool{false, true} {
		for _, level := range []int{1, 2, 3, 6} {
			for _, n := range []int{100, 1024} {
				b.Run(fmt.Sprintf("takeover=%v/level=%d/%d", takeover, level, n), func(b *testing.B) {
					d := NewDeflater(15, takeover)
					d.level = level
					var dst []byte
					i := 0
					b.SetBytes(int64(n))
					b.ReportAllocs()
					for b.Loop() {
						i++
						m := fmt.Appendf(nil, "%d%s", i, kib)[:n]
						dst = d.Append(dst[:0], m, true)
					}
					b.ReportMetric(float64(len(dst)), "wire-B")
				})
			}
		}
	}
}

// BenchmarkInflate inflates 64 KiB a turn, and compress/flate beside it.
func BenchmarkInflate(b *testing.B) {
	data := mixed(64 << 10)
	packed := NewDeflater(15, false).Append(nil, data, true)
	b.Run("ws", func(b *testing.B) {
		f := NewInflater(15, false)
		n := 0
		emit := func(p []byte) error { n += len(p); return nil }
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			if f.Feed(packed, emit) != nil || f.End(emit) != nil {
				b.Fatal("inflate")
			}
		}
	})
	b.Run("flate", func(b *testing.B) {
		end := append(bytes.Clone(packed), tail+"\x01"+tail...)
		r := flate.NewReader(bytes.NewReader(end))
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			_ = r.(flate.Resetter).Reset(bytes.NewReader(end), nil)
			if _, err := io.Copy(io.Discard, r); err != nil {
				b.Fatal(err)
			}
		}
	})
}
