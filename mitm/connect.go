package mitm

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"

	"github.com/serge-net/serge-net/exchange"
)

// connectHead is how large the head of a CONNECT request or of its answer may
// be, in bytes; proxies and clients stay below 8 KiB.
const connectHead = 64 << 10

// connecting tells whether a client whose first bytes are b asks a proxy for a
// tunnel: a program with a proxy setting of its own.
func connecting(b []byte) bool { return bytes.HasPrefix(b, []byte("CONNECT ")) }

// takeHead reads a head off p, through its empty line.
func (p *peeked) takeHead() ([]byte, error) {
	for {
		if i := bytes.Index(p.ahead, []byte("\r\n\r\n")); i >= 0 {
			head := p.ahead[:i+4]
			p.ahead = p.ahead[i+4:]
			return head, nil
		}
		if len(p.ahead) > connectHead {
			return nil, fmt.Errorf("a head of over %d bytes", connectHead)
		}
		if err := p.more(); err != nil {
			return nil, err
		}
	}
}

// connectTarget is the host and port that a CONNECT request head names (RFC 9110
// section 9.3.6).
func connectTarget(head []byte) (host string, port uint16, err error) {
	target, _, _ := bytes.Cut(head[len("CONNECT "):], []byte(" "))
	host, service, err := net.SplitHostPort(string(target))
	if err != nil {
		return "", 0, fmt.Errorf("CONNECT %q: %w", target, err)
	}
	n, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("CONNECT %q: %w", target, err)
	}
	return host, uint16(n), nil
}

// beyond is the origin that a CONNECT request head names, for a client that
// believes it reached the proxy o.
func beyond(o exchange.Origin, head []byte) (exchange.Origin, error) {
	host, port, err := connectTarget(head)
	if err != nil {
		return o, err
	}
	o.Name = host
	addr := o.Addr.Addr()
	if a, err := netip.ParseAddr(host); err == nil {
		o.Name, addr = "", a
	}
	o.Addr = netip.AddrPortFrom(addr, port)
	return o, nil
}

// tunnel lets the proxy that the client asked make its tunnel, and goes on with
// what is inside. A refusal passes as it is.
func (r *Record) tunnel(ctx context.Context, client, server *peeked, o exchange.Origin) {
	inner, err := r.askProxy(client, server, o)
	if err != nil {
		r.Tell.trouble(Opaque, o, err)
		relay(ctx, client, server, &tap{origin: o, tell: r.Tell})
		return
	}
	r.stream(ctx, client, server, inner)
}

// askProxy passes a CONNECT request and its answer on.
func (r *Record) askProxy(client, server *peeked, o exchange.Origin) (exchange.Origin, error) {
	ask, err := client.takeHead()
	if err != nil {
		return o, err
	}
	if _, err := server.Write(ask); err != nil {
		return o, err
	}
	answer, err := server.takeHead()
	if err != nil {
		return o, err
	}
	if _, err := client.Write(answer); err != nil {
		return o, err
	}
	if _, status, _ := bytes.Cut(answer, []byte(" ")); !bytes.HasPrefix(status, []byte("2")) {
		line, _, _ := bytes.Cut(answer, []byte("\r\n"))
		return o, fmt.Errorf("the proxy answered CONNECT by %q", line)
	}
	return beyond(o, ask)
}

// tunnelled answers a CONNECT request in the proxy's place and returns the
// origin that is asked for.
func tunnelled(client *peeked, o exchange.Origin) (exchange.Origin, error) {
	ask, err := client.takeHead()
	if err != nil {
		return o, err
	}
	inner, err := beyond(o, ask)
	if err != nil {
		return o, err
	}
	_, err = io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	return inner, err
}
