package redirect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Datagrams that may pass have no other way out of the namespace than by us. TPROXY
// hands them to a socket as they are, with the port that they were sent to, and
// answers are sent by a raw socket, from whatever address and port was asked.

// relays says whether datagrams pass: their port would be lost where connections
// are redirected.
func (r *ruleset) relays() bool { return r.relay != 0 && r.way.TCP == byTProxy }

// unroutable are the destinations that our own sockets, in another namespace,
// cannot stand for: broadcast, multicast, and IPv6's link-local ones.
func (r *ruleset) unroutable() []netip.Prefix {
	if r.own.Is6() {
		return []netip.Prefix{netip.MustParsePrefix("ff00::/8"), netip.MustParsePrefix("fe80::/10")}
	}
	return []netip.Prefix{netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("255.255.255.255/32")}
}

// passes are the rules that let datagrams go on to where relayed takes them, of
// those that are not for a stub.
func (r *ruleset) passes(escapes *nftables.Set) [][]expr.Any {
	if !r.relays() {
		return nil
	}
	udp := protocol(unix.IPPROTO_UDP)
	refused := all(r.count(escapes, true), drop())
	rules := [][]expr.Any{all(udp, port(destination, quicPort), refused)}
	for _, p := range r.unroutable() {
		rules = append(rules, all(udp, r.to(p), refused))
	}
	for _, p := range inFamily(r.Pass, r.own.Is6()) {
		rule := udp
		if p.To.IsValid() {
			rule = all(rule, r.to(p.To))
		}
		if p.Port != 0 {
			rule = all(rule, port(destination, p.Port))
		}
		rules = append(rules, all(rule, r.pass()))
	}
	return rules
}

// relayed are the rules that hand what passes to the relay, where it arrives: all
// that is neither for this namespace nor for a stub.
func (r *ruleset) relayed() [][]expr.Any {
	if !r.relays() {
		return nil
	}
	udp := protocol(unix.IPPROTO_UDP)
	var rules [][]expr.Any
	for _, s := range r.stubs {
		rules = append(rules, all(udp, port(destination, s.at), accept()))
	}
	return append(rules, all(udp, r.tproxy(r.relay)))
}

// tproxy hands what arrives to the socket of ours that has port.
func (r *ruleset) tproxy(port uint16) []expr.Any {
	f := byte(r.table().Family)
	// Without the address the kernel looks for a listener at the destination's
	// for IPv4, and refuses the packet for IPv6.
	return []expr.Any{
		&expr.Immediate{Register: 2, Data: binary.BigEndian.AppendUint16(nil, port)},
		&expr.Immediate{Register: 1, Data: r.listener.Addr().AsSlice()},
		&expr.TProxy{Family: f, TableFamily: f, RegAddr: 1, RegPort: 2}, accept()[0]}
}

// answerer opens the raw socket that answers what the relay got.
func answerer(v6 bool) (*os.File, error) {
	domain, level, ours := unix.AF_INET, unix.IPPROTO_IP, unix.IP_TRANSPARENT
	if v6 {
		domain, level, ours = unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_TRANSPARENT
	}
	fd, err := unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
	if err != nil {
		return nil, fmt.Errorf("raw socket: %w", err)
	}
	// It would be given every datagram in the namespace.
	none := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
	err = errors.Join(
		unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &none}),
		unix.SetsockoptInt(fd, level, ours, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, ownMark))
	if v6 { // which has no datagrams without a checksum
		err = errors.Join(err, unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_CHECKSUM, udpChecksum))
	}
	f := os.NewFile(uintptr(fd), "answers")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("raw socket: %w", err), f.Close())
	}
	return f, nil
}

// The UDP header: RFC 768.
const (
	udpHeader   = 8
	udpChecksum = 6 // the checksum's offset
)

// whole has a socket tell the whole destination of each datagram: ip(7).
func whole(network, address string, c syscall.RawConn) error {
	level, told := unix.IPPROTO_IP, unix.IP_RECVORIGDSTADDR
	if network == "udp6" {
		level, told = unix.IPPROTO_IPV6, unix.IPV6_RECVORIGDSTADDR
	}
	err := transparent(network, address, c)
	if e := c.Control(func(fd uintptr) { err = errors.Join(err, unix.SetsockoptInt(int(fd), level, told, 1)) }); e != nil {
		return e
	}
	return err
}

// sentTo returns where a datagram was sent to, from its IP_ORIGDSTADDR or
// IPV6_ORIGDSTADDR: a struct sockaddr_in, or sockaddr_in6.
func sentTo(oob []byte) (netip.AddrPort, bool) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return netip.AddrPort{}, false
	}
	for _, m := range messages {
		switch h := m.Header; {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_ORIGDSTADDR && len(m.Data) >= unix.SizeofSockaddrInet4:
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte(m.Data[4:8])), binary.BigEndian.Uint16(m.Data[2:])), true
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_ORIGDSTADDR && len(m.Data) >= unix.SizeofSockaddrInet6:
			return netip.AddrPortFrom(netip.AddrFrom16([16]byte(m.Data[8:24])), binary.BigEndian.Uint16(m.Data[2:])), true
		}
	}
	return netip.AddrPort{}, false
}

// serveRelay reads the datagrams that pass, from c, until it is closed.
func (n *netnsLane) serveRelay(c *net.UDPConn, _ uint16) {
	b, oob := make([]byte, maxDatagram), make([]byte, 128)
	for {
		size, oobn, _, client, err := c.ReadMsgUDPAddrPort(b, oob)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		queried, ok := sentTo(oob[:oobn])
		if !ok {
			continue
		}
		client = netip.AddrPortFrom(client.Addr().Unmap(), client.Port())
		if !n.d.arrived(datagram{b: append([]byte(nil), b[:size]...), client: client, queried: queried}) {
			return
		}
	}
}

// writeRelay answers client in queried's name.
func (n *netnsLane) writeRelay(b []byte, client, queried netip.AddrPort) error {
	datagram := binary.BigEndian.AppendUint16(make([]byte, 0, udpHeader+len(b)), queried.Port())
	datagram = binary.BigEndian.AppendUint16(datagram, client.Port())
	datagram = binary.BigEndian.AppendUint16(datagram, uint16(udpHeader+len(b)))
	datagram = append(datagram, 0, 0) // IPv4 may leave the checksum out
	raw := n.raw[0]
	if client.Addr().Is6() {
		raw = n.raw[len(n.raw)-1]
	}
	to := &net.IPAddr{IP: client.Addr().AsSlice()}
	if _, _, err := raw.WriteMsgIP(append(datagram, b...), sendFrom(queried.Addr()), to); err != nil {
		return fmt.Errorf("redirect: answer %s for %s: %w", client, queried, err)
	}
	return nil
}
