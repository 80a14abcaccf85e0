package mitm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/serge-net/serge-net/exchange"
)

// ErrOurselves is wrapped by the error of a Dialer that will not connect to the
// very proxy that it works for: that would go round for ever.
var ErrOurselves = errors.New("this is the proxy itself")

// Explicit is the way in for clients that name their origins themselves, which
// is what a proxy setting has them do: SOCKS5 (RFC 1928), CONNECT, and requests
// in absolute form (RFC 9112 section 3.2.2), all on one port. What they ask for
// goes Way, as if it had been diverted. Record dials before the client is told
// that its origin is there, so that a failure has the words of the client's
// protocol; Replay and Mixed tell it at once.
//
// Its fields are not changed once it is in use.
type Explicit struct {
	Way     Way
	Refused func(error) // told of clients that ask for what is not to be had; nil: nobody is
}

// Handle owns client and returns when it is closed. The end of ctx closes it.
// It is called concurrently.
func (x *Explicit) Handle(ctx context.Context, client net.Conn, caller exchange.Caller) {
	c := peek(client)
	stop := context.AfterFunc(ctx, func() { client.Close() })
	defer stop()
	p, err := sniff(c, nil)
	switch {
	case err != nil:
		c.Close()
	case c.ahead[0] == socksVersion:
		o, err := askedBySocks(c, caller)
		x.hand(ctx, c, o, err, stop)
	case p == ProtoHTTP1 && connecting(c.ahead):
		o, err := askedByConnect(c, caller)
		x.hand(ctx, c, o, err, stop)
	case p == ProtoHTTP1:
		x.forward(ctx, c, caller)
	default:
		x.refuse(c, unknownTongue(c.ahead[0], p))
	}
}

// hand hands a client on that has said what it wants, or was told why it does
// not get it. stop keeps ctx from closing it below those who own it next.
func (x *Explicit) hand(ctx context.Context, c *peeked, o exchange.Origin, err error, stop func() bool) {
	if err != nil {
		x.refuse(c, err)
		return
	}
	stop()
	x.Way.Handle(ctx, c, o)
}

// refuse closes a client that does not get what it asks for.
func (x *Explicit) refuse(c net.Conn, err error) {
	shut(c)
	// One that left in the middle of a word is no news.
	if x.Refused != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		x.Refused(err)
	}
}

// unknownTongue says what a client speaks in place of a proxy's protocols.
func unknownTongue(first byte, p Protocol) error {
	switch {
	case p == ProtoTLS:
		return errors.New("a client speaks TLS to the proxy: its address is an http:// or socks5:// one, for https:// origins too")
	case p == ProtoHTTP2:
		return errors.New("a client speaks HTTP/2 to the proxy: CONNECT and absolute form are understood in HTTP/1.1")
	case first == 4:
		return errors.New("a client speaks SOCKS4 to the proxy: SOCKS5 is understood")
	}
	return fmt.Errorf("a client speaks neither HTTP nor SOCKS5 to the proxy: its first byte is %#02x", first)
}

// askedByConnect reads a CONNECT request. An error was told to the client.
func askedByConnect(c *peeked, caller exchange.Caller) (exchange.Origin, error) {
	ask, err := c.takeHead()
	if err != nil {
		return exchange.Origin{}, err
	}
	host, port, err := connectTarget(ask)
	var o exchange.Origin
	if err == nil {
		o, err = named(host, port, caller)
	}
	if err != nil {
		c.Write(apology(http.StatusBadRequest, http.MethodConnect, err))
		return o, err
	}
	c.answers(connectAnswer)
	return o, nil
}

// maxName is the longest name that DNS has (RFC 1035 section 2.3.4), with the
// root's dot.
const maxName = 254

// named is the origin that a client asks for by host, a name or an address.
func named(host string, port uint16, caller exchange.Caller) (exchange.Origin, error) {
	o := exchange.Origin{Addr: netip.AddrPortFrom(netip.IPv4Unspecified(), port), Caller: caller}
	if port == 0 {
		return o, fmt.Errorf("port 0 of %q", host)
	}
	if a, err := netip.ParseAddr(host); err == nil {
		o.Addr = netip.AddrPortFrom(a, port)
		return o, nil
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	odd := func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune("/\\?#@:[]\"<>", r) }
	if name == "" || len(name) > maxName || strings.ContainsFunc(name, odd) {
		return o, fmt.Errorf("%q is neither a host's name nor an address", host)
	}
	o.Name = name
	return o, nil
}
