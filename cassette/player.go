package cassette

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/serge-net/serge-net/cassette/descriptor"
	"github.com/serge-net/serge-net/exchange"
)

// Repeat says what a request gets when every recording of it was served.
type Repeat string

// The ways to repeat.
const (
	RepeatAuto  Repeat = ""      // the last answer again if the method is safe or all answers are equal, else or in an order a miss
	RepeatNever Repeat = "never" // a miss
	RepeatLast  Repeat = "last"
	RepeatFirst Repeat = "first"
	RepeatCycle Repeat = "cycle"
)

// Order says whether requests are answered only in the order of the recording.
type Order string

// The orders. Requests that were under way at the same time when they were
// recorded have none among themselves.
const (
	OrderNone Order = ""     // any
	OrderHost Order = "host" // each host's
	OrderAll  Order = "all"
)

// PlayOptions says how a cassette is played.
type PlayOptions struct {
	Repeat    Repeat
	Match     Match
	Order     Order
	Latency   Latency // how long answers take; zero: no time
	Rules     []Rule  // beside those of the cassette
	KeepDates bool    // serve dates as they were recorded
	// Callback decides on requests that nothing else answers; nil: they miss. It is
	// called concurrently. An error of it is the reason of a miss.
	Callback func(Question) (Answer, error)

	// Redact says what is a secret in what misses, so that nobody is told.
	Redact Redaction

	// Descriptors are what the fields of messages of gRPC are called, beside what the
	// cassette has of it: by reflection. Nil is nothing.
	Descriptors *descriptor.Set

	off law // for tests: what is not in force
}

// A Player answers requests from a cassette. It is safe for concurrent use. It
// implements exchange.Player.
type Player struct {
	c      *Cassette
	opt    PlayOptions
	rules  *rules
	index  *index
	hosts  map[string][]Connection // by host: what Offer looks at
	queues map[string]*queue       // by host and port, of those that failed: what Fail looks at
	talks  map[string][]*slot      // the conversations, by scheme, host and port
	others map[string]bool         // by host and port of conversations: there are other interactions
	whole  map[string]bool         // of calls, by URL: see wholeCalls
	cover  *hider                  // of secrets in what misses; nil: none is looked for

	mu sync.Mutex
	scope
	served []uint32         // how often, by place
	picked []uint32         // served, or about to be, by place
	noted  map[int]bool     // by place from 1: looked at for what has expired
	lines  map[string]*line // what is served in order, by Order.lineOf
	tally  Tally

	cast cast
}

// Tally is what a Player has served.
type Tally struct {
	Served      int // answers of which a byte was delivered
	Exact       int // of those, by equal requests
	Assumed     int // of those, with something taken on evidence
	Missed      int
	Assumptions []Assumption   // one for each thing taken on evidence
	Ambiguous   []Assumption   // choices that the recording did not settle
	Unsaid      []Assumption   // WebSockets and conversations that ended before all was said
	Left        int            // recordings that were not served
	Unused      []*Interaction // those; of a mounted twin the first thousand
	Expired     []Expiry       // of the answers served, at most one each
}

// unusedMost is how many recordings of a twin are told by Tally.Unused.
const unusedMost = 1000

// An Assumption is a difference that was taken for none, and why.
type Assumption struct{ Method, URL, Evidence string }

// Player returns a player of c from its start, by the rules of opt and its own. An
// error says which rule is none, or which body cannot be read.
func (c *Cassette) Player(opt PlayOptions) (*Player, error) {
	u, err := compile(slices.Concat(opt.Rules, c.Rules.Match))
	if err != nil {
		return nil, fmt.Errorf("play cassette %s: %w", c.Name, err)
	}
	u.off, u.fields = opt.off, reflected(opt.Descriptors.Clone(), c.Interactions)
	p := &Player{c: c, opt: opt, rules: &u, hosts: shown(c.Profiles(), &u), served: make([]uint32, c.Len()), picked: make([]uint32, c.Len()), noted: map[int]bool{}, scope: newScope(),
		cover: opt.Redact.hider(func(class, _ string) string { return "(a secret: " + class + ")" })}
	switch all := c.Interactions; {
	case c.twin != nil && !c.twin.queued && opt.Order == OrderNone:
		p.index = &index{}
		p.index.shelf, err = u.shelf(c.twin)
	case c.twin != nil:
		err = c.each(func(i *Interaction) error { all = append(all, i); return nil })
		if err == nil {
			p.index, err = u.index(all)
		}
	default:
		p.index, err = u.index(all)
	}
	if err != nil {
		return nil, fmt.Errorf("play cassette %s: %w", c.Name, err)
	}
	p.queues = queues(p.index.slots, p.rules)
	p.talks, p.others = p.rules.converses(p.index.slots)
	p.lines = newLines(opt.Order, p.index.slots)
	p.whole = wholeCalls(p.index.slots, p.rules)
	return p, nil
}

// Profiles are the connections of c's interactions, some more than once.
func (c *Cassette) Profiles() iter.Seq[Connection] {
	return func(yield func(Connection) bool) {
		if c.twin != nil {
			maps.Values(c.twin.profiles)(yield)
			return
		}
		for _, i := range c.Interactions {
			if !yield(i.Connection) {
				return
			}
		}
	}
}

// shown is what each host, in lower case, showed in its connections, without
// those that show nothing new.
func shown(all iter.Seq[Connection], u *rules) map[string][]Connection {
	hosts := map[string][]Connection{}
	for c := range all {
		host := u.aliased(c.Scheme, strings.ToLower(c.Host))
		if !slices.ContainsFunc(hosts[host], func(o Connection) bool {
			return o.Scheme == c.Scheme && o.Port == c.Port && o.ALPN == c.ALPN && o.ConnectProtocol == c.ConnectProtocol && slices.Equal(o.Names, c.Names)
		}) {
			hosts[host] = append(hosts[host], c)
		}
	}
	return hosts
}

// Offer is what the recorded origin o showed in its TLS handshake.
func (p *Player) Offer(o exchange.Origin) exchange.Offer {
	var offer exchange.Offer
	for _, c := range p.hosts[p.rules.aliased("", strings.ToLower(o.Host()))] {
		if c.Port != 0 && o.Addr.Port() != 0 && c.Port != o.Addr.Port() || o.TLS && !c.secure() {
			continue
		}
		offer.Recorded, offer.ConnectProtocol = true, offer.ConnectProtocol || c.ConnectProtocol
		alpn := c.ALPN
		if alpn == "h3" { // who comes by TCP gets the next best: QUIC has no choice of protocols
			alpn = "h2"
		}
		if alpn != "" && !slices.Contains(offer.ALPN, alpn) {
			offer.ALPN = append(offer.ALPN, alpn)
		}
		for _, n := range c.Names {
			if !slices.Contains(offer.Names, n) {
				offer.Names = append(offer.Names, n)
			}
		}
	}
	// A client that does not speak HTTP/2 gets HTTP/1.1: the version is never matched.
	if slices.Contains(offer.ALPN, "h2") && !slices.Contains(offer.ALPN, "http/1.1") {
		offer.ALPN = append(offer.ALPN, "http/1.1")
	}
	p.raw(o, &offer)
	slices.SortStableFunc(offer.ALPN, func(a, b string) int { return strings.Compare(b, a) })
	if i := slices.Index(offer.ALPN, "h2"); i > 0 {
		offer.ALPN = slices.Insert(slices.Delete(offer.ALPN, i, i+1), 0, "h2")
	}
	return offer
}

// Open starts to answer one connection.
func (p *Player) Open(o exchange.Origin) (exchange.Play, error) {
	alone := func(exchange.Origin, *exchange.Head) (*Player, *Player, string) { return p, nil, "" }
	return &play{of: alone, o: o, streams: map[uint64]*live{}}, nil
}

// Tally is what was served so far.
func (p *Player) Tally() Tally {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.tally
	t.Assumptions, t.Ambiguous = slices.Clone(t.Assumptions), slices.Clone(t.Ambiguous)
	t.Unsaid = slices.Clone(t.Unsaid)
	t.Expired = slices.Clone(t.Expired)
	for _, n := range p.served {
		if n == 0 {
			t.Left++
		}
	}
	if p.index.shelf != nil {
		t.Unused = p.index.shelf.unserved(p.served, unusedMost)
		return t
	}
	for _, s := range p.index.slots {
		if p.served[s.nth] == 0 {
			t.Unused = append(t.Unused, s.it)
		}
	}
	return t
}

// value is what stands for a placeholder in this run: what the client was
// found to use for it, else a stand-in of the same shape.
func (p *Player) value(mark string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if v, ok := p.toLive[mark]; ok {
		return v
	}
	shape := p.c.shapes[mark]
	v := standIn(shape, p.c.Name+" "+mark)
	for n := 'a'; p.toMark[v] != ""; n++ { // short secrets can meet
		v = standIn(shape+"m8", p.c.Name+" "+mark+string(n))
	}
	p.toLive[mark], p.toMark[v] = v, mark
	return v
}
