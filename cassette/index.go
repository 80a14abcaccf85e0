package cassette

import (
	"fmt"
	"slices"
	"strings"

	"github.com/serge-net/serge-net/exchange"
)

// An index finds recordings by what they amount to: equal requests by their sum,
// those that may be equal by evidence by their loose sum, the rest of a route by
// its bucket. It is read-only once made, but for what a Player keeps in groups.
type index struct {
	slots  []*slot             // in order
	groups map[[32]byte]*group // by the form's sum: sha256, so equal sums are equal forms
	kin    map[[32]byte][]*group
	routes map[string][]*slot // by bucket

	tokens map[string]int // random values in answers: the place of the first; nil: not looked at yet

	shelf *shelf // if that is not nil, it has all of the above
}

// A slot is one interaction to be served.
type slot struct {
	it   *Interaction
	form form
	nth  int // place in the cassette
}

// A group is the recordings of equal requests, in order.
type group struct {
	slots    []*slot
	variants []*variant // what a Player made of it
	atoms    []atom     // the request's, once they were asked for
}

// A variant is the slots of a group that a request fits all alike: they have
// the same secrets and soft headers. However many there are, one comparison
// finds the next.
type variant struct {
	slots   []*slot
	left    []*slot // not served, in order; guarded by Player.mu
	answer  string  // a digest of the first answer
	uniform bool    // all answers are that
	*window         // where the others are, if they are on a shelf
}

// index makes the index of all under u, to which it adds where there are
// placeholders.
func (u *rules) index(all []*Interaction) (*index, error) {
	x := &index{groups: map[[32]byte]*group{}, kin: map[[32]byte][]*group{}, routes: map[string][]*slot{}}
	u.masks = map[string]map[string]bool{}
	for _, i := range all {
		u.veilPath(i)
	}
	for n, i := range all {
		s := &slot{i, i.key, n}
		if !u.plain() {
			var err error
			if s.form, err = u.formOf(i.asked()); err != nil {
				return nil, fmt.Errorf("interaction %s: %w", i.ID, err)
			}
		}
		x.slots = append(x.slots, s)
		u.mask(s.form)
	}
	for _, s := range x.slots {
		if len(u.masks[s.form.bucket]) > 0 {
			var err error
			if s.form, err = u.formOf(s.it.asked()); err != nil {
				return nil, fmt.Errorf("interaction %s: %w", s.it.ID, err)
			}
		}
		x.add(s)
	}
	return x, nil
}

// add puts s where it is found.
func (x *index) add(s *slot) {
	g := x.groups[s.form.sum]
	if g == nil {
		g = &group{}
		x.groups[s.form.sum] = g
		x.kin[s.form.loose] = append(x.kin[s.form.loose], g)
	}
	g.slots = append(g.slots, s)
	x.routes[s.form.bucket] = append(x.routes[s.form.bucket], s)
}

// group is the recordings of f's sum, nil if there are none.
func (x *index) group(f *form) (*group, error) {
	if x.shelf != nil {
		return x.shelf.group(f)
	}
	return x.groups[f.sum], nil
}

// related are groups of f's loose sum, up to most of them: those of which
// something is left to serve if open, else those of which nothing is. It says how
// many there are; of a shelf, where there are more than most, how many recordings.
func (x *index) related(f *form, open bool, most int) (out []*group, all int, err error) {
	if x.shelf != nil {
		return x.shelf.kin(f, open, most)
	}
	for _, g := range x.kin[f.loose] {
		if g.open() != open {
			continue
		}
		if all++; all <= most {
			out = append(out, g)
		}
	}
	return out, all, nil
}

// route is the recordings of f's bucket, and how many there are; from a shelf
// come compareMost at most.
func (x *index) route(f *form) ([]*slot, int, error) {
	if x.shelf != nil {
		k := key{route: routeKey(f.bucket)}
		return x.shelf.near(k, k.after(), compareMost, func(o *form) bool { return o.bucket == f.bucket })
	}
	return x.routes[f.bucket], len(x.routes[f.bucket]), nil
}

// host is as route, of the recordings of f's host.
func (x *index) host(f *form) ([]*slot, int, error) {
	host := hostOf(f.route)
	if x.shelf != nil {
		h := hostKey(host)
		to := key{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}
		if h < 1<<32-1 {
			to = key{route: (h + 1) << 32}
		}
		return x.shelf.near(key{route: h << 32}, to, compareMost, func(o *form) bool { return hostOf(o.route) == host })
	}
	var near []*slot
	for _, s := range x.slots {
		if hostOf(s.form.route) == host {
			near = append(near, s)
		}
	}
	return near, len(near), nil
}

// take says whether s is served, or about to be, from now on.
func (x *index) take(s *slot, taken bool) {
	if x.shelf != nil {
		x.shelf.take(s, taken)
	}
}

// each calls f with the places of g's recordings. What cannot be read is left out.
func (x *index) each(g *group, f func(nth int)) {
	if x.shelf == nil {
		for _, s := range g.slots {
			f(s.nth)
		}
		return
	}
	k := g.slots[0].form.groupKey()
	for _, s := range x.shelf.sections {
		if sp, err := x.shelf.span(s, k); err == nil {
			_ = x.shelf.each([]span{sp}, func(e entry) bool { f(int(e.nth)); return true })
		}
	}
}

// plain says whether u is what an Interaction's own form was made by.
func (u *rules) plain() bool {
	return len(u.headers)+len(u.query)+len(u.drop)+len(u.urls)+len(u.templates)+len(u.aliases)+len(u.bodies) == 0 && u.off == 0
}

// veilPath has paths like i's be found by the rest, if there are placeholders in it.
func (u *rules) veilPath(i *Interaction) {
	_, _, path, _ := cutURL(i.Request.URL)
	if !strings.Contains(path, secretOpen) || u.off.has(lawRedacted) {
		return
	}
	segments := strings.Split(u.normalPath(path), "/")[1:]
	for n, s := range segments {
		if strings.Contains(s, secretOpen) {
			segments[n] = "{}"
		}
	}
	if !slices.ContainsFunc(u.templates, func(t template) bool { return t.veiled && slices.Equal(t.segments, segments) }) {
		u.templates = append(u.templates, template{segments: segments, veiled: true})
	}
}

// mask notes where in requests like f loose sums can have no values.
func (u *rules) mask(f form) {
	at := func(place string) {
		if u.masks[f.bucket] == nil {
			u.masks[f.bucket] = map[string]bool{}
		}
		u.masks[f.bucket][place] = true
	}
	if !u.off.has(lawRedacted) {
		for _, place := range f.veiled {
			at(place)
		}
	}
	if u.off.has(lawLearned) {
		return
	}
	for _, l := range u.learned {
		if l.route.has(f.bucket) {
			at(l.at)
		}
	}
}

// parts are g's variants.
func (g *group) parts() []*variant {
	if g.variants != nil {
		return g.variants
	}
	at := map[string]*variant{}
	for _, s := range g.slots {
		key := ""
		if len(g.slots) > 1 {
			key = likeness(s.it, &s.form)
		}
		v := at[key]
		if v == nil {
			v = &variant{answer: s.it.answer(), uniform: true}
			at[key] = v
			g.variants = append(g.variants, v)
		} else {
			v.uniform = v.uniform && s.it.answer() == v.answer
		}
		v.slots = append(v.slots, s)
	}
	for _, v := range g.variants {
		v.left = slices.Clone(v.slots)
	}
	return g.variants
}

// likeness is what sums leave out of i, whose form is f, and its outcome: what is
// equal and of one likeness is served in turn.
func likeness(i *Interaction, f *form) string {
	s := fmt.Sprintf("%q %q %q %q %q %q", f.secrets, f.soft, f.keys, f.ids, f.text, i.outcome())
	if i.Request.End != exchange.Complete {
		sum, _ := i.Request.Body.Sum()
		s += sum
	}
	return s
}

// parsed are the atoms of g's request. Player.mu is held.
func (g *group) parsed(u *rules) (_ []atom, err error) {
	if g.atoms == nil {
		g.atoms, err = u.atomsOf(&g.slots[0].it.Request)
	}
	return g.atoms, err
}

// open says whether something of g was not served.
func (g *group) open() bool {
	return g.variants == nil || slices.ContainsFunc(g.variants, func(v *variant) bool { return len(v.left) > 0 })
}

// said is the place of the first answer that has the random value called key in
// it, and whether there is one.
func (x *index) said(key string) (int, bool) {
	if x.shelf != nil {
		return x.shelf.said(key)
	}
	if x.tokens == nil {
		x.tokens = map[string]int{}
		for _, s := range x.slots {
			for _, t := range s.it.answerTokens() {
				if _, ok := x.tokens[t]; !ok {
					x.tokens[t] = s.nth
				}
			}
		}
	}
	n, ok := x.tokens[key]
	return n, ok
}
