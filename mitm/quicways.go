package mitm

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"github.com/quic-go/quic-go"

	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/mitm/http3"
)

// greet implements quicWay: the origin's handshake is inside the client's.
func (r *Record) greet(ctx context.Context, o *exchange.Origin, hello *tls.ClientHelloInfo) (greeting, error) {
	c, err := r.Upstream.dialQUIC(ctx, o, hello)
	if err != nil {
		return greeting{}, err // which is not told: the client tries TCP
	}
	return greeting{way: r, server: r.Server, show: shown{name: o.Host(), names: o.Names}, origin: c}, nil
}

// carry implements quicWay.
func (r *Record) carry(ctx context.Context, client *quic.Conn, g greeting, o exchange.Origin) {
	newQUICRelay(client, g.origin.Conn, newTap(r.Watcher, nil, o, r.Tell)).run(ctx)
	g.origin.release()
}

// tells implements quicWay.
func (r *Record) tells() Tell { return r.Tell }

// greet implements quicWay: a host that is recorded over any version of HTTP is
// had over HTTP/3.
func (r *Replay) greet(_ context.Context, o *exchange.Origin, hello *tls.ClientHelloInfo) (greeting, error) {
	return greeting{way: r, server: r.Server, show: offered(r.Player, o, hello)}, nil
}

// carry implements quicWay.
func (r *Replay) carry(ctx context.Context, client *quic.Conn, _ greeting, o exchange.Origin) {
	play, err := r.Player.Open(o)
	if err != nil {
		client.CloseWithError(http3.NoError, "")
		r.Tell.missed(o, err.Error())
		return
	}
	defer play.Close()
	a := &answerer{play: play.Event, refusal: r.Refusal, tell: r.Tell}
	http3.Serve(ctx, client, withoutTunnels(o, r.Refusal, r.Tell, a.event))
}

// tells implements quicWay.
func (r *Replay) tells() Tell { return r.Tell }

// greet implements quicWay: a host that is not recorded is recorded.
func (m *Mixed) greet(ctx context.Context, o *exchange.Origin, hello *tls.ClientHelloInfo) (greeting, error) {
	show := offered(m.Player, o, hello)
	if !m.Player.Offer(*o).Recorded {
		return m.Record.greet(ctx, o, hello)
	}
	return greeting{way: m, server: m.Server, show: show}, nil
}

// carry implements quicWay. What misses goes on by HTTP/2.
func (m *Mixed) carry(ctx context.Context, client *quic.Conn, _ greeting, o exchange.Origin) {
	play, err := m.Player.Open(o)
	if err != nil {
		client.CloseWithError(http3.NoError, "")
		m.Tell.missed(o, err.Error())
		return
	}
	defer play.Close()
	o.ALPN = "h2"
	x := newMixed2(ctx, m, o, play)
	http3.Serve(ctx, client, withoutTunnels(o, Refusal{}, m.Tell, x.event))
	x.close(exchange.End{})
}

// withoutTunnels is play, but for requests for a tunnel, which miss.
func withoutTunnels(o exchange.Origin, refusal Refusal, tell Tell, play http3.Play) http3.Play {
	return func(e exchange.Event, answer func(exchange.Event) error) error {
		if e.Kind != exchange.KindHead || http3.Tunnel(e.Head) == "" {
			return play(e, answer)
		}
		named := *e.Head
		named.Method = "GET" // whose URL has a path
		m := &exchange.Miss{Method: e.Head.Method, URL: o.URL(&named), Caller: o.Caller,
			Reason: http3.Tunnel(e.Head) + " over HTTP/3 is not recorded, and not replayed"}
		tell.miss(m)
		return refusal.answer(m, e, answer)
	}
}

// greet implements quicWay: what passes unseen does so by TCP.
func (b *Bypass) greet(ctx context.Context, o *exchange.Origin, hello *tls.ClientHelloInfo) (greeting, error) {
	if b.Match(*o) {
		return greeting{}, errFallBack
	}
	return b.Else.(quicWay).greet(ctx, o, hello)
}

// carry is not called: greet names another way.
func (b *Bypass) carry(ctx context.Context, client *quic.Conn, g greeting, o exchange.Origin) {
	b.Else.(quicWay).carry(ctx, client, g, o)
}

// tells implements quicWay.
func (b *Bypass) tells() Tell { return b.Tell }

// dialQUIC connects to o by QUIC, as Dial and Secure do by TCP: each address of
// its name is tried in turn. There is no QUIC through a proxy.
func (u *Upstream) dialQUIC(ctx context.Context, o *exchange.Origin, hello *tls.ClientHelloInfo) (*quicOrigin, error) {
	addrs := []netip.Addr{o.Addr.Addr().Unmap()}
	to := connected(*o)
	proxy, err := u.proxyOf(*o, to)
	if err != nil {
		return nil, err
	}
	if proxy != nil {
		return nil, fmt.Errorf("QUIC with %s: %w: there is a proxy", to, errFallBack)
	}
	if o.Name != "" {
		resolver := u.Dialer.Resolver
		if resolver == nil {
			resolver = net.DefaultResolver
		}
		if addrs, err = resolver.LookupNetIP(ctx, "ip", o.Name); err != nil {
			return nil, fmt.Errorf("QUIC with %s: %w", to, err)
		}
	}
	config := u.config(*o, hello)
	config.NextProtos, config.ClientSessionCache = []string{http3.ALPN}, nil
	for _, a := range addrs {
		var c *quicOrigin
		if c, err = openQUIC(ctx, u.Dialer.Control, netip.AddrPortFrom(a.Unmap(), o.Addr.Port()), config); err == nil {
			noted(o, c.ConnectionState().TLS)
			return c, nil
		}
	}
	return nil, fmt.Errorf("QUIC with %s: %w", to, err)
}

// openQUIC connects to one address, from a socket of its own that control sees.
func openQUIC(ctx context.Context, control func(network, address string, c syscall.RawConn) error, at netip.AddrPort, config *tls.Config) (*quicOrigin, error) {
	listen := net.ListenConfig{Control: control}
	socket, err := listen.ListenPacket(ctx, "udp", ":0")
	if err != nil {
		return nil, err
	}
	o := &quicOrigin{transport: &quic.Transport{Conn: socket}}
	if o.Conn, err = o.transport.Dial(ctx, net.UDPAddrFromAddrPort(at), config, quicConfig()); err != nil {
		o.release()
		return nil, err
	}
	return o, nil
}
