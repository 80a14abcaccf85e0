// Package redirect has the kernel send us a target's connections: the one
// command that [Diversion.Run] starts, or a cgroup that exists. It is the last
// place that knows the kernel: what it hands out are connections with the
// destination their client asked for.
//
// A [Diversion] is made by a lane. The ebpf lane hooks the sockets of a cgroup
// v2 (package bpf). The netns lane gives the command a network namespace in which
// every address is local, and needs no privilege. The iptables lane has netfilter
// redirect what a cgroup or a group sends. The command is born inside that cgroup
// or namespace by a process of ours, init, which [Start] starts as this same
// executable (see [Init]); init reaps what the command leaves behind, and kills
// the target when we are killed. Everything ends with [Diversion.Close], or with us.
//
// A target that runs already (Target.Cgroup, Target.PID) is attached to: see
// [Attached]. It is never killed; a process of ours, the keeper, sees to it that
// it is as it was before when we are gone.
package redirect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"

	"github.com/serge-net/serge-net/exchange"
)

// ErrUnsupported is wrapped by errors of Start that say what this machine or
// this user lacks. A [HintError] around them has the remedy.
var ErrUnsupported = errors.New("redirect: not supported here")

// A HintError is an error that the user can do something about.
type HintError struct {
	Err  error
	Hint string // one line, lower case: what to do
}

// Error returns Err's text; the hint is printed apart.
func (e *HintError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *HintError) Unwrap() error { return e.Err }

// A Lane is a way to divert a target.
type Lane uint8

// The lanes, in the order in which Start tries them if it is not told.
const (
	// EBPF hooks the sockets of a cgroup v2. It needs CAP_BPF, CAP_NET_ADMIN and
	// a cgroup that we may write to.
	EBPF Lane = 1 + iota
	// Netns gives the command a network namespace of its own. It needs
	// unprivileged user namespaces, or CAP_SYS_ADMIN.
	Netns
	// IPTables has netfilter redirect a cgroup, or a supplementary group. It
	// needs CAP_NET_ADMIN and the iptables program.
	IPTables
)

// Lanes returns all lanes, in the order in which Start tries them.
func Lanes() []Lane { return []Lane{EBPF, Netns, IPTables} }

// String returns the lane's name on the command line.
func (l Lane) String() string {
	switch l {
	case EBPF:
		return "ebpf"
	case Netns:
		return "netns"
	case IPTables:
		return "iptables"
	}
	return fmt.Sprintf("Lane(%d)", uint8(l))
}

// A Target is whose traffic is diverted, and which of it. The zero Target is the
// command alone, all destinations but the host's loopback.
type Target struct {
	// Cgroup is the directory of a cgroup v2 that is there already: what lives in
	// it is diverted where it is, by the ebpf lane. Sockets that were made in it
	// before are diverted when they connect anew. Empty: PID, or a command.
	Cgroup string
	// PID is a process that runs already. It and its descendants are moved into
	// a cgroup of ours below the one they are in, and back by Close, or by a
	// process of ours if we are killed. Sockets that they made before are never
	// diverted. Zero: Cgroup, or a command.
	PID int
	// Except are destinations left alone. Loopback, link-local, multicast and
	// broadcast ones are anyway, but for Loopback and Resolvers.
	Except []netip.Prefix
	// Loopback are TCP ports diverted on loopback addresses too.
	Loopback []uint16
	// Resolvers are the host's name servers, diverted on port 53 whatever
	// their address.
	Resolvers []netip.Addr
	// Hermetic lets packets leave by lo only: what is left alone otherwise,
	// Except included, is refused and counted.
	Hermetic bool
	// QUIC diverts UDP port 443 as well, to Diversion.Packets(443): else it is
	// refused, and clients fall back to TCP. The iptables lane cannot.
	QUIC bool
	// Pass are the UDP datagrams that leave unrecorded, of those that are neither
	// diverted nor stay on this host. Nil means all, and none of a Hermetic target;
	// empty means none. UDP port 443 does not pass.
	Pass []Pass
	// Pinned are destinations that nobody has. Datagrams to them that Pass has come
	// to Diversion.Packets(0).
	Pinned []netip.Prefix
	// HostPorts are the TCP ports of this host's loopback that a target with a
	// network namespace of its own reaches where nothing of its own listens. Nil
	// means all but those of resident build daemons, empty none.
	HostPorts []uint16
	// Publish are the TCP ports at which this host's loopback reaches servers
	// in a network namespace of their own. Nil means those that the target
	// listens to, as long as they are free, empty none.
	Publish []Publish
	// Agent is the socket of an agent, which is asked for the ebpf lane where we
	// cannot have it ourselves. Empty asks none.
	Agent string
	// Reached, if it is set, is called as the diversion of a command comes by each
	// step, with the pids of init and of the command, 0 where there is none. Until
	// it returns who is at that step stays there. It is called from several
	// goroutines, in the order of the steps.
	Reached func(s Step, init, command int)
	// Init are the arguments with which this executable calls Init. Nil means
	// the one argument "init".
	Init []string
}

// A Publish says that the port Host of the host's loopback is Inner inside.
type Publish struct{ Host, Inner uint16 }

// runs says whether t was there before us, and is attached to.
func (t Target) runs() bool { return t.PID != 0 || t.Cgroup != "" }

// A Mount is one change to the files that the command sees. Three kinds:
//   - Dir covers the directory Path with an empty read-only one; if there is no
//     such directory nothing is done.
//   - A Path below a covered one is created there: a symlink to Link, or a file
//     that holds Data. Missing directories are made.
//   - Any other Path is an existing file, in whose place a read-only file that
//     holds Data is seen; with Append what the file has, then Data.
type Mount struct {
	Path   string // absolute
	Dir    bool
	Link   string
	Append bool
	Data   []byte
	// Private is for the command's user alone: a file is 0600, and a covered
	// directory 0700 and to be written to, until the command ends.
	Private bool
}

// A Diversion is in force until Close. Its methods are safe for concurrent use.
type Diversion struct {
	lane     Lane
	agent    bool
	private  bool
	attached *Attached
	conns    chan accepted
	packets  map[uint16]*Packets // by port
	trace    *trace
	closed   chan struct{} // closed first of all by Close

	refused []error
	foreign []string // set before Start returns
	escapes func() ([]Escape, error)
	local   func() ([]Local, error)
	run     func(context.Context, Command) (*Process, error)
	undo    func() error
	once    sync.Once
	err     error // of undo
}

// accepted is what a listener has for Accept.
type accepted struct {
	conn *Conn
	err  error
}

// Start diverts t by the first of lanes that works here, or returns the joined
// reasons why none does, a LaneError each; without lanes it tries all there are. It returns when
// a probe from inside the target has arrived. On error the kernel is as Start
// found it. A context that ends later does not end the Diversion.
func Start(ctx context.Context, t Target, lanes ...Lane) (*Diversion, error) {
	if len(lanes) == 0 {
		lanes = Lanes()
	}
	var errs []error
	for _, l := range lanes {
		d, err := start(ctx, t, l)
		if err == nil {
			d.refused = errs
			return d, nil
		}
		errs = append(errs, &LaneError{Lane: l, Err: err})
	}
	if len(errs) == 1 {
		return nil, errs[0]
	}
	verbs := strings.Repeat("%w; ", len(errs))
	return nil, fmt.Errorf("no lane works here: "+strings.TrimSuffix(verbs, "; "), asAny(errs)...)
}

// asAny is errs as the operands of a format.
func asAny(errs []error) []any {
	all := make([]any, len(errs))
	for i, err := range errs {
		all[i] = err
	}
	return all
}

// A LaneError is why a lane does not work here.
type LaneError struct {
	Lane Lane
	Err  error
}

// Error names the lane and what Err says, but for what all such errors say.
func (e *LaneError) Error() string { return fmt.Sprintf("%s lane: %s", e.Lane, e.Reason()) }

// Reason is what Err says, but for what all such errors say.
func (e *LaneError) Reason() string {
	return strings.TrimPrefix(e.Err.Error(), ErrUnsupported.Error()+": ")
}

// Unwrap returns Err.
func (e *LaneError) Unwrap() error { return e.Err }

// Lane returns the lane that diverts.
func (d *Diversion) Lane() Lane { return d.lane }

// Refused returns why each lane that Start tried before this one does not work
// here, in order, a LaneError each. It is empty where the first one does.
func (d *Diversion) Refused() []error { return d.refused }

// Foreign returns the netfilter chains that a process of another pid namespace
// made, which may run or be gone: nobody here can tell, so Start left them. It is
// empty in other lanes than IPTables.
func (d *Diversion) Foreign() []string { return d.foreign }

// By says how the target is diverted: the lane's name, and whether by an agent.
func (d *Diversion) By() string {
	if d.agent {
		return d.lane.String() + " (agent)"
	}
	return d.lane.String()
}

// Private says whether the command has a mount namespace of its own, in which
// Command.Mounts are made. If not, the sockets of nscd and systemd-resolved
// are in its reach: names may leave by them.
func (d *Diversion) Private() bool { return d.private }

// A Conn is a diverted TCP connection, the target's end of it. The embedded
// Conn is a *net.TCPConn.
type Conn struct {
	net.Conn
	Dst    netip.AddrPort  // what the client connected to
	Caller exchange.Caller // PID is zero where it cannot be told: in a pid namespace
}

// Unwrap returns the TCP connection, for CloseWrite and splice.
func (c *Conn) Unwrap() *net.TCPConn { return c.Conn.(*net.TCPConn) }

// CloseWrite sends the client our FIN.
func (c *Conn) CloseWrite() error { return c.Unwrap().CloseWrite() }

// Accept waits for the next diverted connection. The caller owns it. An error
// other than net.ErrClosed, which follows Close, concerns one connection only.
func (d *Diversion) Accept() (*Conn, error) {
	select {
	case a := <-d.conns:
		return a.conn, a.err
	case <-d.closed:
		return nil, net.ErrClosed
	}
}

// An Escape is what the target tried that is not diverted: it was refused, or it
// passed, as UDP that Target.Pass has, or as TCP of another network namespace.
type Escape struct {
	Protocol string         // "udp", "tcp", "icmp", … or the number
	Dst      netip.AddrPort // port 0 where the protocol has none
	// Why it was refused: "quic", "hermetic", "datagram": UDP that may not pass, or
	// "lane": it carries TCP, and of UDP nothing for a group; "passed": it was not.
	Why     string
	Count   uint64 // packets, or connects
	PID     int    // who sent it, 0 if that cannot be told
	Process string // that process's name, "" if that cannot be told
}

// Escapes returns what the target tried so far that was not diverted, ordered
// by destination, for each process that can be told apart. After Close it
// returns what was known then.
func (d *Diversion) Escapes() ([]Escape, error) { return d.escapes() }

// A Local is a destination on this host that the target talked to and that is
// left alone: a server outside the target on loopback (in the netns lane the
// host's), on a unix socket, or anything on vsock. What listens inside the
// target is not one.
type Local struct {
	Network string         // "tcp", "udp", "unix" or "vsock"
	Dst     netip.AddrPort // of tcp and udp, as the target asked for it
	Path    string         // of unix: its path, or "@" and its abstract name
	Process string         // the name of who listens there, "" if it cannot be told
	PID     int            // the same process, 0 if it cannot be told
	Count   uint64         // connections, or datagrams; 0 if they cannot be counted

	// Resident says what the server is, "Gradle daemon" say, where it is one
	// that works in the target's stead, and so makes connections that are not
	// the target's: an escape. Hint is what to do about it, one line.
	Resident, Hint string
}

// Local returns what the target talked to so far on this host, ordered by
// network and destination. After Close it returns what was known then.
func (d *Diversion) Local() ([]Local, error) { return d.local() }

// Close ends the command if it runs, and restores what Start found. Accept and
// ReadFrom return net.ErrClosed; connections already accepted are the caller's.
// Twice is no error: it returns what the first call did.
func (d *Diversion) Close() error {
	d.once.Do(func() {
		close(d.closed)
		d.trace.reached(Closing)
		d.err = d.undo()
		d.trace.reached(Undone)
	})
	return d.err
}
