package mitm

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/mitm/http2"
)

// undecided is how long Mixed waits for a client to show its protocol before it
// takes it for one that waits to be spoken to, and connects it to the origin.
const undecided = time.Second

// Mixed answers from the player, and lets an exchange that misses go on to the
// origin, which the watcher sees as if it were recorded. So may what is neither TLS
// nor HTTP, as long as nothing was answered on its connection.
type Mixed struct {
	Record
	Player exchange.Player
	Missed func(*exchange.Miss) // told what goes on; nil: nobody is
}

// Handle implements Way.
func (m *Mixed) Handle(ctx context.Context, client net.Conn, o exchange.Origin) {
	stop := context.AfterFunc(ctx, func() { client.Close() })
	c := peek(client)
	if c.waits && fails(m.Player, c, o) {
		stop()
		return
	}
	admit(c)
	m.stream(ctx, c, o, stop)
}

// stream goes on with what the client shows that it speaks. heard is called
// when it has.
func (m *Mixed) stream(ctx context.Context, c *peeked, o exchange.Origin, heard func() bool) {
	p, err := m.hears(c, o)
	heard()
	switch {
	case err != nil:
		shut(c)
	case (p != ProtoHTTP1 || connecting(c.ahead)) && p != ProtoTLS && fails(m.Player, c, o):
	case p == ProtoHTTP1 && connecting(c.ahead):
		inner, err := tunnelled(c, o)
		if err != nil {
			reset(c)
			m.Tell.trouble(Opaque, o, err)
			return
		}
		m.stream(ctx, c, inner, heard)
	case p == ProtoTLS:
		m.secure(ctx, c, o)
	case p == ProtoHTTP1 || p == ProtoHTTP2:
		m.serve(ctx, c, o, p, nil)
	default:
		m.raw(ctx, c, nil, o, p)
	}
}

// hears waits for the client to show what it speaks; a silent one is Undecided.
func (m *Mixed) hears(c *peeked, o exchange.Origin) (Protocol, error) {
	offer := m.Player.Offer(o)
	p, err := hears(c, offer)
	switch {
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return p, err
	case opaque(c, offer):
		return ProtoOpaque, nil
	}
	return Undecided, nil
}

// secure ends TLS: as recorded where the host is, else as the origin does, whose
// connection is then at hand.
func (m *Mixed) secure(ctx context.Context, c *peeked, o exchange.Origin) {
	var server *tls.Conn
	var upstream error
	t, err := m.Server.accept(ctx, c, func(hello *tls.ClientHelloInfo) (shown, error) {
		show := offered(m.Player, &o, hello)
		if fails(m.Player, c, o) {
			return shown{}, errFails
		}
		if m.Player.Offer(o).Recorded {
			return show, nil
		}
		start := time.Now()
		upstream = c.waiting(ctx, func(ctx context.Context) (err error) {
			server, err = m.dialTLS(ctx, &o, hello)
			return err
		})
		if upstream != nil {
			end := failed(upstream, time.Since(start))
			m.note(o, end)
			deny(c, end)
			return shown{}, upstream
		}
		return shown{name: o.Host(), names: o.Names, alpn: []string{o.ALPN}}, nil
	})
	if err != nil {
		c.Close()
		if server != nil {
			server.Close()
		}
		if upstream == nil && rejected(err) {
			m.Tell.trouble(Rejected, o, err)
		}
		return
	}
	o.ALPN = t.ConnectionState().NegotiatedProtocol
	in := m.Tell.inside(t, o)
	p := ProtoHTTP2
	if o.ALPN != "h2" {
		p, err = m.hears(in, o)
	}
	if err != nil {
		shut(in)
		if server != nil {
			shut(server)
		}
		return
	}
	m.inner(ctx, in, server, o, p)
}

// inner goes on with what is inside TLS. server may be nil: then it is dialled
// when it is needed.
func (m *Mixed) inner(ctx context.Context, c *peeked, server *tls.Conn, o exchange.Origin, p Protocol) {
	if p == ProtoHTTP1 || p == ProtoHTTP2 {
		var at net.Conn
		if server != nil {
			at = server
		}
		m.serve(ctx, c, o, p, at)
		return
	}
	m.raw(ctx, c, server, o, p)
}

// dialTLS connects to o and starts TLS, and tells what goes wrong.
func (m *Mixed) dialTLS(ctx context.Context, o *exchange.Origin, hello *tls.ClientHelloInfo) (*tls.Conn, error) {
	c, err := m.Upstream.Dial(ctx, *o)
	if err != nil {
		m.Tell.trouble(Unreachable, *o, err)
		return nil, err
	}
	t, err := m.Upstream.Secure(ctx, c, o, hello)
	if err != nil {
		c.Close()
		m.Tell.trouble(Untrusted, *o, err)
		return nil, &handshakeError{err}
	}
	return t, nil
}

// serve answers what c carries, from the player or from the origin. It owns c
// and server, which may be nil.
func (m *Mixed) serve(ctx context.Context, c net.Conn, o exchange.Origin, p Protocol, server net.Conn) {
	play, err := m.Player.Open(o)
	if err != nil {
		reset(c)
		m.Tell.missed(o, err.Error())
		return
	}
	defer play.Close()
	if p == ProtoHTTP2 {
		two := newMixed2(ctx, m, o, play)
		two.idle = server
		serving := &http2.Server{Scheme: schemeOf(o), Play: two.event, Left: two.left, Reset: reset, Connect: m.Player.Offer(o).ConnectProtocol}
		two.close(endOf(serving.Serve(ctx, c)))
		return
	}
	stop := context.AfterFunc(ctx, func() { shut(c) })
	defer stop()
	one := &mixed1{m: m, ctx: ctx, origin: o, play: newSockets(play.Event).event, client: c, server: server}
	session := newSession(ctx, c, o, one.event)
	one.pass = session.pass
	session.serve(m.Tell)
	one.close()
}

// dial connects to the origin for a client that speaks o.ALPN.
func (m *Mixed) dial(ctx context.Context, o exchange.Origin) (net.Conn, exchange.Origin, error) {
	if !o.TLS {
		c, err := m.Upstream.Dial(ctx, o)
		if err != nil {
			m.Tell.trouble(Unreachable, o, err)
		}
		return c, o, err
	}
	hello := &tls.ClientHelloInfo{SupportedProtos: []string{"http/1.1"}} // of the client's nothing else is needed
	if o.ALPN == "h2" {
		hello.SupportedProtos = []string{"h2"}
	}
	c, err := m.dialTLS(ctx, &o, hello)
	if err != nil {
		return nil, o, err
	}
	return c, o, nil
}

// missed tells of a miss that goes on to the origin.
func (m *Mixed) missed(miss *exchange.Miss) {
	if m.Missed != nil {
		m.Missed(miss)
	}
}

// A tunnel is the server's half of an upgraded connection, relayed while the
// session relays the client's.
type tunnel struct {
	server net.Conn
	tap    *tap
	done   sync.WaitGroup
}

// start relays what server sends to client.
func (t *tunnel) start(client net.Conn) {
	t.done.Go(func() { oneWay(client, t.server, exchange.Server, t.tap) })
}
