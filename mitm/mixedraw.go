package mitm

import (
	"context"
	"crypto/tls"

	"github.com/serge-net/serge-net/exchange"
)

// raw answers a raw connection from the player. A client that says what was not recorded
// goes on to its origin, with all that it said, if it was not answered yet: server, where TLS
// with it is at hand, or a connection of its own. It owns c and server.
func (m *Mixed) raw(ctx context.Context, c *peeked, server *tls.Conn, o exchange.Origin, p Protocol) {
	if p == Undecided {
		m.live(ctx, c, server, o, p)
		return
	}
	miss, kept, ok := m.conversed(ctx, c, o)
	switch {
	case ok:
		m.missed(miss)
		c.ahead = append(kept, c.ahead...)
		m.live(ctx, c, server, o, Sniff(c.ahead))
		return
	case miss != nil:
		reset(c)
		m.Tell.miss(miss)
	}
	if server != nil {
		shut(server)
	}
}

// conversed has the player answer c. What misses is returned, and, if it may go on to the
// origin, what the client said.
func (m *Mixed) conversed(ctx context.Context, c *peeked, o exchange.Origin) (miss *exchange.Miss, kept []byte, ok bool) {
	play, err := m.Player.Open(o)
	if err != nil {
		reset(c)
		m.Tell.missed(o, err.Error())
		return nil, nil, false
	}
	defer play.Close()
	stop := context.AfterFunc(ctx, func() { shut(c) })
	defer stop()
	s := newRawSession(ctx, c, o, play.Event)
	s.keeps = true
	s.accept = func(c *peeked, o *exchange.Origin) (*peeked, error) {
		t, err := m.Server.accept(ctx, c, func(hello *tls.ClientHelloInfo) (shown, error) { return offered(m.Player, o, hello), nil })
		o.TLS = true
		if err != nil {
			return nil, err
		}
		return m.Tell.inside(t, *o), nil
	}
	miss = s.serve(m.Tell)
	return miss, s.kept, miss != nil && s.keeps
}

// live passes a raw connection on to its origin, watched.
func (m *Mixed) live(ctx context.Context, c *peeked, server *tls.Conn, o exchange.Origin, p Protocol) {
	if !o.TLS {
		m.Record.Handle(ctx, c, o)
		return
	}
	if server == nil {
		var err error
		if server, err = m.dialTLS(ctx, &o, nil); err != nil {
			reset(c)
			return
		}
	}
	m.pass(ctx, c, server, o, p)
}
