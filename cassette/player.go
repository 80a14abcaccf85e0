package cassette

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/serge-net/serge-net/exchange"
)

// Repeat says what a request gets when every recording of it was served.
type Repeat string

// The ways to repeat.
const (
	RepeatAuto  Repeat = ""      // the last answer again if the method is safe or all answers are equal, else a miss
	RepeatNever Repeat = "never" // a miss
	RepeatLast  Repeat = "last"
	RepeatFirst Repeat = "first"
	RepeatCycle Repeat = "cycle"
)

// PlayOptions says how a cassette is played. Names are compared without case.
type PlayOptions struct {
	Repeat        Repeat
	IgnoreHeaders []string // request headers that never tell requests apart
	IgnoreQuery   []string // query parameters that never do
	Exact         bool     // a choice that the recording does not settle is a miss
	KeepDates     bool     // serve dates as they were recorded
}

// A Player answers requests from a cassette. It is safe for concurrent use. It
// implements exchange.Player.
type Player struct {
	c      *Cassette
	opt    PlayOptions
	rules  rules
	slots  []*slot
	groups map[[32]byte][]*slot // by the form's sum: sha256, so equal sums are equal forms
	kinds  map[[32]byte][]*variant
	routes map[string][]*slot
	hosts  map[string][]Connection // by host: what Offer looks at

	mu     sync.Mutex
	served map[*slot]int
	toLive map[string]string // placeholder → the value that stands for it in this run
	toMark map[string]string // and back
	tally  Tally
}

// A slot is one interaction to be served.
type slot struct {
	it   *Interaction
	form form
	nth  int // place in the cassette
}

// A variant is the slots of a group that a request fits all alike: they have
// the same secrets and soft headers. However many there are, one comparison
// finds the next.
type variant struct {
	slots   []*slot
	left    []*slot // not served, in order; guarded by Player.mu
	answer  string  // a digest of the first answer
	uniform bool    // all answers are that
}

// Tally is what a Player has served.
type Tally struct {
	Served      int // answers of which a byte was delivered
	Exact       int // of those, by equal requests
	Assumed     int // of those, with something taken on evidence
	Missed      int
	Assumptions []Assumption // one for each thing taken on evidence
	Ambiguous   []Assumption // choices that the recording did not settle
	Unused      []*Interaction
}

// An Assumption is a difference that was taken for none, and why.
type Assumption struct{ Method, URL, Evidence string }

// Player returns a player of c from its start.
func (c *Cassette) Player(opt PlayOptions) *Player {
	p := &Player{
		c: c, opt: opt, rules: rules{lowerSet(opt.IgnoreHeaders), lowerSet(opt.IgnoreQuery)},
		groups: map[[32]byte][]*slot{}, kinds: map[[32]byte][]*variant{}, routes: map[string][]*slot{},
		hosts: shown(c.Interactions), served: map[*slot]int{}, toLive: map[string]string{}, toMark: map[string]string{},
	}
	for n, i := range c.Interactions {
		s := &slot{i, p.rules.formOf(&i.Request, i.key.body), n}
		if i.Request.End != exchange.Complete {
			s.form.sum = p.rules.formOf(&i.Request, begun).sum
		}
		p.slots = append(p.slots, s)
		p.groups[s.form.sum] = append(p.groups[s.form.sum], s)
		p.routes[s.form.route] = append(p.routes[s.form.route], s)
	}
	for sum, group := range p.groups {
		p.kinds[sum] = variants(group)
	}
	return p
}

// variants cuts a group into its variants.
func variants(group []*slot) []*variant {
	var out []*variant
	at := map[string]*variant{}
	for _, s := range group {
		key := fmt.Sprintf("%q %q %q %x", s.form.secrets, s.form.soft, s.it.outcome(), s.form.body)
		v := at[key]
		if v == nil {
			v = &variant{answer: s.it.answer(), uniform: true}
			at[key] = v
			out = append(out, v)
		} else {
			v.uniform = v.uniform && s.it.answer() == v.answer
		}
		v.slots = append(v.slots, s)
	}
	for _, v := range out {
		v.left = slices.Clone(v.slots)
	}
	return out
}

func lowerSet(names []string) map[string]bool {
	m := map[string]bool{}
	for _, n := range names {
		m[strings.ToLower(n)] = true
	}
	return m
}

// shown is what each host, in lower case, showed in its connections, without
// those that show nothing new.
func shown(all []*Interaction) map[string][]Connection {
	hosts := map[string][]Connection{}
	for _, i := range all {
		c, host := i.Connection, strings.ToLower(i.Connection.Host)
		if !slices.ContainsFunc(hosts[host], func(o Connection) bool {
			return o.Scheme == c.Scheme && o.Port == c.Port && o.ALPN == c.ALPN && slices.Equal(o.Names, c.Names)
		}) {
			hosts[host] = append(hosts[host], c)
		}
	}
	return hosts
}

// Offer is what the recorded origin o showed in its TLS handshake.
func (p *Player) Offer(o exchange.Origin) exchange.Offer {
	var offer exchange.Offer
	for _, c := range p.hosts[strings.ToLower(o.Host())] {
		if c.Port != 0 && o.Addr.Port() != 0 && c.Port != o.Addr.Port() || o.TLS && c.Scheme != "https" {
			continue
		}
		offer.Recorded = true
		if c.ALPN != "" && !slices.Contains(offer.ALPN, c.ALPN) {
			offer.ALPN = append(offer.ALPN, c.ALPN)
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
	slices.SortStableFunc(offer.ALPN, func(a, b string) int { return strings.Compare(b, a) })
	if i := slices.Index(offer.ALPN, "h2"); i > 0 {
		offer.ALPN = slices.Insert(slices.Delete(offer.ALPN, i, i+1), 0, "h2")
	}
	return offer
}

// Open starts to answer one connection.
func (p *Player) Open(o exchange.Origin) (exchange.Play, error) {
	return &play{p: p, o: o, streams: map[uint64]*live{}}, nil
}

// Tally is what was served so far.
func (p *Player) Tally() Tally {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.tally
	t.Assumptions, t.Ambiguous = slices.Clone(t.Assumptions), slices.Clone(t.Ambiguous)
	for _, s := range p.slots {
		if p.served[s] == 0 {
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
