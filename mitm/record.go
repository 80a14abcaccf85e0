package mitm

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/mitm/http1"
	"github.com/serge-net/serge-net/mitm/http2"
)

// Record passes every byte on, untouched, to the origin and back, and shows the
// watcher what passes. Its fields are not changed once it is in use.
type Record struct {
	Server   *Server
	Upstream *Upstream
	Watcher  exchange.Watcher
	TCP      func(exchange.Origin) bool // whether what is neither TLS nor HTTP is recorded; nil: it is
	Tell     Tell
}

// Handle implements Way. One client connection has one origin connection.
func (r *Record) Handle(ctx context.Context, client net.Conn, o exchange.Origin) {
	c, start := peek(client), time.Now()
	var server net.Conn
	err := c.waiting(ctx, func(ctx context.Context) (err error) {
		server, err = r.Upstream.Dial(ctx, o)
		return err
	})
	if err != nil {
		r.Tell.trouble(Unreachable, o, err)
		r.unreachable(ctx, c, o, dialed(err, time.Since(start)))
		return
	}
	admit(client)
	r.stream(ctx, c, peek(server), o)
}

// stream goes on with what the connection shows that it carries.
func (r *Record) stream(ctx context.Context, c, s *peeked, o exchange.Origin) {
	stop := context.AfterFunc(ctx, func() { c.Close(); s.Close() })
	p, err := sniff(c, s)
	stop()
	switch {
	case err != nil: // the client left without a word
		c.Close()
		s.Close()
	case p == ProtoTLS:
		r.secure(ctx, c, s, o)
	case p == ProtoHTTP1 && connecting(c.ahead):
		r.tunnel(ctx, c, s, o)
	default:
		r.pass(ctx, c, s, o, p)
	}
}

// secure ends TLS on both sides, the origin's handshake inside the client's, so
// that the client sees the origin's choices, and goes on with what is inside.
func (r *Record) secure(ctx context.Context, client, server *peeked, o exchange.Origin) {
	c, s, err := r.handshakes(ctx, client, server, &o, func(end exchange.End) { r.note(o, end) })
	if err != nil {
		client.Close()
		server.Close()
		return
	}
	pc, ps := r.Tell.inside(c, o), peek(s)
	switch o.ALPN {
	case "h2":
		r.pass(ctx, pc, s, o, ProtoHTTP2)
		return
	case "http/1.1", "http/1.0":
		r.pass(ctx, pc, s, o, ProtoHTTP1)
		return
	}
	stop := context.AfterFunc(ctx, func() { shut(pc); shut(s) })
	p, err := sniff(pc, ps)
	stop()
	if err != nil {
		shut(pc)
		shut(s)
		return
	}
	r.pass(ctx, pc, ps, o, p)
}

// handshakes does both, tells what went wrong, and fills in o. note is told how the
// origin's ended, if it failed.
func (r *Record) handshakes(ctx context.Context, client, server *peeked, o *exchange.Origin, note func(exchange.End)) (c, s *tls.Conn, err error) {
	var upstream error
	c, err = r.Server.accept(ctx, client, func(hello *tls.ClientHelloInfo) (shown, error) {
		o.SNI = hello.ServerName
		start := time.Now()
		upstream = client.waiting(ctx, func(ctx context.Context) (err error) {
			s, err = r.Upstream.Secure(ctx, server, o, hello)
			return err
		})
		if upstream != nil {
			o.TLS = true
			end := shaken(upstream, time.Since(start))
			note(end)
			deny(client, end)
			return shown{}, upstream
		}
		show := shown{name: o.Host(), names: o.Names}
		if o.ALPN != "" {
			show.alpn = []string{o.ALPN}
		}
		return show, nil
	})
	switch {
	case upstream != nil:
		r.Tell.trouble(Untrusted, *o, upstream)
	case err != nil && rejected(err):
		o.TLS = true
		r.Tell.trouble(Rejected, *o, err)
	}
	return c, s, err
}

// pass relays what the connection carries, understood as p.
func (r *Record) pass(ctx context.Context, client, server net.Conn, o exchange.Origin, p Protocol) {
	relay(ctx, client, server, r.tapped(o, p))
}

// tapped is the tap for what o speaks.
func (r *Record) tapped(o exchange.Origin, p Protocol) *tap {
	switch p {
	case ProtoHTTP1:
		return newTap(r.Watcher, http1.NewDecoder(schemeOf(o)), o, r.Tell)
	case ProtoHTTP2:
		return newTap(r.Watcher, http2.NewDecoder(), o, r.Tell)
	}
	switch {
	case r.records(o):
		return r.rawTap(o, p)
	case p == Undecided:
		return newTap(r.Watcher, &undecidedDecoder{scheme: schemeOf(o)}, o, r.Tell)
	}
	if r.Watcher != nil {
		r.Tell.trouble(Opaque, o, errOpaque)
	}
	return &tap{origin: o, tell: r.Tell}
}
