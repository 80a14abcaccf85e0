// Package dnsstub answers every DNS question of a target, in place of the
// resolvers that the target believes it asks.
//
// A name resolves to a pin: an address of its own in a range that no origin
// uses, so that a connection to it tells which name it is for, whatever the
// origin's addresses are today. Recording, a Stub asks the origin's resolvers
// whether a name exists, and keeps what is not an address. Replaying, it
// answers from what was kept and asks nobody. A name that it does not know
// then resolves all the same, so that the request reaches us and its miss can
// be shown with a URL.
//
// Aliases of addresses are collapsed: an A question about www.example.com is
// answered by the pin of www.example.com, without the CNAMEs between. They lead
// to the edge of a content network that rotates as addresses do, and a
// recording that kept them would change from run to run.
//
// A Stub opens no socket: Answer is a function of bytes, ServePackets and
// ServeConn run it over what a diversion accepted. Client is the other side,
// the host's own resolvers.
package dnsstub

import (
	"context"
	"sync"

	"github.com/miekg/dns"
)

// maxUDP is the largest reply over UDP, whatever the client has room for, and
// the largest query that is read. A larger reply is asked for again over TCP.
const maxUDP = 4096

// roomUDP is what our own EDNS records say we have room for: it crosses any
// path in one piece, https://www.dnsflagday.net/2020/.
const roomUDP = 1232

// headerLen is the size of a DNS message's header, RFC 1035 section 4.1.1.
const headerLen = 12

// An Upstream is asked what the stub does not know by itself.
type Upstream interface {
	// Exchange sends q, which has one question, and returns the answer to it, of
	// whatever rcode. It returns within a bounded time, and is safe for
	// concurrent use. The id of the answer need not be that of q.
	Exchange(ctx context.Context, q *dns.Msg) (*dns.Msg, error)
}

// A Stub answers DNS queries. The zero value pins every name that it is asked
// for. The fields are not changed after the first call of a method; the
// methods are safe for concurrent use.
type Stub struct {
	// Upstream is asked what Kept and Pins do not answer. Nil: nobody is asked.
	Upstream Upstream
	// Replay answers from Kept, and from those Pins that were Added, before
	// Upstream is asked. It is implied if there is no Upstream.
	Replay bool
	// Real passes the origin's addresses on, and has them kept, for programs
	// that take no pin for an address. Their connections are named by nothing
	// but what is in them.
	Real bool
	// HTTP3 leaves the offer of it in service bindings, as QUIC is carried: else it
	// is refused, and the offer taken out.
	HTTP3 bool
	// Pins holds the addresses that are handed out. Nil: the stub's own.
	Pins *Pins
	// Kept is what a cassette holds. A record that cannot be read answers its
	// question by SERVFAIL, and is told to OnError.
	Kept []Record
	// Search is the search list of the target's resolver configuration. In
	// replay a name that is a known one with a suffix from this list does not
	// exist, so that the client goes on to the name that does.
	Search []string

	// Recorded is told each answer that a replay could not give of itself,
	// before the target has it: once for a name and type, and again when an
	// answer says more than the last (data after a denial after a failure),
	// which it replaces. An address that is pinned and the absence of types
	// other than A are not told. Nil: nothing is kept.
	Recorded func(Record)
	// Pinned is told each pin before it is first handed out beside an Upstream,
	// and again when it gains an IPv6 address. Nil: nobody is told. Recorded and
	// Pinned are called one at a time.
	Pinned func(Pin)
	// OnError is told which question went unanswered and why. It may be called
	// concurrently. Nil: nobody is told.
	OnError func(name string, err error)

	once  sync.Once
	pins  *Pins
	kept  map[key]reply
	names map[string]bool // of kept; true: kept as NXDOMAIN

	telling  sync.Mutex // held while Recorded or Pinned runs, so that they are told in order
	recorded map[key]int
	told     map[string]Pin
}

// Answer returns the reply to query, which came over network, "udp" or "tcp".
// It is nil if none is to be sent: the query is no query, ctx is done, or nobody
// answers it, or did when it was recorded.
func (s *Stub) Answer(ctx context.Context, query []byte, network string) []byte {
	if len(query) < headerLen || query[2]&0x80 != 0 {
		return nil // answering an answer could go on for ever
	}
	if opcode := int(query[2] >> 3 & 0xf); opcode != dns.OpcodeQuery {
		return refusal(query, dns.RcodeNotImplemented)
	}
	m := new(dns.Msg)
	if err := m.Unpack(query); err != nil {
		return refusal(query, dns.RcodeFormatError)
	}
	s.once.Do(s.freeze)
	r := reply{rcode: check(m)}
	if r.rcode == dns.RcodeSuccess {
		var err error
		if r, err = s.resolve(ctx, m.Question[0]); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			s.report(m.Question[0].Name, err)
			r = reply{rcode: dns.RcodeServerFailure}
		}
	}
	if r.rcode == silence {
		return nil
	}
	b, err := message(m, r, network).Pack()
	if err != nil {
		return refusal(query, dns.RcodeServerFailure) // a kept record too long for any message
	}
	return b
}

// freeze reads what the fields hold. It runs once.
func (s *Stub) freeze() {
	if s.pins = s.Pins; s.pins == nil {
		s.pins = new(Pins)
	}
	s.kept = make(map[key]reply, len(s.Kept))
	s.names = make(map[string]bool)
	s.recorded = make(map[key]int)
	s.told = make(map[string]Pin)
	for _, rec := range s.Kept {
		k, r, err := rec.parse()
		if err != nil {
			s.report(rec.Name, err)
		}
		if old, ok := s.kept[k]; ok && old.rank() > r.rank() {
			continue
		}
		s.kept[k] = r
		s.names[k.name] = s.names[k.name] || r.rcode == dns.RcodeNameError
	}
}

// report tells OnError.
func (s *Stub) report(name string, err error) {
	if s.OnError != nil {
		s.OnError(hostName(name), err)
	}
}

// check returns what is wrong with query m, RcodeSuccess if nothing is.
func check(m *dns.Msg) int {
	opts := 0
	for _, rr := range m.Extra {
		if rr.Header().Rrtype == dns.TypeOPT {
			opts++
		}
	}
	if len(m.Question) != 1 || opts > 1 { // RFC 9619, RFC 6891 section 6.1.1
		return dns.RcodeFormatError
	}
	if o := m.IsEdns0(); o != nil && o.Version() != 0 {
		return dns.RcodeBadVers
	}
	q := m.Question[0]
	switch {
	case q.Qclass != dns.ClassINET:
		return dns.RcodeRefused
	case q.Qtype == dns.TypeANY:
		return dns.RcodeSuccess
	case q.Qtype == dns.TypeNone, q.Qtype == dns.TypeOPT, q.Qtype >= 128 && q.Qtype <= 255:
		return dns.RcodeRefused // zone transfers and other meta types, RFC 6895 section 3.1
	}
	return dns.RcodeSuccess
}

// message is r as the reply to query m. We do not validate, so AD is never set
// and DO not echoed; cookies (RFC 7873) are ignored, as by a server without them.
func message(m *dns.Msg, r reply, network string) *dns.Msg {
	out := new(dns.Msg).SetReply(m)
	out.Rcode = r.rcode
	out.RecursionAvailable = true
	out.Answer, out.Ns, out.Extra = r.answer, r.authority, r.additional
	size := dns.MinMsgSize
	if o := m.IsEdns0(); o != nil {
		size = min(max(size, int(o.UDPSize())), maxUDP)
		out.SetEdns0(roomUDP, false)
	}
	if network != "udp" {
		size = dns.MaxMsgSize
	}
	out.Compress = true
	out.Truncate(size)
	return out
}

// refusal is the reply of only a header to query, for one that was not read.
func refusal(query []byte, rcode int) []byte {
	b := make([]byte, headerLen)
	copy(b, query[:2])          // id
	b[2] = 0x80 | query[2]&0x79 // QR, the query's opcode and RD
	b[3] = 0x80 | byte(rcode)   // RA
	return b
}
