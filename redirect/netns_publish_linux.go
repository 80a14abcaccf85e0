package redirect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// publishFixed opens a port of Target.Publish on the host.
func (n *netnsLane) publishFixed(ctx context.Context, to Publish) error {
	ls, err := n.publish(ctx, to.Host, to.Inner)
	if err != nil {
		return &HintError{
			Err:  fmt.Errorf("publish port %d: %w", to.Inner, err),
			Hint: "another program has that port of the host: name another one",
		}
	}
	n.ports.published[to.Inner] = append(n.ports.published[to.Inner], ls...)
	return nil
}

// publishAll opens on the host, where they are free, the ports that the target
// listens to, and closes those that it no longer does.
func (n *netnsLane) publishAll(ctx context.Context, inner listenerSet) {
	p := &n.ports
	want := make(map[uint16]bool)
	for f, ports := range inner {
		for port := range ports {
			if f >= len(n.listeners) || port != addrPort(n.listeners[f].Addr()).Port() {
				want[port] = true
			}
		}
	}
	p.mu.Lock()
	for port, ls := range p.published {
		if !want[port] {
			closeListeners(ls)
			delete(p.published, port)
		}
	}
	for port := range p.published {
		delete(want, port)
	}
	p.mu.Unlock()
	for port := range want {
		ls, err := n.publish(ctx, port, port)
		if err != nil {
			continue // the host has it, or it is not ours to open
		}
		p.mu.Lock()
		if p.published == nil {
			closeListeners(ls)
		} else {
			p.published[port] = ls
		}
		p.mu.Unlock()
	}
}

// publish opens the port host on loopback for what listens to inner inside.
func (n *netnsLane) publish(ctx context.Context, host, inner uint16) ([]net.Listener, error) {
	var ls []net.Listener
	for _, v6 := range []bool{false, true} {
		var c net.ListenConfig
		l, err := c.Listen(ctx, "tcp", netip.AddrPortFrom(loopbackOf(v6), host).String())
		if v6 && noLoopback6(err) {
			break
		}
		if err != nil {
			closeListeners(ls)
			return nil, err
		}
		ls = append(ls, l)
	}
	for i, l := range ls {
		n.ports.running.Go(func() { n.servePublished(l, netip.AddrPortFrom(loopbackOf(i == 1), inner)) })
	}
	return ls, nil
}

// servePublished connects who comes to l with dst inside, in the other family
// where nobody listens in the same.
func (n *netnsLane) servePublished(l net.Listener, dst netip.AddrPort) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		n.ports.running.Go(func() {
			c := c.(*net.TCPConn)
			out, err := n.inside.dial(dst)
			if err != nil {
				out, err = n.inside.dial(netip.AddrPortFrom(loopbackOf(dst.Addr().Is4()), dst.Port()))
			}
			if err != nil {
				c.SetLinger(0)
				c.Close()
				return
			}
			n.relay(c, out)
		})
	}
}
