package mitm

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/mitm/http3"
)

// errQUIC is wrapped where QUIC carries something that is not HTTP/3.
var errQUIC = errors.New("QUIC that does not carry HTTP/3")

// errFallBack ends a client's handshake where it is to come again by TCP.
var errFallBack = errors.New("not by QUIC")

// Packets are diverted datagrams: ReadFrom returns who sent one, and where to,
// WriteTo answers in the name of that. ReadFrom fails when they have ended.
type Packets interface {
	ReadFrom(b []byte) (n int, client, queried netip.AddrPort, err error)
	WriteTo(b []byte, client, queried netip.AddrPort) error
}

// A quicWay is a Way of QUIC connections too.
type quicWay interface {
	// greet decides, inside of the client's handshake, what that shows. o gets
	// what is learned of the origin.
	greet(ctx context.Context, o *exchange.Origin, hello *tls.ClientHelloInfo) (greeting, error)
	// carry owns client, and what greet returned, and returns when both are closed.
	carry(ctx context.Context, client *quic.Conn, g greeting, o exchange.Origin)
	// tells is where the way reports to.
	tells() Tell
}

// A greeting is what a handshake shows, and who is behind it.
type greeting struct {
	way    quicWay // that carries what comes
	server *Server
	show   shown
	origin *quicOrigin // nil: none was needed
}

// close closes the origin's connection, if nobody took it.
func (g *greeting) close() {
	if g.origin != nil {
		g.origin.CloseWithError(http3.NoError, "")
		g.origin.release()
	}
}

// A quicOrigin is our connection to an origin, by a socket of its own.
type quicOrigin struct {
	*quic.Conn
	transport *quic.Transport
}

// release ends what the connection, which is closed, went by.
func (o *quicOrigin) release() {
	o.transport.Close()
	o.transport.Conn.Close()
}

// ServeQUIC ends QUIC on the datagrams that pc brings, and has what it carries,
// HTTP/3, go way: that of a *Record, *Replay, *Mixed or *Bypass. origin tells whom client
// means by the address that it sent to, and who it is: it is asked once for each
// connection, and holds up the others. It returns when pc has ended and all
// connections are closed, which the end of ctx does: nil then, else what is wrong.
//
// A client that Bypass matches, or whose origin cannot be reached by QUIC, has
// its handshake refused: it comes again by TCP. 0-RTT is refused, too: what it
// carries is sent again.
func ServeQUIC(ctx context.Context, pc Packets, way Way, origin func(client, queried netip.AddrPort) exchange.Origin) error {
	w, ok := way.(quicWay)
	if !ok {
		return fmt.Errorf("serve QUIC: %T does not carry it", way)
	}
	s := &quicServer{way: w, origin: origin}
	t := quic.Transport{Conn: &packetConn{Packets: pc}, ConnContext: s.arrive}
	l, err := t.Listen(&tls.Config{GetConfigForClient: s.greet}, quicConfig())
	if err != nil {
		return fmt.Errorf("serve QUIC: %w", err)
	}
	var handling sync.WaitGroup
	for {
		c, err := l.Accept(ctx)
		if err != nil {
			break // the end, of ctx or of pc
		}
		handling.Go(func() {
			v := c.Context().Value(visitKey{}).(*visit)
			v.greeting.way.carry(ctx, c, v.take(), v.origin)
		})
	}
	handling.Wait()
	t.Close()
	s.visits.Wait()
	return nil
}

// quicConfig is that of both sides. RESET_STREAM_AT gets a client the half of an
// answer that was sent before it was cut.
func quicConfig() *quic.Config {
	return &quic.Config{
		HandshakeIdleTimeout:             quicTimeout,
		MaxIdleTimeout:                   2 * time.Minute, // the sides' own are shorter
		EnableDatagrams:                  true,
		EnableStreamResetPartialDelivery: true,
	}
}

// quicTimeout is how long a handshake may be silent: browsers give QUIC less
// before they try TCP beside it.
const quicTimeout = 5 * time.Second

// quicServer makes visits of arriving connections.
type quicServer struct {
	way    quicWay
	origin func(client, queried netip.AddrPort) exchange.Origin
	visits sync.WaitGroup // until each has ended
}

// visitKey is under which a connection's context has its *visit.
type visitKey struct{}

// A visit is a client's connection from its first packet on.
type visit struct {
	origin exchange.Origin

	mu       sync.Mutex
	greeting greeting
	showed   bool // the client can see the certificate
	taken    bool // somebody carries the connection
	over     bool // it ended before
}

// arrive begins a visit.
func (s *quicServer) arrive(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
	from := info.RemoteAddr.(peer)
	v := &visit{origin: s.origin(from.client, from.queried)}
	s.visits.Add(1)
	context.AfterFunc(ctx, func() {
		defer s.visits.Done()
		v.end(s.way.tells(), context.Cause(ctx))
	})
	return context.WithValue(ctx, visitKey{}, v), nil
}

// end closes what a handshake that came to nothing has opened, and tells of a
// client that does not accept our certificate.
func (v *visit) end(tell Tell, cause error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.over = true; v.taken {
		return
	}
	v.greeting.close()
	var alert *quic.TransportError
	if v.showed && errors.As(cause, &alert) && alert.Remote && alert.ErrorCode.IsCryptoError() {
		tell.trouble(Rejected, v.origin, fmt.Errorf("QUIC with the client: remote error: %w", tls.AlertError(alert.ErrorCode-0x100)))
	}
}

// take hands the greeting to who carries the connection.
func (v *visit) take() greeting {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.taken = true
	return v.greeting
}

// greet is asked by the handshake what to show.
func (s *quicServer) greet(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	v := hello.Context().Value(visitKey{}).(*visit)
	o := v.origin
	o.SNI, o.TLS = hello.ServerName, true
	if !slices.Contains(hello.SupportedProtos, http3.ALPN) {
		err := fmt.Errorf("%w: ALPN %q", errQUIC, hello.SupportedProtos)
		s.way.tells().trouble(Opaque, o, err)
		return nil, err
	}
	ctx, cancel := context.WithTimeout(hello.Context(), dialTimeout)
	defer cancel()
	g, err := s.way.greet(ctx, &o, hello)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.over {
		g.close()
		return nil, errFallBack
	}
	o.ALPN, g.show.alpn = http3.ALPN, []string{http3.ALPN}
	v.origin, v.greeting, v.showed = o, g, true
	return g.server.config(hello, g.show)
}

// peer is a client and whom it sends to: an address as quic-go has them.
type peer struct{ client, queried netip.AddrPort }

// Network implements net.Addr.
func (p peer) Network() string { return "udp" }

// String tells peers apart.
func (p peer) String() string { return p.client.String() + " to " + p.queried.String() }

// packetConn is Packets as quic-go reads them. Who ends them ends its reading:
// deadlines do nothing.
type packetConn struct{ Packets }

// ReadFrom implements net.PacketConn.
func (c *packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, client, queried, err := c.Packets.ReadFrom(b)
	return n, peer{client, queried}, err
}

// WriteTo implements net.PacketConn. What cannot be sent is lost, as on a wire.
func (c *packetConn) WriteTo(b []byte, to net.Addr) (int, error) {
	p := to.(peer)
	_ = c.Packets.WriteTo(b, p.client, p.queried)
	return len(b), nil
}

// Close leaves the datagrams to who ends them.
func (c *packetConn) Close() error { return nil }

// LocalAddr is of no use: there are many.
func (c *packetConn) LocalAddr() net.Addr { return peer{} }

// SetReadBuffer does nothing: the size of buffers is the lane's business. quic-go
// wants to be able to set it, or logs.
func (c *packetConn) SetReadBuffer(int) error { return nil }

// SetWriteBuffer does nothing, too.
func (c *packetConn) SetWriteBuffer(int) error { return nil }

// SetDeadline does nothing.
func (c *packetConn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (c *packetConn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (c *packetConn) SetWriteDeadline(time.Time) error { return nil }
