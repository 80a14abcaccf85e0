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
}

// Feed implements exchange.Decoder.
func (u *undecidedDecoder) Feed(from exchange.Side, at time.Duration, b []byte, emit func(exchange.Event)) error {
	if u.dec != nil {
		return u.dec.Feed(from, at, b, emit)
	}
	if from == exchange.Server { // clients of HTTP are not spoken to first
		return errOpaque
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
		return errOpaque
	}
	ahead := u.ahead
	u.ahead = nil
	return u.dec.Feed(from, u.at, ahead, emit)
}

// Close implements exchange.Decoder.
func (u *undecidedDecoder) Close(from exchange.Side, at time.Duration, end exchange.End, emit func(exchange.Event)) error {
	if u.dec != nil {
		return u.dec.Close(from, at, end, emit)
	}
	return fmt.Errorf("%w: %d bytes and the end", errOpaque, len(u.ahead))
}
