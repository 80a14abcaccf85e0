package cassette

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// codeCancel is CANCEL of HTTP/2 (RFC 9113, section 7): how a server of gRPC resets
// a call whose deadline has passed.
const codeCancel = 8

// overdue has a call that its server reset at its deadline be one whose client left:
// both do so at the same time, and who was seen to is chance.
func (k *take) overdue() {
	end := k.sides[exchange.Server].end
	if end == nil || end.How != exchange.Reset || end.Code != codeCancel || !k.called() {
		return
	}
	v, _ := exchange.Get(k.req.Fields, "grpc-timeout")
	if d, ok := callTimeout(v); ok && k.end-k.start >= d/10*9 {
		left := *end
		left.How, left.Err = exchange.Left, "the deadline of the call has passed"
		k.sides[exchange.Server].end = &left
	}
}

// callTimeout is the time that a grpc-timeout says
// (github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, Timeout).
func callTimeout(v string) (time.Duration, bool) {
	if v == "" {
		return 0, false
	}
	unit := map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond}[v[len(v)-1]]
	n, err := strconv.ParseUint(strings.TrimSpace(v[:len(v)-1]), 10, 27) // eight digits at most
	if err != nil || unit == 0 {
		return 0, false
	}
	return time.Duration(min(n, uint64(math.MaxInt64/unit))) * unit, true
}
