package mitm

import (
	"context"
	"net"

	"github.com/serge-net/serge-net/exchange"
)

// Bypass passes the bytes of some connections on unseen, TLS and all, and
// hands the others to Else.
type Bypass struct {
	Match    func(exchange.Origin) bool
	Upstream *Upstream
	Tell     Tell
	Else     Way
}

// Handle implements Way.
func (b *Bypass) Handle(ctx context.Context, client net.Conn, o exchange.Origin) {
	if !b.Match(o) {
		b.Else.Handle(ctx, client, o)
		return
	}
	server, err := b.Upstream.Dial(ctx, o)
	if err != nil {
		deny(client, dialed(err, 0))
		b.Tell.trouble(Unreachable, o, err)
		return
	}
	admit(client)
	relay(ctx, client, server, newTap(nil, nil, o, b.Tell))
}
