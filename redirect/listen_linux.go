package redirect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/serge-net/serge-net/bpf"
	"github.com/serge-net/serge-net/exchange"
)

// probe is what init connects to, from inside the target, to see whether
// connections arrive. If one does not it is refused on this host, where nobody
// listens at this address.
var probe = netip.MustParseAddrPort("127.83.71.1:1")

// listen opens our TCP listeners on loopback. The second is nil where the host
// has no ::1.
func listen(ctx context.Context) (v4, v6 *net.TCPListener, err error) {
	var c net.ListenConfig
	c.SetMultipathTCP(false) // MPTCP has no use for us, and rules out sockmaps
	l4, err := c.Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, nil, fmt.Errorf("listen: %w", err)
	}
	l6, err := c.Listen(ctx, "tcp6", "[::1]:0")
	if noLoopback6(err) {
		return l4.(*net.TCPListener), nil, nil
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("listen: %w", err), l4.Close())
	}
	return l4.(*net.TCPListener), l6.(*net.TCPListener), nil
}

// noLoopback6 says whether err is what a host without ::1 answers.
func noLoopback6(err error) bool {
	return errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT)
}

// serve accepts what l gets until l is closed.
func (e *ebpfLane) serve(l *net.TCPListener) {
	for {
		c, err := l.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		var a accepted
		if err != nil {
			a.err = fmt.Errorf("redirect: accept: %w", err)
		} else if a.conn, a.err = e.identify(c); a.conn == nil && a.err == nil {
			continue
		}
		select {
		case e.d.conns <- a:
		case <-e.d.closed:
			if a.conn != nil {
				a.conn.Close()
			}
			return
		}
	}
}

// identify tells where c was meant to go. It owns c if it returns none: a
// client that was not diverted but found our port is sent away, so is one that
// asked for our own listener, and the probe ends here.
func (e *ebpfLane) identify(c *net.TCPConn) (*Conn, error) {
	client, local := addrPort(c.RemoteAddr()), addrPort(c.LocalAddr())
	o, ok, err := e.hooks.Original(client, local)
	switch {
	case err != nil || !ok || e.ours(o.Dst):
		c.SetLinger(0) // RST: nothing of what it sent was read
		c.Close()
		return nil, err
	case o.Dst == probe:
		c.Close()
		select {
		case e.probed <- o.PID:
		default: // a second one is the target's own doing
		}
		return nil, nil
	}
	return &Conn{Conn: c, Dst: o.Dst, Caller: e.caller(o)}, nil
}

// ours says whether dst is one of our listeners: relaying to it would loop.
func (e *ebpfLane) ours(dst netip.AddrPort) bool {
	for _, l := range e.listeners {
		if a := addrPort(l.Addr()); a.Port() == dst.Port() && dst.Addr().IsLoopback() {
			return true
		}
	}
	return false
}

// caller is who opened a connection. The process may be gone by now; its
// command is then unknown.
func (e *ebpfLane) caller(o bpf.Origin) exchange.Caller {
	c := exchange.Caller{UID: o.UID, Cgroup: o.Cgroup}
	if e.foreignPIDs.Load() {
		return c
	}
	c.PID = o.PID
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", o.PID)); err == nil {
		c.Command = strings.TrimSuffix(string(b), "\n")
	}
	return c
}

// addrPort is a with IPv4 as such.
func addrPort(a net.Addr) netip.AddrPort {
	p := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}
