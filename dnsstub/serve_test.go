package dnsstub

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// socket makes Packets of a UDP socket.
type socket struct{ *net.UDPConn }

func (s socket) ReadFrom(b []byte) (n int, client, queried netip.AddrPort, err error) {
	n, client, err = s.ReadFromUDPAddrPort(b)
	return n, client, s.LocalAddr().(*net.UDPAddr).AddrPort(), err
}

func (s socket) WriteTo(b []byte, client, _ netip.AddrPort) error {
	_, err := s.WriteToUDPAddrPort(b, client)
	return err
}

// listen serves s over UDP and TCP on loopback until the test ends.
func listen(t *testing.T, s *Stub) (udp, tcp string) {
	t.Helper()
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := s.ServePackets(ctx, socket{pc}); err != nil {
			t.Errorf("ServePackets: %v", err)
		}
	})
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				if err := s.ServeConn(ctx, c); err != nil {
					t.Errorf("ServeConn: %v", err)
				}
			})
		}
	})
	t.Cleanup(func() { cancel(); pc.Close(); l.Close(); serving.Wait() })
	return pc.LocalAddr().String(), l.Addr().String()
}

// TestGoResolver has the resolver of Go's library ask, over UDP and TCP.
func TestGoResolver(t *testing.T) {
	z := internet().serve(t)
	udp, tcp := listen(t, record(z).Stub)
	for _, c := range []struct{ network, addr string }{{"udp", udp}, {"tcp", tcp}} {
		r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, c.network, c.addr)
		}}
		var asking sync.WaitGroup
		for range 20 {
			asking.Go(func() {
				got, err := r.LookupNetIP(t.Context(), "ip", "both.example.com.")
				if err != nil || len(got) != 2 || !pinned(got[0]) || !pinned(got[1]) {
					t.Errorf("over %s: both.example.com is %v, %v; want two pins", c.network, got, err)
				}
				if _, err := r.LookupNetIP(t.Context(), "ip", "none.example.com."); err == nil {
					t.Errorf("over %s: none.example.com exists", c.network)
				}
			})
		}
		asking.Wait()
		if txt, err := r.LookupTXT(t.Context(), "text.example.com."); err != nil || len(txt) != 1 || txt[0] != "v=spf1 -all" {
			t.Errorf("over %s: TXT of text.example.com is %q, %v", c.network, txt, err)
		}
		if names, err := r.LookupAddr(t.Context(), "203.0.113.4"); err != nil || len(names) != 1 || names[0] != "four.example.com." {
			t.Errorf("over %s: 203.0.113.4 is %q, %v", c.network, names, err)
		}
	}
}

// TestPipeline sends many queries, ends its side, and still has every answer.
func TestPipeline(t *testing.T) {
	_, tcp := listen(t, new(Stub))
	c, err := net.Dial("tcp", tcp)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const n = 200
	var b []byte
	for i := range n {
		b = appendFrame(b, query(t, fmt.Sprintf("n%d.example", i), dns.TypeA, func(m *dns.Msg) { m.Id = uint16(i) }))
	}
	var sending sync.WaitGroup
	defer sending.Wait()
	sending.Go(func() {
		for len(b) > 0 { // in pieces that end anywhere
			k := min(len(b), 97)
			if _, err := c.Write(b[:k]); err != nil {
				t.Error(err)
				return
			}
			b = b[k:]
		}
		_ = c.(*net.TCPConn).CloseWrite()
	})
	seen := make(map[uint16]bool)
	for {
		frame, err := readFrame(c)
		if err == io.EOF {
			break
		}
		m := new(dns.Msg)
		if err != nil || m.Unpack(frame) != nil || m.Question[0].Name != fmt.Sprintf("n%d.example.", m.Id) {
			t.Fatalf("read %v, %v", m, err)
		}
		seen[m.Id] = true
	}
	if len(seen) != n {
		t.Errorf("%d answers; want %d", len(seen), n)
	}
}

func TestServeConnEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(client net.Conn, cancel func())
		bad  bool
	}{
		{"client closes", func(c net.Conn, _ func()) { c.Close() }, false},
		{"context ends", func(_ net.Conn, cancel func()) { cancel() }, false},
		{"within a frame", func(c net.Conn, _ func()) { _, _ = c.Write([]byte{0, 20, 1}); c.Close() }, true},
		{"answer not taken", func(c net.Conn, _ func()) {
			_, _ = c.Write(appendFrame(nil, query(t, "a.example", dns.TypeA)))
			c.Close()
		}, false},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		ours, theirs := net.Pipe()
		var serving sync.WaitGroup
		var err error
		serving.Go(func() { err = new(Stub).ServeConn(ctx, ours) })
		c.do(theirs, cancel)
		serving.Wait()
		cancel()
		theirs.Close()
		if (err != nil) != c.bad {
			t.Errorf("%s: ServeConn = %v", c.name, err)
		}
	}
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0})
	f.Add([]byte{0, 0})
	f.Add([]byte{0, 2, 1, 2, 0, 1, 3})
	f.Add([]byte{255, 255, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		var again []byte
		for {
			msg, err := readFrame(r)
			if err != nil {
				if err == io.EOF && !bytes.Equal(again, b) {
					t.Errorf("frames of % x print as % x", b, again)
				}
				return
			}
			again = appendFrame(again, msg)
			if !bytes.HasPrefix(b, again) {
				t.Fatalf("frames of % x begin % x", b, again)
			}
		}
	})
}
