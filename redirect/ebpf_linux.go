package redirect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/serge-net/serge-net/bpf"
)

// ebpfLane is what a Diversion of the ebpf lane owns.
type ebpfLane struct {
	d         *Diversion
	hooks     *bpf.Hooks
	listeners []*net.TCPListener
	sockets   *packetSockets
	cgroup    string
	init      *initProcess
	serving   sync.WaitGroup
	probed    chan int // the pid, as the hooks saw it, of who probed
	// foreignPIDs is set where the hooks count processes in another pid
	// namespace than ours.
	foreignPIDs atomic.Bool

	mu   sync.Mutex
	last []Escape // once hooks are closed
	gone bool
}

// start makes the diversion of one lane.
func start(ctx context.Context, t Target, l Lane) (*Diversion, error) {
	if l != EBPF {
		return nil, fmt.Errorf("%w: there is no such lane", ErrUnsupported)
	}
	d := &Diversion{lane: l, conns: make(chan accepted), closed: make(chan struct{})}
	e := &ebpfLane{d: d, probed: make(chan int, 1)}
	d.packets = &Packets{in: make(chan datagram), closed: d.closed}
	d.escapes, d.run, d.undo = e.escapes, e.run, e.close
	if err := e.start(ctx, t); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// start makes everything that close undoes.
func (e *ebpfLane) start(ctx context.Context, t Target) error {
	outside := t.Cgroup
	if outside == "" {
		var err error
		if outside, err = ownCgroup(); err != nil {
			return err
		}
	}
	reap(ctx, outside) // what cannot be removed, as it is another user's, is not in our way
	c, err := e.open(ctx, t)
	if err != nil {
		return err
	}
	if e.hooks, err = bpf.Load(c); err != nil {
		return loadError(err)
	}
	if e.cgroup, err = makeCgroup(outside); err != nil {
		return err
	}
	hooked := e.cgroup
	if t.Cgroup != "" {
		hooked = t.Cgroup
	}
	if err := e.attach(hooked); err != nil {
		return err
	}
	for _, l := range e.listeners {
		e.serving.Go(func() { e.serve(l) })
	}
	for _, c := range e.sockets.conns() {
		e.serving.Go(func() { e.servePackets(c) })
	}
	return e.born(ctx, t, outside)
}

// open opens our sockets, and says what the hooks are to know.
func (e *ebpfLane) open(ctx context.Context, t Target) (bpf.Config, error) {
	c := bpf.Config{
		Probe:     probe.Addr(),
		Except:    t.Except,
		Loopback:  t.Loopback,
		Resolvers: t.Resolvers,
		Hermetic:  t.Hermetic,
	}
	l4, l6, err := listen(ctx)
	if err != nil {
		return c, err
	}
	e.listeners = append(e.listeners, l4)
	c.Listener4 = addrPort(l4.Addr()).Port()
	if l6 != nil {
		e.listeners = append(e.listeners, l6)
		c.Listener6 = addrPort(l6.Addr()).Port()
	}
	if e.sockets, err = openPackets(ctx); err != nil {
		return c, err
	}
	e.d.packets.write = e.sockets.write
	port := func(u *net.UDPConn) uint16 { return u.LocalAddr().(*net.UDPAddr).AddrPort().Port() }
	c.Packets4 = port(e.sockets.v4)
	for i, u := range e.sockets.v6 {
		c.Packets6[i] = port(u)
	}
	return c, nil
}

// attach hooks the cgroup at path.
func (e *ebpfLane) attach(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open cgroup: %w", err)
	}
	defer dir.Close()
	return e.hooks.Attach(dir)
}

// loadError tells a missing capability from a program that this kernel refuses.
func loadError(err error) error {
	if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
		return err
	}
	missing := ""
	for _, c := range []struct {
		bit  int
		name string
	}{{unix.CAP_BPF, "CAP_BPF"}, {unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"}} {
		if !capable(c.bit) && !capable(unix.CAP_SYS_ADMIN) {
			missing += " " + c.name
		}
	}
	if missing == "" {
		return &HintError{
			Err:  fmt.Errorf("%w: the kernel refuses the programs: %w", ErrUnsupported, err),
			Hint: "a user namespace, a seccomp profile or lockdown forbids bpf(2): run outside of the container",
		}
	}
	return &HintError{
		Err:  fmt.Errorf("%w: missing%s", ErrUnsupported, missing),
		Hint: "start with sudo, or once: sudo setcap cap_bpf,cap_net_admin+ep " + executable(),
	}
}

// executable is this program's path, for hints.
func executable() string {
	path, err := os.Executable()
	if err != nil {
		return "serge-net"
	}
	return path
}

// escapes reads what the hooks refused.
func (e *ebpfLane) escapes() ([]Escape, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gone || e.hooks == nil {
		return e.last, nil
	}
	refused, err := e.hooks.Escapes()
	all := make([]Escape, 0, len(refused))
	for _, r := range refused {
		all = append(all, Escape{Protocol: protocolName(r.Protocol), Dst: r.Dst, Why: whyName(r.Why), Count: r.Count})
	}
	slices.SortFunc(all, func(a, b Escape) int { return a.Dst.Compare(b.Dst) })
	return all, err
}

// protocolName is p as people say it.
func protocolName(p uint8) string {
	names := map[uint8]string{unix.IPPROTO_TCP: "tcp", unix.IPPROTO_UDP: "udp", unix.IPPROTO_ICMP: "icmp",
		unix.IPPROTO_ICMPV6: "icmpv6", unix.IPPROTO_SCTP: "sctp"}
	if name, ok := names[p]; ok {
		return name
	}
	return strconv.Itoa(int(p))
}

// whyName is w as Escape has it.
func whyName(w bpf.Why) string {
	if w == bpf.QUIC {
		return "quic"
	}
	return "hermetic"
}

// close ends the target, then the hooks, so that nothing of the target ever
// runs without them.
func (e *ebpfLane) close() error {
	var errs []error
	if e.init != nil {
		e.init.stop()
	}
	if e.cgroup != "" {
		errs = append(errs, removeCgroup(context.Background(), e.cgroup))
	}
	last, err := e.escapes()
	errs = append(errs, err)
	e.mu.Lock()
	e.last, e.gone = last, true
	e.mu.Unlock()
	for _, l := range e.listeners {
		errs = append(errs, l.Close())
	}
	if e.sockets != nil {
		errs = append(errs, e.sockets.close())
	}
	e.serving.Wait()
	if e.hooks != nil {
		errs = append(errs, e.hooks.Close())
	}
	return errors.Join(errs...)
}
