package redirect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// portsEvery is how often we look who listens, inside and on the host: the
// kernel tells nobody. Programs that wait for a server try as often.
const portsEvery = 100 * time.Millisecond

// localPorts are how loopback inside and the host's loopback reach each other.
type localPorts struct {
	stop    func() // ends what startPorts began; nil before
	running sync.WaitGroup
	host    *diag

	mu        sync.Mutex
	open      map[*net.TCPConn]bool     // to be closed by stop
	passed    [2]map[uint16]bool        // what init knows of, IPv4's first
	published map[uint16][]net.Listener // by port inside
	residents map[uint32]*resident      // by inode; nil: it is none
	seen      map[netip.AddrPort]*Local // what was used
}

// startPorts begins to keep both sides' ports, as the target wants them.
func (n *netnsLane) startPorts(ctx context.Context) error {
	p := &n.ports
	p.open, p.published = make(map[*net.TCPConn]bool), make(map[uint16][]net.Listener)
	p.passed = [2]map[uint16]bool{{}, {}}
	p.residents, p.seen = make(map[uint32]*resident), make(map[netip.AddrPort]*Local)
	var err error
	if p.host, err = openDiag(); err != nil {
		return err
	}
	quit := make(chan struct{})
	p.stop = sync.OnceFunc(func() { close(quit) })
	for _, to := range n.target.Publish {
		if err := n.publishFixed(ctx, to); err != nil {
			return err
		}
	}
	if err := n.look(ctx); err != nil {
		return err
	}
	p.running.Go(func() { n.watchPorts(quit) })
	return nil
}

// stopPorts ends what startPorts began, and waits for it.
func (n *netnsLane) stopPorts() {
	p := &n.ports
	if p.stop == nil {
		return
	}
	p.stop()
	p.mu.Lock()
	for _, ls := range p.published {
		closeListeners(ls)
	}
	for c := range p.open {
		c.Close()
	}
	p.published, p.open = nil, nil
	p.mu.Unlock()
	p.running.Wait()
	p.host.close()
}

// closeListeners closes ls.
func closeListeners(ls []net.Listener) {
	for _, l := range ls {
		l.Close()
	}
}

// watchPorts looks again and again, until quit.
func (n *netnsLane) watchPorts(quit <-chan struct{}) {
	tick := time.NewTicker(portsEvery)
	defer tick.Stop()
	for {
		select {
		case <-quit:
			return
		case <-tick.C:
			if n.look(context.Background()) != nil {
				return // init is gone
			}
		}
	}
}

// look brings both sides up to date.
func (n *netnsLane) look(ctx context.Context) error {
	p := &n.ports
	inner, err := listening(n.diag)
	if err != nil {
		return err
	}
	if n.target.HostPorts == nil || len(n.target.HostPorts) > 0 {
		host, err := listening(p.host)
		if err != nil {
			return err
		}
		if err := n.passOn(host, inner); err != nil {
			return err
		}
	}
	if n.target.Publish == nil {
		n.publishAll(ctx, inner)
	}
	return nil
}

// A listenerSet is who listens on loopback: the inode of the socket, by port,
// IPv4's first.
type listenerSet [2]map[uint16]uint32

// listening returns who listens in the namespace of d. A socket at [::] takes
// IPv4 too.
func listening(d *diag) (listenerSet, error) {
	s := listenerSet{{}, {}}
	all, err := d.inet(unix.IPPROTO_TCP, 1<<10) // TCP_LISTEN
	for _, l := range all {
		a, port := l.local.Addr(), l.local.Port()
		if a.Is4() && (a.IsUnspecified() || a == loopbackOf(false)) || a == netip.IPv6Unspecified() {
			s[0][port] = l.inode
		}
		if a.Is6() && (a.IsUnspecified() || a == loopbackOf(true)) {
			s[1][port] = l.inode
		}
	}
	return s, err
}

// loopbackOf is 127.0.0.1, or ::1.
func loopbackOf(v6 bool) netip.Addr {
	if v6 {
		return netip.IPv6Loopback()
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

// passOn has init send us what goes to the ports that somebody listens to on the
// host and nobody inside.
func (n *netnsLane) passOn(host, inner listenerSet) error {
	p := &n.ports
	n.judge(host)
	for f := range n.listeners { // those of families that there are
		p.mu.Lock()
		want, published := make(map[uint16]bool), p.publishedOn()
		for port, inode := range host[f] {
			_, here := inner[f][port]
			ours := slices.Contains(published, port)
			listed := n.target.HostPorts == nil || slices.Contains(n.target.HostPorts, port)
			if !here && !ours && listed && p.residents[inode] == nil {
				want[port] = true
			}
		}
		had := p.passed[f]
		p.passed[f] = want
		p.mu.Unlock()
		if err := n.inside.edit(f == 1, missing(want, had), missing(had, want)); err != nil {
			return err
		}
	}
	return nil
}

// publishedOn are the ports of the host that we have opened. mu is held.
func (p *localPorts) publishedOn() []uint16 {
	var all []uint16
	for _, ls := range p.published {
		for _, l := range ls {
			all = append(all, addrPort(l.Addr()).Port())
		}
	}
	return all
}

// missing are those of want that are not in had.
func missing(want, had map[uint16]bool) []uint16 {
	m := maps.Clone(want)
	maps.DeleteFunc(m, func(p uint16, _ bool) bool { return had[p] })
	return slices.Collect(maps.Keys(m))
}

// judge finds out which of the listeners that are new are resident daemons.
func (n *netnsLane) judge(host listenerSet) {
	p := &n.ports
	p.mu.Lock()
	fresh := make(map[uint32]bool)
	for _, ports := range host {
		for _, inode := range ports {
			if _, ok := p.residents[inode]; !ok {
				fresh[inode], p.residents[inode] = true, nil
			}
		}
	}
	p.mu.Unlock()
	if len(fresh) == 0 {
		return
	}
	for _, pid := range allProcesses() {
		socketsOf(pid, func(_ string, inode uint32) {
			if !fresh[inode] {
				return
			}
			delete(fresh, inode)
			if r, ok := residentProcess(pid); ok {
				p.mu.Lock()
				p.residents[inode] = &r
				p.mu.Unlock()
			}
		})
		if len(fresh) == 0 {
			return
		}
	}
}

// forward owns c, and connects it to dst in our own namespace.
func (n *netnsLane) forward(c *net.TCPConn, dst netip.AddrPort) {
	if dst.Addr().IsLoopback() {
		n.used(dst)
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
	p := &n.ports
	p.mu.Lock()
	l := p.seen[dst]
	if l != nil {
		l.Count++
	}
	p.mu.Unlock()
	if l != nil {
		return
	}
	l = &Local{Network: "tcp", Dst: dst, Count: 1}
	if host, err := listening(p.host); err == nil {
		l.PID = socketOwner(host[btoi(dst.Addr().Is6())][dst.Port()])
	}
	if l.PID != 0 {
		l.Process = commandName(l.PID)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if other := p.seen[dst]; other != nil {
		other.Count++
		return
	}
	p.seen[dst] = l
}

// local returns the ports of the host that were used.
func (n *netnsLane) local() ([]Local, error) {
	n.ports.mu.Lock()
	defer n.ports.mu.Unlock()
	var all []Local
	for _, l := range n.ports.seen {
		all = append(all, *l)
	}
	slices.SortFunc(all, func(a, b Local) int { return a.Dst.Compare(b.Dst) })
	return all, nil
}

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
