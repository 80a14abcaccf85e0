package dnsstub

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// edit returns r as the target sees it: with pins in the place of addresses,
// unless s.Real, and service bindings cut down to what we carry. Its records
// are copies: packing a message writes to them.
func (s *Stub) edit(r reply) (reply, error) {
	out := reply{rcode: r.rcode}
	seen := make(map[key]bool) // several addresses of a name become one pin
	for _, part := range []struct {
		to   *[]dns.RR
		from []dns.RR
	}{{&out.answer, r.answer}, {&out.authority, r.authority}, {&out.additional, r.additional}} {
		for _, rr := range part.from {
			rr = dns.Copy(rr)
			switch h := rr.Header(); {
			case address(h.Rrtype) && !s.Real:
				k := key{dns.CanonicalName(h.Name), h.Rrtype}
				if seen[k] || k.name == "." {
					continue
				}
				seen[k] = true
				n, err := s.pin(k.name, h.Rrtype == dns.TypeAAAA)
				if err != nil {
					return reply{}, err
				}
				rr = addressRR(h.Name, n, h.Rrtype)
			case h.Rrtype == dns.TypeHTTPS || h.Rrtype == dns.TypeSVCB:
				if !offer(rr, s.HTTP3) {
					continue
				}
			}
			*part.to = append(*part.to, rr)
		}
	}
	return out, nil
}

// targets returns the names that r's answers send a client to.
func (r reply) targets() []string {
	var names []string
	for _, rr := range r.answer {
		switch rr := rr.(type) {
		case *dns.SRV:
			names = append(names, rr.Target)
		case *dns.MX:
			names = append(names, rr.Mx)
		case *dns.NS:
			names = append(names, rr.Ns)
		case *dns.SVCB:
			names = append(names, rr.Target)
		case *dns.HTTPS:
			names = append(names, rr.Target)
		}
	}
	return slices.Compact(names)
}

// addressRR is the A or AAAA record that sends name to its pin.
func addressRR(name string, n Pin, rrtype uint16) dns.RR {
	h := dns.RR_Header{Name: name, Rrtype: rrtype, Class: dns.ClassINET, Ttl: ttl}
	if rrtype == dns.TypeAAAA {
		return &dns.AAAA{Hdr: h, AAAA: n.V6.AsSlice()}
	}
	return &dns.A{Hdr: h, A: n.V4.AsSlice()}
}

// offer takes out of rr, a service binding (RFC 9460), what would lead a
// client past us: HTTP/3, unless it is carried, Encrypted Client Hello (the name
// would be hidden from us), and addresses. It reports whether something is
// left to connect to: an endpoint that has HTTP/3 alone is none.
func offer(rr dns.RR, http3 bool) bool {
	var b *dns.SVCB
	switch rr := rr.(type) {
	case *dns.HTTPS:
		b = &rr.SVCB
	case *dns.SVCB:
		b = rr
	default:
		return true // kept in the generic form: nothing in it was understood
	}
	gone := map[dns.SVCBKey]bool{
		dns.SVCB_ECHCONFIG: true,
		dns.SVCB_IPV4HINT:  true,
		dns.SVCB_IPV6HINT:  true,
	}
	alone := false
	for _, v := range b.Value {
		switch v := v.(type) {
		case *dns.SVCBAlpn:
			v.Alpn = slices.DeleteFunc(v.Alpn, func(id string) bool {
				return !http3 && id == "h3" || strings.HasPrefix(id, "h3-") // drafts, which nothing carries
			})
			gone[dns.SVCB_ALPN] = len(v.Alpn) == 0
		case *dns.SVCBNoDefaultAlpn:
			alone = true
		}
	}
	b.Value = slices.DeleteFunc(b.Value, func(v dns.SVCBKeyValue) bool {
		m, ok := v.(*dns.SVCBMandatory)
		if !ok {
			return gone[v.Key()]
		}
		m.Code = slices.DeleteFunc(m.Code, func(k dns.SVCBKey) bool { return gone[k] })
		return len(m.Code) == 0
	})
	return !alone || !gone[dns.SVCB_ALPN]
}

// reversed returns the address that a name below in-addr.arpa or ip6.arpa
// stands for, and whether it is a whole one.
func reversed(name string) (netip.Addr, bool) {
	name = dns.CanonicalName(name)
	if digits, ok := strings.CutSuffix(name, ".in-addr.arpa."); ok {
		labels := strings.Split(digits, ".")
		slices.Reverse(labels)
		a, err := netip.ParseAddr(strings.Join(labels, "."))
		return a, err == nil && a.Is4()
	}
	digits, ok := strings.CutSuffix(name, ".ip6.arpa.")
	if !ok || len(digits) != 63 { // 32 digits and the dots between
		return netip.Addr{}, false
	}
	var b strings.Builder
	for i := 62; i >= 0; i -= 2 {
		if i > 0 && digits[i-1] != '.' {
			return netip.Addr{}, false
		}
		b.WriteByte(digits[i])
		if b.Len()%5 == 4 && i > 0 {
			b.WriteByte(':')
		}
	}
	a, err := netip.ParseAddr(b.String())
	return a, err == nil
}
