package redirect

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"
)

// forward owns c, and connects it to dst in our own namespace.
func (n *netnsLane) forward(c *net.TCPConn, dst netip.AddrPort) {
	if dst.Addr().IsLoopback() {
		n.used(dst)
	} else if n.target.Hermetic { // the rules refused it already
		c.SetLinger(0)
		c.Close()
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n.serving.Go(func() {
		select {
		case <-n.d.closed:
			cancel()
		case <-ctx.Done():
		}
	})
	var d net.Dialer
	out, err := d.DialContext(ctx, "tcp", dst.String())
	if err != nil {
		c.SetLinger(0)
		c.Close()
		return
	}
	n.relay(c, out.(*net.TCPConn))
}

// used counts a connection to dst, on the host.
func (n *netnsLane) used(dst netip.AddrPort) {
	n.ports.mu.Lock()
	defer n.ports.mu.Unlock()
	n.ports.seen[dst]++
}

// talks is what used counted: nobody inside listened there, or it had not been
// passed on.
func (n *netnsLane) talks() ([]talk, error) {
	n.ports.mu.Lock()
	defer n.ports.mu.Unlock()
	var all []talk
	for dst, count := range n.ports.seen {
		all = append(all, talk{protocol: unix.IPPROTO_TCP, dst: dst, count: count, answered: true})
	}
	return all, nil
}

// local tells what the lookout has seen.
func (n *netnsLane) local() ([]Local, error) { return n.lookout.local() }

// relay owns a and b, and passes bytes both ways until both sides are done.
func (n *netnsLane) relay(a, b *net.TCPConn) {
	defer a.Close()
	defer b.Close()
	p := &n.ports
	p.mu.Lock()
	if p.open == nil { // stopped
		p.mu.Unlock()
		return
	}
	p.open[a], p.open[b] = true, true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.open, a)
		delete(p.open, b)
		p.mu.Unlock()
	}()
	var back sync.WaitGroup
	back.Go(func() { pass(a, b) })
	pass(b, a)
	back.Wait()
}

// pass copies from one to the other, to its end; a reset is passed on as one.
func pass(to, from *net.TCPConn) {
	_, err := io.Copy(to, from)
	if err != nil {
		to.SetLinger(0)
		from.SetLinger(0)
		to.Close()
		from.Close()
		return
	}
	to.CloseWrite()
}
