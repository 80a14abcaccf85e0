// Command hostile tries to send a packet to an IPv4 and an IPv6 address in its
// arguments by every kind of socket that it knows, and prints how each attempt
// ended: "sent" if the kernel took it, else the error. Further arguments choose
// attempts by the beginning of their names.
package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// An attempt is one way to send.
type attempt struct {
	name string
	try  func(to netip.Addr) error
}

// garbage is what is sent: neither TLS nor HTTP nor DNS.
var garbage = []byte("\x00\x01hostile\n")

func attempts() []attempt {
	return []attempt{
		{"tcp", func(to netip.Addr) error { return stream(to, 7, nil) }},
		{"tcp bound to the uplink", func(to netip.Addr) error {
			return stream(to, 7, func(fd int) error { return unix.BindToDevice(fd, "uplink") })
		}},
		{"tcp fast open", fastOpen},
		{"udp", func(to netip.Addr) error { return datagram(to, 7, false) }},
		{"udp connected", func(to netip.Addr) error { return datagram(to, 9, true) }},
		{"quic", func(to netip.Addr) error { return datagram(to, 443, false) }},
		{"quic connected", func(to netip.Addr) error { return datagram(to, 443, true) }},
		{"many datagrams", many},
		{"ping", func(to netip.Addr) error { return ping(to, unix.SOCK_DGRAM) }},
		{"raw", func(to netip.Addr) error { return ping(to, unix.SOCK_RAW) }},
		{"packet", func(netip.Addr) error {
			_, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
			return err
		}},
		{"multicast", multicast},
		{"multicast out of the uplink", multicastVia},
		{"broadcast", broadcast},
		{"mapped tcp", func(to netip.Addr) error { return mapped(to, unix.SOCK_STREAM) }},
		{"mapped udp", func(to netip.Addr) error { return mapped(to, unix.SOCK_DGRAM) }},
		{"datagram bound to the uplink", boundDatagram},
		{"lite datagram", func(to netip.Addr) error { return other(to, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE) }},
		{"sctp", func(to netip.Addr) error { return other(to, unix.SOCK_SEQPACKET, unix.IPPROTO_SCTP) }},
		{"sctp stream", func(to netip.Addr) error { return other(to, unix.SOCK_STREAM, unix.IPPROTO_SCTP) }},
		{"dccp", func(to netip.Addr) error { return other(to, unix.SOCK_DCCP, unix.IPPROTO_DCCP) }},
		{"mptcp", func(to netip.Addr) error { return other(to, unix.SOCK_STREAM, unix.IPPROTO_MPTCP) }},
		{"raw ip", func(to netip.Addr) error { return other(to, unix.SOCK_RAW, unix.IPPROTO_RAW) }},
		{"own ip header", ownHeader},
		{"in a user namespace", inUserNamespace},
		{"mark", func(to netip.Addr) error {
			return stream(to, 7, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, 1) })
		}},
	}
}

func main() {
	if as := os.Getenv(role); as != "" { // what again starts
		os.Exit(act(as, netip.MustParseAddr(os.Args[1])))
	}
	if len(os.Args) == 2 { // what inUserNamespace starts
		os.Exit(privileged())
	}
	for _, a := range append(attempts(), leaving()...) {
		if len(os.Args) > 3 && !strings.HasPrefix(a.name, os.Args[3]) {
			continue
		}
		for _, arg := range os.Args[1:3] {
			to := netip.MustParseAddr(arg)
			result := "sent"
			err := a.try(to)
			if err != nil {
				result = err.Error()
			}
			fmt.Printf("%s to %v: %s\n", a.name, to, result)
			if waited(err) {
				fmt.Printf("%s to %v took %v\n", a.name, to, patience)
			}
		}
	}
}

// sockaddr is to and port for the kernel.
func sockaddr(to netip.Addr, port int) unix.Sockaddr {
	if to.Is4() {
		return &unix.SockaddrInet4{Addr: to.As4(), Port: port}
	}
	return &unix.SockaddrInet6{Addr: to.As16(), Port: port}
}

// patience is how long a socket waits for what does not come.
const patience = 5 * time.Second

// waited says whether err is what a socket returns after that: socket(7),
// SO_SNDTIMEO. A clock would tell how busy the machine is.
func waited(err error) bool {
	return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINPROGRESS) || errors.Is(err, unix.ETIMEDOUT)
}

// socket makes one of to's family that gives up after patience.
func socket(to netip.Addr, kind, protocol int) (int, error) {
	family := unix.AF_INET6
	if to.Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, kind, protocol)
	if err != nil {
		return -1, err
	}
	limit(fd)
	return fd, nil
}

// limit has fd give up after patience.
func limit(fd int) {
	t := unix.NsecToTimeval(patience.Nanoseconds())
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &t)
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &t)
}

// stream connects by TCP and sends garbage. That it is reset is a refusal.
func stream(to netip.Addr, port int, prepare func(fd int) error) error {
	fd, err := socket(to, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if prepare != nil {
		if err := prepare(fd); err != nil {
			return err
		}
	}
	if err := unix.Connect(fd, sockaddr(to, port)); err != nil {
		return err
	}
	return say(fd)
}

// say sends garbage on fd and waits for an answer.
func say(fd int) error {
	if _, err := unix.Write(fd, garbage); err != nil {
		return err
	}
	n, err := unix.Read(fd, make([]byte, 100))
	if err == nil && n == 0 {
		return errors.New("closed")
	}
	return err
}

// fastOpen sends with the SYN.
func fastOpen(to netip.Addr) error {
	fd, err := socket(to, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, garbage, unix.MSG_FASTOPEN, sockaddr(to, 7)); err != nil {
		return err
	}
	return say(fd)
}

// datagram sends one by UDP.
func datagram(to netip.Addr, port int, connected bool) error {
	fd, err := socket(to, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if !connected {
		return unix.Sendto(fd, garbage, 0, sockaddr(to, port))
	}
	if err := unix.Connect(fd, sockaddr(to, port)); err != nil {
		return err
	}
	_, err = unix.Write(fd, garbage)
	return err
}

// many sends several in one call, by UDP_SEGMENT, to the port of QUIC.
func many(to netip.Addr) error {
	fd, err := socket(to, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT, 1200); err != nil {
		return err
	}
	return unix.Sendto(fd, make([]byte, 6000), 0, sockaddr(to, 443))
}

// ping sends an echo request, by a ping socket (icmp(7)) or by a raw one.
func ping(to netip.Addr, kind int) error {
	protocol, request := unix.IPPROTO_ICMPV6, byte(128)
	if to.Is4() {
		protocol, request = unix.IPPROTO_ICMP, 8
	}
	fd, err := socket(to, kind, protocol)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Sendto(fd, []byte{request, 0, 0xf7 - 8 + request, 0xff, 0, 0, 0, 0}, 0, sockaddr(to, 0))
}

// multicast sends to the groups of mDNS (RFC 6762).
func multicast(to netip.Addr) error {
	group := netip.MustParseAddr("ff02::fb")
	if to.Is4() {
		group = netip.MustParseAddr("224.0.0.251")
	}
	return datagram(group, 5353, false)
}
