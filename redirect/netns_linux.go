package redirect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/serge-net/serge-net/exchange"
)

// netnsLane is what a Diversion of the netns lane owns. The target lives in a
// network namespace in which there is nothing but lo, and every address is
// local: what is not sent to us has nowhere to go. Init, born in it, makes the
// rules and the listeners; we accept from them in our own namespace.
type netnsLane struct {
	door
	ways    []netWay
	target  Target
	cgroup  string // "" if none can be made
	way     netWay // that of ways which works
	inside  *netClient
	diag    *diag                     // of the namespace
	sockets map[uint16][]*net.UDPConn // for datagrams, by their port, IPv4's first
	raw     []*net.IPConn             // for the relay's answers, the same
	callers callers
	ports   localPorts
	lookout *lookout // of the host

	mu   sync.Mutex
	last []Escape // once init is gone
	gone bool
}

// newNetnsLane is one that diverts in the first of ways that works.
func newNetnsLane(d *Diversion, ways ...netWay) *netnsLane {
	return &netnsLane{door: newDoor(d), ways: ways}
}

// start makes everything that close undoes.
func (n *netnsLane) start(ctx context.Context, t Target) error {
	if t.Cgroup != "" {
		return &HintError{
			Err:  fmt.Errorf("%w: a process cannot be moved to another network namespace", ErrUnsupported),
			Hint: "to attach to what runs already use --backend ebpf",
		}
	}
	n.target = t
	ctx, cancel := context.WithTimeout(ctx, birthPatience)
	defer cancel()
	outside, err := ownCgroup()
	if err == nil {
		reap(ctx, outside) // what cannot be removed, as it is another user's, is not in our way
		n.cgroup, _ = makeCgroup(outside)
	}
	n.d.trace.reached(Enclosed)
	err = n.born(ctx, outside)
	if n.cgroup != "" && (errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)) {
		// It can be made, and not be born into, where the cgroup above is another
		// user's ("Delegation Containment", cgroup-v2 of the kernel's documentation).
		if err := n.removeCgroup(); err != nil {
			return err
		}
		err = n.born(ctx, outside)
	}
	if err != nil {
		return netnsError(err)
	}
	return n.startPorts(ctx)
}

// born starts init in its namespaces, and in the cgroup if there is one: that
// is the surer way to kill the target.
func (n *netnsLane) born(ctx context.Context, outside string) (err error) {
	b := birth{
		plan:      plan{Probe: probe.String(), Net: n.plan()},
		args:      n.target.Init,
		trace:     n.d.trace,
		connected: n.connected,
		arrived:   func(ctx context.Context, _ int) error { _, err := n.arrived(ctx); return err },
	}
	if n.cgroup != "" {
		b.plan.Cgroup, b.plan.Outside = n.cgroup, outside
		b.kill = func() { kill(n.cgroup) }
	}
	ways := []plan{{Private: true, User: true}, {User: true}}
	if capable(unix.CAP_SYS_ADMIN) && capable(unix.CAP_NET_ADMIN) {
		ways = slices.Insert(ways, 0, plan{Private: true})
	}
	n.init, n.d.private, err = b.start(ctx, ways)
	if err != nil {
		return err
	}
	n.init.last = n.ended
	n.d.telling(func(client, queried netip.AddrPort) exchange.Caller {
		return n.callers.find(unix.IPPROTO_UDP, client, queried)
	})
	n.callers.watch(func(spared []int) []int { return descendants(n.init.proc.Pid, spared) })
	return nil
}

// plan is what init has to know.
func (n *netnsLane) plan() *netPlan {
	p := &netPlan{Ways: n.ways, Resolvers: n.target.Resolvers, Loopback: n.target.Loopback, Hermetic: n.target.Hermetic,
		Ports: n.carried(), Pass: n.target.passing()}
	if n.target.Hermetic {
		p.Refuse = n.spared()
	}
	if n.target.QUIC {
		p.Spared = n.spared()
	}
	return p
}

// carried are the UDP ports that are diverted.
func (n *netnsLane) carried() []uint16 {
	if n.target.QUIC {
		return []uint16{dnsPort, quicPort}
	}
	return []uint16{dnsPort}
}

// spared are the destinations that are not diverted. As nothing else leads
// there we connect the target's connections ourselves: see forward.
func (n *netnsLane) spared() []netip.Prefix {
	return append(slices.Clone(n.target.Except), netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fe80::/10"))
}

// connected serves what init has made. Of an init that came to nothing it closes
// what is left.
func (n *netnsLane) connected(r *netReady, files []*os.File) error {
	if err := n.disconnect(); err != nil {
		return err
	}
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	ports := n.carried()
	each := 1 + len(ports) // files of a family
	if r != nil && r.Relays {
		ports = append(ports, otherPorts)
		each += 2
	}
	if r == nil || len(files) != 2+each*(1+btoi(r.V6)) {
		return fmt.Errorf("init sends %d files", len(files))
	}
	n.way = r.Way
	ctl, err := unixConn(files[0])
	if err != nil {
		return err
	}
	n.inside = &netClient{ctl: ctl}
	fd, err := unix.FcntlInt(files[1].Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("sock_diag: %w", err)
	}
	n.diag = &diag{fd: fd}
	n.callers.diag = n.diag
	n.sockets = make(map[uint16][]*net.UDPConn)
	for family := range slices.Chunk(files[2:], each) {
		if err := n.take(family, ports, r.Relays); err != nil {
			return err
		}
	}
	for _, l := range n.listeners {
		n.serving.Go(func() { n.serve(l) })
	}
	for port, sockets := range n.sockets {
		serve, write := n.servePackets, n.writePacket
		if port == otherPorts {
			serve, write = n.serveRelay, n.writeRelay
		}
		n.d.answering(port, write)
		for _, u := range sockets {
			n.serving.Go(func() { serve(u, port) })
		}
	}
	return nil
}

// take has the sockets of one family: its listener, those for datagrams to ports,
// and if it relays the one that answers those to the last of them.
func (n *netnsLane) take(files []*os.File, ports []uint16, relays bool) error {
	l, err := net.FileListener(files[0])
	if err != nil {
		return fmt.Errorf("listener of init: %w", err)
	}
	n.listeners = append(n.listeners, l.(*net.TCPListener))
	for i, port := range ports {
		u, err := net.FilePacketConn(files[1+i])
		if err != nil {
			return fmt.Errorf("socket of init: %w", err)
		}
		n.sockets[port] = append(n.sockets[port], u.(*net.UDPConn))
	}
	if !relays {
		return nil
	}
	raw, err := net.FilePacketConn(files[1+len(ports)])
	if err != nil {
		return fmt.Errorf("raw socket of init: %w", err)
	}
	n.raw = append(n.raw, raw.(*net.IPConn))
	return nil
}

// disconnect ends what connected began, and waits for it.
func (n *netnsLane) disconnect() error {
	errs := []error{n.closeListeners()}
	for _, sockets := range n.sockets {
		for _, u := range sockets {
			errs = append(errs, u.Close())
		}
	}
	for _, r := range n.raw {
		errs = append(errs, r.Close())
	}
	if n.inside != nil {
		errs = append(errs, n.inside.ctl.Close())
	}
	n.serving.Wait()
	if n.diag != nil {
		errs = append(errs, n.diag.close())
	}
	n.listeners, n.sockets, n.raw, n.inside, n.diag = nil, nil, nil, nil, nil
	return errors.Join(errs...)
}

// serve accepts what l gets until l is closed. Each connection is looked at
// apart: to find whose it is takes longer than to accept it.
func (n *netnsLane) serve(l *net.TCPListener) {
	for {
		c, err := l.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		n.serving.Go(func() { n.arrive(c, err) })
	}
}

// arrive owns one connection, or has the error of an accept.
func (n *netnsLane) arrive(c *net.TCPConn, err error) {
	if err == nil {
		if dst, err := n.dst(c); err == nil && n.passes(dst) {
			n.forward(c, dst)
			return
		}
	}
	n.deliver(c, err, n.identify)
}

// dst is where c's client wanted to go.
func (n *netnsLane) dst(c *net.TCPConn) (netip.AddrPort, error) {
	if n.way.TCP != byRedirect {
		return addrPort(c.LocalAddr()), nil
	}
	dst, ok, err := originalDst(c)
	if err == nil && !ok {
		err = fmt.Errorf("original destination of %s: conntrack does not know it", c.RemoteAddr())
	}
	return dst, err
}

// passes says whether connections to dst are connected to it by us rather than
// diverted: those to spared destinations, and to the host's loopback.
func (n *netnsLane) passes(dst netip.AddrPort) bool {
	if !dst.Addr().IsLoopback() {
		return slices.ContainsFunc(n.spared(), func(p netip.Prefix) bool { return p.Contains(dst.Addr()) })
	}
	diverted := dst == probe || n.ours(dst) || slices.Contains(n.target.Loopback, dst.Port()) ||
		dst.Port() == 53 && slices.Contains(n.target.Resolvers, dst.Addr())
	return !diverted
}

// identify tells what c is.
func (n *netnsLane) identify(c *net.TCPConn) (arrival, bool, error) {
	dst, err := n.dst(c)
	a := arrival{dst: dst}
	if err == nil && dst != probe {
		a.caller = n.callers.find(unix.IPPROTO_TCP, addrPort(c.RemoteAddr()), dst)
	}
	return a, true, err
}

// ended keeps what init has sent with its last message.
func (n *netnsLane) ended(files []*os.File) {
	var found []Escape
	for _, f := range files {
		if err := unseal(f, &found); err != nil {
			return // a report cut short
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last, n.gone = found, true
}

// escapes asks init what was refused.
func (n *netnsLane) escapes() ([]Escape, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.gone || n.inside == nil {
		return n.last, nil
	}
	found, err := n.inside.refused()
	if err != nil {
		return n.last, err
	}
	n.last = found
	return found, nil
}

// close ends the target, and with it the namespace.
func (n *netnsLane) close() error {
	var errs []error
	if n.init != nil {
		_, err := n.escapes()
		if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, unix.EPIPE) && !errors.Is(err, io.EOF) {
			errs = append(errs, err) // but that init is gone is no news
		}
	}
	n.mu.Lock()
	n.gone = true
	n.mu.Unlock()
	if n.lookout != nil {
		errs = append(errs, n.lookout.close())
	}
	n.stopPorts()
	if n.init != nil {
		n.init.stop()
	}
	return errors.Join(append(errs, n.removeCgroup(), n.disconnect())...)
}

// removeCgroup removes the target's cgroup, if there is one.
func (n *netnsLane) removeCgroup() error {
	if n.cgroup == "" {
		return nil
	}
	path := n.cgroup
	n.cgroup = ""
	return removeCgroup(context.Background(), path)
}
