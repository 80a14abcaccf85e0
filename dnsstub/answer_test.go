package dnsstub

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/miekg/dns"
)

func TestMalformed(t *testing.T) {
	edns := func(version uint8) func(*dns.Msg) {
		return func(m *dns.Msg) { m.SetEdns0(1232, false); m.IsEdns0().SetVersion(version) }
	}
	for _, c := range []struct {
		name  string
		query []byte
		want  int // -1: no reply
	}{
		{"empty", nil, -1},
		{"short", []byte{1, 2, 3}, -1},
		{"a reply", query(t, "a.example", dns.TypeA, func(m *dns.Msg) { m.Response = true }), -1},
		{"cut", query(t, "a.example", dns.TypeA)[:20], dns.RcodeFormatError},
		{"no question", query(t, "a.example", dns.TypeA, func(m *dns.Msg) { m.Question = nil }), dns.RcodeFormatError},
		{"two questions", query(t, "a.example", dns.TypeA, func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }), dns.RcodeFormatError},
		{"two OPT", query(t, "a.example", dns.TypeA, edns(0), edns(0)), dns.RcodeFormatError},
		{"EDNS 1", query(t, "a.example", dns.TypeA, edns(1)), dns.RcodeBadVers},
		{"update", query(t, "a.example", dns.TypeSOA, func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate }), dns.RcodeNotImplemented},
		{"CHAOS", query(t, "version.bind", dns.TypeTXT, func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }), dns.RcodeRefused},
		{"OPT as type", query(t, "a.example", dns.TypeOPT), dns.RcodeRefused},
		{"cookie", query(t, "a.example", dns.TypeA, edns(0), func(m *dns.Msg) {
			m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708"}}
		}), dns.RcodeSuccess},
	} {
		b := new(Stub).Answer(t.Context(), c.query, "udp")
		m := new(dns.Msg)
		switch err := m.Unpack(b); {
		case c.want < 0 && b != nil:
			t.Errorf("%s: Answer = % x; want nothing", c.name, b)
		case c.want >= 0 && (err != nil || m.Rcode != c.want || m.Id != 4711):
			t.Errorf("%s: Answer = %v, %v; want %s", c.name, m, err, dns.RcodeToString[c.want])
		}
	}
}

func TestTruncation(t *testing.T) {
	rec := Record{Name: "big.example.com.", Type: "TXT", Rcode: "NOERROR"}
	for i := range 100 {
		rec.Answers = append(rec.Answers, fmt.Sprintf("big.example.com. 10 IN TXT %q", fmt.Sprintf("%0100d", i)))
	}
	s := &Stub{Kept: []Record{rec}}
	for _, c := range []struct {
		network string
		room    uint16 // 0: no EDNS
		most    int
		cut     bool
	}{
		{"udp", 0, 512, true},
		{"udp", 100, 512, true},
		{"udp", 1232, 1232, true},
		{"udp", 65535, maxUDP, true},
		{"tcp", 0, 65535, false},
		{"tcp", 1232, 65535, false},
	} {
		b := s.Answer(t.Context(), query(t, "big.example.com", dns.TypeTXT, func(m *dns.Msg) {
			if c.room > 0 {
				m.SetEdns0(c.room, false)
			}
		}), c.network)
		m := new(dns.Msg)
		if err := m.Unpack(b); err != nil || len(b) > c.most || m.Truncated != c.cut || (m.IsEdns0() != nil) != (c.room > 0) {
			t.Errorf("over %s with room for %d: %d bytes, TC %v, %v; want at most %d, TC %v", c.network, c.room, len(b), m.Truncated, err, c.most, c.cut)
		}
	}
}

func TestPinsRunOut(t *testing.T) {
	s := &Stub{Pins: new(Pins)}
	s.Pins.byAddr = make(map[netip.Addr]*pin)
	s.Pins.byName = make(map[string]*pin)
	for a := pins4.Addr(); pins4.Contains(a); a = a.Next() {
		s.Pins.byAddr[a] = &pin{}
	}
	if got := text(ask(t, s, "one.example.com", dns.TypeA)); !slices.Equal(got, []string{"SERVFAIL"}) {
		t.Errorf("A when no address is left = %v; want SERVFAIL", got)
	}
}
