package cassette

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// compareMost is with how many recordings of a route a request is compared.
const compareMost = 200

// alike are the offers of recordings that are taken for equal to l, whose form is
// f, on evidence: first those that are what l says in the recording's words, then
// those that differ from it where values are volatile.
func (p *Player) alike(l *live, f form) ([]*offer, error) {
	live, err := p.rules.atomsOf(&l.req)
	if err != nil {
		return nil, err
	}
	known, err := p.rules.formAs(&l.req, p.recorded(f.bucket))
	if err != nil {
		return nil, err
	}
	g, err := p.index.group(&known)
	if err != nil {
		return nil, err
	}
	if g != nil && known.sum != f.sum {
		fit, err := p.offers(g, l, f, live)
		if len(fit) > 0 || err != nil {
			return fit, err
		}
	}
	fit, all, err := p.kindred(l, f, live, true)
	if len(fit) == 0 && err == nil {
		fit, all, err = p.kindred(l, f, live, false)
	}
	if all > compareMost {
		for _, o := range fit {
			o.evidence = append(o.evidence, fmt.Sprintf("compared %d of %d recordings", compareMost, all))
		}
	}
	return fit, err
}

// kindred are the offers of the groups that have f's loose sum, those of which
// something is left to be served or the others, and how many of these there are.
func (p *Player) kindred(l *live, f form, live []atom, open bool) (fit []*offer, all int, err error) {
	kin, all, err := p.index.related(&f, open, compareMost)
	if err != nil {
		return nil, all, err
	}
	for _, g := range kin {
		more, err := p.offers(g, l, f, live)
		if err != nil {
			return nil, all, err
		}
		fit = append(fit, more...)
	}
	return fit, all, nil
}

// begun are the offers of recordings whose origin answered before it had all of
// the body, where that was the beginning of l's.
func (p *Player) begun(l *live, _ form) ([]*offer, error) {
	cut := l.req
	cut.End = exchange.Reset
	f, err := p.rules.formOf(&cut)
	if err != nil || p.opt.Match == MatchExact {
		return nil, err
	}
	var fit []*offer
	g, err := p.index.group(&f)
	if err != nil {
		return nil, err
	}
	if g != nil {
		for _, v := range g.parts() {
			if o := p.offer(v, f); o != nil && l.begins(v.slots[0]) {
				o.evidence = append(o.evidence, fmt.Sprintf("its origin answered after %d bytes of the body, which are equal", v.slots[0].it.Request.Body.Size))
				fit = append(fit, o)
			}
		}
	}
	return fit, nil
}

// recorded gives the value that a live one stands for, where it is known: of
// random values everywhere, of secrets where the recording has placeholders.
func (p *Player) recorded(bucket string) func(at []byte, val string) string {
	masked := p.rules.masks[bucket]
	return func(at []byte, val string) string {
		if string(at) == "path" || masked[string(at)] {
			if mark := p.toMark[val]; mark != "" {
				return mark
			}
		}
		if p.moved == 0 {
			return val
		}
		return mapTokens(val, func(v string) (string, bool) { u, ok := p.back[v]; return u, ok })
	}
}

// offers are those of g, if its request is taken for l's.
func (p *Player) offers(g *group, l *live, f form, live []atom) ([]*offer, error) {
	rec, err := g.parsed(p.rules)
	if err != nil {
		return nil, err
	}
	j := p.judge(g.slots[0], f)
	if !j.try(rec, live) || p.opt.Match == MatchExact && !j.v.redacted {
		return nil, nil
	}
	var fit []*offer
	for _, v := range g.parts() {
		o := p.offer(v, f)
		if o == nil {
			continue
		}
		o.evidence, o.query = append(o.evidence, j.v.evidence...), j.v.query
		o.relaxed = len(j.v.evidence)
		o.marks, o.names = union(o.marks, j.v.marks), union(o.names, j.v.names)
		fit = append(fit, o)
	}
	return fit, nil
}

// union adds b to a.
func union(a, b map[string]string) map[string]string {
	if a == nil {
		return b
	}
	for k, v := range b {
		a[k] = v
	}
	return a
}

// judge is the judge of s for a request whose form is f.
func (p *Player) judge(s *slot, f form) *judge {
	return &judge{
		rules: p.rules, scope: &p.scope, bucket: f.bucket, method: s.it.Request.Method, read: f.read, nth: s.nth,
		said: p.index.said, recorded: p.c.recordedAt(s.it), now: time.Now(),
	}
}

// recordedAt is when i was recorded: it may be older than its cassette, which its
// answer's Date tells.
func (c *Cassette) recordedAt(i *Interaction) time.Time {
	if r := i.Response; r != nil {
		for _, f := range r.Fields {
			if !strings.EqualFold(f.Name, "date") {
				continue
			}
			if t, _, ok := parseDate(f.Value); ok {
				return t
			}
		}
	}
	return c.RecordedAt.Add(i.Timing.Start)
}

// sameButTokens says whether two answers are the same, but that each says the
// random values of its own request.
func sameButTokens(a, b *Interaction) bool {
	x, y := a.Response, b.Response
	if x == nil || y == nil || x.Status != y.Status || x.End != y.End || x.EndCode != y.EndCode {
		return false
	}
	own := func(i *Interaction) func(string) (string, bool) {
		u := rules{}
		f, err := u.formOf(&i.Request)
		return func(t string) (string, bool) {
			n := slices.Index(f.tokens, t)
			return "\x00" + string(rune('a'+max(n, 0)%26)), err == nil && n >= 0
		}
	}
	m, n := own(a), own(b)
	s, t := steady(x.Fields), steady(y.Fields)
	if len(s) != len(t) {
		return false
	}
	for i := range s {
		if s[i].Name != t[i].Name || mapTokens(s[i].Value, m) != mapTokens(t[i].Value, n) {
			return false
		}
	}
	v, ok, err := x.Body.text(coding(x.Fields))
	w, ok2, err2 := y.Body.text(coding(y.Fields))
	return ok && ok2 && err == nil && err2 == nil && mapTokens(string(v), m) == mapTokens(string(w), n)
}
