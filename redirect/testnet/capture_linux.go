package testnet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"golang.org/x/sys/unix"
)

// Packet is an IP packet that was seen on the uplink.
type Packet struct {
	Outbound bool // sent by the client's side
	Src, Dst netip.AddrPort
	Proto    layers.IPProtocol // TCP, UDP, ICMPv4, …; of other protocols the ports are zero
	Flags    string            // of TCP: those of "SYN", "ACK", "FIN", "RST" that are set, with a space between
	Len      int               // the octets on the wire, Ethernet header included
}

// String is p in one line.
func (p Packet) String() string {
	return fmt.Sprintf("%v %v > %v %s %d bytes", p.Proto, p.Src, p.Dst, p.Flags, p.Len)
}

// Capture holds what passes on the uplink from its start to its Close. Its
// methods are safe for concurrent use.
type Capture struct {
	socket  *os.File
	raw     interface{ Control(func(uintptr)) error }
	reading sync.WaitGroup

	mu      sync.Mutex
	packets []Packet
	lost    int
	err     error
}

// captureBuffer is the kernel's buffer for what is not read yet, in octets.
const captureBuffer = 32 << 20

// Capture starts to watch the internet's end of the uplink, until Close or the
// end of the test. Address resolution, neighbour and multicast
// listener discovery are left out: the kernels' own talk.
func (n *Net) Capture() *Capture {
	n.tb.Helper()
	c := new(Capture)
	if err := inside(n.link.internet, c.open); err != nil {
		n.tb.Fatalf("capture on the uplink: %v", err)
	}
	n.tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			n.tb.Errorf("capture on the uplink: %v", err)
		}
	})
	return c
}

// open makes the socket, in this thread's namespace, and starts to read.
func (c *Capture) open() error {
	i, err := net.InterfaceByName(internetEnd)
	if err != nil {
		return fmt.Errorf("find %s: %w", internetEnd, err)
	}
	// Protocol 0 receives nothing until bind names the interface: see packet(7).
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open a packet socket: %w", err)
	}
	c.socket = os.NewFile(uintptr(fd), "capture")
	all := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL)) // htons
	err = errors.Join(
		os.NewSyscallError("SO_RCVBUFFORCE", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, captureBuffer)),
		os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: i.Index})),
	)
	raw, rawErr := c.socket.SyscallConn()
	if err = errors.Join(err, rawErr); err != nil {
		return errors.Join(err, c.socket.Close())
	}
	c.raw = raw
	c.reading.Go(func() {
		// Read waits until the socket is readable, and returns when it is closed.
		_ = raw.Read(func(fd uintptr) bool { return c.drain(int(fd)) })
	})
	return nil
}

// drain takes the frames that the kernel has. It is true when there will be no more.
func (c *Capture) drain(fd int) (over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	frame := make([]byte, 256) // enough for every header
	for {
		n, from, err := unix.Recvfrom(fd, frame, unix.MSG_DONTWAIT|unix.MSG_TRUNC)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return false
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			c.err = os.NewSyscallError("recvfrom", err)
			return true
		}
		l, ok := from.(*unix.SockaddrLinklayer)
		if !ok {
			continue
		}
		if p, ok := decode(frame[:min(n, len(frame))]); ok {
			p.Outbound, p.Len = l.Pkttype != unix.PACKET_OUTGOING, n
			c.packets = append(c.packets, p)
		}
	}
}

// Packets returns what passed so far, in order.
func (c *Capture) Packets() []Packet {
	_ = c.raw.Control(func(fd uintptr) { // what is in the socket; closed has none
		c.drain(int(fd))
		if s, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			c.mu.Lock()
			c.lost += int(s.Drops) // reading resets it
			c.mu.Unlock()
		}
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.packets)
}

// Lost is how many frames the kernel had no room for, as of the last call of Packets.
func (c *Capture) Lost() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

// Close stops c. What it has stays readable; twice is no error.
func (c *Capture) Close() error {
	c.Packets()
	err := c.socket.Close()
	c.reading.Wait()
	if errors.Is(err, os.ErrClosed) {
		err = nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(err, c.err)
}

// decode reads an Ethernet frame's headers. It is false for what Capture leaves out.
func decode(frame []byte) (Packet, bool) {
	var p Packet
	var src, dst netip.Addr
	decoded := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.DecodeOptions{Lazy: true, NoCopy: true})
	switch ip := decoded.NetworkLayer().(type) {
	case *layers.IPv4:
		src, dst = addr(ip.SrcIP), addr(ip.DstIP)
		p.Proto = ip.Protocol
	case *layers.IPv6:
		src, dst = addr(ip.SrcIP), addr(ip.DstIP)
		p.Proto = ip.NextHeader
		if icmp, ok := decoded.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6); ok {
			p.Proto = layers.IPProtocolICMPv6
			if discovery(icmp.TypeCode.Type()) {
				return Packet{}, false
			}
		}
	default:
		return Packet{}, false // ARP, or no IP at all
	}
	var from, to uint16
	switch t := decoded.TransportLayer().(type) {
	case *layers.TCP:
		from, to = uint16(t.SrcPort), uint16(t.DstPort)
		p.Flags = flags(t)
	case *layers.UDP:
		from, to = uint16(t.SrcPort), uint16(t.DstPort)
	}
	p.Src, p.Dst = netip.AddrPortFrom(src, from), netip.AddrPortFrom(dst, to)
	return p, true
}

// addr is ip, or the zero Addr.
func addr(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a
}

// discovery tells the ICMPv6 types of multicast listener discovery (RFC 2710:
// 130 to 132, RFC 3810: 143) and of neighbour discovery (RFC 4861: 133 to 137).
func discovery(kind uint8) bool {
	return kind >= 130 && kind <= 137 || kind == 143
}

// flags names those of t's flags that Packet tells.
func flags(t *layers.TCP) string {
	var s string
	for _, f := range []struct {
		set  bool
		name string
	}{{t.SYN, "SYN"}, {t.ACK, "ACK"}, {t.FIN, "FIN"}, {t.RST, "RST"}} {
		if f.set && s != "" {
			s += " "
		}
		if f.set {
			s += f.name
		}
	}
	return s
}
