package dnsstub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// maxAsked is how many questions a Client has on its way at once: each has a
// socket.
const maxAsked = 256

// defaultPatience bounds all tries of one question: as long as glibc waits for
// one silent server, twice 5 s.
const defaultPatience = 10 * time.Second

// A Client is an Upstream: it asks the resolvers of a Conf, one after the
// other until one answers, as the C library does. The fields are not changed
// after the first Exchange, which is safe for concurrent use.
type Client struct {
	Conf Conf
	// Not are our own addresses, which are never asked. An unspecified one
	// stands for every loopback address with its port.
	Not []netip.AddrPort
	// Patience bounds all tries of one question, which share it where Conf would
	// take longer. Zero means 10 s.
	Patience time.Duration
	// Dial makes a connection to a resolver; nil means a net.Dialer does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	once  sync.Once
	room  chan struct{}
	turns atomic.Uint32
}

// Exchange asks q of each resolver in turn. An answer that one could not give
// (SERVFAIL, REFUSED and the like) is returned if none could. The error names
// what each resolver did last.
func (c *Client) Exchange(ctx context.Context, q *dns.Msg) (*dns.Msg, error) {
	c.once.Do(func() { c.room = make(chan struct{}, maxAsked) })
	servers := c.servers()
	if len(servers) == 0 {
		return nil, errors.New("dnsstub: no resolver but ourselves is configured")
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.Patience, defaultPatience))
	defer cancel()
	select {
	case c.room <- struct{}{}:
		defer func() { <-c.room }()
	case <-ctx.Done():
		return nil, fmt.Errorf("dnsstub: wait behind %d other questions: %w", maxAsked, ctx.Err())
	}
	failed := make([]error, len(servers))
	var lame *dns.Msg
	tries := cmp.Or(c.Conf.Attempts, defaultAttempts) * len(servers)
	for i := range tries {
		at := i % len(servers)
		if at == 0 && lame != nil || ctx.Err() != nil {
			break
		}
		m, err := c.try(ctx, servers[at], q, tries-i)
		switch {
		case err != nil:
			failed[at] = err
		case m.Rcode == dns.RcodeSuccess || m.Rcode == dns.RcodeNameError:
			return m, nil
		default:
			lame = m
		}
	}
	if lame != nil {
		return lame, nil
	}
	return nil, fmt.Errorf("dnsstub: no resolver answers: %w", errors.Join(failed...))
}

// servers returns whom to ask, in order.
func (c *Client) servers() []netip.AddrPort {
	var out []netip.AddrPort
	for _, s := range c.Conf.Servers {
		if !c.ours(s) {
			out = append(out, s)
		}
	}
	if c.Conf.Rotate && len(out) > 1 {
		first := int(c.turns.Add(1)-1) % len(out)
		out = append(out[first:len(out):len(out)], out[:first]...)
	}
	return out
}

// ours reports whether s is in c.Not.
func (c *Client) ours(s netip.AddrPort) bool {
	addr := reachable(s.Addr())
	for _, n := range c.Not {
		own := n.Addr().Unmap()
		if n.Port() == s.Port() && (own == addr || own.IsUnspecified() && addr.IsLoopback()) {
			return true
		}
	}
	return false
}

// try asks server once: over UDP, over TCP if that answer was cut short, and
// without EDNS if the server does not know it (RFC 6891 section 6.2.2). It
// takes one part in left of the time that there is.
func (c *Client) try(ctx context.Context, server netip.AddrPort, q *dns.Msg, left int) (*dns.Msg, error) {
	limit := cmp.Or(c.Conf.Timeout, defaultTimeout)
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)/time.Duration(left))
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	q = q.Copy()
	q.SetEdns0(roomUDP, false)
	network := "udp"
	if c.Conf.TCP {
		network = "tcp"
	}
	m, err := c.roundTrip(ctx, server, q, network)
	if err == nil && m.Rcode == dns.RcodeFormatError && m.IsEdns0() == nil {
		q.Extra = nil
		m, err = c.roundTrip(ctx, server, q, network)
	}
	if err == nil && m.Truncated && network == "udp" {
		m, err = c.roundTrip(ctx, server, q, "tcp")
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", server, err)
	}
	return m, nil
}

// roundTrip sends q to server, under a new random id and from a new port, and
// waits for its answer.
func (c *Client) roundTrip(ctx context.Context, server netip.AddrPort, q *dns.Msg, network string) (*dns.Msg, error) {
	dial := c.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })() // wakes what waits
	q.Id = dns.Id()
	b, err := q.Pack()
	if err != nil {
		return nil, err
	}
	stream := network == "tcp"
	if stream {
		b = appendFrame(nil, b)
	}
	if _, err := conn.Write(b); err != nil {
		return nil, err
	}
	return awaitReply(conn, q, stream)
}

// awaitReply reads from conn what answers q, and passes over what does not: a
// connected socket takes datagrams of one server only, but their address can
// be forged, and the id and port have to be guessed.
func awaitReply(conn net.Conn, q *dns.Msg, stream bool) (*dns.Msg, error) {
	b := make([]byte, maxUDP)
	for {
		var n int
		var err error
		if stream {
			b, err = readFrame(conn)
			n = len(b)
		} else {
			n, err = conn.Read(b)
		}
		if err != nil {
			return nil, err
		}
		if m := new(dns.Msg); m.Unpack(b[:n]) == nil && answers(m, q) {
			return m, nil
		}
	}
}

// answers reports whether m is the reply to q. One that failed may leave out
// the question.
func answers(m, q *dns.Msg) bool {
	if m.Id != q.Id || !m.Response || m.Opcode != dns.OpcodeQuery {
		return false
	}
	if len(m.Question) == 0 {
		return m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError
	}
	a, b := m.Question[0], q.Question[0]
	return len(m.Question) == 1 && a.Qtype == b.Qtype && a.Qclass == b.Qclass && strings.EqualFold(a.Name, b.Name)
}
