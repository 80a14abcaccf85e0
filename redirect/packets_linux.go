package redirect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/serge-net/serge-net/bpf"
)

// maxQuestion is the longest datagram that we take, in bytes. RFC 6891, 6.2.5 has
// requestors announce 4096 for answers, and questions are shorter; QUIC clients
// send less than an Ethernet frame.
const maxQuestion = 8192

// maxDatagram is the longest there is, in bytes.
const maxDatagram = 1<<16 - 1

// quicBuffer is the receive buffer of sockets that QUIC arrives at, in bytes, as
// far as net.core.rmem_max allows: an upload comes in bursts of many datagrams.
const quicBuffer = 4 << 20

// packetSockets are the UDP sockets that diverted datagrams arrive at. IPv4
// has one for all servers: each has an address of its own in
// 127.128.0.0/9. IPv6 has one per server, as ::1 is its only loopback address.
type packetSockets struct {
	v4 *net.UDPConn
	v6 []*net.UDPConn // empty where the host has no ::1

	longest int // what is longer is dropped, in bytes

	mu      sync.Mutex
	aliases map[asked]alias
}

// asked is who sent datagrams, and where to.
type asked struct{ client, queried netip.AddrPort }

// maxAsked is of how many it is known where their answers are sent from. Beyond
// that all is forgotten: who sends more is known again.
const maxAsked = 8192

// alias is where answers for a server are sent from. A server may have two, if two
// CPUs met it at once (see bpf/divert.h), and a client hears only the one that it
// sent to.
type alias struct {
	conn *net.UDPConn
	from netip.Addr // IPv4 only
}

// openPackets opens the sockets where enter puts them; nil is here.
func openPackets(ctx context.Context, enter control) (*packetSockets, error) {
	s := &packetSockets{longest: maxQuestion, aliases: make(map[asked]alias)}
	// The wildcard address takes all of 127/8; bound to lo, nothing else.
	c := net.ListenConfig{Control: both(enter, loopbackOnly)}
	p, err := c.ListenPacket(ctx, "udp4", "0.0.0.0:0")
	if err != nil {
		return nil, fmt.Errorf("listen for datagrams: %w", err)
	}
	s.v4 = p.(*net.UDPConn)
	c.Control = enter
	for range bpf.Slots {
		p, err := c.ListenPacket(ctx, "udp6", "[::1]:0")
		if noLoopback6(err) {
			return s, nil
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("listen for datagrams: %w", err), s.close())
		}
		s.v6 = append(s.v6, p.(*net.UDPConn))
	}
	return s, nil
}

// loopbackOnly binds a socket to lo and asks for the address of each datagram.
func loopbackOnly(_, _ string, c syscall.RawConn) error {
	var err error
	if e := c.Control(func(fd uintptr) {
		err = errors.Join(
			unix.BindToDevice(int(fd), "lo"), // unprivileged since Linux 5.7
			unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1))
	}); e != nil {
		return e
	}
	return err
}

// conns are all sockets.
func (s *packetSockets) conns() []*net.UDPConn {
	return append([]*net.UDPConn{s.v4}, s.v6...)
}

// widen has the sockets hold more than questions.
func (s *packetSockets) widen() {
	for _, c := range s.conns() {
		c.SetReadBuffer(quicBuffer) // less is slower, and no more
	}
}

// close closes all sockets, which ends their readers.
func (s *packetSockets) close() error {
	var errs []error
	for _, c := range s.conns() {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// servePackets reads what c gets until it is closed.
func (e *ebpfLane) servePackets(c *net.UDPConn) {
	b, oob := make([]byte, e.sockets.longest), make([]byte, 128)
	local := c.LocalAddr().(*net.UDPAddr).AddrPort()
	known := make(map[netip.AddrPort]netip.AddrPort) // where datagrams go that arrive here: it never changes
	for {
		n, oobn, flags, client, err := c.ReadMsgUDPAddrPort(b, oob)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		// An ICMP error for an earlier answer, or a question longer than any.
		if err != nil || flags&unix.MSG_TRUNC != 0 {
			continue
		}
		at := local
		if c == e.sockets.v4 {
			a, ok := arrivedAt(oob[:oobn])
			if !ok {
				continue
			}
			at = netip.AddrPortFrom(a, 0)
		}
		queried, ok := known[at]
		if !ok {
			// A datagram that was not diverted has no server; it is dropped.
			if queried, ok, err = e.hooks.Queried(at); err != nil || !ok {
				continue
			}
			known[at] = queried
		}
		client = netip.AddrPortFrom(client.Addr().Unmap(), client.Port())
		e.sockets.pin(asked{client, queried}, alias{conn: c, from: at.Addr()})
		if !e.d.arrived(datagram{b: append([]byte(nil), b[:n]...), client: client, queried: queried}) {
			return
		}
	}
}

// pin keeps where answers to q go out.
func (s *packetSockets) pin(q asked, a alias) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.aliases) >= maxAsked {
		clear(s.aliases)
	}
	s.aliases[q] = a
}

// alias returns what pin has kept.
func (s *packetSockets) alias(q asked) (alias, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.aliases[q]
	return a, ok
}

// at is where q's datagrams were sent instead.
func (s *packetSockets) at(q asked) (netip.AddrPort, bool) {
	a, ok := s.alias(q)
	if !ok {
		return netip.AddrPort{}, false
	}
	local := udpPort(a.conn.LocalAddr())
	if a.conn == s.v4 {
		local = netip.AddrPortFrom(a.from, local.Port())
	}
	return local, true
}

// write answers client in queried's name.
func (s *packetSockets) write(b []byte, client, queried netip.AddrPort) error {
	a, ok := s.alias(asked{client, queried})
	if !ok {
		return fmt.Errorf("redirect: answer %s for %s: it was not asked", client, queried)
	}
	var oob []byte
	if a.conn == s.v4 {
		oob = sendFrom(a.from)
	}
	if _, _, err := a.conn.WriteMsgUDPAddrPort(b, oob, client); err != nil {
		return fmt.Errorf("redirect: answer %s for %s: %w", client, queried, err)
	}
	return nil
}

// arrivedAt returns the address that a datagram was sent to, from its IP_PKTINFO
// or IPV6_PKTINFO: struct in_pktinfo of ip(7), in6_pktinfo of ipv6(7).
func arrivedAt(oob []byte) (netip.Addr, bool) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return netip.Addr{}, false
	}
	for _, m := range messages {
		switch h := m.Header; {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(m.Data) >= unix.SizeofInet4Pktinfo:
			return netip.AddrFrom4([4]byte(m.Data[8:12])), true
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(m.Data) >= unix.SizeofInet6Pktinfo:
			return netip.AddrFrom16([16]byte(m.Data[:16])), true
		}
	}
	return netip.Addr{}, false
}

// sendFrom is the control message that gives a datagram the source address a.
func sendFrom(a netip.Addr) []byte {
	if a.Is4() {
		return unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: a.As4()})
	}
	return unix.PktInfo6(&unix.Inet6Pktinfo{Addr: a.As16()})
}
