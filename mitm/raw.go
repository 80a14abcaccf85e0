package mitm

import (
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// rawStream is the number of the one exchange that a raw connection is.
const rawStream = 1

// rawHead is how the exchange begins that a raw connection to o is: one of a
// protocol that is neither HTTP nor, as far as it is opened, TLS.
func rawHead(o exchange.Origin) *exchange.Head {
	h := &exchange.Head{Method: "CONNECT", Scheme: "tcp", Authority: connected(o)}
	if o.TLS {
		h.Scheme = "tls"
	}
	return h
}

// A rawDecoder tells what passes on a raw connection as it comes. It holds nothing.
type rawDecoder struct {
	origin exchange.Origin
	begun  bool
}

// Feed implements exchange.Decoder.
func (d *rawDecoder) Feed(from exchange.Side, at time.Duration, b []byte, emit func(exchange.Event)) error {
	if !d.begun {
		d.begun = true
		emit(exchange.Event{Stream: rawStream, From: exchange.Client, Kind: exchange.KindHead, At: at, Head: rawHead(d.origin)})
	}
	emit(exchange.Event{Stream: rawStream, From: from, Kind: exchange.KindData, At: at, Data: b})
	return nil
}

// Close implements exchange.Decoder. A connection on which nothing was said is none.
func (d *rawDecoder) Close(from exchange.Side, at time.Duration, end exchange.End, emit func(exchange.Event)) error {
	if d.begun {
		emit(exchange.Event{Stream: rawStream, From: from, Kind: exchange.KindEnd, At: at, End: &end})
	}
	return nil
}

// records tells whether what is neither TLS nor HTTP is recorded of o.
func (r *Record) records(o exchange.Origin) bool {
	return r.Watcher != nil && (r.TCP == nil || r.TCP(o))
}

// rawTap is the tap for a raw connection to o, which may turn to TLS; or, if it may
// still show to be HTTP, for that.
func (r *Record) rawTap(o exchange.Origin, p Protocol) *tap {
	raw := &rawDecoder{origin: o}
	var dec exchange.Decoder = raw
	if p == Undecided {
		dec = &undecidedDecoder{scheme: schemeOf(o), raw: raw}
	}
	t := newTap(r.Watcher, dec, o, r.Tell)
	if !o.TLS {
		t.turn, t.secure = &turn{}, r.turned
	}
	return t
}
