package cassette

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A pick is a slot claimed for a live request.
type pick struct {
	slot      *slot
	of        *variant
	first     bool // not a repetition
	evidence  []string
	ambiguous string
}

// claim finds what l, whose form is f, is answered with, and marks it so that no
// other request gets it. The result is nil if nothing is left.
func (p *Player) claim(l *live, f form) *pick {
	if k := p.claimOf(f, func(*slot) bool { return true }); k != nil {
		return k
	}
	g := f
	if g.sum = p.rules.formOf(&l.req, begun).sum; len(p.kinds[g.sum]) == 0 {
		return nil
	}
	k := p.claimOf(g, l.begins)
	if k != nil {
		k.evidence = append(k.evidence, fmt.Sprintf("its origin answered after %d bytes of the body, which are equal", k.slot.it.Request.Body.Size))
	}
	return k
}

// claimOf claims a slot of f's sum that is like the request.
func (p *Player) claimOf(f form, like func(*slot) bool) *pick {
	p.mu.Lock()
	defer p.mu.Unlock()
	var fit []*variant
	best := 0
	var binds map[*variant]map[string]string // of those that bind anything
	for _, v := range p.kinds[f.sum] {
		b, ok := p.compatible(v.slots[0], f)
		if !ok || !conditional(v.slots[0], f) || !like(v.slots[0]) {
			continue
		}
		if len(b) > 0 {
			if binds == nil {
				binds = map[*variant]map[string]string{}
			}
			binds[v] = b
		}
		fit = append(fit, v)
		best = max(best, softScore(v.slots[0].form, f))
	}
	k := p.choose(fit, best, f)
	if k == nil {
		return nil
	}
	k.ambiguous = unsettled(k.of, fit, binds)
	if k.ambiguous != "" && p.opt.Exact {
		return nil
	}
	for mark, value := range binds[k.of] {
		p.toLive[mark], p.toMark[value] = value, mark
		k.evidence = append(k.evidence, "took the request's own secret for "+strings.Trim(mark, "{}"))
	}
	slices.Sort(k.evidence)
	if k.first {
		k.of.left = k.of.left[1:]
	}
	return k
}

// choose takes the first of fit that was not served, of those whose soft
// headers agree best; and if there is none, repeats.
func (p *Player) choose(fit []*variant, best int, f form) *pick {
	closest := fit
	if len(fit) > 1 {
		closest = slices.DeleteFunc(slices.Clone(fit), func(v *variant) bool { return softScore(v.slots[0].form, f) < best })
	}
	if k := firstLeft(closest); k != nil {
		return k
	}
	if k := p.again(closest); k != nil {
		return k
	}
	return firstLeft(fit)
}

// firstLeft is the first slot of vs that was not served, or nil.
func firstLeft(vs []*variant) *pick {
	var k *pick
	for _, v := range vs {
		if len(v.left) > 0 && (k == nil || v.left[0].nth < k.slot.nth) {
			k = &pick{slot: v.left[0], of: v, first: true}
		}
	}
	return k
}

// again is which slot of vs, all of which were served, is served once more.
func (p *Player) again(vs []*variant) *pick {
	if len(vs) == 0 || p.opt.Repeat == RepeatNever {
		return nil
	}
	first, last := pick{slot: vs[0].slots[0], of: vs[0]}, pick{}
	equal := true
	for _, v := range vs {
		if s := v.slots[len(v.slots)-1]; last.slot == nil || s.nth > last.slot.nth {
			last = pick{slot: s, of: v}
		}
		equal = equal && v.uniform && v.answer == vs[0].answer
	}
	switch p.opt.Repeat {
	case RepeatFirst:
		return new(first)
	case RepeatLast:
		return new(last)
	case RepeatCycle:
		for _, v := range vs {
			for _, s := range v.slots {
				if p.served[s] < p.served[first.slot] {
					first = pick{slot: s, of: v}
				}
			}
		}
		return new(first)
	}
	switch last.slot.it.Request.Method {
	case "GET", "HEAD", "OPTIONS", "TRACE":
		return new(last)
	}
	if equal {
		return new(last)
	}
	return nil
}

// compatible says whether f has the secrets that s was recorded with, and
// which placeholders would be bound to what by that.
func (p *Player) compatible(s *slot, f form) (map[string]string, bool) {
	if len(s.form.secrets) != len(f.secrets) {
		return nil, false
	}
	if len(f.secrets) == 0 {
		return nil, true
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

// unsettled says why another of fit might as well have been meant than v: it
// was recorded with another secret, nothing tells which one the live request
// has, and the answers differ.
func unsettled(v *variant, fit []*variant, binds map[*variant]map[string]string) string {
	if len(binds[v]) == 0 {
		return ""
	}
	for _, o := range fit {
		if o != v && !maps.Equal(binds[o], binds[v]) && (o.answer != v.answer || !o.uniform || !v.uniform) {
			return "the secrets of " + v.slots[0].it.ID + " and " + o.slots[0].it.ID + " are not told apart"
		}
	}
	return ""
}

// giveBack undoes a claim of which nothing was delivered.
func (p *Player) giveBack(k *pick) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k.first {
		at, _ := slices.BinarySearchFunc(k.of.left, k.slot, func(a, b *slot) int { return a.nth - b.nth })
		k.of.left = slices.Insert(slices.Clone(k.of.left), at, k.slot)
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
