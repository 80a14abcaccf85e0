package dnsstub

import (
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// zone is a resolver on loopback, over UDP and TCP on one port. Its records
// are in presentation format; a name it does not have is NXDOMAIN.
type zone struct {
	records []string
	rcodes  map[string]int // by canonical name, for every type
	edit    func(m *dns.Msg)
	addr    netip.AddrPort

	mu    sync.Mutex // over records and rcodes too, once it serves
	asked []string   // "name type network"
}

// serve starts z until the test ends.
func (z *zone) serve(t testing.TB) *zone {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	z.addr = l.Addr().(*net.TCPAddr).AddrPort()
	pc, err := net.ListenPacket("udp", z.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait) // after both are shut down
	for _, srv := range []*dns.Server{{Listener: l, Handler: z}, {PacketConn: pc, Handler: z}} {
		ready := make(chan struct{})
		srv.NotifyStartedFunc = func() { close(ready) }
		wg.Go(func() { _ = srv.ActivateAndServe() })
		<-ready
		t.Cleanup(func() { _ = srv.Shutdown() })
	}
	return z
}

// ServeDNS answers as a resolver does: aliases followed, an SOA in denials, an
// address of each target beside it.
func (z *zone) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	network := w.RemoteAddr().Network()
	z.mu.Lock()
	z.asked = append(z.asked, q.Question[0].Name+" "+dns.Type(q.Question[0].Qtype).String()+" "+network)
	m := z.answer(q)
	if z.edit != nil {
		z.edit(m)
	}
	z.mu.Unlock()
	if network == "udp" {
		size := dns.MinMsgSize
		if o := q.IsEdns0(); o != nil {
			size = int(o.UDPSize())
		}
		m.Truncate(size)
	}
	_ = w.WriteMsg(m)
}

func (z *zone) answer(q *dns.Msg) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	if q.IsEdns0() != nil {
		m.SetEdns0(1232, false)
	}
	name, qtype := dns.CanonicalName(q.Question[0].Name), q.Question[0].Qtype
	if rcode, ok := z.rcodes[name]; ok {
		m.Rcode = rcode
		return m
	}
	exists := false
	for _, s := range z.records {
		rr, err := dns.NewRR(s)
		if err != nil {
			panic(err)
		}
		if dns.CanonicalName(rr.Header().Name) != name {
			continue
		}
		exists = true
		if c, ok := rr.(*dns.CNAME); ok && qtype != dns.TypeCNAME {
			m.Answer, name = append(m.Answer, rr), c.Target
		} else if rr.Header().Rrtype == qtype {
			m.Answer = append(m.Answer, rr)
		}
	}
	for _, target := range (reply{answer: m.Answer}).targets() {
		for _, s := range z.records {
			if rr, _ := dns.NewRR(s); rr.Header().Name == target && address(rr.Header().Rrtype) {
				m.Extra = append(m.Extra, rr)
			}
		}
	}
	if !(reply{answer: m.Answer}).has(qtype) {
		soa, _ := dns.NewRR("example.com. 300 IN SOA ns.example.com. root.example.com. 2026112201 7200 900 1209600 86400")
		m.Ns = append(m.Ns, soa)
	}
	if !exists {
		m.Rcode = dns.RcodeNameError
	}
	return m
}

// questions are those that z was asked, forgotten after.
func (z *zone) questions() []string {
	z.mu.Lock()
	defer z.mu.Unlock()
	asked := z.asked
	z.asked = nil
	return asked
}

// client asks z.
func (z *zone) client() *Client { return &Client{Conf: Conf{Servers: []netip.AddrPort{z.addr}}} }

// query is a packed question for name with id 4711.
func query(t testing.TB, name string, qtype uint16, change ...func(*dns.Msg)) []byte {
	t.Helper()
	m := new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype)
	m.Id = 4711
	for _, f := range change {
		f(m)
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatalf("pack a question for %s: %v", name, err)
	}
	return b
}

// ask puts a question to s over UDP with EDNS and returns the reply.
func ask(t testing.TB, s *Stub, name string, qtype uint16) *dns.Msg {
	t.Helper()
	b := s.Answer(t.Context(), query(t, name, qtype, func(m *dns.Msg) { m.SetEdns0(4096, true) }), "udp")
	m := new(dns.Msg)
	if err := m.Unpack(b); err != nil {
		t.Fatalf("Answer(%s %s) = % x: %v", name, dns.Type(qtype), b, err)
	}
	if m.Id != 4711 || !m.Response || !m.RecursionAvailable || m.AuthenticatedData || len(m.Question) != 1 || m.Question[0].Name != dns.Fqdn(name) {
		t.Errorf("Answer(%s %s): header and question are\n%v", name, dns.Type(qtype), m)
	}
	return m
}

// text is what a reply says: its rcode, then its records without the OPT.
func text(m *dns.Msg) []string {
	out := []string{dns.RcodeToString[m.Rcode]}
	for _, rrs := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range rrs {
			if rr.Header().Rrtype != dns.TypeOPT {
				out = append(out, line(rr))
			}
		}
	}
	return out
}
