package mitm

import (
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// due is what of a watched connection is not answered yet, and why it will not
// be. tap.mu guards it.
type due struct {
	left     bool   // the client has ended
	asked    uint64 // the last stream that the client began
	answered uint64 // the last that the server ended; HTTP/1 ends them in order
}

// see takes e in. The end of an answer for which the client did not wait is its
// doing, whatever the origin does then: Left.
func (d *due) see(e exchange.Event) exchange.Event {
	switch {
	case e.From == exchange.Client && e.Kind == exchange.KindHead:
		d.asked = e.Stream
	case e.From == exchange.Server && e.Kind == exchange.KindEnd:
		d.answered = e.Stream
		cut := e.End.How == exchange.Truncated || e.End.How == exchange.Reset
		if cut && d.left {
			e.End = &exchange.End{How: exchange.Left, Err: "the client did not wait for the end"}
		}
	}
	return e
}

// garbled tells, by emit, of an HTTP/1 answer that dec could not read because of
// err: with the bytes that no event has, so that they can be said again.
func (d *due) garbled(dec exchange.Decoder, at time.Duration, err error, emit func(exchange.Event)) {
	with, ok := dec.(interface{ Rest(exchange.Side) []byte })
	if !ok || d.answered >= d.asked {
		return
	}
	rest := with.Rest(exchange.Server)
	if len(rest) > 0 && rest[0] == '\n' { // a chunk that ends in a bare LF, which an encoder would end in CRLF
		return
	}
	emit(exchange.Event{
		Stream: d.answered + 1, From: exchange.Server, Kind: exchange.KindEnd, At: at,
		End: &exchange.End{How: exchange.Malformed, Err: err.Error()}, Raw: rest,
	})
}
