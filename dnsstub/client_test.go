package dnsstub

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// quiet is a resolver that never answers; what comes goes to reply, if it is set.
func quiet(t *testing.T, reply func(q *dns.Msg) [][]byte) netip.AddrPort {
	t.Helper()
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		b := make([]byte, maxUDP)
		for {
			n, from, err := pc.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			q := new(dns.Msg)
			if reply == nil || q.Unpack(b[:n]) != nil {
				continue
			}
			for _, r := range reply(q) {
				_, _ = pc.WriteToUDPAddrPort(r, from)
			}
		}
	})
	t.Cleanup(func() { pc.Close(); reading.Wait() })
	return pc.LocalAddr().(*net.UDPAddr).AddrPort()
}

func TestClientGoesOn(t *testing.T) {
	good := internet().serve(t)
	bad := &zone{rcodes: map[string]int{"four.example.com.": dns.RcodeServerFailure}}
	bad.serve(t)
	silent := quiet(t, nil)
	q := new(dns.Msg).SetQuestion("four.example.com.", dns.TypeA)
	for _, c := range []struct {
		name    string
		servers []netip.AddrPort
		want    int // rcode, -1: an error
	}{
		{"silent, then good", []netip.AddrPort{silent, good.addr}, dns.RcodeSuccess},
		{"failing, then good", []netip.AddrPort{bad.addr, good.addr}, dns.RcodeSuccess},
		{"failing, then silent", []netip.AddrPort{bad.addr, silent}, dns.RcodeServerFailure},
		{"silent", []netip.AddrPort{silent}, -1},
		{"none", nil, -1},
	} {
		client := &Client{Conf: Conf{Servers: c.servers, Timeout: 200 * time.Millisecond}, Patience: time.Second}
		begin := time.Now()
		m, err := client.Exchange(t.Context(), q)
		switch took := time.Since(begin); {
		case c.want < 0 && err == nil, c.want >= 0 && (err != nil || m.Rcode != c.want):
			t.Errorf("%s: Exchange = %v, %v; want rcode %d", c.name, m, err, c.want)
		case took > 3*time.Second:
			t.Errorf("%s: took %v", c.name, took)
		case c.want < 0 && len(c.servers) > 0 && !strings.Contains(err.Error(), silent.String()):
			t.Errorf("%s: error %q does not name %v", c.name, err, silent)
		}
	}
}

func TestClientOverTCP(t *testing.T) {
	z := &zone{}
	for i := range 60 {
		z.records = append(z.records, "big.example.com. 300 IN TXT \""+strings.Repeat("x", 100+i)+"\"")
	}
	z.serve(t)
	q := new(dns.Msg).SetQuestion("big.example.com.", dns.TypeTXT)
	m, err := z.client().Exchange(t.Context(), q)
	if err != nil || len(m.Answer) != 60 {
		t.Fatalf("Exchange = %v, %v; want 60 records", m, err)
	}
	want := []string{"big.example.com. TXT udp", "big.example.com. TXT tcp"}
	if diff := cmp.Diff(want, z.questions()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	c := z.client()
	c.Conf.TCP = true
	if _, err := c.Exchange(t.Context(), q); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(want[1:], z.questions()); diff != "" {
		t.Errorf("with use-vc asked (-want +got):\n%s", diff)
	}
}

func TestClientWithoutEDNS(t *testing.T) {
	z := internet()
	z.edit = func(m *dns.Msg) {
		if m.IsEdns0() != nil {
			*m = dns.Msg{MsgHdr: dns.MsgHdr{Id: m.Id, Response: true, Rcode: dns.RcodeFormatError}}
		}
	}
	z.serve(t)
	m, err := z.client().Exchange(t.Context(), new(dns.Msg).SetQuestion("four.example.com.", dns.TypeA))
	if err != nil || len(m.Answer) != 1 {
		t.Errorf("Exchange = %v, %v; want an address", m, err)
	}
}

// TestClientPassesOverForgeries has a server send what an attacker would
// guess before it sends the answer.
func TestClientPassesOverForgeries(t *testing.T) {
	server := quiet(t, func(q *dns.Msg) (out [][]byte) {
		for _, change := range []func(m *dns.Msg){
			func(m *dns.Msg) { m.Id++ },
			func(m *dns.Msg) { m.Response = false },
			func(m *dns.Msg) { m.Question[0].Name = "evil.example." },
			func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeMX },
			func(m *dns.Msg) { m.Question = nil },
			func(m *dns.Msg) { m.Question[0].Name = strings.ToUpper(m.Question[0].Name); m.Authoritative = true },
		} {
			m := new(dns.Msg).SetReply(q)
			change(m)
			b, _ := m.Pack()
			out = append(out, b[:7], b)
		}
		return out
	})
	c := &Client{Conf: Conf{Servers: []netip.AddrPort{server}}}
	m, err := c.Exchange(t.Context(), new(dns.Msg).SetQuestion("good.example.", dns.TypeA))
	if err != nil || !m.Authoritative {
		t.Errorf("Exchange = %v, %v; want the last reply", m, err)
	}
}

func TestClientNeverAsksUs(t *testing.T) {
	at := netip.MustParseAddrPort
	c := &Client{
		Conf: Conf{Servers: []netip.AddrPort{at("127.0.0.1:53"), at("[::ffff:192.0.2.1]:53"), at("192.0.2.2:53"), at("127.9.9.9:5353")}},
		Not:  []netip.AddrPort{at("127.0.0.1:53"), at("192.0.2.1:53"), at("0.0.0.0:5353")},
	}
	want := []netip.AddrPort{at("192.0.2.2:53")}
	if got := c.servers(); !slices.Equal(got, want) {
		t.Errorf("servers = %v; want %v", got, want)
	}
}

func TestRotate(t *testing.T) {
	c := &Client{Conf: ParseConf([]byte("nameserver 192.0.2.1\nnameserver 192.0.2.2\noptions rotate"))}
	var first []string
	for range 3 {
		first = append(first, c.servers()[0].Addr().String())
	}
	if want := []string{"192.0.2.1", "192.0.2.2", "192.0.2.1"}; !slices.Equal(first, want) {
		t.Errorf("asked first: %v; want %v", first, want)
	}
}

func TestClientIsCancelled(t *testing.T) {
	asked := make(chan struct{}, 1)
	server := quiet(t, func(*dns.Msg) [][]byte { asked <- struct{}{}; return nil })
	ctx, cancel := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	asking.Go(func() {
		c := &Client{Conf: Conf{Servers: []netip.AddrPort{server}}}
		if m, err := c.Exchange(ctx, new(dns.Msg).SetQuestion("a.example.", dns.TypeA)); err == nil {
			t.Errorf("Exchange = %v; want an error", m)
		}
	})
	<-asked
	begin := time.Now()
	cancel()
	asking.Wait()
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("took %v to end", took)
	}
}

func TestParseConf(t *testing.T) {
	at := func(s string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(s), 53) }
	for _, c := range []struct {
		text string
		want Conf
	}{
		{"", Conf{Servers: []netip.AddrPort{at("127.0.0.1")}}},
		{"nameserver 192.0.2.1 # a\r\n; nameserver 192.0.2.9\n#nameserver 192.0.2.9\nnameserver fe80::1%eth0\nnameserver junk\n",
			Conf{Servers: []netip.AddrPort{at("192.0.2.1"), at("fe80::1%eth0")}}},
		{"nameserver 0.0.0.0\nnameserver ::\nnameserver 192.0.2.1\nnameserver 192.0.2.2",
			Conf{Servers: []netip.AddrPort{at("127.0.0.1"), at("::1"), at("192.0.2.1")}}},
		{"domain a.example\nsearch B.example. c.example . b.example\nnameserver 192.0.2.1",
			Conf{Servers: []netip.AddrPort{at("192.0.2.1")}, Search: []string{"b.example", "c.example"}}},
		{"nameserver 192.0.2.1\noptions timeout:2 attempts:9 rotate ndots:5 use-vc timeout:x\noptions",
			Conf{Servers: []netip.AddrPort{at("192.0.2.1")}, Timeout: 2 * time.Second, Attempts: 5, Rotate: true, TCP: true}},
	} {
		if diff := cmp.Diff(c.want, ParseConf([]byte(c.text)), addrs, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
			t.Errorf("ParseConf(%q) (-want +got):\n%s", c.text, diff)
		}
	}
}

func FuzzParseConf(f *testing.F) {
	f.Add([]byte("nameserver 192.0.2.1\nsearch a b\noptions timeout:3 attempts:2 rotate\n"))
	f.Add([]byte("options timeout:9227000000"))
	f.Add([]byte("nameserver ::1%\x00\noptions timeout:99999999999999999999"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := ParseConf(b)
		if n := len(c.Servers); n < 1 || n > maxServers {
			t.Errorf("ParseConf(%q) has %d servers", b, n)
		}
		for _, s := range c.Servers {
			if !s.IsValid() || s.Port() != 53 || s.Addr().IsUnspecified() {
				t.Errorf("ParseConf(%q) has server %v", b, s)
			}
		}
		if c.Timeout < 0 || c.Timeout > maxTimeout*time.Second || c.Attempts < 0 || c.Attempts > maxAttempts || slices.Contains(c.Search, "") {
			t.Errorf("ParseConf(%q) = %+v", b, c)
		}
	})
}
