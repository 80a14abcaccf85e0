package testnet

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// ask puts one question to the DNS server.
func ask(t *testing.T, n *Net, network, name string, kind uint16) (*dns.Msg, error) {
	t.Helper()
	query := new(dns.Msg).SetQuestion(dns.Fqdn(name), kind)
	query.SetEdns0(1232, false)
	conn, err := n.Dial(t.Context(), network, NameServer+":53")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := &dns.Client{Timeout: testPatience}
	if name == Unheard {
		client.Timeout = 100 * time.Millisecond
	}
	reply, _, err := client.ExchangeWithConn(query, &dns.Conn{Conn: conn, UDPSize: 1232})
	return reply, err
}

// TestDNS asks for every kind of record, over IPv4, IPv6, UDP and TCP.
func TestDNS(t *testing.T) {
	n := New(t)
	for _, c := range []struct {
		name  string
		kind  uint16
		rcode int
		want  string // the values of the answer, in order; ends in "…" if there may be more
		extra int    // additional records, OPT left out
	}{
		{WWW, dns.TypeA, 0, "203.0.113.10", 0},
		{"WwW.TeSt.eXaMpLe", dns.TypeAAAA, 0, "2001:db8:113::10", 0},
		{Alias, dns.TypeA, 0, "middle.test.example.|www.test.example.|203.0.113.10", 0},
		{"dangling." + Domain, dns.TypeA, dns.RcodeNameError, "missing.test.example.", 0},
		{V4Only, dns.TypeAAAA, 0, "", 0},
		{V6Only, dns.TypeA, 0, "", 0},
		{Missing, dns.TypeA, dns.RcodeNameError, "", 0},
		{"_tcp." + Domain, dns.TypeA, 0, "", 0}, // an empty non-terminal
		{ServFail, dns.TypeA, dns.RcodeServerFailure, "", 0},
		{Service, dns.TypeSRV, 0, "10 60 80 www.test.example.|20 40 80 h2.test.example.", 4},
		{Domain, dns.TypeMX, 0, "10 tcp.test.example.|20 www.test.example.", 4},
		{Domain, dns.TypeTXT, 0, `"v=spf1 -all" "second string"`, 0},
		{"10.113.0.203.in-addr.arpa", dns.TypePTR, 0, "www.test.example.", 0},
		{"0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.3.1.1.0.8.b.d.0.1.0.0.2.ip6.arpa", dns.TypePTR, 0, "www.test.example.", 0},
		{H3, dns.TypeHTTPS, 0, `1 . alpn="h3,h2" ipv4hint="203.0.113.12" ech="AEX+DQBBAAAgACA=" ipv6hint="2001:db8:113::12"`, 0},
		{"_dns." + NameServer, dns.TypeSVCB, 0, `1 ns.test.example. alpn="dot" port="853" ipv4hint="203.0.113.53"`, 0},
		{Many, dns.TypeA, 0, "203.0.113.10|203.0.113.128|…", 0},
		{BigText, dns.TypeTXT, 0, "…", 0},
	} {
		for _, network := range []string{"udp4", "udp6", "tcp4", "tcp6"} {
			reply, err := ask(t, n, network, c.name, c.kind)
			if err != nil {
				t.Errorf("%s %s %s: %v", network, c.name, dns.TypeToString[c.kind], err)
				continue
			}
			start, more := strings.CutSuffix(c.want, "…")
			got := values(reply.Answer)
			if reply.Rcode != c.rcode || got != c.want && !(more && strings.HasPrefix(got, start)) {
				t.Errorf("%s %s %s = %s, %q; want %s, %q", network, c.name, dns.TypeToString[c.kind],
					dns.RcodeToString[reply.Rcode], got, dns.RcodeToString[c.rcode], c.want)
			}
			if truncated := more && network[:3] == "udp"; reply.Truncated != truncated {
				t.Errorf("%s %s: truncated %v; want %v", network, c.name, reply.Truncated, truncated)
			}
			if got := len(reply.Extra) - 1; got != c.extra {
				t.Errorf("%s %s: %d additional records; want %d", network, c.name, got, c.extra)
			}
		}
	}
	if got := n.Queries()["www.test.example A udp"]; got != 2 {
		t.Errorf("Queries()[www.test.example A udp] = %d; want 2", got)
	}
}

// values are the data of rrs, without names and lives.
func values(rrs []dns.RR) string {
	var vs []string
	for _, rr := range rrs {
		vs = append(vs, strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	return strings.Join(vs, "|")
}

// TestDNSUnheard checks that the question is counted and not answered.
func TestDNSUnheard(t *testing.T) {
	n := New(t)
	for _, network := range []string{"udp", "tcp"} {
		_, err := ask(t, n, network, Unheard, dns.TypeA)
		if netErr, ok := err.(net.Error); !ok || !netErr.Timeout() {
			t.Errorf("%s %s: %v; want a timeout", network, Unheard, err)
		}
		if got := n.Queries()[Unheard+" A "+network]; got != 1 {
			t.Errorf("Queries()[%s A %s] = %d; want 1", Unheard, network, got)
		}
	}
}

// TestResolver asks by getaddrinfo: resolv.conf and its search domain are ours.
func TestResolver(t *testing.T) {
	n := New(t)
	for name, want := range map[string][]string{
		WWW:        {"203.0.113.10", "2001:db8:113::10"},
		"intranet": {"203.0.113.19", "2001:db8:113::19"},
		V6Only:     {"2001:db8:113::14"},
		Missing:    nil,
	} {
		out, _ := n.Command("getent", "ahosts", name).Output() // 2: there is none
		var got []string
		for line := range strings.Lines(string(out)) {
			got = append(got, strings.Fields(line)[0])
		}
		slices.Sort(got)
		if got = slices.Compact(got); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Errorf("getent ahosts %s = %v; want %v", name, got, want)
		}
	}
}
