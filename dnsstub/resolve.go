package dnsstub

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// The addresses of localhost.
var (
	loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	loopback6 = netip.IPv6Loopback()
)

// resolve answers q: from what is the same everywhere, else from the cassette,
// else from upstream if there is one.
func (s *Stub) resolve(ctx context.Context, q dns.Question) (reply, error) {
	if q.Qtype == dns.TypeANY {
		return s.any(ctx, q)
	}
	if r, ok := s.special(q); ok {
		return r, nil
	}
	if r, ok, err := s.play(q); ok || err != nil {
		return r, err
	}
	if s.Upstream != nil {
		return s.forward(ctx, q)
	}
	return s.invent(q)
}

// any answers a question for every type as RFC 8482 allows: with one that is
// there, the address, or else with a record that says no more.
func (s *Stub) any(ctx context.Context, q dns.Question) (reply, error) {
	q.Qtype = dns.TypeA
	r, err := s.resolve(ctx, q)
	if err != nil || r.rcode != dns.RcodeSuccess || len(r.answer) > 0 {
		return r, err
	}
	h := dns.RR_Header{Name: q.Name, Rrtype: dns.TypeHINFO, Class: dns.ClassINET, Ttl: ttl}
	return reply{answer: []dns.RR{&dns.HINFO{Hdr: h, Cpu: "RFC8482"}}}, nil
}

// special answers what no resolver is asked about: localhost (RFC 6761),
// names that never exist, addresses written as names, and the names of pins.
func (s *Stub) special(q dns.Question) (reply, bool) {
	if q.Qtype == dns.TypePTR {
		if a, ok := reversed(q.Name); ok && (a.IsLoopback() || pinned(a)) {
			return s.pointer(q.Name, a), true
		}
	}
	labels := dns.SplitDomainName(dns.CanonicalName(q.Name))
	if len(labels) == 0 { // the root is no host
		return reply{}, address(q.Qtype)
	}
	switch top := labels[len(labels)-1]; {
	case top == "localhost":
		return localhost(q), true
	case top == "invalid" || top == "onion": // RFC 6761 section 6.4, RFC 7686
		return reply{rcode: dns.RcodeNameError}, true
	case strings.Trim(top, "0123456789") == "": // an address: no top-level domain is a number
		return reply{rcode: dns.RcodeNameError}, true
	case dns.IsSubDomain("resolver.arpa.", dns.CanonicalName(q.Name)):
		return reply{}, true // RFC 9462 section 6.1: it would name a resolver that is not us
	}
	return reply{}, false
}

// localhost answers q, a name of this host.
func localhost(q dns.Question) reply {
	h := dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: dns.ClassINET, Ttl: ttl}
	switch q.Qtype {
	case dns.TypeA:
		return reply{answer: []dns.RR{&dns.A{Hdr: h, A: loopback4.AsSlice()}}}
	case dns.TypeAAAA:
		return reply{answer: []dns.RR{&dns.AAAA{Hdr: h, AAAA: loopback6.AsSlice()}}}
	}
	return reply{}
}

// pointer answers who a, written as name, is: a pin or a loopback address.
func (s *Stub) pointer(name string, a netip.Addr) reply {
	to, ok := s.pins.NameOf(a)
	switch {
	case a == loopback4 || a == loopback6:
		to = "localhost"
	case !ok:
		return reply{rcode: dns.RcodeNameError}
	}
	h := dns.RR_Header{Name: name, Rrtype: dns.TypePTR, Class: dns.ClassINET, Ttl: ttl}
	return reply{answer: []dns.RR{&dns.PTR{Hdr: h, Ptr: dns.Fqdn(to)}}}
}

// play answers q from the cassette, and reports whether it could. A pin counts
// for more than a denial: the name came into being while it was recorded.
func (s *Stub) play(q dns.Question) (r reply, ok bool, err error) {
	if s.Upstream != nil && !s.Replay {
		return reply{}, false, nil
	}
	k := keyOf(q)
	kept, ok := s.kept[k]
	n, held, _ := s.pins.of(k.name)
	switch {
	case ok && kept.rank() == 2 && address(k.qtype):
		return kept.copied(), true, nil // recorded with Real, for a program that wants them
	case ok && kept.rank() == 2:
		r, err = s.edit(s.guided(kept))
		return r, true, err
	case held && k.qtype == dns.TypeA, held && k.qtype == dns.TypeAAAA && n.V6.IsValid():
		return reply{answer: []dns.RR{addressRR(q.Name, n, k.qtype)}}, true, nil
	case ok:
		r, err = s.edit(kept)
		return r, true, err
	case held && k.qtype == dns.TypeAAAA:
		return reply{}, true, nil
	case !held && s.failing(k):
		return s.kept[k.sibling()], true, nil
	case s.names[k.name] && !held, s.searched(k.name):
		return reply{rcode: dns.RcodeNameError}, true, nil // RFC 8020: no type of it is there
	}
	return reply{}, false, nil
}

// failing reports whether the question for k's other kind of address, which
// clients ask at the same time, is kept as one that failed. So then does k's: the
// client may not have waited for both.
func (s *Stub) failing(k key) bool {
	if !address(k.qtype) {
		return false
	}
	kept, ok := s.kept[k.sibling()]
	return ok && kept.rank() == 0
}

// guided is kept with the addresses of its targets beside it, where they are
// known, as an origin's resolver adds them.
func (s *Stub) guided(kept reply) reply {
	if len(kept.additional) > 0 {
		return kept
	}
	for _, name := range kept.targets() {
		n, held, _ := s.pins.of(name)
		if held {
			kept.additional = append(kept.additional, addressRR(name, n, dns.TypeA))
		}
		if held && n.V6.IsValid() {
			kept.additional = append(kept.additional, addressRR(name, n, dns.TypeAAAA))
		}
	}
	return kept
}

// searched reports whether name is one that the client made from a known name
// and a suffix of its search list.
func (s *Stub) searched(name string) bool {
	return slices.ContainsFunc(s.Search, func(suffix string) bool {
		known, ok := strings.CutSuffix(name, "."+dns.CanonicalName(suffix))
		if !ok {
			return false
		}
		known += "."
		_, kept := s.names[known]
		_, held, _ := s.pins.of(known)
		_, err := netip.ParseAddr(hostName(known))
		return kept || held || err == nil
	})
}

// forward answers q from upstream, and has kept what a replay will need.
func (s *Stub) forward(ctx context.Context, q dns.Question) (reply, error) {
	r, err := s.ask(ctx, q)
	if err != nil {
		return reply{}, err
	}
	if address(q.Qtype) && !s.Real {
		return s.forwardAddress(ctx, q, r)
	}
	s.keep(q, r)
	return s.edit(r)
}

// forwardAddress answers q, for an address, after upstream answered r. A name
// that has only IPv6 addresses gets an IPv4 pin as well: we carry either to
// whatever the origin has.
func (s *Stub) forwardAddress(ctx context.Context, q dns.Question, r reply) (reply, error) {
	v6 := r.has(dns.TypeAAAA)
	if q.Qtype == dns.TypeA && r.rcode == dns.RcodeSuccess && r.rank() == 1 {
		other := q
		other.Qtype = dns.TypeAAAA
		six, err := s.ask(ctx, other)
		if err != nil {
			return reply{}, err
		}
		v6 = six.has(dns.TypeAAAA)
	}
	if !v6 && !r.has(q.Qtype) {
		s.keep(q, r)
		return s.edit(r)
	}
	n, err := s.pin(q.Name, v6)
	if err != nil {
		return reply{}, err
	}
	return reply{answer: []dns.RR{addressRR(q.Name, n, q.Qtype)}}, nil
}

// unanswered is after how long a question to which the run's end came before an
// answer counts as one that nobody answers: a resolver on the way to an answer
// rarely takes that long, and a client that waits less rarely gives up.
const unanswered = time.Second

// ask puts q to upstream. That nobody answers is silence, which the client waits
// out as it would without us; that upstream cannot be asked is SERVFAIL, as every
// resolver gives it. The only error is that ctx is done.
func (s *Stub) ask(ctx context.Context, q dns.Question) (reply, error) {
	m, start := new(dns.Msg).SetQuestion(dns.CanonicalName(q.Name), q.Qtype), time.Now()
	back, err := s.Upstream.Exchange(ctx, m)
	switch {
	case ctx.Err() != nil && time.Since(start) > unanswered:
		return reply{rcode: silence}, nil
	case ctx.Err() != nil:
		return reply{}, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded):
		s.report(q.Name, err)
		return reply{rcode: silence}, nil
	case err != nil:
		s.report(q.Name, err)
		return reply{rcode: dns.RcodeServerFailure}, nil
	}
	return settle(back, q), nil
}

// invent answers q about a name that no cassette knows: it has an IPv4
// address, and nothing else.
func (s *Stub) invent(q dns.Question) (reply, error) {
	switch q.Qtype {
	case dns.TypeA:
		n, err := s.pins.Pin(q.Name, false)
		if err != nil {
			return reply{}, err
		}
		return reply{answer: []dns.RR{addressRR(q.Name, n, dns.TypeA)}}, nil
	case dns.TypeAAAA:
		if n, _, ok := s.pins.of(q.Name); ok && n.V6.IsValid() {
			return reply{answer: []dns.RR{addressRR(q.Name, n, dns.TypeAAAA)}}, nil
		}
	case dns.TypePTR:
		return reply{rcode: dns.RcodeNameError}, nil
	}
	return reply{}, nil
}

// keep tells Recorded that r answers q, unless a replay would say so anyway or
// has been told something better.
func (s *Stub) keep(q dns.Question, r reply) {
	if s.Recorded == nil || q.Qtype != dns.TypeA && r.rcode == dns.RcodeSuccess && r.rank() == 1 {
		return
	}
	k := keyOf(q)
	s.telling.Lock()
	defer s.telling.Unlock()
	if r.rank() < s.recorded[k] {
		return
	}
	s.recorded[k] = r.rank() + 1
	if !s.Real {
		r.additional = nil // addresses: pins stand for them
	}
	rec := r.record(k)
	if err := rec.Check(); err != nil {
		s.report(q.Name, err) // malformed as it came: the replay will have no such type
		return
	}
	s.Recorded(rec)
}

// pin returns the pin of name for an answer, and tells Pinned of it.
func (s *Stub) pin(name string, v6 bool) (Pin, error) {
	n, err := s.pins.Pin(name, v6)
	if err != nil || s.Upstream == nil || s.Pinned == nil {
		return n, err
	}
	s.telling.Lock()
	defer s.telling.Unlock()
	if now, _, _ := s.pins.of(name); s.told[n.Name] != now { // it may have gained an address meanwhile
		s.told[n.Name] = now
		s.Pinned(now)
	}
	return n, nil
}
