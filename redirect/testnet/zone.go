package testnet

import (
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// Names in the zone that are no hosts.
const (
	Alias    = "alias." + Domain      // CNAME to a CNAME to WWW
	Many     = "many." + Domain       // 121 A records, WWW's among others that refuse: over UDP the answer is truncated
	BigText  = "bigtext." + Domain    // 6 kB of TXT
	Unheard  = "unheard." + Domain    // the DNS server never answers for it
	ServFail = "servfail." + Domain   // SERVFAIL
	Service  = "_http._tcp." + Domain // SRV to WWW and H2
	Missing  = "missing." + Domain    // NXDOMAIN, as is any name not in the zone
)

// zoneText is what the zone holds beside the addresses of the hosts. The ech
// value is opaque to every reader here; it need only be valid base64.
const zoneText = `
$ORIGIN test.example.
$TTL 300
@             SOA   ns hostmaster 2026010100 3600 600 86400 60
@             NS    ns
@             MX    10 tcp
@             MX    20 www
@             TXT   "v=spf1 -all" "second string"
text          TXT   "semi;colon \"quoted\" back\\slash" "\001\200\255"
alias         CNAME middle
middle        CNAME www
dangling      CNAME missing
_http._tcp    SRV   10 60 80 www
_http._tcp    SRV   20 40 80 h2
h3            HTTPS 1 . alpn=h3,h2 ipv4hint=203.0.113.12 ech=AEX+DQBBAAAgACA= ipv6hint=2001:db8:113::12
h2            HTTPS 1 . alpn=h2
quic          HTTPS 1 . alpn=h3,h2
www           HTTPS 0 h2.test.example.
_dns.ns       SVCB  1 ns alpn=dot port=853 ipv4hint=203.0.113.53
caa           CAA   0 issue "ca.test.example"
`

// zone is a set of records by owner name.
type zone map[string][]dns.RR

// newZone parses zoneText and adds what follows from the hosts: A, AAAA, PTR and the big answers.
func newZone() (zone, error) {
	var text strings.Builder
	text.WriteString(zoneText)
	for _, h := range Hosts() {
		for _, a := range h.Addrs() {
			kind := "A"
			if a.Is6() {
				kind = "AAAA"
			}
			arpa, err := dns.ReverseAddr(a.String())
			if err != nil {
				return nil, fmt.Errorf("reverse %v: %w", a, err)
			}
			fmt.Fprintf(&text, "%s. %s %s\n%s PTR %s.\n", h.Name, kind, a, arpa, h.Name)
		}
	}
	fmt.Fprintf(&text, "%s. A %s\n", Many, Lookup(WWW).V4)
	for i := range 120 {
		fmt.Fprintf(&text, "%s. A 203.0.113.%d\n", Many, manyFirst+i)
	}
	for i := range 24 {
		fmt.Fprintf(&text, "%s. TXT \"%02d %s\"\n", BigText, i, strings.Repeat("x", 250))
	}
	z := make(zone)
	parser := dns.NewZoneParser(strings.NewReader(text.String()), "", "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		name := strings.ToLower(rr.Header().Name)
		z[name] = append(z[name], rr)
	}
	if err := parser.Err(); err != nil {
		return nil, fmt.Errorf("parse the zone: %w", err)
	}
	return z, nil
}

// manyFirst is the last octet of the first of Many's refusing addresses, 203.0.113.128/25.
const manyFirst = 128

// exists tells whether there is a record at or below name (RFC 8020).
func (z zone) exists(name string) bool {
	if _, ok := z[name]; ok {
		return true
	}
	for owner := range z {
		if strings.HasSuffix(owner, "."+name) {
			return true
		}
	}
	return false
}

// answer fills reply with what the zone says to q.
func (z zone) answer(reply *dns.Msg, q dns.Question) {
	reply.Authoritative = true
	name := strings.ToLower(q.Name)
	for range 8 { // the longest chain of aliases that is followed
		if !z.exists(name) {
			reply.Rcode = dns.RcodeNameError
			break
		}
		alias := ""
		found := false
		for _, rr := range z[name] {
			c, isAlias := rr.(*dns.CNAME)
			switch {
			case rr.Header().Rrtype == q.Qtype || q.Qtype == dns.TypeANY:
				found = true
			case isAlias:
				alias = strings.ToLower(c.Target)
			default:
				continue
			}
			reply.Answer = append(reply.Answer, rr)
		}
		if found {
			z.addExtra(reply)
			return
		}
		if alias == "" {
			break
		}
		name = alias
	}
	for _, rr := range z[Domain+"."] {
		if rr.Header().Rrtype == dns.TypeSOA {
			reply.Ns = append(reply.Ns, rr)
		}
	}
}

// addExtra adds the addresses of the hosts that SRV and MX records name.
func (z zone) addExtra(reply *dns.Msg) {
	for _, rr := range reply.Answer {
		target := ""
		switch r := rr.(type) {
		case *dns.SRV:
			target = r.Target
		case *dns.MX:
			target = r.Mx
		}
		for _, extra := range z[target] {
			if t := extra.Header().Rrtype; t == dns.TypeA || t == dns.TypeAAAA {
				reply.Extra = append(reply.Extra, extra)
			}
		}
	}
}
