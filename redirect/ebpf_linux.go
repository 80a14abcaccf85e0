package redirect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/serge-net/serge-net/bpf"
	"github.com/serge-net/serge-net/exchange"
)

// hooks are what the lane asks of the programs once they are attached: of
// *bpf.Hooks where we may load them ourselves, of *agentClient where an agent does.
type hooks interface {
	Original(client, listener netip.AddrPort) (bpf.Origin, bool, error)
	Queried(at netip.AddrPort) (netip.AddrPort, bool, error)
	Escapes() ([]bpf.Escape, error)
	Talks() ([]bpf.Talk, error)
	Close() error
}

// ebpfLane is what a Diversion of the ebpf lane owns.
type ebpfLane struct {
	door
	hooks   hooks
	sockets *packetSockets
	cgroup  string // the command's; "" if the target runs already
	lookout *lookout
	callers callers // of datagrams

	attached *attachment // nil if the target is a command

	// foreignPIDs is set where the hooks count processes in another pid
	// namespace than ours.
	foreignPIDs atomic.Bool

	mu   sync.Mutex
	last []Escape // once hooks are closed
	gone bool
}

// start makes everything that close undoes.
func (e *ebpfLane) start(ctx context.Context, t Target) error {
	outside, err := ownCgroup()
	if err != nil {
		return err
	}
	reap(ctx, outside) // what cannot be removed, as it is another user's, is not in our way
	if t.runs() {
		return e.attachTo(ctx, t, outside)
	}
	c, err := e.open(ctx, t, nil)
	if err != nil {
		return err
	}
	own, err := loadHooks(c)
	if err != nil {
		return loadError(err)
	}
	e.hooks = own
	e.d.trace.reached(Opened)
	if e.cgroup, err = makeCgroup(outside); err != nil {
		return err
	}
	e.d.trace.reached(Enclosed)
	if err := hook(e.cgroup, own.AttachForLife); err != nil { // until it is removed
		return err
	}
	e.d.trace.reached(Ruled)
	if err := e.lookOut(func() []int { return processes(e.cgroup) }); err != nil {
		return err
	}
	e.serveAll()
	return e.born(ctx, t, outside, own.Links())
}

// serveAll serves all our sockets until they are closed.
func (e *ebpfLane) serveAll() {
	for _, l := range e.listeners {
		e.serving.Go(func() { e.serve(l, e.identify) })
	}
	for _, c := range e.sockets.conns() {
		e.serving.Go(func() { e.servePackets(c) })
	}
}

// born starts init in the target's cgroup, holding the hooks' links if there are
// any, and waits for its probe.
func (e *ebpfLane) born(ctx context.Context, t Target, outside string, links []int) error {
	ctx, cancel := context.WithTimeout(ctx, birthPatience)
	defer cancel()
	var held *os.File
	var err error
	if len(links) > 0 {
		if held, err = holdLinks(links); err != nil {
			return err
		}
		defer held.Close()
	}
	e.init, e.d.private, err = birth{
		plan:    plan{Cgroup: e.cgroup, Outside: outside, Probe: probe.String()},
		args:    t.Init,
		trace:   e.d.trace,
		held:    held,
		kill:    func() { kill(e.cgroup) },
		arrived: e.probedBy,
	}.start(ctx, namespaces())
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		return cgroupError(outside, err)
	}
	return err
}

// probedBy waits for the probe of the init whose pid is given.
func (e *ebpfLane) probedBy(ctx context.Context, pid int) error {
	seen, err := e.door.arrived(ctx)
	if err != nil {
		return &HintError{Err: err, Hint: "another program's hooks on this cgroup or one above divert connections: see bpftool cgroup tree"}
	}
	e.foreignPIDs.Store(seen != pid)
	return nil
}

// open opens our sockets where enter puts them, and says what the hooks are to
// know.
func (e *ebpfLane) open(ctx context.Context, t Target, enter control) (bpf.Config, error) {
	c := bpf.Config{
		Probe:     probe.Addr(),
		Except:    t.Except,
		Loopback:  t.Loopback,
		Resolvers: t.Resolvers,
		Hermetic:  t.Hermetic,
		QUIC:      t.QUIC,
	}
	l4, l6, err := listenIn(ctx, enter)
	if err != nil {
		return c, err
	}
	e.listeners = append(e.listeners, l4)
	c.Listener4 = addrPort(l4.Addr()).Port()
	c.Network = networkOf(descriptor(l4))
	if l6 != nil {
		e.listeners = append(e.listeners, l6)
		c.Listener6 = addrPort(l6.Addr()).Port()
	}
	if e.sockets, err = openPackets(ctx, enter); err != nil {
		return c, err
	}
	e.d.answering(dnsPort, e.sockets.write)
	if t.QUIC {
		e.d.answering(quicPort, e.sockets.write)
		e.sockets.widen()
	}
	e.divertPinned(ctx, t, &c, enter)
	port := func(u *net.UDPConn) uint16 { return u.LocalAddr().(*net.UDPAddr).AddrPort().Port() }
	c.Packets4 = port(e.sockets.v4)
	for i, u := range e.sockets.v6 {
		c.Packets6[i] = port(u)
	}
	return c, nil
}

// hook has attach hook the cgroup at path.
func hook(path string, attach func(cgroup *os.File) error) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open cgroup: %w", err)
	}
	defer dir.Close()
	return attach(dir)
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
		Hint: "start with sudo, or once: sudo setcap cap_bpf,cap_net_admin+ep " + executable() + "; or have an agent: serge-net help agent",
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

// identify tells what the hooks know of c.
func (e *ebpfLane) identify(c *net.TCPConn) (arrival, bool, error) {
	o, ok, err := e.hooks.Original(addrPort(c.RemoteAddr()), addrPort(c.LocalAddr()))
	a := arrival{dst: o.Dst, caller: exchange.Caller{UID: o.UID, Cgroup: o.Cgroup}}
	if o.Dst == probe || !e.foreignPIDs.Load() {
		a.caller.PID = o.PID
		a.caller.Command = commandName(o.PID) // it may be gone by now
	}
	return a, ok, err
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
		one := Escape{Protocol: protocolName(r.Protocol), Dst: r.Dst, Why: whyName(r.Why), Count: r.Count, Process: r.Command}
		if !e.foreignPIDs.Load() {
			one.PID = r.PID
			one.Process = cmp.Or(one.Process, commandName(r.PID)) // it may be gone by now
		}
		all = append(all, one)
	}
	slices.SortFunc(all, inOrder)
	return all, err
}

// local tells what the lookout has seen.
func (e *ebpfLane) local() ([]Local, error) { return e.lookout.local() }

// talks is what the hooks counted on loopback that others than the target
// may have answered.
func (e *ebpfLane) talks() ([]talk, error) {
	counted, err := e.hooks.Talks()
	var all []talk
	for _, c := range counted {
		if c.Made > c.Accepted {
			all = append(all, talk{protocol: c.Protocol, dst: c.Dst, count: c.Made - c.Accepted, answered: c.Protocol == unix.IPPROTO_TCP})
		}
	}
	return all, err
}

// protocolName is p as people say it.
func protocolName(p uint8) string {
	names := map[uint8]string{unix.IPPROTO_TCP: "tcp", unix.IPPROTO_UDP: "udp", unix.IPPROTO_ICMP: "icmp",
		unix.IPPROTO_ICMPV6: "icmpv6", unix.IPPROTO_SCTP: "sctp", unix.IPPROTO_UDPLITE: "udplite", unix.IPPROTO_DCCP: "dccp"}
	if name, ok := names[p]; ok {
		return name
	}
	return strconv.Itoa(int(p))
}

// whyName is w as Escape has it.
func whyName(w bpf.Why) string {
	switch w {
	case bpf.QUIC:
		return whyQUIC
	case bpf.Datagram:
		return whyDatagram
	case bpf.Passed:
		return whyPassed
	}
	return whyHermetic
}

// inOrder is the order of escapes.
func inOrder(a, b Escape) int {
	return cmp.Or(a.Dst.Compare(b.Dst), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.PID, b.PID))
}

// close ends the target, then the hooks, so that nothing of the target ever
// runs without them. A target that ran already is let go.
func (e *ebpfLane) close() error {
	var errs []error
	if e.init != nil {
		e.init.stop()
	}
	if e.lookout != nil {
		errs = append(errs, e.lookout.close())
	}
	if e.cgroup != "" {
		errs = append(errs, removeCgroup(context.Background(), e.cgroup))
	}
	if e.attached != nil {
		errs = append(errs, e.detach())
	}
	last, err := e.escapes()
	errs = append(errs, err)
	e.mu.Lock()
	e.last, e.gone = last, true
	e.mu.Unlock()
	errs = append(errs, e.closeListeners())
	if e.sockets != nil {
		errs = append(errs, e.sockets.close())
	}
	e.serving.Wait()
	if e.hooks != nil {
		errs = append(errs, e.hooks.Close())
	}
	return errors.Join(errs...)
}
