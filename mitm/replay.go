package mitm

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"time"

	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/mitm/http2"
)

// silence is how long a client may say nothing before it is taken for one that
// waits to be spoken to, where nothing is recorded that could be said. Browsers close
// the connections that they opened ahead of need before that.
const silence = 10 * time.Second

// errFails ends a handshake that failed when it was recorded.
var errFails = errors.New("mitm: it failed when it was recorded")

// Replay answers from the player. It never dials: there is no Upstream in it.
// Its fields are not changed once it is in use.
type Replay struct {
	Server  *Server
	Player  exchange.Player
	Refusal Refusal
	Tell    Tell
}

// Handle implements Way.
func (r *Replay) Handle(ctx context.Context, client net.Conn, o exchange.Origin) {
	stop := context.AfterFunc(ctx, func() { client.Close() })
	defer stop()
	c := peek(client)
	if c.waits && fails(r.Player, c, o) {
		return
	}
	admit(c)
	r.stream(ctx, c, o)
}

// stream goes on with what the client shows that it speaks.
func (r *Replay) stream(ctx context.Context, c *peeked, o exchange.Origin) {
	p, ok := r.hears(c, o, func() bool { return fails(r.Player, c, o) })
	switch {
	case !ok:
	case p == ProtoTLS:
		r.secure(ctx, c, o)
	case (p != ProtoHTTP1 || connecting(c.ahead)) && p != ProtoTLS && fails(r.Player, c, o):
	case p == ProtoHTTP1 && connecting(c.ahead):
		inner, err := tunnelled(c, o)
		if err != nil {
			reset(c)
			r.Tell.missed(o, err.Error())
			return
		}
		r.stream(ctx, c, inner)
	default:
		r.play(ctx, c, o, p)
	}
}

// secure ends TLS and goes on with what is inside.
func (r *Replay) secure(ctx context.Context, c *peeked, o exchange.Origin) {
	t, err := r.accept(ctx, c, &o)
	if err != nil {
		c.Close()
		if rejected(err) {
			r.Tell.trouble(Rejected, o, err)
		}
		return
	}
	inner := r.Tell.inside(t, o)
	if o.ALPN == "h2" {
		r.play(ctx, inner, o, ProtoHTTP2)
		return
	}
	if p, ok := r.hears(inner, o, func() bool { return false }); ok {
		r.play(ctx, inner, o, p)
	}
}

// hears waits for the client to show what it speaks. One that waits to be spoken to
// is opaque, where its origin spoke first; else c is closed. fails is asked of a
// client that seems to wait, and is true if it closed c.
func (r *Replay) hears(c *peeked, o exchange.Origin, fails func() bool) (Protocol, bool) {
	offer := r.Player.Offer(o)
	p, err := hears(c, offer)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		if fails() {
			return Undecided, false
		}
		if opaque(c, offer) {
			return ProtoOpaque, true
		}
		c.SetReadDeadline(time.Now().Add(silence - undecided))
		p, err = sniff(c, nil)
	}
	c.SetReadDeadline(time.Time{})
	switch {
	case err == nil:
		return p, true
	case errors.Is(err, os.ErrDeadlineExceeded) && !r.Player.Offer(o).Recorded:
		reset(c)
		r.Tell.missed(o, "the client waits to be spoken to, and nothing is recorded for this host and port")
	default:
		shut(c)
	}
	return Undecided, false
}

// accept ends TLS as the origin did when it was recorded.
func (r *Replay) accept(ctx context.Context, c *peeked, o *exchange.Origin) (*tls.Conn, error) {
	t, err := r.Server.accept(ctx, c, func(hello *tls.ClientHelloInfo) (shown, error) {
		show := offered(r.Player, o, hello)
		if fails(r.Player, c, *o) {
			return shown{}, errFails
		}
		return show, nil
	})
	o.TLS = true
	if err != nil {
		return nil, err
	}
	o.ALPN = t.ConnectionState().NegotiatedProtocol
	return t, nil
}

// offered is what a player shows for o to a client that says hello. HTTP/1.1 is
// open to a client without the protocol that the origin chose.
func offered(p exchange.Player, o *exchange.Origin, hello *tls.ClientHelloInfo) shown {
	o.SNI, o.TLS = hello.ServerName, true
	offer := p.Offer(*o)
	o.Names = offer.Names
	show := shown{name: o.Host(), names: offer.Names, alpn: offer.ALPN}
	switch {
	case !offer.Recorded:
		show.alpn = []string{"h2", "http/1.1"}
	case len(offer.ALPN) > 0:
		show.alpn = append(show.alpn[:len(show.alpn):len(show.alpn)], "http/1.1")
	}
	return show
}

// play answers what the connection carries, understood as p, and closes it.
func (r *Replay) play(ctx context.Context, c *peeked, o exchange.Origin, p Protocol) {
	if p == ProtoOpaque {
		r.raw(ctx, c, o)
		return
	}
	play, err := r.Player.Open(o)
	if err != nil {
		reset(c)
		r.Tell.missed(o, err.Error())
		return
	}
	defer play.Close()
	answerer := &answerer{play: newSockets(play.Event).event, refusal: r.Refusal, tell: r.Tell}
	if p == ProtoHTTP2 {
		server := &http2.Server{Scheme: schemeOf(o), Play: answerer.event, Reset: reset, Connect: r.Player.Offer(o).ConnectProtocol}
		server.Serve(ctx, c)
		return
	}
	newSession(ctx, c, o, answerer.event).serve(r.Tell)
}

// schemeOf is the URL scheme of what o carries.
func schemeOf(o exchange.Origin) string {
	if o.TLS {
		return "https"
	}
	return "http"
}

// An answerer answers what misses with the miss itself.
type answerer struct {
	play    func(exchange.Event, func(exchange.Event) error) error
	refusal Refusal
	tell    Tell
}

// event implements exchange.Play's, without misses.
func (a *answerer) event(e exchange.Event, answer func(exchange.Event) error) error {
	err := a.play(e, answer)
	if err == nil {
		return nil
	}
	var m *exchange.Miss
	if !errors.As(err, &m) {
		return err
	}
	a.tell.miss(m)
	if e.Kind == exchange.KindWait {
		return nil // nothing was asked that could be refused
	}
	return a.refusal.answer(m, e, answer)
}
