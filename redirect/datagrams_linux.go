package redirect

import (
	"context"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/serge-net/serge-net/bpf"
	"github.com/serge-net/serge-net/exchange"
)

// loadHooks loads hooks, which tell the names of processes where we may ask the
// kernel for them, and it has them told to hooks of this kind.
func loadHooks(c bpf.Config) (*bpf.Hooks, error) {
	if capable(unix.CAP_PERFMON) || capable(unix.CAP_SYS_ADMIN) {
		c.Named = true
		if h, err := bpf.Load(c); err == nil {
			return h, nil
		}
		c.Named = false
	}
	return bpf.Load(c)
}

// networkOf is the cookie of the network namespace that the socket fd is in, 0
// before Linux 5.14.
func networkOf(fd int) uint64 {
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return 0
	}
	return cookie
}

// divertPinned has the hooks know which datagrams may pass, which of those are
// diverted, and where from sockets that enter makes would send them.
func (e *ebpfLane) divertPinned(ctx context.Context, t Target, c *bpf.Config, enter control) {
	for _, p := range t.passing() {
		c.Pass = append(c.Pass, bpf.Pass(p))
	}
	c.Pinned = t.Pinned
	// Addresses of TEST-NET-2 (RFC 5737) and for documentation (RFC 3849): nobody
	// has a route of their own to them.
	to4, to6 := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("2001:db8::1")
	for _, p := range t.Pinned {
		if p.Addr().Is4() {
			to4 = p.Addr().Next()
		} else {
			to6 = p.Addr().Next()
		}
	}
	c.Source4, c.Source6 = sourceOf(ctx, enter, "udp4", to4), sourceOf(ctx, enter, "udp6", to6)
	if len(t.Pinned) > 0 {
		e.d.answering(otherPorts, e.sockets.write)
		e.sockets.longest = maxDatagram
	}
}

// lookOut has a lookout watch members, the target's processes, from the calling
// thread's network namespace, and senders be found among them.
func (e *ebpfLane) lookOut(members func() []int) (err error) {
	if e.lookout, err = newLookout(nil, members, e.talks); err != nil {
		return err
	}
	e.callers.diag = e.lookout.diag
	e.callers.watch(func([]int) []int { return members() })
	e.d.telling(e.sender)
	return nil
}

// sender tells who sends from client to queried, in whose place another address
// is, which the socket is connected to if it is.
func (e *ebpfLane) sender(client, queried netip.AddrPort) exchange.Caller {
	at, ok := e.sockets.at(asked{client, queried})
	if !ok {
		return exchange.Caller{}
	}
	return e.callers.find(unix.IPPROTO_UDP, client, at)
}

// sourceOf is the address that a socket that enter makes sends from to a, the zero
// Addr if there is no route.
func sourceOf(ctx context.Context, enter control, network string, a netip.Addr) netip.Addr {
	d := net.Dialer{Control: enter}
	c, err := d.DialContext(ctx, network, netip.AddrPortFrom(a, 9).String()) // sends nothing
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	return udpPort(c.LocalAddr()).Addr()
}
