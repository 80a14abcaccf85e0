package dnsstub

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// ttl is the time to live of every record that is served and kept, in seconds.
// Resolvers count theirs down, so the origin's would differ between two
// recordings; a short one keeps no client from asking us again.
const ttl = 10

// A Record is what a cassette keeps of one DNS answer, as text that is equal
// for equal answers: names in lower case, sorted, every TTL the same, the
// serial of a negative answer's SOA zero. Resource records are in presentation
// format (RFC 1035 section 5.1), fields separated by single spaces.
//
// Addresses are not kept, pins stand for them, except with Stub.Real. NOERROR
// without Answers is NODATA: the name exists, the type does not.
type Record struct {
	Name       string   // with the final dot: "db.svc.local."
	Type       string   // "A", "TXT", "TYPE65400"
	Rcode      string   // "NOERROR", "NXDOMAIN", "SERVFAIL"; "TIMEOUT" is no answer at all
	Answers    []string // what was asked for, with the aliases that led there
	Authority  []string // of a negative answer: the zone's SOA
	Additional []string // with Stub.Real: addresses of the names in Answers
}

// Check returns what a Stub cannot read in r, or nil.
func (r Record) Check() error {
	_, _, err := r.parse()
	return err
}

// key is what Records are told apart by.
type key struct {
	name  string // canonical: lower case, with the final dot
	qtype uint16
}

// sibling is the key of the same name's addresses of the other family.
func (k key) sibling() key {
	if k.qtype == dns.TypeA {
		return key{k.name, dns.TypeAAAA}
	}
	return key{k.name, dns.TypeA}
}

// keyOf is the key under which the answer to q is kept.
func keyOf(q dns.Question) key { return key{dns.CanonicalName(q.Name), q.Qtype} }

// silence is the rcode of no answer, which timeout stands for in a Record.
const (
	silence = -1
	timeout = "TIMEOUT"
)

// A reply is the part of an answer that does not depend on the query's header.
// Its records may be shared and are not changed.
type reply struct {
	rcode      int
	answer     []dns.RR
	authority  []dns.RR
	additional []dns.RR
}

// has reports whether r answers a question for qtype.
func (r reply) has(qtype uint16) bool {
	return r.rcode == dns.RcodeSuccess && slices.ContainsFunc(r.answer, func(rr dns.RR) bool {
		return rr.Header().Rrtype == qtype
	})
}

// rank orders answers to one question by how much they say: a failure (0), a
// denial (1), data (2).
func (r reply) rank() int {
	switch {
	case len(r.answer) > 0:
		return 2
	case r.rcode == dns.RcodeSuccess || r.rcode == dns.RcodeNameError:
		return 1
	}
	return 0
}

// copied is r for a message of its own: packing one writes to its records.
func (r reply) copied() reply {
	all := func(uint16) bool { return true }
	return reply{r.rcode, steady(r.answer, all), steady(r.authority, all), steady(r.additional, all)}
}

// settle takes from an upstream's answer to q what does not vary by nature. A
// positive answer keeps its answers and the addresses that came beside them, a
// denial its SOA, a failure only its code. An alias that leads to no answer is
// dropped: where it led is not what was asked.
func settle(m *dns.Msg, q dns.Question) reply {
	r := reply{rcode: m.Rcode}
	if _, known := dns.RcodeToString[r.rcode]; !known || r.rcode > 0xf {
		r.rcode = dns.RcodeServerFailure // extended codes (RFC 6891) are between resolvers
	}
	whole := reply{rcode: r.rcode, answer: m.Answer}
	switch {
	case whole.has(q.Qtype):
		r.answer = steady(m.Answer, func(uint16) bool { return true })
		r.additional = steady(m.Extra, address)
	case r.rcode == dns.RcodeSuccess || r.rcode == dns.RcodeNameError:
		r.authority = steady(m.Ns, func(t uint16) bool { return t == dns.TypeSOA })
		for _, rr := range r.authority {
			rr.(*dns.SOA).Serial = 0
		}
	}
	return r
}

// steady returns copies of those rrs whose type is wanted, with our TTL.
func steady(rrs []dns.RR, wanted func(rrtype uint16) bool) []dns.RR {
	var out []dns.RR
	for _, rr := range rrs {
		h := rr.Header()
		if h.Class != dns.ClassINET || h.Rrtype == dns.TypeOPT || !wanted(h.Rrtype) {
			continue
		}
		rr = dns.Copy(rr)
		rr.Header().Ttl = ttl
		out = append(out, rr)
	}
	return out
}

// address reports whether a record of rrtype holds an address.
func address(rrtype uint16) bool { return rrtype == dns.TypeA || rrtype == dns.TypeAAAA }

// record is r, the answer to k, as a cassette keeps it.
func (r reply) record(k key) Record {
	rcode := timeout
	if r.rcode != silence {
		rcode = dns.RcodeToString[r.rcode]
	}
	return Record{
		Name:       k.name,
		Type:       dns.Type(k.qtype).String(),
		Rcode:      rcode,
		Answers:    lines(r.answer),
		Authority:  lines(r.authority),
		Additional: lines(r.additional),
	}
}

// lines prints rrs: aliases first and in their order, which is the way they
// lead, then the others sorted, since servers rotate them.
func lines(rrs []dns.RR) []string {
	var chain, rest []string
	for _, rr := range rrs {
		switch rr.Header().Rrtype {
		case dns.TypeCNAME, dns.TypeDNAME:
			chain = append(chain, line(rr))
		default:
			rest = append(rest, line(rr))
		}
	}
	slices.Sort(rest)
	return append(chain, slices.Compact(rest)...)
}

// line prints rr so that parseRR gives it back, in the generic form of RFC
// 3597 where its own form does not.
func line(rr dns.RR) string {
	rr = dns.Copy(rr)
	rr.Header().Name = dns.CanonicalName(rr.Header().Name)
	s := strings.Join(strings.FieldsFunc(rr.String(), func(r rune) bool { return r == '\t' }), " ")
	if back, err := parseRR(s); err == nil && dns.IsDuplicate(rr, back) {
		return s
	}
	b := make([]byte, dns.MaxMsgSize)
	end, err := dns.PackRR(rr, b, 0, nil, false)
	if err != nil {
		return s
	}
	h := rr.Header() // its Rdlength is that of b
	data := b[end-int(h.Rdlength) : end]
	return strings.ReplaceAll(h.String(), "\t", " ") + fmt.Sprintf(`\# %d %X`, len(data), data)
}

// parseRR reads one resource record in presentation format.
func parseRR(s string) (dns.RR, error) {
	if strings.ContainsAny(s, "\r\n") || strings.HasPrefix(s, "$") {
		return nil, fmt.Errorf("read %q: not one resource record", s)
	}
	rr, err := dns.NewRR(s)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", s, err)
	}
	if rr == nil {
		return nil, fmt.Errorf("read %q: no resource record", s)
	}
	return rr, nil
}

// parse is the inverse of reply.record.
func (r Record) parse() (k key, out reply, err error) {
	if _, ok := dns.IsDomainName(r.Name); !ok || r.Name == "" {
		return k, out, fmt.Errorf("dnsstub: record of %q: not a domain name", r.Name)
	}
	k.name = dns.CanonicalName(r.Name)
	if k.qtype, err = parseType(r.Type); err != nil {
		return k, out, fmt.Errorf("dnsstub: record of %s: %w", r.Name, err)
	}
	out.rcode = dns.RcodeServerFailure
	rcode, ok := dns.StringToRcode[r.Rcode]
	if r.Rcode == timeout {
		rcode, ok = silence, true
	}
	if !ok || rcode > 0xf {
		return k, out, fmt.Errorf("dnsstub: record of %s %s: unknown rcode %q", r.Name, r.Type, r.Rcode)
	}
	read := reply{rcode: rcode}
	for _, part := range []struct {
		to   *[]dns.RR
		from []string
	}{{&read.answer, r.Answers}, {&read.authority, r.Authority}, {&read.additional, r.Additional}} {
		for _, s := range part.from {
			rr, err := parseRR(s)
			if err != nil {
				return k, out, fmt.Errorf("dnsstub: record of %s %s: %w", r.Name, r.Type, err)
			}
			*part.to = append(*part.to, rr)
		}
	}
	return k, read, nil
}

// parseType reads the name of a type, "TYPE65400" where it has none.
func parseType(s string) (uint16, error) {
	if t, ok := dns.StringToType[s]; ok {
		return t, nil
	}
	digits, _ := strings.CutPrefix(s, "TYPE")
	t, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || digits == s {
		return 0, fmt.Errorf("unknown type %q", s)
	}
	return uint16(t), nil
}
