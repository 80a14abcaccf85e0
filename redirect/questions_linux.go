package redirect

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// openQuestions opens the sockets that DNS questions are redirected to, one a
// family. Answers get the name server's address as their source by conntrack.
func (i *iptablesLane) openQuestions() error {
	for _, at := range []struct {
		network, address string
		port             *uint16
	}{{"udp4", "127.0.0.1:0", &i.rules.packets.v4}, {"udp6", "[::1]:0", &i.rules.packets.v6}} {
		c, err := net.ListenPacket(at.network, at.address)
		if noLoopback6(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("listen for datagrams: %w", err)
		}
		i.questions = append(i.questions, c.(*net.UDPConn))
		*at.port = udpPort(c.LocalAddr()).Port()
	}
	i.d.answering(dnsPort, i.answer)
	return nil
}

// udpPort is a with IPv4 as such.
func udpPort(a net.Addr) netip.AddrPort {
	p := a.(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

// serveQuestions reads what c gets until it is closed.
func (i *iptablesLane) serveQuestions(c *net.UDPConn) {
	b, local := make([]byte, maxQuestion), udpPort(c.LocalAddr())
	for {
		n, _, flags, client, err := c.ReadMsgUDPAddrPort(b, nil)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		// An ICMP error for an earlier answer, or a question longer than any.
		if err != nil || flags&unix.MSG_TRUNC != 0 {
			continue
		}
		client = netip.AddrPortFrom(client.Addr().Unmap(), client.Port())
		queried, ok, err := i.conntrack.queried(client, local)
		if err != nil || !ok {
			continue // it was not redirected
		}
		if !i.d.arrived(datagram{b: append([]byte(nil), b[:n]...), client: client, queried: queried}) {
			return
		}
	}
}

// answer answers client in queried's name.
func (i *iptablesLane) answer(b []byte, client, queried netip.AddrPort) error {
	for _, c := range i.questions {
		if udpPort(c.LocalAddr()).Addr().Is6() != client.Addr().Is6() {
			continue
		}
		if _, err := c.WriteToUDPAddrPort(b, client); err != nil {
			return fmt.Errorf("redirect: answer %s for %s: %w", client, queried, err)
		}
		return nil
	}
	return fmt.Errorf("redirect: answer %s for %s: it was not asked", client, queried)
}
