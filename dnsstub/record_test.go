package dnsstub

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

func TestOffer(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`alpn=h3,h2`, `alpn="h2"`},
		{`alpn=h2,http/1.1 port=8443`, `alpn="h2,http/1.1" port="8443"`},
		{`alpn=h3,h3-29`, ``},
		{`alpn=h3 no-default-alpn`, `gone`},
		{`alpn=h3,h2 no-default-alpn`, `alpn="h2" no-default-alpn=""`},
		{`mandatory=alpn,ech alpn=h3,h2 ech=AAAA`, `mandatory="alpn" alpn="h2"`},
		{`port=444 alpn=h3,h2`, `port="444" alpn="h3,h2"`},
		{`port=444 alpn=h3,h3-29 no-default-alpn ech=AAAA`, `port="444" alpn="h3" no-default-alpn=""`},
		{`mandatory=ipv4hint ipv4hint=192.0.2.1 ipv6hint=2001:db8::1 key65400=x`, `key65400="x"`},
	} {
		rr, err := dns.NewRR("a.example. 10 IN HTTPS 1 . " + c.in)
		if err != nil {
			t.Fatal(err)
		}
		got := "gone"
		if offer(rr, strings.HasPrefix(c.in, "port=444 ")) { // the port under which HTTP/3 is carried
			_, got, _ = strings.Cut(line(rr), "HTTPS 1 .")
		}
		if got = strings.TrimSpace(got); got != c.want {
			t.Errorf("offer(%s) leaves %q; want %q", c.in, got, c.want)
		}
	}
}

func TestReversed(t *testing.T) {
	for _, s := range []string{"192.0.2.1", "198.18.255.7", "::1", "fd5e:7267::c612:707", "2001:db8:1:2:3:4:5:6"} {
		name, err := dns.ReverseAddr(s)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := reversed(strings.ToUpper(name)); !ok || got.String() != s {
			t.Errorf("reversed(%q) = %v, %v; want %s", name, got, ok, s)
		}
	}
	for _, name := range []string{"in-addr.arpa.", "2.0.192.in-addr.arpa.", "1.2.0.192.x.in-addr.arpa.", "999.2.0.192.in-addr.arpa.",
		"ip6.arpa.", "1.0.ip6.arpa.", strings.Repeat("0", 63) + ".ip6.arpa.", strings.Repeat("x.", 32) + "ip6.arpa.", "example.com."} {
		if a, ok := reversed(name); ok {
			t.Errorf("reversed(%q) = %v; want none", name, a)
		}
	}
}

func TestRecordCheck(t *testing.T) {
	good := Record{Name: "a.example.", Type: "TYPE65400", Rcode: "NOERROR", Answers: []string{`a.example. 10 IN TYPE65400 \# 2 0102`}}
	if err := good.Check(); err != nil {
		t.Errorf("Check(%+v) = %v", good, err)
	}
	for _, change := range []func(*Record){
		func(r *Record) { r.Name = "" },
		func(r *Record) { r.Name = "a..b" },
		func(r *Record) { r.Type = "TYPE" },
		func(r *Record) { r.Type = "TYPE65536" },
		func(r *Record) { r.Type = "12" },
		func(r *Record) { r.Rcode = "BADVERS" },
		func(r *Record) { r.Rcode = "" },
		func(r *Record) { r.Answers = []string{""} },
		func(r *Record) { r.Answers = []string{"$INCLUDE /etc/passwd"} },
		func(r *Record) { r.Authority = []string{"a. IN A 192.0.2.1\nb. IN A 192.0.2.1"} },
		func(r *Record) { r.Additional = []string{"a. IN A 192.0.2.999"} },
	} {
		r := good
		change(&r)
		if err := r.Check(); err == nil {
			t.Errorf("Check(%+v) = nil; want an error", r)
		}
	}
}

func FuzzRecord(f *testing.F) {
	for _, s := range internet().records {
		f.Add(s)
	}
	f.Add(`a.example. 10 IN TXT "tab\009 quote\" \200"`)
	f.Add("a.example. CAA")
	f.Add(`A\.b.example. 10 IN TYPE65400 \# 2 0102`)
	f.Fuzz(func(t *testing.T, s string) {
		rr, err := parseRR(s)
		if err != nil {
			return
		}
		b := make([]byte, dns.MaxMsgSize)
		n, err := dns.PackRR(rr, b, 0, nil, false)
		if err != nil {
			return
		}
		if rr, _, err = dns.UnpackRR(b[:n], 0); err != nil { // as an upstream would send it
			return
		}
		h := rr.Header()
		k := key{dns.CanonicalName(h.Name), h.Rrtype}
		rec := reply{answer: []dns.RR{rr}}.record(k)
		back, r, err := rec.parse()
		if err != nil && h.Rdlength < 8 {
			return // data cut off before its type's fields end: told to OnError, not kept
		}
		if err != nil || back != k || !dns.IsDuplicate(rr, r.answer[0]) {
			t.Fatalf("%q is kept as %+v and read as %v, %v", s, rec, r, err)
		}
		if diff := cmp.Diff(rec, r.record(back)); diff != "" {
			t.Errorf("%q: kept again (-first +second):\n%s", s, diff)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	for _, c := range cases {
		f.Add(query(f, c.name, c.qtype), true)
	}
	f.Add(query(f, "a.example", dns.TypeA, func(m *dns.Msg) { m.SetEdns0(512, true) }), false)
	f.Add([]byte("\x12\x67\x01\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01\x00\x00\x01\x00\x01"), true)
	f.Add([]byte{1, 2, 3}, false)
	s := &Stub{Search: []string{"corp.lan"}, Kept: []Record{
		{Name: "example.com.", Type: "MX", Rcode: "NOERROR", Answers: []string{"example.com. 10 IN MX 10 four.example.com."}},
		{Name: "four.example.com.", Type: "HTTPS", Rcode: "NOERROR", Answers: []string{"four.example.com. 10 IN HTTPS 1 . alpn=h3,h2"}},
	}}
	f.Fuzz(func(t *testing.T, b []byte, udp bool) {
		network := "tcp"
		if udp {
			network = "udp"
		}
		out := s.Answer(t.Context(), b, network)
		if out == nil {
			return
		}
		var q, m dns.Msg
		if err := m.Unpack(out); err != nil || !m.Response || len(out) > dns.MaxMsgSize || udp && len(out) > maxUDP {
			t.Fatalf("Answer(% x) = % x: %v", b, out, err)
		}
		if m.Id != uint16(b[0])<<8|uint16(b[1]) {
			t.Errorf("Answer(% x) has id %x", b, m.Id)
		}
		if len(m.Question) > 0 && (q.Unpack(b) != nil || m.Question[0] != q.Question[0]) {
			t.Errorf("Answer(% x) is to %v", b, m.Question)
		}
	})
}
