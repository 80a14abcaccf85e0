package mitm

import (
	"maps"
	"net/http"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// due is what of a watched connection is not answered yet, and why it will not
// be. tap.mu guards it.
type due struct {
	left     bool            // the client has ended
	asked    uint64          // the last stream that the client began
	answered uint64          // the last that the server ended; HTTP/1 ends them in order
	tunnels  map[uint64]bool // the streams that are CONNECT
	running  map[uint64]bool // answers of no known length that have begun and not ended
	deserted map[uint64]bool // those of them that the client did not stay for
}

// leaves notes that the client has ended. One that was being answered without a
// known end did not wait for that, though it may be made to look well: many origins
// end a stream as the protocol says once nobody listens. A client that only ends
// its half, having asked, does so before its answer begins.
func (d *due) leaves() {
	if d.left {
		return
	}
	d.left, d.deserted = true, maps.Clone(d.running)
}

// see takes e in, and is false if it is not to be told. The end of an answer for
// which the client did not wait is its doing, whatever the origin does then: Left.
func (d *due) see(e exchange.Event) (exchange.Event, bool) {
	switch {
	case e.From == exchange.Client && e.Kind == exchange.KindHead:
		d.asked = e.Stream
		if e.Head.Method == http.MethodConnect {
			mark(&d.tunnels, e.Stream)
		}
	case e.From == exchange.Server && e.Kind == exchange.KindHead:
		if _, length := exchange.Get(e.Head.Fields, "content-length"); !length && e.Head.Status >= 200 && !d.tunnels[e.Stream] {
			mark(&d.running, e.Stream)
		}
	case e.From == exchange.Server && e.Kind == exchange.KindTrailers && d.deserted[e.Stream]:
		return e, false // they are of the end that it is not told
	case e.From == exchange.Server && e.Kind == exchange.KindEnd:
		d.answered = e.Stream
		cut := e.End.How == exchange.Truncated || e.End.How == exchange.Reset
		if cut && d.left || e.End.How == exchange.Complete && d.deserted[e.Stream] {
			e.End = &exchange.End{How: exchange.Left, Err: "the client did not wait for the end"}
		}
		delete(d.running, e.Stream)
		delete(d.tunnels, e.Stream)
	}
	return e, true
}

// mark puts id into a set that may not be there yet.
func mark(set *map[uint64]bool, id uint64) {
	if *set == nil {
		*set = map[uint64]bool{}
	}
	(*set)[id] = true
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
