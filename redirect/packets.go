package redirect

import (
	"fmt"
	"net"
	"net/netip"
)

// Packets are the diverted UDP datagrams of one port. It is safe for
// concurrent use.
type Packets struct {
	err    error // of every call, where the port is not diverted
	in     chan datagram
	closed chan struct{}
	write  func(b []byte, client, queried netip.AddrPort) error
}

// datagram is one question on its way to ReadFrom.
type datagram struct {
	b               []byte
	client, queried netip.AddrPort
}

// Packets returns the diverted datagrams of port. Only 53 is diverted: on
// others ReadFrom and WriteTo return ErrUnsupported.
func (d *Diversion) Packets(port uint16) *Packets {
	if port != 53 {
		return &Packets{err: fmt.Errorf("%w: UDP port %d is not diverted", ErrUnsupported, port)}
	}
	return d.packets
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
