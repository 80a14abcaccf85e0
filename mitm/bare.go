package mitm

import (
	"crypto/tls"
	"net"

	"github.com/serge-net/serge-net/exchange"
)

// TLS has an end of its own, close_notify. crypto/tls takes a connection that ends
// between two records for one that ended so; others, OpenSSL among them, do not,
// and a body that goes to the end of its connection is then cut. So what passes
// ends as it came, and what was recorded so is replayed so.

// closing is endOf, of c, with Conn if c's peer ended it below TLS.
func closing(c net.Conn, err error) exchange.End {
	end := endOf(err)
	end.Conn = end.How == exchange.Complete && bare(c)
	return end
}

// bare reports whether c is TLS whose peer has ended the connection below it.
func bare(c net.Conn) bool {
	t := tlsOf(c)
	if t == nil {
		return false
	}
	below, ok := t.NetConn().(*peeked)
	return ok && below.over.Load()
}

// tlsOf is the TLS that c is, nil if it is none.
func tlsOf(c net.Conn) *tls.Conn {
	if p, ok := c.(*peeked); ok {
		c = p.Conn
	}
	t, _ := c.(*tls.Conn)
	return t
}

// finish is closeWrite, below TLS if end came so.
func finish(c net.Conn, end exchange.End) {
	if t := tlsOf(c); t != nil && end.Conn {
		closeWrite(t.NetConn())
		return
	}
	closeWrite(c)
}
