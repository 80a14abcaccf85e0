package redirect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/serge-net/serge-net/exchange"
)

// A lane diverts one target. Each is a type in a file of its name, around a door.
type lane interface {
	// start makes everything that close undoes, and returns when init's probe
	// has arrived.
	start(ctx context.Context, t Target) error
	run(ctx context.Context, c Command) (*Process, error)
	escapes() ([]Escape, error)
	local() ([]Local, error)
	// close undoes what start did, whole or in part.
	close() error
}

// start makes the diversion of one lane.
func start(ctx context.Context, t Target, l Lane) (*Diversion, error) {
	if t.PID != 0 && l != EBPF {
		return nil, fmt.Errorf("%w: only the ebpf lane attaches to a process", ErrUnsupported)
	}
	if t.QUIC && l == IPTables { // conntrack, which knows where a datagram was sent, would be asked for each
		return nil, &HintError{
			Err:  fmt.Errorf("%w: the iptables lane does not divert QUIC", ErrUnsupported),
			Hint: "use --backend ebpf or netns, or leave QUIC refused: --quic refuse",
		}
	}
	d := newDiversion(l)
	d.trace = traceOf(t)
	way, err := newLane(d)
	if err != nil {
		return nil, err
	}
	d.escapes, d.local, d.run, d.undo = way.escapes, way.local, way.run, way.close
	if err := way.start(ctx, t); err != nil {
		return byAgent(ctx, t, l, errors.Join(err, d.Close()))
	}
	d.trace.reached(Armed)
	return d, nil
}

// newDiversion is one of l that is not in force yet.
func newDiversion(l Lane) *Diversion {
	d := &Diversion{lane: l, conns: make(chan accepted), closed: make(chan struct{})}
	d.packets = newPackets(d.closed)
	return d
}

// newLane is the lane that d names.
func newLane(d *Diversion) (lane, error) {
	switch d.lane {
	case EBPF:
		return &ebpfLane{door: newDoor(d)}, nil
	case Netns:
		return newNetnsLane(d, netWays()...), nil
	case IPTables:
		return &iptablesLane{door: newDoor(d)}, nil
	}
	return nil, fmt.Errorf("%w: there is no such lane", ErrUnsupported)
}

// probe is what init connects to, from inside the target, to see whether
// connections arrive. If one does not it is refused on this host, where nobody
// listens at this address.
var probe = netip.MustParseAddrPort("127.83.71.1:1")

// A door is where the connections of a lane arrive: what all lanes have.
type door struct {
	d         *Diversion
	listeners []*net.TCPListener
	serving   sync.WaitGroup
	probed    chan int // the pid of who probed, as the lane saw it; 0 if it does not
	init      *initProcess
}

// newDoor is that of d.
func newDoor(d *Diversion) door { return door{d: d, probed: make(chan int, 1)} }

// An arrival is what a lane knows of a connection that it diverted.
type arrival struct {
	dst    netip.AddrPort
	caller exchange.Caller
}

// serve accepts what l gets until l is closed. identify tells what arrived; of
// one that was not diverted it says false.
func (o *door) serve(l *net.TCPListener, identify func(*net.TCPConn) (arrival, bool, error)) {
	for {
		c, err := l.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if !o.deliver(c, err, identify) {
			return
		}
	}
}

// deliver hands c, or why there is none, to who accepts. It says false if
// nobody will any more.
func (o *door) deliver(c *net.TCPConn, err error, identify func(*net.TCPConn) (arrival, bool, error)) bool {
	var a accepted
	if err != nil {
		a.err = fmt.Errorf("redirect: accept: %w", err)
	} else if a.conn, a.err = o.admit(c, identify); a.conn == nil && a.err == nil {
		return true
	}
	select {
	case o.d.conns <- a:
		return true
	case <-o.d.closed:
		if a.conn != nil {
			a.conn.Close()
		}
		return false
	}
}

// admit owns c if it returns none: a client that was not diverted but found our
// port is sent away, so is one that asked for our own listener, and the probe
// ends here.
func (o *door) admit(c *net.TCPConn, identify func(*net.TCPConn) (arrival, bool, error)) (*Conn, error) {
	a, ok, err := identify(c)
	switch {
	case err != nil || !ok || o.ours(a.dst):
		c.SetLinger(0) // RST: nothing of what it sent was read
		c.Close()
		return nil, err
	case a.dst == probe:
		c.Close()
		select {
		case o.probed <- a.caller.PID:
		default: // a second one is the target's own doing
		}
		return nil, nil
	}
	return &Conn{Conn: c, Dst: a.dst, Caller: a.caller}, nil
}

// ours says whether dst is one of our listeners: relaying to it would loop.
func (o *door) ours(dst netip.AddrPort) bool {
	for _, l := range o.listeners {
		if a := addrPort(l.Addr()); a.Port() == dst.Port() && dst.Addr().IsLoopback() {
			return true
		}
	}
	return false
}

// arrived waits for the probe to arrive here, and returns the pid that the lane
// saw. That init could connect is not enough: somebody else may listen there.
func (o *door) arrived(ctx context.Context) (int, error) {
	select {
	case seen := <-o.probed:
		return seen, nil
	case <-ctx.Done():
		return 0, fmt.Errorf("the probe did not arrive: %w", ctx.Err())
	}
}

// run has init start c.
func (o *door) run(ctx context.Context, c Command) (*Process, error) {
	select {
	case <-o.d.closed:
		return nil, fmt.Errorf("redirect: run %s: %w", c.Argv, os.ErrClosed)
	default:
	}
	if o.init == nil {
		return nil, fmt.Errorf("redirect: run %s: the target runs already", c.Argv)
	}
	return o.init.run(ctx, c)
}

// closeListeners ends what serve does.
func (o *door) closeListeners() error {
	var errs []error
	for _, l := range o.listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// listen opens our TCP listeners on loopback. The second is nil where the host
// has no ::1.
func listen(ctx context.Context) (v4, v6 *net.TCPListener, err error) { return listenIn(ctx, nil) }

// listenIn is listen where enter, a net.ListenConfig's Control, puts sockets;
// nil is here.
func listenIn(ctx context.Context, enter control) (v4, v6 *net.TCPListener, err error) {
	c := net.ListenConfig{Control: enter}
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

// commandName is the name of the process pid, "" if it is gone.
func commandName(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(b), "\n")
}

// addrPort is a with IPv4 as such.
func addrPort(a net.Addr) netip.AddrPort {
	p := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}
