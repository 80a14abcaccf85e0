package cassette

import (
	"encoding/binary"
	"fmt"
	"slices"
)

const (
	// windowMost is how many recordings of a variant, not served yet, are read at
	// a time.
	windowMost = 16
	// groupsMost is how many groups are kept that were read. Nothing is lost with
	// one: what was taken of it is told by place.
	groupsMost = 128
)

// A shelf is the recordings of a twin: what an index has in memory, a shelf reads
// when it is asked for. It holds a bit for each interaction, and some groups.
// Player.mu guards it.
type shelf struct {
	t        *twin
	u        *rules
	plain    bool // the keys are of what requests are without rules
	sections []*section

	taken  []bool // by place: served, or about to be
	groups map[key]*group
	served map[key]int    // by loose key: how many of its entries from the first on are taken
	tokens map[uint64]int // as index.tokens, by digest
	room   map[*section]*cursor
	buf    []byte
}

// A span is entries of a section, from from to before to.
type span struct {
	s        *section
	from, to int
}

// A window is where the recordings of a variant are of which some are read.
type window struct {
	spans       []span
	next        int // of spans, where to read on
	first, last entry
}

// more says whether there are some behind what was read.
func (w *window) more() bool {
	return w.next < len(w.spans)
}

// shelf makes a shelf of t under u, which it adds to as index does. Where u, or
// what is veiled in t, makes other keys than those of t's index, every
// interaction is read once for keys in memory.
func (u *rules) shelf(t *twin) (*shelf, error) {
	x := &shelf{t: t, u: u, sections: t.sections, taken: make([]bool, t.count), groups: map[key]*group{}, served: map[key]int{}, room: map[*section]*cursor{}, buf: make([]byte, 2*inlineMost)}
	u.masks = map[string]map[string]bool{}
	if x.plain = u.plain() && len(u.learned) == 0 && !t.veiled; x.plain && t.sections != nil {
		return x, nil
	}
	es, err := t.entries()
	if err != nil {
		return nil, err
	}
	each := func(f func(n int, i *Interaction) error) error {
		for n, e := range es {
			i, err := t.interaction(e)
			if err == nil {
				err = f(n, i)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	err = each(func(_ int, i *Interaction) error { u.veilPath(i); return nil })
	for range 2 { // what one request veils counts for all of its bucket
		if err != nil {
			break
		}
		err = each(func(n int, i *Interaction) error {
			s, err := x.slot(i, n)
			if err != nil {
				return err
			}
			u.mask(s.form)
			e := entryOf(i, &s.form)
			e.nth, e.size, e.at = es[n].nth, es[n].size, es[n].at
			es[n] = e
			return nil
		})
	}
	sortEntries(es)
	x.sections = []*section{{n: len(es), held: es}}
	return x, err
}

// slot is i, the nth, to be served.
func (x *shelf) slot(i *Interaction, nth int) (_ *slot, err error) {
	s := &slot{it: i, form: i.key, nth: nth}
	if !x.plain || i.key.of == nil {
		s.form, err = x.u.formOf(i.asked())
	}
	if err != nil {
		err = fmt.Errorf("interaction %s: %w", i.ID, err)
	}
	return s, err
}

// read is the slot that e stands for, which is most likely one of like: if it
// asks for that in the same words, its form is the same.
func (x *shelf) read(e entry, like *form) (*slot, error) {
	i, err := x.t.bare(e, x.buf)
	if err != nil {
		return nil, err
	}
	if r := &i.Request; x.plain && like != nil && like.of != nil && r.Body.Size+like.of.Body.Size == 0 && r.Method == like.of.Method && r.URL == like.of.URL && r.Target == like.of.Target && r.End == like.of.End {
		f := form{sum: like.sum, loose: like.loose, route: like.route, bucket: like.bucket, query: like.query, of: r}
		f.headers(x.u, r.Fields)
		if slices.Equal(f.hard, like.hard) {
			return &slot{it: i, form: f, nth: int(e.nth)}, nil
		}
	}
	return x.slot(i, int(e.nth))
}

// cursor reads s.
func (x *shelf) cursor(s *section) *cursor {
	c := x.room[s]
	if c == nil {
		c = &cursor{section: s}
		x.room[s] = c
	}
	return c
}

// span is the entries of s whose keys begin as k does.
func (x *shelf) span(s *section, k key) (span, error) {
	c := x.cursor(s)
	from, err := c.search(k)
	if err != nil || from == s.n {
		return span{s, from, from}, err
	}
	to, err := c.search(k.after())
	return span{s, from, max(from, to)}, err
}

// each calls f with the entries of spans until it returns false.
func (x *shelf) each(spans []span, f func(entry) bool) error {
	for _, sp := range spans {
		c := x.cursor(sp.s)
		for n := sp.from; n < sp.to; n++ {
			e, err := c.at(n)
			if err != nil {
				return err
			}
			if !f(e) {
				return nil
			}
		}
	}
	return nil
}

// group is the recordings of f's sum, nil if there are none.
func (x *shelf) group(f *form) (*group, error) {
	g, err := x.groupAt(f.groupKey(), f)
	if err != nil || g == nil || g.slots[0].form.sum != f.sum {
		return nil, err
	}
	return g, nil
}

// groupAt is the recordings with key k, nil if there are none: most likely of like.
func (x *shelf) groupAt(k key, like *form) (*group, error) {
	g := x.groups[k]
	if g == nil {
		g = &group{}
		if err := x.gather(g, k); err != nil {
			return nil, err
		}
		if len(g.variants) == 0 {
			return nil, nil
		}
		if len(x.groups) >= groupsMost {
			clear(x.groups)
		}
		x.groups[k] = g
	}
	for _, v := range g.variants {
		if len(v.left) == 0 && (v.more() || v.slots == nil) {
			if err := x.refill(v, like); err != nil {
				return nil, err
			}
		}
	}
	g.variants = slices.DeleteFunc(g.variants, func(v *variant) bool { return len(v.slots) == 0 })
	if len(g.variants) == 0 {
		return nil, nil
	}
	slices.SortFunc(g.variants, func(a, b *variant) int { return a.slots[0].nth - b.slots[0].nth })
	g.slots = g.slots[:0]
	for _, v := range g.variants {
		g.slots = append(g.slots, v.slots...)
	}
	return g, nil
}

// gather makes g's variants, of which nothing is read yet.
func (x *shelf) gather(g *group, k key) error {
	for _, s := range x.sections {
		all, err := x.span(s, k)
		if err != nil {
			return err
		}
		n := all.from
		err = x.each([]span{all}, func(e entry) bool {
			v := g.variantOf(e)
			if last := len(v.spans) - 1; last < 0 || v.spans[last].s != s {
				v.spans = append(v.spans, span{s, n, n})
			}
			n++
			v.spans[len(v.spans)-1].to = n
			v.last = e
			v.uniform = v.uniform && e.answer == v.first.answer
			return true
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// variantOf is the variant of g that e is one of. Those of a section come in order,
// so it is the last one, or one of another section, or new.
func (g *group) variantOf(e entry) *variant {
	for _, v := range slices.Backward(g.variants) {
		if v.first.alike == e.alike {
			return v
		}
	}
	answer := binary.LittleEndian.AppendUint64(nil, e.answer)
	v := &variant{answer: string(answer), uniform: true, window: &window{first: e}}
	g.variants = append(g.variants, v)
	return v
}

// refill reads the next recordings of v that were not taken, and beside them the
// first and the last of all. A colliding one is left out.
func (x *shelf) refill(v *variant, like *form) error {
	v.slots, v.left = v.slots[:min(len(v.slots), 1)], nil
	if err := x.keep(v, v.first, like); err != nil {
		return err
	}
	var chosen []entry
	for v.more() && len(chosen) < windowMost {
		sp := &v.spans[v.next]
		if sp.from == sp.to {
			v.next++
			continue
		}
		e, err := x.cursor(sp.s).at(sp.from)
		if err != nil {
			return err
		}
		sp.from++
		if !x.taken[e.nth] {
			chosen = append(chosen, e)
		}
	}
	for _, e := range chosen {
		if err := x.keep(v, e, like); err != nil {
			return err
		}
	}
	for _, s := range v.slots {
		if !x.taken[s.nth] {
			v.left = append(v.left, s)
		}
	}
	return x.keep(v, v.last, like)
}

// keep adds what e stands for to v's slots, unless it is there, or is no equal of
// the first.
func (x *shelf) keep(v *variant, e entry, like *form) error {
	n := len(v.slots)
	if n > 0 && v.slots[n-1].nth >= int(e.nth) {
		return nil
	}
	s, err := x.read(e, like)
	if err != nil {
		return err
	}
	if n == 0 || s.form.sum == v.slots[0].form.sum {
		v.slots = append(v.slots, s)
	}
	return nil
}
