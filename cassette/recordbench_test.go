package cassette

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/serge-net/serge-net/exchange"
)

// BenchmarkRecord is what it costs to record exchanges of 1 kB, and a body in
// pieces of 32 KiB.
func BenchmarkRecord(b *testing.B) {
	record := func(b *testing.B, f func(*watch)) {
		s, err := Open(b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		r, err := s.Record("b", RecordOptions{})
		if err != nil {
			b.Fatal(err)
		}
		w, err := r.Open(origin())
		if err != nil {
			b.Fatal(err)
		}
		f(w.(*watch))
		r.store.release("b", r.file)
	}
	b.Run("exchanges", func(b *testing.B) {
		record(b, func(w *watch) {
			body := bytes.Repeat([]byte("{\"name\":\"ada\",\"id\":123},"), 40)
			req, res := get("/users?page=2", "User-Agent: bench", "Accept: */*"), ok("Content-Type: application/json", "Content-Length: 1000", "Server: bench")
			for n := uint64(1); b.Loop(); n++ {
				for _, e := range []exchange.Event{
					{Stream: n, From: exchange.Client, Kind: exchange.KindHead, Head: req},
					{Stream: n, From: exchange.Client, Kind: exchange.KindEnd, End: &exchange.End{}},
					{Stream: n, From: exchange.Server, Kind: exchange.KindHead, Head: res},
					{Stream: n, From: exchange.Server, Kind: exchange.KindData, Data: body},
					{Stream: n, From: exchange.Server, Kind: exchange.KindEnd, End: &exchange.End{}},
				} {
					if err := w.Event(e); err != nil {
						b.Fatal(err)
					}
				}
				if err := w.Flush(); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
	random := make([]byte, 32<<10)
	for i := range random {
		random[i] = byte(i * i * 7 >> 3)
	}
	for name, piece := range map[string][]byte{"random": random, "text": bytes.Repeat([]byte("The quick brown fox, 12345.\n"), 1200)[:32<<10]} {
		b.Run(fmt.Sprint("body of ", name), func(b *testing.B) {
			record(b, func(w *watch) {
				b.SetBytes(int64(len(piece)))
				if err := w.Event(exchange.Event{Stream: 1, From: exchange.Client, Kind: exchange.KindHead, Head: get("/")}); err != nil {
					b.Fatal(err)
				}
				for b.Loop() {
					if err := w.Event(exchange.Event{Stream: 1, From: exchange.Client, Kind: exchange.KindData, Data: piece}); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
