package cassette

import (
	"maps"
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
	routes map[string][]*slot

	mu     sync.Mutex
	served map[*slot]int
	taken  map[*slot]bool    // picked for the first time, and not given back
	toLive map[string]string // placeholder → the value that stands for it in this run
	toMark map[string]string // and back
	tally  Tally
}

// A slot is one interaction to be served.
type slot struct {
	it   *Interaction
	form form
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
		groups: map[[32]byte][]*slot{}, routes: map[string][]*slot{},
		served: map[*slot]int{}, taken: map[*slot]bool{}, toLive: map[string]string{}, toMark: map[string]string{},
	}
	for _, i := range c.Interactions {
		s := &slot{i, p.rules.formOf(&i.Request, i.key.body)}
		p.slots = append(p.slots, s)
		p.groups[s.form.sum] = append(p.groups[s.form.sum], s)
		p.routes[s.form.route] = append(p.routes[s.form.route], s)
	}
	return p
}

func lowerSet(names []string) map[string]bool {
	m := map[string]bool{}
	for _, n := range names {
		m[strings.ToLower(n)] = true
	}
	return m
}

// Offer is what the recorded origin o showed in its TLS handshake.
func (p *Player) Offer(o exchange.Origin) exchange.Offer {
	var offer exchange.Offer
	for _, i := range p.c.Interactions {
		c := i.Connection
		if c.Scheme != "https" || !strings.EqualFold(c.Host, o.Host()) || c.Port != 0 && o.Addr.Port() != 0 && c.Port != o.Addr.Port() {
			continue
		}
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

// A pick is a slot claimed for a live request.
type pick struct {
	slot      *slot
	first     bool // not a repetition
	evidence  []string
	ambiguous string
}

// claim finds what f, the form of a live request, is answered with, and marks
// it so that no other request gets it. The result is nil if nothing is left.
func (p *Player) claim(f form) *pick {
	p.mu.Lock()
	defer p.mu.Unlock()
	var fit []*slot
	best := 0
	binds := map[*slot]map[string]string{}
	for _, s := range p.groups[f.sum] {
		b, ok := p.compatible(s, f)
		if !ok || !conditional(s, f) {
			continue
		}
		binds[s] = b
		fit = append(fit, s)
		best = max(best, softScore(s.form, f))
	}
	s, first := p.choose(fit, best, f)
	if s == nil {
		return nil
	}
	k := &pick{slot: s, first: first}
	k.ambiguous = p.unsettled(s, fit, binds)
	if k.ambiguous != "" && p.opt.Exact {
		return nil
	}
	for mark, value := range binds[s] {
		p.toLive[mark], p.toMark[value] = value, mark
		k.evidence = append(k.evidence, "took the request's own secret for "+strings.Trim(mark, "{}"))
	}
	slices.Sort(k.evidence)
	if first {
		p.taken[s] = true
	}
	return k
}

// choose takes the first of fit that was not served, of those whose soft
// headers agree best; and if there is none, repeats.
func (p *Player) choose(fit []*slot, best int, f form) (*slot, bool) {
	closest := slices.DeleteFunc(slices.Clone(fit), func(s *slot) bool { return softScore(s.form, f) < best })
	for _, s := range closest {
		if !p.taken[s] {
			return s, true
		}
	}
	if s := p.again(closest); s != nil {
		return s, false
	}
	for _, s := range fit {
		if !p.taken[s] {
			return s, true
		}
	}
	return nil, false
}

// again is which of group, all of which were served, is served once more.
func (p *Player) again(group []*slot) *slot {
	if len(group) == 0 {
		return nil
	}
	last := group[len(group)-1]
	switch p.opt.Repeat {
	case RepeatNever:
		return nil
	case RepeatFirst:
		return group[0]
	case RepeatLast:
		return last
	case RepeatCycle:
		return slices.MinFunc(group, func(a, b *slot) int { return p.served[a] - p.served[b] })
	}
	switch last.it.Request.Method {
	case "GET", "HEAD", "OPTIONS", "TRACE":
		return last
	}
	if slices.ContainsFunc(group, func(s *slot) bool { return s.it.answer() != last.it.answer() }) {
		return nil
	}
	return last
}

// compatible says whether f has the secrets that s was recorded with, and
// which placeholders would be bound to what by that.
func (p *Player) compatible(s *slot, f form) (map[string]string, bool) {
	if len(s.form.secrets) != len(f.secrets) {
		return nil, false
	}
	fresh, back := map[string]string{}, map[string]string{}
	for i, rec := range s.form.secrets {
		was, is := rec.value, unescape(f.secrets[i].value)
		if !isPlaceholder(was) {
			if unescape(was) != is {
				return nil, false
			}
			continue
		}
		value, ok := p.toLive[was]
		if !ok {
			value, ok = fresh[was]
		}
		mark := p.toMark[is]
		if mark == "" {
			mark = back[is]
		}
		switch {
		case !ok && mark == "":
			fresh[was], back[is] = is, was
		case value != is || mark != was:
			return nil, false
		}
	}
	return fresh, true
}

// conditional says whether f asks the kind of question that s's answer is one
// to: a 304 answers none but a conditional request.
func conditional(s *slot, f form) bool {
	if r := s.it.Response; r == nil || r.Status != 304 && r.Status != 412 {
		return true
	}
	return !slices.ContainsFunc(s.form.cond, func(name string) bool { return !slices.Contains(f.cond, name) })
}

// softScore is how many soft headers of a and b agree.
func softScore(a, b form) int {
	n := 0
	for _, h := range a.soft {
		if slices.Contains(b.soft, h) {
			n++
		}
	}
	return n
}

// unsettled says why another of fit might as well have been meant than s: it
// was recorded with another secret, nothing tells which one the live request
// has, and the answers differ.
func (p *Player) unsettled(s *slot, fit []*slot, binds map[*slot]map[string]string) string {
	if len(binds[s]) == 0 {
		return ""
	}
	for _, o := range fit {
		if o != s && !maps.Equal(binds[o], binds[s]) && o.it.answer() != s.it.answer() {
			return "the secrets of " + s.it.ID + " and " + o.it.ID + " are not told apart"
		}
	}
	return ""
}

// giveBack undoes a claim of which nothing was delivered.
func (p *Player) giveBack(k *pick) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k.first {
		delete(p.taken, k.slot)
	}
}

// commit counts a claim of which a byte was delivered.
func (p *Player) commit(k *pick) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.served[k.slot]++
	p.tally.Served++
	r := k.slot.it.Request
	if len(k.evidence) == 0 && k.ambiguous == "" {
		p.tally.Exact++
		return
	}
	p.tally.Assumed++
	for _, e := range k.evidence {
		p.tally.Assumptions = append(p.tally.Assumptions, Assumption{r.Method, r.URL, e})
	}
	if k.ambiguous != "" {
		p.tally.Ambiguous = append(p.tally.Ambiguous, Assumption{r.Method, r.URL, k.ambiguous})
	}
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
