package dnsstub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/miekg/dns"
)

// internet is the zone that is recorded.
func internet() *zone {
	return &zone{
		records: []string{
			"both.example.com. 300 IN A 203.0.113.1",
			"both.example.com. 300 IN A 203.0.113.2",
			"both.example.com. 300 IN AAAA 2001:db8::1",
			"four.example.com. 300 IN A 203.0.113.4",
			"six.example.com. 300 IN AAAA 2001:db8::6",
			"www.example.com. 300 IN CNAME edge.cdn.example.",
			"edge.cdn.example. 20 IN A 203.0.113.9",
			"alias.example.com. 300 IN CNAME text.example.com.",
			"text.example.com. 300 IN TXT \"v=spf1 -all\"",
			"_imap._tcp.example.com. 300 IN SRV 0 1 993 both.example.com.",
			"_imap._tcp.example.com. 300 IN SRV 0 1 993 four.example.com.",
			"example.com. 300 IN MX 10 four.example.com.",
			"example.com. 300 IN NS ns.example.com.",
			"ns.example.com. 300 IN A 203.0.113.53",
			"example.com. 300 IN CAA 0 issue \"ca.example.net\"",
			"example.com. 300 IN SOA ns.example.com. root.example.com. 2026112201 7200 900 1209600 86400",
			"four.example.com. 300 IN HTTPS 1 . alpn=h3,h2 ipv4hint=203.0.113.4 ipv6hint=2001:db8::4 ech=AAAA port=8443",
			"4.113.0.203.in-addr.arpa. 300 IN PTR four.example.com.",
		},
		rcodes: map[string]int{
			"broken.example.com.":  dns.RcodeServerFailure,
			"private.example.com.": dns.RcodeRefused,
		},
	}
}

// pinRR is the record that sends name to its pin.
func pinRR(name string, rrtype uint16) string {
	n, err := new(Pins).Pin(name, true)
	if err != nil {
		panic(err)
	}
	return line(addressRR(dns.Fqdn(name), n, rrtype))
}

const soa = "example.com. 10 IN SOA ns.example.com. root.example.com. 0 7200 900 1209600 86400"

// cases are what each question gets, recorded and replayed.
var cases = []struct {
	name  string
	qtype uint16
	want  []string // rcode, then records
}{
	{"both.example.com", dns.TypeA, []string{"NOERROR", pinRR("both.example.com", dns.TypeA)}},
	{"both.example.com", dns.TypeAAAA, []string{"NOERROR", pinRR("both.example.com", dns.TypeAAAA)}},
	{"four.example.com", dns.TypeA, []string{"NOERROR", pinRR("four.example.com", dns.TypeA)}},
	{"six.example.com", dns.TypeA, []string{"NOERROR", pinRR("six.example.com", dns.TypeA)}},
	{"six.example.com", dns.TypeAAAA, []string{"NOERROR", pinRR("six.example.com", dns.TypeAAAA)}},
	{"www.example.com", dns.TypeA, []string{"NOERROR", pinRR("www.example.com", dns.TypeA)}},
	{"www.example.com", dns.TypeCNAME, []string{"NOERROR", "www.example.com. 10 IN CNAME edge.cdn.example."}},
	{"text.example.com", dns.TypeA, []string{"NOERROR", soa}},
	{"text.example.com", dns.TypeTXT, []string{"NOERROR", `text.example.com. 10 IN TXT "v=spf1 -all"`}},
	{"alias.example.com", dns.TypeTXT, []string{"NOERROR", "alias.example.com. 10 IN CNAME text.example.com.", `text.example.com. 10 IN TXT "v=spf1 -all"`}},
	{"none.example.com", dns.TypeA, []string{"NXDOMAIN", soa}},
	{"none.example.com", dns.TypeAAAA, []string{"NXDOMAIN", soa}},
	{"broken.example.com", dns.TypeA, []string{"SERVFAIL"}},
	{"private.example.com", dns.TypeMX, []string{"REFUSED"}},
	{"_imap._tcp.example.com", dns.TypeSRV, []string{"NOERROR",
		"_imap._tcp.example.com. 10 IN SRV 0 1 993 both.example.com.",
		"_imap._tcp.example.com. 10 IN SRV 0 1 993 four.example.com.",
		pinRR("both.example.com", dns.TypeA), pinRR("both.example.com", dns.TypeAAAA), pinRR("four.example.com", dns.TypeA)}},
	{"example.com", dns.TypeMX, []string{"NOERROR", "example.com. 10 IN MX 10 four.example.com.", pinRR("four.example.com", dns.TypeA)}},
	{"example.com", dns.TypeNS, []string{"NOERROR", "example.com. 10 IN NS ns.example.com.", pinRR("ns.example.com", dns.TypeA)}},
	{"example.com", dns.TypeCAA, []string{"NOERROR", `example.com. 10 IN CAA 0 issue "ca.example.net"`}},
	{"example.com", dns.TypeSOA, []string{"NOERROR", "example.com. 10 IN SOA ns.example.com. root.example.com. 2026112201 7200 900 1209600 86400"}},
	{"four.example.com", dns.TypeHTTPS, []string{"NOERROR", `four.example.com. 10 IN HTTPS 1 . alpn="h2" port="8443"`}},
	{"4.113.0.203.in-addr.arpa", dns.TypePTR, []string{"NOERROR", "4.113.0.203.in-addr.arpa. 10 IN PTR four.example.com."}},
	{"four.example.com", dns.TypeANY, []string{"NOERROR", pinRR("four.example.com", dns.TypeA)}},
	{"text.example.com", dns.TypeANY, []string{"NOERROR", `text.example.com. 10 IN HINFO "RFC8482" ""`}},
	{"none.example.com", dns.TypeANY, []string{"NXDOMAIN", soa}},
	{"localhost", dns.TypeA, []string{"NOERROR", "localhost. 10 IN A 127.0.0.1"}},
	{"db.localhost", dns.TypeAAAA, []string{"NOERROR", "db.localhost. 10 IN AAAA ::1"}},
	{"localhost", dns.TypeMX, []string{"NOERROR"}},
	{"1.0.0.127.in-addr.arpa", dns.TypePTR, []string{"NOERROR", "1.0.0.127.in-addr.arpa. 10 IN PTR localhost."}},
	{"2.0.0.127.in-addr.arpa", dns.TypePTR, []string{"NXDOMAIN"}},
	{"9.9.18.198.in-addr.arpa", dns.TypePTR, []string{"NXDOMAIN"}},
	{"gone.invalid", dns.TypeA, []string{"NXDOMAIN"}},
	{"192.0.2.1", dns.TypeA, []string{"NXDOMAIN"}},
	{"_dns.resolver.arpa", dns.TypeSVCB, []string{"NOERROR"}},
	{".", dns.TypeA, []string{"NOERROR"}},
	{"example.com", dns.TypeAXFR, []string{"REFUSED"}},
}

// recording is a stub that records z, and what it was told to keep.
type recording struct {
	*Stub
	mu      sync.Mutex
	records []Record
	pins    []Pin
	errs    []error
}

func record(z *zone) *recording {
	r := &recording{Stub: &Stub{Pins: new(Pins)}}
	if z != nil {
		r.Upstream = z.client()
	}
	r.Recorded = func(rec Record) { r.records = append(r.records, rec) }
	r.Pinned = func(n Pin) { r.pins = append(r.pins, n) }
	r.OnError = func(_ string, err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.errs = append(r.errs, err)
	}
	return r
}

// replay is a stub that has what r was told.
func (r *recording) replay(t testing.TB) *Stub {
	s := &Stub{Pins: new(Pins), Kept: r.records}
	s.OnError = func(name string, err error) { t.Errorf("replay of %s: %v", name, err) }
	for _, n := range r.pins {
		if err := s.Pins.Add(n); err != nil {
			t.Error(err)
		}
	}
	return s
}

func TestAnswerRecordedAndReplayed(t *testing.T) {
	z := internet().serve(t)
	r := record(z)
	for range 2 { // the second time everything is pinned and kept
		for _, c := range cases {
			if diff := cmp.Diff(c.want, text(ask(t, r.Stub, c.name, c.qtype))); diff != "" {
				t.Errorf("recording, %s %s (-want +got):\n%s", c.name, dns.Type(c.qtype), diff)
			}
		}
	}
	z.questions()
	s := r.replay(t)
	for _, c := range cases {
		if diff := cmp.Diff(c.want, text(ask(t, s, c.name, c.qtype))); diff != "" {
			t.Errorf("replayed, %s %s (-want +got):\n%s", c.name, dns.Type(c.qtype), diff)
		}
	}
	if asked := z.questions(); len(asked) > 0 {
		t.Errorf("replay asked %q upstream; want nothing", asked)
	}
	seen := make(map[string]int)
	for _, rec := range r.records {
		if seen[rec.Name+rec.Type]++; seen[rec.Name+rec.Type] > 1 {
			t.Errorf("Recorded was called again for %s %s", rec.Name, rec.Type)
		}
		for _, s := range slices.Concat(rec.Answers, rec.Authority, rec.Additional) {
			if strings.Contains(s, " IN A") {
				t.Errorf("an address is kept: %s", s)
			}
		}
	}
}

func TestRecordingsAreEqual(t *testing.T) {
	z := internet().serve(t)
	var first []Record
	for round := range 3 {
		r := record(z)
		var asking sync.WaitGroup
		for _, c := range cases {
			asking.Go(func() {
				r.Answer(t.Context(), query(t, strings.ToUpper(c.name), c.qtype), "tcp")
			})
		}
		asking.Wait()
		slices.SortFunc(r.records, func(a, b Record) int { return strings.Compare(a.Name+a.Type, b.Name+b.Type) })
		if round == 0 {
			first = r.records
		}
		if diff := cmp.Diff(first, r.records); diff != "" {
			t.Errorf("recording %d differs (-first +this):\n%s", round, diff)
		}
		z.mu.Lock()
		slices.Reverse(z.records[9:11]) // servers rotate
		z.mu.Unlock()
	}
}

func TestUnknownInReplay(t *testing.T) {
	s := new(Stub)
	for _, c := range []struct {
		name  string
		qtype uint16
		want  []string
	}{
		{"new.example.org", dns.TypeA, []string{"NOERROR", pinRR("new.example.org", dns.TypeA)}},
		{"db", dns.TypeA, []string{"NOERROR", pinRR("db", dns.TypeA)}},
		{"new.example.org", dns.TypeAAAA, []string{"NOERROR"}},
		{"new.example.org", dns.TypeHTTPS, []string{"NOERROR"}},
		{"new.example.org", dns.TypeMX, []string{"NOERROR"}},
		{"8.8.8.8.in-addr.arpa", dns.TypePTR, []string{"NXDOMAIN"}},
	} {
		if diff := cmp.Diff(c.want, text(ask(t, s, c.name, c.qtype))); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", c.name, dns.Type(c.qtype), diff)
		}
	}
	n, _ := new(Pins).Pin("new.example.org", true)
	back, err := dns.ReverseAddr(n.V4.String())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"NOERROR", back + " 10 IN PTR new.example.org."}
	if diff := cmp.Diff(want, text(ask(t, s, back, dns.TypePTR))); diff != "" {
		t.Errorf("the name of a pin (-want +got):\n%s", diff)
	}
}

func TestSearchList(t *testing.T) {
	s := &Stub{Pins: new(Pins), Search: []string{"corp.lan"}, Kept: []Record{
		{Name: "away.corp.lan.", Type: "A", Rcode: "NXDOMAIN"},
	}}
	n, _ := new(Pins).Pin("api.example.com", false)
	if err := s.Pins.Add(n); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"away.corp.lan":            "NXDOMAIN", // as recorded
		"api.example.com.corp.lan": "NXDOMAIN", // the client is searching
		"192.0.2.1.corp.lan":       "NXDOMAIN",
		"api.example.com":          "NOERROR",
		"other.corp.lan":           "NOERROR", // unknown: let the request come and miss
	} {
		if got := text(ask(t, s, name, dns.TypeA))[0]; got != want {
			t.Errorf("A of %s is %s; want %s", name, got, want)
		}
	}
	if got := text(ask(t, s, "away.corp.lan", dns.TypeAAAA))[0]; got != "NXDOMAIN" {
		t.Errorf("AAAA of a name kept as NXDOMAIN is %s", got)
	}
}

func TestReplayThenUpstream(t *testing.T) {
	z := internet().serve(t)
	old := record(z)
	ask(t, old.Stub, "four.example.com", dns.TypeA)
	ask(t, old.Stub, "text.example.com", dns.TypeTXT)
	z.questions()
	r := record(z)
	r.Replay, r.Kept = true, old.records
	for _, n := range old.pins {
		if err := r.Pins.Add(n); err != nil {
			t.Fatal(err)
		}
	}
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeTXT} {
		ask(t, r.Stub, "four.example.com", qtype)
		ask(t, r.Stub, "text.example.com", qtype)
		ask(t, r.Stub, "both.example.com", qtype)
	}
	want := []string{
		"text.example.com. A udp", "text.example.com. AAAA udp", // an A question that is new, and whether it is IPv6 only
		"both.example.com. A udp", "text.example.com. AAAA udp", "both.example.com. AAAA udp",
		"four.example.com. TXT udp", "both.example.com. TXT udp",
	}
	if diff := cmp.Diff(want, z.questions(), cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("upstream was asked (-want +got):\n%s", diff)
	}
}

func TestReal(t *testing.T) {
	z := internet().serve(t)
	r := record(z)
	r.Real = true
	names := []string{"both.example.com", "www.example.com", "_imap._tcp.example.com"}
	types := []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV}
	said := make(map[string][]string)
	for _, name := range names {
		for _, qtype := range types {
			said[name+dns.Type(qtype).String()] = text(ask(t, r.Stub, name, qtype))
		}
	}
	want := []string{"NOERROR", "www.example.com. 10 IN CNAME edge.cdn.example.", "edge.cdn.example. 10 IN A 203.0.113.9"}
	if diff := cmp.Diff(want, said["www.example.comA"]); diff != "" {
		t.Errorf("www.example.com A (-want +got):\n%s", diff)
	}
	s := r.replay(t)
	s.Real = true
	for _, name := range names {
		for _, qtype := range types {
			if len(said[name+dns.Type(qtype).String()]) > 1 && !strings.Contains(fmt.Sprint(said[name+dns.Type(qtype).String()]), "SOA") {
				if diff := cmp.Diff(said[name+dns.Type(qtype).String()], text(ask(t, s, name, qtype))); diff != "" {
					t.Errorf("replayed, %s %s (-recorded +replayed):\n%s", name, dns.Type(qtype), diff)
				}
			}
		}
	}
	if pins := s.Pins.All(); len(pins) > 0 {
		t.Errorf("pins = %v; want none", pins)
	}
}

func TestBetterAnswerReplaces(t *testing.T) {
	z := internet()
	z.rcodes["text.example.com."] = dns.RcodeServerFailure
	z.serve(t)
	r := record(z)
	for _, rcode := range []int{dns.RcodeServerFailure, dns.RcodeNameError, dns.RcodeServerFailure, -1, dns.RcodeNameError} {
		z.mu.Lock()
		z.rcodes["text.example.com."] = rcode
		if rcode < 0 {
			delete(z.rcodes, "text.example.com.")
		}
		z.mu.Unlock()
		ask(t, r.Stub, "text.example.com", dns.TypeTXT)
	}
	var got []string
	for _, rec := range r.records {
		got = append(got, rec.Rcode)
	}
	if diff := cmp.Diff([]string{"SERVFAIL", "NXDOMAIN", "NOERROR"}, got); diff != "" {
		t.Errorf("Recorded was told (-want +got):\n%s", diff)
	}
}

// silent is an upstream that fails.
type silent struct{}

func (silent) Exchange(ctx context.Context, _ *dns.Msg) (*dns.Msg, error) {
	return nil, errors.New("nobody answers")
}

func TestUpstreamFails(t *testing.T) {
	r := record(nil)
	r.Upstream = silent{}
	if got := text(ask(t, r.Stub, "a.example.com", dns.TypeA)); !slices.Equal(got, []string{"SERVFAIL"}) {
		t.Errorf("A of a.example.com = %v; want SERVFAIL", got)
	}
	if len(r.errs) != 1 {
		t.Errorf("OnError was told %v; want one error", r.errs)
	}
	want := []Record{{Name: "a.example.com.", Type: "A", Rcode: "SERVFAIL"}}
	if diff := cmp.Diff(want, r.records); diff != "" {
		t.Errorf("Recorded (-want +got):\n%s", diff)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if b := r.Answer(ctx, query(t, "b.example.com", dns.TypeA), "udp"); b != nil || len(r.records) != 1 || len(r.errs) != 1 {
		t.Errorf("Answer after the end = % x, records %v, errors %v; want nothing", b, r.records, r.errs)
	}
}

func TestKeptThatCannotBeRead(t *testing.T) {
	var told []string
	s := &Stub{
		Kept:    []Record{{Name: "a.example.com.", Type: "TXT", Rcode: "NOERROR", Answers: []string{"nonsense"}}},
		OnError: func(name string, err error) { told = append(told, name) },
	}
	if got := text(ask(t, s, "a.example.com", dns.TypeTXT)); !slices.Equal(got, []string{"SERVFAIL"}) {
		t.Errorf("TXT = %v; want SERVFAIL", got)
	}
	if !slices.Equal(told, []string{"a.example.com"}) {
		t.Errorf("OnError was told of %v", told)
	}
}
