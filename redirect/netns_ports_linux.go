package redirect

import (
	"context"
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
	seen      map[netip.AddrPort]uint64 // connections to what was used on the host
}

// startPorts begins to keep both sides' ports, as the target wants them.
func (n *netnsLane) startPorts(ctx context.Context) error {
	p := &n.ports
	p.open, p.published = make(map[*net.TCPConn]bool), make(map[uint16][]net.Listener)
	p.passed = [2]map[uint16]bool{{}, {}}
	p.residents, p.seen = make(map[uint32]*resident), make(map[netip.AddrPort]uint64)
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
	root := n.init.proc.Pid
	n.lookout, err = newLookout(n.diag, func() []int { return descendants(root, nil) }, n.talks)
	return err
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
