package foreign

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// pieceSize is how much of a body is told at once, in bytes.
const pieceSize = 256 << 10

// Tell tells w what r holds, in its order: exchanges that overlapped follow one
// another. w is a recorder whose time begins at r.Start. done, if it is not nil,
// is called after each exchange with how many were told; its error ends it.
func (r *Recording) Tell(w exchange.Watcher, done func(n int) error) error {
	var clock time.Duration
	for n := range r.Exchanges {
		e := &r.Exchanges[n]
		if !e.Start.IsZero() && !r.Start.IsZero() {
			clock = max(clock, e.Start.Sub(r.Start))
		}
		end, err := e.tell(w, clock)
		if err != nil {
			return fmt.Errorf("import %s %s: %w", e.Request.Method, e.URL, err)
		}
		clock = end + time.Millisecond
		if done == nil {
			continue
		}
		if err := done(n + 1); err != nil {
			return err
		}
	}
	return nil
}

// tell tells w one exchange that began at start, and returns when it ended.
func (e *Exchange) tell(w exchange.Watcher, start time.Duration) (time.Duration, error) {
	e, err := e.whole()
	if err != nil {
		return start, err
	}
	watch, err := w.Open(e.origin())
	if err != nil {
		return start, err
	}
	at := start
	say := func(from exchange.Side, v exchange.Event) {
		if err == nil {
			v.Stream, v.From, v.At = 1, from, at
			err = watch.Event(v)
		}
	}
	body := func(from exchange.Side, b []byte) {
		for len(b) > 0 {
			n := min(len(b), pieceSize)
			say(from, exchange.Event{Kind: exchange.KindData, Data: b[:n]})
			b = b[n:]
		}
	}
	say(exchange.Client, exchange.Event{Kind: exchange.KindHead, Head: &e.Request})
	at += max(e.Send, 0)
	body(exchange.Client, e.RequestBody)
	say(exchange.Client, exchange.Event{Kind: exchange.KindEnd, End: &exchange.End{}})
	for n := range e.Interim {
		say(exchange.Server, exchange.Event{Kind: exchange.KindHead, Head: &e.Interim[n]})
	}
	at += max(e.Wait, 0)
	end := e.Failure
	if e.Response != nil {
		say(exchange.Server, exchange.Event{Kind: exchange.KindHead, Head: e.Response})
		at += max(e.Receive, 0)
		body(exchange.Server, e.ResponseBody)
		if len(e.Trailers) > 0 {
			say(exchange.Server, exchange.Event{Kind: exchange.KindTrailers, Fields: e.Trailers})
		}
	}
	if e.Messages != nil {
		begun, f := at, newFramer()
		for _, m := range e.Messages {
			frame, wrong := f.frame(m)
			if wrong != nil {
				return at, errors.Join(wrong, watch.Close())
			}
			at = max(at, begun+m.At)
			say(m.From, exchange.Event{Kind: exchange.KindData, Data: frame})
		}
		say(exchange.Client, exchange.Event{Kind: exchange.KindEnd, End: &exchange.End{}})
	}
	say(exchange.Server, exchange.Event{Kind: exchange.KindEnd, End: &end})
	if err2 := watch.Close(); err == nil {
		err = err2
	}
	return at, err
}

// whole is e with its bodies.
func (e *Exchange) whole() (*Exchange, error) {
	if e.again == nil {
		return e, nil
	}
	return e.again()
}

// origin is the server that e went to.
func (e *Exchange) origin() exchange.Origin {
	host, port := hostName(e.Request.Authority), uint16(80)
	o := exchange.Origin{Name: host, TLS: e.Request.Scheme == "https"}
	if o.TLS {
		port = 443
		o.SNI, o.Names = host, []string{host}
		if e.Request.Version == "2" {
			o.ALPN = "h2"
		}
	}
	if _, p, err := net.SplitHostPort(e.Request.Authority); err == nil {
		if n, err := strconv.ParseUint(p, 10, 16); err == nil {
			port = uint16(n)
		}
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		addr = netip.IPv4Unspecified() // it is not written: the name is
	} else {
		o.SNI = ""
	}
	o.Addr = netip.AddrPortFrom(addr, port)
	return o
}

// hostName is authority without its port and brackets.
func hostName(authority string) string {
	if host, _, err := net.SplitHostPort(authority); err == nil {
		return strings.ToLower(host)
	}
	return strings.ToLower(strings.Trim(authority, "[]"))
}
