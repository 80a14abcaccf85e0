package cassette

import (
	"fmt"
	"testing"

	"github.com/serge-net/serge-net/exchange"
)

// BenchmarkDialogue is a message of a client and the server's answer to it, played.
func BenchmarkDialogue(b *testing.B) {
	const turns = 1000
	var said []phrase
	for n := range turns {
		said = append(said, phrase(fmt.Sprintf(`> {"op":"echo","n":%d,"text":"so much is said by a program in one go"}`, n)), phrase(fmt.Sprintf(`< {"op":"echo","n":%d,"text":"so much is said by a program in one go"}`, n)))
	}
	p := benched(b, func(w exchange.Watch) { tellSocket(b, w, 0, "", said...) })
	var says [][]exchange.Event
	for n := 0; n < len(said); n += 2 {
		says = append(says, said[n].events(1, 0))
	}
	heard := 0
	hear := func(e exchange.Event) error { heard++; return nil }
	req, _ := handshakes("")
	b.ReportAllocs()
	var y exchange.Play
	for n := 0; b.Loop(); n++ {
		if n%turns == 0 {
			var err error
			if y, err = p.Open(origin()); err != nil {
				b.Fatal(err)
			}
			if err := y.Event(exchange.Event{Stream: 1, Kind: exchange.KindHead, Head: req}, hear); err != nil {
				b.Fatal(err)
			}
		}
		for _, e := range says[n%turns] {
			if err := y.Event(e, hear); err != nil {
				b.Fatal(err)
			}
		}
	}
	if heard < b.N {
		b.Fatalf("%d messages were answered by %d", b.N, heard)
	}
}
