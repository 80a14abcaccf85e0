package cassette

import (
	"testing"

	"github.com/serge-net/serge-net/exchange"
)

// BenchmarkPlayCall is a unary call that is played.
func BenchmarkPlayCall(b *testing.B) {
	es := callEvents(nil, sent(numeral(2, 1024)), over, received(proto(1, "0123456789")), done)
	p := benched(b, func(w exchange.Watch) {
		for _, e := range es {
			e.Stream = 1
			if err := w.Event(e); err != nil {
				b.Fatal(err)
			}
		}
	})
	y, err := p.Open(origin())
	if err != nil {
		b.Fatal(err)
	}
	defer y.Close()
	hear := func(exchange.Event) error { return nil }
	b.ReportAllocs()
	stream := uint64(0)
	for b.Loop() {
		stream += 2
		for _, e := range es {
			if e.Stream = stream; e.From == exchange.Client {
				if err := y.Event(e, hear); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
}
