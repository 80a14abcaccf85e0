package redirect

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// servePackets reads the datagrams for port that c gets until it is closed. They come to
// the address that was asked, as all are local; only their port was changed.
func (n *netnsLane) servePackets(c *net.UDPConn, port uint16) {
	if port == quicPort {
		c.SetReadBuffer(quicBuffer) // less is slower, and no more
	}
	b, oob := make([]byte, maxQuestion), make([]byte, 128)
	for {
		size, oobn, flags, client, err := c.ReadMsgUDPAddrPort(b, oob)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || flags&unix.MSG_TRUNC != 0 {
			continue
		}
		at, ok := arrivedAt(oob[:oobn])
		if !ok {
			continue
		}
		client = netip.AddrPortFrom(client.Addr().Unmap(), client.Port())
		if !n.d.arrived(datagram{b: append([]byte(nil), b[:size]...), client: client, queried: netip.AddrPortFrom(at, port)}) {
			return
		}
	}
}

// writePacket answers client in queried's name. The rules, or conntrack, give
// the answer its port on its way.
func (n *netnsLane) writePacket(b []byte, client, queried netip.AddrPort) error {
	oob := sendFrom(queried.Addr())
	sockets := n.sockets[queried.Port()]
	c := sockets[0]
	if client.Addr().Is6() {
		c = sockets[len(sockets)-1]
	}
	if _, _, err := c.WriteMsgUDPAddrPort(b, oob, client); err != nil {
		return fmt.Errorf("redirect: answer %s for %s: %w", client, queried, err)
	}
	return nil
}
