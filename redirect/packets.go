package redirect

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/serge-net/serge-net/exchange"
)

// The ports whose datagrams are diverted.
const (
	dnsPort  = 53
	quicPort = 443 // with Target.QUIC
)

// Packets are the diverted UDP datagrams of one port. It is safe for
// concurrent use.
type Packets struct {
	err    error // of every call, where the port is not diverted
	in     chan datagram
	closed chan struct{}
	write  func(b []byte, client, queried netip.AddrPort) error
	sender func(client, queried netip.AddrPort) exchange.Caller
}

// datagram is one datagram on its way to ReadFrom.
type datagram struct {
	b               []byte
	client, queried netip.AddrPort
}

// newPackets are those of all ports that may be diverted, until closed is.
func newPackets(closed chan struct{}) map[uint16]*Packets {
	all := make(map[uint16]*Packets)
	for _, port := range []uint16{dnsPort, quicPort, otherPorts} {
		all[port] = &Packets{in: make(chan datagram), closed: closed}
	}
	return all
}

// Packets returns the diverted datagrams of port. Only 53 is diverted, 443 with
// Target.QUIC, and 0 is what passes to other ports, as far as it has to pass by
// us: see Target.Pinned; the netns lane has it all. On others ReadFrom and WriteTo
// return ErrUnsupported. What is diverted must be read: a port that nobody reads
// holds up the others.
func (d *Diversion) Packets(port uint16) *Packets {
	if p := d.packets[port]; p != nil && p.write != nil {
		return p
	}
	return &Packets{err: fmt.Errorf("%w: UDP port %d is not diverted", ErrUnsupported, port)}
}

// arrived hands q to who reads the port that it was sent to. It says false if
// nobody will any more.
func (d *Diversion) arrived(q datagram) bool {
	p := d.packets[q.queried.Port()]
	if p == nil || p.write == nil {
		if p = d.packets[otherPorts]; p.write == nil {
			return true
		}
	}
	select {
	case p.in <- q:
		return true
	case <-d.closed:
		return false
	}
}

// answering has write answer datagrams of port.
func (d *Diversion) answering(port uint16, write func(b []byte, client, queried netip.AddrPort) error) {
	d.packets[port].write = write
}

// telling has sender tell who sent diverted datagrams.
func (d *Diversion) telling(sender func(client, queried netip.AddrPort) exchange.Caller) {
	for _, p := range d.packets {
		p.sender = sender
	}
}

// ReadFrom waits for a datagram and copies it to b; what does not fit is lost.
// client is who sent it, queried where to. After Close it returns net.ErrClosed.
func (p *Packets) ReadFrom(b []byte) (n int, client, queried netip.AddrPort, err error) {
	if p.err != nil {
		return 0, client, queried, p.err
	}
	select {
	case q := <-p.in:
		return copy(b, q.b), q.client, q.queried, nil
	case <-p.closed:
		return 0, client, queried, net.ErrClosed
	}
}

// WriteTo sends b to client. It sees it come from queried, which must be what
// ReadFrom returned with client.
func (p *Packets) WriteTo(b []byte, client, queried netip.AddrPort) error {
	if p.err != nil {
		return p.err
	}
	return p.write(b, client, queried)
}

// Sender returns who of the target sent what ReadFrom returned with client and
// queried. The PID is zero if that cannot be told, as the socket is closed by now.
func (p *Packets) Sender(client, queried netip.AddrPort) exchange.Caller {
	if p.sender == nil {
		return exchange.Caller{}
	}
	return p.sender(client, queried)
}
