package redirect

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// servePackets reads the questions that c gets until it is closed. They come to
// the address that was asked, as all are local; only their port was changed.
func (n *netnsLane) servePackets(c *net.UDPConn) {
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
		q := datagram{b: append([]byte(nil), b[:size]...), client: client, queried: netip.AddrPortFrom(at, 53)}
		select {
		case n.d.packets.in <- q:
		case <-n.d.closed:
			return
		}
	}
}

// writePacket answers client in queried's name. The rules, or conntrack, give
// the answer port 53 on its way.
func (n *netnsLane) writePacket(b []byte, client, queried netip.AddrPort) error {
	oob := sendFrom(queried.Addr())
	c := n.sockets[0]
	if client.Addr().Is6() {
		c = n.sockets[len(n.sockets)-1]
	}
	if _, _, err := c.WriteMsgUDPAddrPort(b, oob, client); err != nil {
		return fmt.Errorf("redirect: answer %s for %s: %w", client, queried, err)
	}
	return nil
}
