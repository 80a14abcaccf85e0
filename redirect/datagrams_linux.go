package redirect

import (
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/serge-net/serge-net/bpf"
	"github.com/serge-net/serge-net/exchange"
)

// loadHooks loads hooks, which tell the names of processes where we may ask the
// kernel for them.
func loadHooks(c bpf.Config) (*bpf.Hooks, error) {
	c.Named = capable(unix.CAP_PERFMON) || capable(unix.CAP_SYS_ADMIN)
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

// divertPinned has the hooks know which datagrams may pass, and which of those
// are diverted.
func (e *ebpfLane) divertPinned(t Target, c *bpf.Config) {
	for _, p := range t.passing() {
		c.Pass = append(c.Pass, bpf.Pass(p))
	}
	c.Pinned = t.Pinned
	for _, p := range t.Pinned {
		if p.Addr().Is4() {
			c.Source4 = sourceOf("udp4", p.Addr().Next())
		} else {
			c.Source6 = sourceOf("udp6", p.Addr().Next())
		}
	}
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

// sourceOf is the address that this host sends from to a, the zero Addr if it has
// no route there.
func sourceOf(network string, a netip.Addr) netip.Addr {
	c, err := net.Dial(network, netip.AddrPortFrom(a, 9).String()) // sends nothing
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	return udpPort(c.LocalAddr()).Addr()
}
