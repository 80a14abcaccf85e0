package redirect

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/serge-net/serge-net/exchange"
)

// openQuestions opens the sockets that DNS questions are redirected to, and others
// with pinned, one a family. Answers get their source by conntrack: who was asked.
func (i *iptablesLane) openQuestions(pinned bool) error {
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
	i.longest = maxQuestion
	i.d.answering(dnsPort, i.answer)
	if pinned {
		i.longest = maxDatagram
		i.d.answering(otherPorts, i.answer)
	}
	return nil
}

// asker tells who sent what was redirected, and came from client.
func (i *iptablesLane) asker(client, queried netip.AddrPort) exchange.Caller {
	c := i.questionsFrom(client)
	if c == nil {
		return exchange.Caller{}
	}
	if sent, ok, err := i.conntrack.original(client, udpPort(c.LocalAddr())); ok && err == nil {
		client = sent.src
	}
	return i.sender(client, queried)
}

// questionsFrom is the socket that client's questions come to, nil if there is none.
func (i *iptablesLane) questionsFrom(client netip.AddrPort) *net.UDPConn {
	for _, c := range i.questions {
		if udpPort(c.LocalAddr()).Addr().Is6() == client.Addr().Is6() {
			return c
		}
	}
	return nil
}

// sender tells who sends from client to dst by UDP.
func (i *iptablesLane) sender(client, dst netip.AddrPort) exchange.Caller {
	return i.callers.find(unix.IPPROTO_UDP, client, dst)
}

// udpPort is a with IPv4 as such.
func udpPort(a net.Addr) netip.AddrPort {
	p := a.(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

// serveQuestions reads what c gets until it is closed.
func (i *iptablesLane) serveQuestions(c *net.UDPConn) {
	b, local := make([]byte, i.longest), udpPort(c.LocalAddr())
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
		sent, ok, err := i.conntrack.original(client, local)
		if err != nil || !ok {
			continue // it was not redirected
		}
		if !i.d.arrived(datagram{b: append([]byte(nil), b[:n]...), client: client, queried: sent.dst}) {
			return
		}
	}
}

// answer answers client in queried's name.
func (i *iptablesLane) answer(b []byte, client, queried netip.AddrPort) error {
	c := i.questionsFrom(client)
	if c == nil {
		return fmt.Errorf("redirect: answer %s for %s: it was not asked", client, queried)
	}
	if _, err := c.WriteToUDPAddrPort(b, client); err != nil {
		return fmt.Errorf("redirect: answer %s for %s: %w", client, queried, err)
	}
	return nil
}
