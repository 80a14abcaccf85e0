package redirect

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

// TestTwoAliases answers two clients of one server, whose connected sockets each
// know it by another address.
func TestTwoAliases(t *testing.T) {
	requireRoot(t)
	s, err := openPackets(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	port := s.v4.LocalAddr().(*net.UDPAddr).Port
	server := netip.MustParseAddrPort("203.0.113.53:53")
	var clients []*net.UDPConn
	for _, at := range []string{"127.128.0.1", "127.128.0.2"} {
		from := netip.MustParseAddr(at)
		c, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: from.AsSlice(), Port: port})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		s.pin(asked{c.LocalAddr().(*net.UDPAddr).AddrPort(), server}, alias{conn: s.v4, from: from})
		clients = append(clients, c)
	}
	for n, c := range clients {
		if err := s.write([]byte{byte(n)}, c.LocalAddr().(*net.UDPAddr).AddrPort(), server); err != nil {
			t.Fatal(err)
		}
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		b := make([]byte, 8)
		if k, err := c.Read(b); err != nil || k != 1 || b[0] != byte(n) {
			t.Errorf("client %d hears %v, %v; want its answer", n, b[:k], err)
		}
	}
}
