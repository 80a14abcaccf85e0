// Package mitm owns diverted connections. It tells what a client speaks,
// terminates TLS, and then goes one of three ways, chosen once for a run:
//
//	Record  relays the bytes untouched, both ways, while a tap watches
//	Replay  answers from a Player and opens no connection
//	Mixed   answers from a Player, and lets what misses go on to the origin, watched
//
// A connection is owned by one function at a time; the one that owns it last
// closes it.
package mitm

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// A Way is what becomes of a diverted connection.
type Way interface {
	// Handle owns client and returns when it is closed. The end of ctx closes
	// it. It is called concurrently.
	Handle(ctx context.Context, client net.Conn, o exchange.Origin)
}

// A Cause says what kind of thing went wrong on a connection.
type Cause uint8

// The causes of trouble.
const (
	Unreachable Cause = iota + 1 // the origin could not be connected to
	Untrusted                    // the origin's TLS handshake failed, or its certificate
	Rejected                     // the client does not accept our certificate
	Opaque                       // neither TLS nor HTTP, or HTTP that is not understood
	Unrecorded                   // the watcher no longer takes what passes
)

// Trouble is what a person should know about one connection. In Record and
// Mixed the client's bytes passed all the same, unless the cause forbids it.
type Trouble struct {
	Cause  Cause
	Origin exchange.Origin
	Err    error
}

// Tell is where a Way reports to. Both are called concurrently; nil is silent.
type Tell struct {
	Trouble func(Trouble)
	Miss    func(*exchange.Miss)
}

// trouble reports, if anybody listens.
func (t Tell) trouble(c Cause, o exchange.Origin, err error) {
	if t.Trouble != nil {
		t.Trouble(Trouble{c, o, err})
	}
}

// miss reports, if anybody listens.
func (t Tell) miss(m *exchange.Miss) {
	if t.Miss != nil {
		t.Miss(m)
	}
}

// missed reports a connection that no exchange could be read from.
func (t Tell) missed(o exchange.Origin, reason string) {
	t.miss(&exchange.Miss{Method: "CONNECT", URL: "tcp://" + connected(o), Caller: o.Caller, Reason: reason})
}

// connected is host:port of o, for messages.
func connected(o exchange.Origin) string {
	_, port, _ := net.SplitHostPort(o.Addr.String())
	return net.JoinHostPort(o.Host(), port)
}

// reset closes c so that its peer sees RST rather than FIN, also below TLS.
func reset(c net.Conn) {
	for {
		switch below := c.(type) {
		case *tls.Conn:
			c = below.NetConn()
			continue
		case *peeked:
			c = below.Conn
			continue
		case interface{ SetLinger(sec int) error }:
			below.SetLinger(0)
		}
		c.Close()
		return
	}
}

// closeWrite tells c's peer that no more comes, and leaves the other direction open.
func closeWrite(c net.Conn) {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		w.CloseWrite()
		return
	}
	c.Close()
}

// shut closes c, giving a TLS peer that does not read at most a second.
func shut(c net.Conn) {
	c.SetWriteDeadline(time.Now().Add(time.Second))
	c.Close()
}
