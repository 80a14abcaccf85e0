package mitm

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/mitm/http1"
	"github.com/serge-net/serge-net/mitm/http2"
)

// errOpaque says that a connection carries neither TLS nor HTTP.
var errOpaque = errors.New("neither TLS nor HTTP")

// held tells whether a client's first bytes b must not pass before it has sent
// more: those that we may have to answer ourselves. Others pass at once, as a
// client may wait for an answer to one byte.
func held(b []byte) bool {
	return len(b) == 0 || b[0] == 0x16 || strings.HasPrefix("CONNECT ", string(b))
}

// An undecidedDecoder waits for a client to show which HTTP it speaks, while
// what it sends passes. It keeps no more than Sniff looks at.
type undecidedDecoder struct {
	scheme string
	at     time.Duration // of the first byte
	ahead  []byte
	dec    exchange.Decoder // once it is decided
	raw    exchange.Decoder // what it is if it is no HTTP
}

// Feed implements exchange.Decoder.
func (u *undecidedDecoder) Feed(from exchange.Side, at time.Duration, b []byte, emit func(exchange.Event)) error {
	if u.dec != nil {
		return u.dec.Feed(from, at, b, emit)
	}
	if from == exchange.Server { // clients of HTTP are not spoken to first
		if err := u.opaque(emit); err != nil {
			return err
		}
		return u.dec.Feed(from, at, b, emit)
	}
	if u.ahead == nil {
		u.at = at
	}
	u.ahead = append(u.ahead, b...)
	switch p := Sniff(u.ahead); p {
	case Undecided:
		return nil
	case ProtoHTTP1:
		u.dec = http1.NewDecoder(u.scheme)
	case ProtoHTTP2:
		u.dec = http2.NewDecoder()
	default:
		return u.opaque(emit)
	}
	return u.decided(emit)
}

// decided has the decoder take what came before it was chosen.
func (u *undecidedDecoder) decided(emit func(exchange.Event)) error {
	ahead := u.ahead
	u.ahead = nil
	if len(ahead) == 0 {
		return nil
	}
	return u.dec.Feed(exchange.Client, u.at, ahead, emit)
}

// opaque decides that it is no HTTP.
func (u *undecidedDecoder) opaque(emit func(exchange.Event)) error {
	if u.dec = u.raw; u.dec == nil {
		return errOpaque
	}
	return u.decided(emit)
}

// Close implements exchange.Decoder.
func (u *undecidedDecoder) Close(from exchange.Side, at time.Duration, end exchange.End, emit func(exchange.Event)) error {
	if u.dec == nil {
		if err := u.opaque(emit); err != nil {
			return fmt.Errorf("%w: %d bytes and the end", err, len(u.ahead))
		}
	}
	return u.dec.Close(from, at, end, emit)
}
