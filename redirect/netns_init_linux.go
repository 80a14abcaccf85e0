package redirect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"syscall"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// A netPlan is what init is told of the network namespace that it is born in.
type netPlan struct {
	Ways      []netWay       // to divert, best first
	Resolvers []netip.Addr   // as Target has them
	Loopback  []uint16       // the same
	Hermetic  bool           // the same
	Refuse    []netip.Prefix // TCP destinations that nothing leads to
	Ports     []uint16       // UDP ports whose datagrams are diverted, 53 first
	Spared    []netip.Prefix // destinations whose datagrams are not
	Pass      []Pass         // other datagrams that may pass, by the relay
}

// netReady is what init tells when the namespace is made. The files beside it
// are, in this order: our end of the socket for netRequests, a sock_diag socket,
// and for each family its TCP listener, a UDP socket for each of netPlan.Ports and,
// where it relays, that of the relay and that of its answers.
type netReady struct {
	Way    netWay // of netPlan.Ways, the one that works
	V6     bool   // there is IPv6
	Relays bool   // there is what netPlan.Pass needs
}

// A netRequest is what the parent asks of init as long as it lives, one at a
// time: to change the ports of the host that are passed on, for a new socket
// inside, or what was refused.
type netRequest struct {
	V6          bool     `json:",omitempty"` // the family of ports and socket
	Add, Remove []uint16 `json:",omitempty"`
	Socket      bool     `json:",omitempty"` // SOCK_STREAM
	Refused     bool     `json:",omitempty"`
}

// A netAnswer is the answer to one; beside it is the socket, or a file with a
// []Escape in gob.
type netAnswer struct {
	Err string `json:",omitempty"`
}

// An innerNet is init's half of the netns lane.
type innerNet struct {
	plan  netPlan
	rules []*ruleset // IPv4's first
	ctl   *net.UnixConn
}

// makeNet makes the network of this process's own, new namespace, and returns
// the files to go with netReady.
func makeNet(p netPlan) (*innerNet, netReady, []*os.File, error) {
	n := &innerNet{plan: p}
	var ready netReady
	loosen()
	if !capable(unix.CAP_NET_RAW) { // it was there before the namespace
		n.plan.Pass = nil
	}
	ready.Relays = len(n.plan.Pass) > 0
	v6, err := raiseLoopback()
	if err != nil {
		return nil, ready, nil, err
	}
	ready.V6 = v6
	theirs, err := n.connect()
	if err != nil {
		return nil, ready, nil, err
	}
	files := []*os.File{theirs}
	d, err := openDiag()
	if err != nil {
		return nil, ready, nil, err
	}
	files = append(files, os.NewFile(uintptr(d.fd), "sock_diag"))
	var doors []inside
	for _, host := range []string{"127.0.0.1", "::1"}[:1+btoi(v6)] {
		in, err := listenInside(host, n.plan)
		if err != nil {
			return nil, ready, nil, err
		}
		doors = append(doors, in)
		files = append(append(files, in.tcp), in.udp...)
	}
	ready.Way, err = n.divert(doors)
	return n, ready, files, err
}

// btoi is 1 if b.
func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// loosen sets what new network namespaces have otherwise than most hosts:
// IPv6 on, ping sockets for the user (icmp(7)), and no privileged ports, so that
// the command can have any, 53 too. Where /proc/sys is read-only nothing
// depends on it.
func loosen() {
	gid := strconv.Itoa(os.Getgid())
	for path, value := range map[string]string{
		"ipv6/conf/all/disable_ipv6":      "0",
		"ipv6/conf/lo/disable_ipv6":       "0",
		"ipv4/ip_unprivileged_port_start": "0",
		"ipv4/ping_group_range":           gid + " " + gid,
	} {
		os.WriteFile("/proc/sys/net/"+path, []byte(value), 0)
	}
}

// connect makes the socket for netRequests and returns the parent's end.
func (n *innerNet) connect() (*os.File, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	n.ctl, err = unixConn(os.NewFile(uintptr(pair[0]), "requests"))
	return os.NewFile(uintptr(pair[1]), "requests"), err
}

// inside is where the connections and the datagrams of one family arrive.
type inside struct {
	tcp      *os.File
	udp      []*os.File
	listener netip.AddrPort
	stubs    []stub
	relay    uint16 // its port; 0: there is none
}

// listenInside opens the sockets of the family of host, its loopback address, for
// connections and for datagrams, as p says.
func listenInside(host string, p netPlan) (inside, error) {
	var in inside
	tcp, udp, wildcard := "tcp4", "udp4", "0.0.0.0:0"
	if host == "::1" {
		tcp, udp, wildcard = "tcp6", "udp6", "[::]:0"
	}
	c := net.ListenConfig{Control: transparent}
	c.SetMultipathTCP(false)
	l, err := c.Listen(context.Background(), tcp, net.JoinHostPort(host, "0"))
	if err != nil {
		return in, fmt.Errorf("listen inside: %w", err)
	}
	defer l.Close()
	in.listener = addrPort(l.Addr())
	if in.tcp, err = l.(*net.TCPListener).File(); err != nil {
		return in, err
	}
	datagrams := func(how control) (uint16, error) {
		c := net.ListenConfig{Control: how}
		u, err := c.ListenPacket(context.Background(), udp, wildcard)
		if err != nil {
			return 0, fmt.Errorf("listen for datagrams inside: %w", err)
		}
		defer u.Close()
		f, err := u.(*net.UDPConn).File()
		in.udp = append(in.udp, f)
		return udpPort(u.LocalAddr()).Port(), err
	}
	for _, port := range p.Ports {
		at, err := datagrams(transparent)
		if err != nil {
			return in, err
		}
		in.stubs = append(in.stubs, stub{port: port, at: at})
	}
	if len(p.Pass) == 0 {
		return in, nil
	}
	if in.relay, err = datagrams(whole); err != nil {
		return in, err
	}
	answers, err := answerer(host == "::1")
	in.udp = append(in.udp, answers)
	return in, err
}

// transparent lets a socket answer from any address, and tells the address of
// each datagram: ip(7), ipv6(7).
func transparent(network, _ string, c syscall.RawConn) error {
	level, ours, told := unix.IPPROTO_IP, unix.IP_TRANSPARENT, unix.IP_PKTINFO
	if network == "tcp6" || network == "udp6" {
		level, ours, told = unix.IPPROTO_IPV6, unix.IPV6_TRANSPARENT, unix.IPV6_RECVPKTINFO
	}
	var err error
	if e := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), level, ours, 1)
		if network == "udp4" || network == "udp6" {
			err = errors.Join(err, unix.SetsockoptInt(int(fd), level, told, 1))
		}
	}); e != nil {
		return e
	}
	return err
}

// divert makes the rules, in the first way that this kernel has and allows. If
// there is none, it returns what is against the best.
func (n *innerNet) divert(doors []inside) (netWay, error) {
	var obstacle error
	for _, way := range n.plan.Ways {
		n.rules = nil
		c, err := nftables.New()
		if err != nil {
			return netWay{}, fmt.Errorf("open nftables: %w", err)
		}
		for _, d := range doors {
			r := rulesFor(n.plan, way, d.listener, d.stubs...)
			r.relay = d.relay
			if err := r.add(c); err != nil {
				return netWay{}, err
			}
			n.rules = append(n.rules, r)
		}
		if err = c.Flush(); err == nil {
			return way, nil
		}
		if obstacle == nil {
			obstacle = err
		}
	}
	return netWay{}, fmt.Errorf("make rules by nftables: %w", obstacle)
}

// serve answers the parent's requests until it is gone. It runs on other threads
// than the one that gave up its capabilities for the command.
func (n *innerNet) serve() {
	b := make([]byte, maxNetRequest)
	for {
		size, err := n.ctl.Read(b)
		if err != nil || size == 0 {
			return
		}
		var req netRequest
		if err := json.Unmarshal(b[:size], &req); err != nil {
			return
		}
		f, err := n.answer(req)
		var a netAnswer
		if err != nil {
			a.Err = err.Error()
		}
		b, err := json.Marshal(a)
		if err != nil {
			return
		}
		var oob []byte
		if f != nil {
			oob = unix.UnixRights(int(f.Fd()))
		}
		n.ctl.WriteMsgUnix(b, oob, nil) // the parent gone: the next read tells
		if f != nil {
			f.Close()
		}
	}
}

// answer does what req asks for.
func (n *innerNet) answer(req netRequest) (*os.File, error) {
	switch {
	case req.Refused:
		return n.refused()
	case req.Socket:
		return n.socket(req.V6)
	}
	return nil, n.rules[btoi(req.V6)].edit(req.Add, req.Remove)
}

// socket makes a TCP socket inside that is not diverted.
func (n *innerNet) socket(v6 bool) (*os.File, error) {
	domain := unix.AF_INET
	if v6 {
		domain = unix.AF_INET6
	}
	fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), "inside")
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, ownMark); err != nil {
		return nil, errors.Join(fmt.Errorf("mark a socket: %w", err), f.Close())
	}
	return f, nil
}

// refused returns a file with what the rules refused.
func (n *innerNet) refused() (*os.File, error) {
	var found []Escape
	for _, r := range n.rules {
		e, err := r.refused()
		if err != nil {
			return nil, err
		}
		found = append(found, e...)
	}
	slices.SortFunc(found, func(a, b Escape) int { return a.Dst.Compare(b.Dst) })
	return sealed(found)
}

// maxNetRequest is longer than any netRequest and netAnswer, in bytes: see maxPorts.
const maxNetRequest = 32 << 10
