package testnet

import (
	"fmt"
	"net/netip"
)

// Domain is the zone in which every host of the small internet has its name.
const Domain = "test.example"

// Search is the search domain of the client's resolv.conf: the short name
// "intranet" is the host intranet.search.test.example.
const Search = "search." + Domain

// The hosts of the small internet. What each serves is told at its name.
const (
	WWW        = "www." + Domain        // the web origin, HTTP/1.1: 80, TLS on 443
	H2         = "h2." + Domain         // the web origin, HTTP/2: h2c on 80, TLS with ALPN h2 on 443
	H3         = "h3." + Domain         // as H2, announced for h3 in DNS; UDP 443 echoes and counts
	QUIC       = "quic." + Domain       // as H2, and HTTP/3 on UDP 443, announced in DNS and by Alt-Svc
	V4Only     = "v4only." + Domain     // as WWW, without an IPv6 address
	V6Only     = "v6only." + Domain     // as WWW, without an IPv4 address
	TLS12      = "tls12." + Domain      // as WWW, TLS 1.2 at most
	Nginx      = "nginx." + Domain      // nginx: 80, TLS with h2 on 443; files, those below /fast/ uncounted
	OddHost    = "odd." + Domain        // the odd wire forms: 80, TLS on 443
	TCP        = "tcp." + Domain        // 7 echoes (TCP, UDP), 25 speaks first, 992 echoes in TLS; UDP: 123 NTP, 514 and 8125 are silent
	Intranet   = "intranet." + Search   // as WWW
	SelfSigned = "selfsigned." + Domain // as WWW, with a certificate that nobody signed
	Expired    = "expired." + Domain    // as WWW, with a certificate of the last century
	WrongName  = "wrongname." + Domain  // as WWW, with a certificate for another name
	Refused    = "refused." + Domain    // holds its addresses and listens to nothing
	Silent     = "silent." + Domain     // no answer at all: its packets are dropped
	Unroutable = "unroutable." + Domain // the client's kernel has no route to it
	NameServer = "ns." + Domain         // the DNS server, 53 UDP and TCP, 5300 UDP
)

// Host is a name and its addresses.
type Host struct {
	Name string
	V4   netip.Addr // the zero Addr if it has none
	V6   netip.Addr // the zero Addr if it has none
}

// Addrs returns the addresses that h has, IPv4 first.
func (h Host) Addrs() []netip.Addr {
	var as []netip.Addr
	for _, a := range []netip.Addr{h.V4, h.V6} {
		if a.IsValid() {
			as = append(as, a)
		}
	}
	return as
}

// Hosts returns every host of the small internet, in a fixed order. The
// addresses are of TEST-NET-3 (RFC 5737) and of the documentation prefix
// (RFC 3849); Unroutable's are of TEST-NET-2.
func Hosts() []Host {
	names := map[int]string{
		10: WWW, 11: H2, 12: H3, 13: V4Only, 14: V6Only, 15: TLS12, 16: Nginx, 17: OddHost, 18: TCP, 19: Intranet,
		20: SelfSigned, 21: Expired, 22: WrongName, 23: Refused, 24: Silent, 25: Unroutable, 26: QUIC, 53: NameServer,
	}
	var hosts []Host
	for i := range 64 {
		name, ok := names[i]
		if !ok {
			continue
		}
		h := Host{
			Name: name,
			V4:   netip.MustParseAddr(fmt.Sprintf("203.0.113.%d", i)),
			V6:   netip.MustParseAddr(fmt.Sprintf("2001:db8:113::%d", i)),
		}
		switch name {
		case V4Only:
			h.V6 = netip.Addr{}
		case V6Only:
			h.V4 = netip.Addr{}
		case Unroutable:
			h.V4, h.V6 = netip.MustParseAddr("198.51.100.25"), netip.MustParseAddr("2001:db8:100::25")
		}
		hosts = append(hosts, h)
	}
	return hosts
}

// Lookup returns the host called name. It panics if there is none: the names are constants.
func Lookup(name string) Host {
	for _, h := range Hosts() {
		if h.Name == name {
			return h
		}
	}
	panic("testnet: no host is called " + name)
}
