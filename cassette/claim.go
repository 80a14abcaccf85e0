package cassette

import (
	"maps"
	"math"
	"slices"
	"strings"
)

// A pick is a slot claimed for a live request.
type pick struct {
	slot      *slot
	due       *slot // which counts as served: the same, or another of a WebSocket's cast; guarded by Player.mu
	of        *variant
	committed bool
	first     bool // not a repetition
	nth       int  // how often the slot was claimed before
	evidence  []string
	ambiguous string
	ids       []string // of the JSON-RPC calls that are answered
}

// An offer is a variant that a live request may be answered from, and what it
// takes to do so.
type offer struct {
	*variant
	marks    map[string]string // what placeholders are to stand for
	names    map[string]string // what random values are
	evidence []string
	relaxed  int  // values that differ
	query    bool // one of them in the query, and random
}

// claim finds what l, whose form is f, is answered with, and marks it so that no
// other request gets it. The result is nil if nothing is left.
func (p *Player) claim(l *live, f form) (*pick, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fit, err := p.equal(f)
	if err != nil {
		return nil, err
	}
	for _, next := range []func(*live, form) ([]*offer, error){p.begun, p.alike, p.closest} {
		if len(fit) > 0 {
			break
		}
		var err error
		if fit, err = next(l, f); err != nil {
			return nil, err
		}
	}
	return p.settle(fit, f), nil
}

// settle chooses among fit, and has what it takes be so from then on.
func (p *Player) settle(fit []*offer, f form) *pick {
	if p.opt.Order != OrderNone {
		fit = slices.DeleteFunc(fit, func(o *offer) bool { return len(o.left) > 0 && p.ahead(o.left[0]) != nil })
	}
	k, of := p.choose(fit, f)
	if k == nil {
		return nil
	}
	if k.ambiguous = p.unsettled(of, fit); k.ambiguous != "" && (p.opt.Match == MatchExact || of.query && p.safe(k) && !p.rules.off.has(lawIdentity)) {
		return nil
	}
	for mark, value := range of.marks {
		p.toLive[mark], p.toMark[value] = value, mark
	}
	for u, v := range of.names {
		p.name(u, v)
	}
	k.evidence, k.ids = slices.Compact(slices.Sorted(slices.Values(of.evidence))), f.ids
	if k.due = k.slot; k.slot.it.WebSocket != nil && p.opt.Order == OrderNone {
		p.cast.open = append(p.cast.open, k)
	}
	k.nth = int(p.picked[k.slot.nth])
	p.picked[k.slot.nth]++
	if k.first {
		k.of.left = k.of.left[1:]
		p.take(k.slot, true)
		p.index.take(k.slot, true)
	}
	return k
}

// safe says whether k's request only asks (RFC 9110 section 9.2.1).
func (p *Player) safe(k *pick) bool { return isSafe(k.slot.it.Request.Method) }

// isSafe says whether a method only asks.
func isSafe(method string) bool {
	return slices.Contains([]string{"GET", "HEAD", "OPTIONS", "TRACE"}, method)
}

// equal are the offers of recordings that are equal to f.
func (p *Player) equal(f form) ([]*offer, error) {
	if p.moved > 0 && slices.ContainsFunc(f.tokens, func(t string) bool { u, ok := p.back[t]; return ok && u != t }) {
		return nil, nil // it says something else here than it did in the recording
	}
	g, err := p.index.group(&f)
	if g == nil {
		return nil, err
	}
	var fit []*offer
	for _, v := range g.parts() {
		o := p.offer(v, f)
		if o == nil {
			continue
		}
		for _, t := range f.tokens {
			if o.names == nil {
				o.names = map[string]string{}
			}
			if p.names[t] == "" && p.back[t] == "" {
				o.names[t] = t
			}
		}
		fit = append(fit, o)
	}
	return fit, nil
}

// offer is that of v for f, nil if v does not answer f: of what sums leave out,
// secrets, conditions and the ids of calls.
func (p *Player) offer(v *variant, f form) *offer {
	s := v.slots[0]
	marks, ok := p.compatible(s, f)
	if !ok || !p.conditional(s, f) {
		return nil
	}
	o := &offer{variant: v, marks: marks}
	if !p.sameKeys(o, s.form.keys, f.keys) || f.check != "" && !bodyFits(f.check, s.form.text, f.text) {
		return nil
	}
	for mark := range marks {
		o.evidence = append(o.evidence, "took the request's own secret for "+strings.Trim(mark, "{}"))
	}
	if slices.Equal(s.form.ids, f.ids) {
		return o
	}
	if len(s.form.ids) != len(f.ids) || p.opt.Match == MatchExact {
		return nil
	}
	o.evidence = append(o.evidence, "body.id (the number of a JSON-RPC call; its answer has it)")
	return o
}

// sameKeys says whether a request with the idempotency keys live may be the one
// with rec: each stands for one. A request without them says nothing of that.
func (p *Player) sameKeys(o *offer, rec, live []pair) bool {
	if p.rules.off.has(lawRetry) {
		return true
	}
	for i := range min(len(rec), len(live)) {
		u, v := "key "+rec[i].value, "key "+live[i].value
		if now, was := p.names[u], p.back[v]; now != "" && now != v || was != "" && was != u {
			return false
		}
		if o.names == nil {
			o.names = map[string]string{}
		}
		o.names[u] = v
	}
	return true
}

// choose takes, of the offers with the fewest relaxed values whose soft headers
// agree best, the first recording that was not served; and if there is none,
// repeats, or takes the next best.
func (p *Player) choose(fit []*offer, f form) (*pick, *offer) {
	if len(fit) == 0 {
		return nil, nil
	}
	all := make([]*variant, len(fit))
	least, best := fit[0].relaxed, -1
	for i, o := range fit {
		all[i] = o.variant
		least = min(least, o.relaxed)
	}
	if p.rules.off.has(lawFewest) {
		least = math.MaxInt
	}
	for _, o := range fit {
		if o.relaxed <= least {
			best = max(best, softScore(o.slots[0].form, f))
		}
	}
	var closest []*variant
	for _, o := range fit {
		if o.relaxed <= least && softScore(o.slots[0].form, f) == best {
			closest = append(closest, o.variant)
		}
	}
	k := firstLeft(closest)
	if k == nil {
		k = p.again(closest)
	}
	if k == nil {
		k = firstLeft(all)
	}
	if k == nil {
		return nil, nil
	}
	return k, fit[slices.Index(all, k.of)]
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
	if len(vs) == 0 || p.opt.Repeat == RepeatNever || p.opt.Repeat == RepeatAuto && p.opt.Order != OrderNone {
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
				if p.picked[s.nth] < p.picked[first.slot.nth] {
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
	if p.rules.off.has(lawSecrets) {
		return nil, true
	}
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
// to: a 304 or 412 answers none but that condition.
func (p *Player) conditional(s *slot, f form) bool {
	if r := s.it.Response; r == nil || r.Status != 304 && r.Status != 412 || p.rules.off.has(lawConditional) {
		return true
	}
	return !slices.ContainsFunc(s.form.cond, func(c pair) bool { return !slices.Contains(f.cond, c) })
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

// unsettled says why another of fit might as well have been meant than o: they
// differ in what was taken for no difference, nothing tells which one the live
// request is, and the answers differ.
func (p *Player) unsettled(o *offer, fit []*offer) string {
	for _, other := range fit {
		if other == o || other.relaxed != o.relaxed || other.answer == o.answer && other.uniform && o.uniform {
			continue
		}
		switch {
		case len(o.marks) > 0 && !maps.Equal(other.marks, o.marks):
			return "the secrets of " + o.slots[0].it.ID + " and " + other.slots[0].it.ID + " are not told apart"
		case o.relaxed > 0 && len(other.left) > 0 && !sameButTokens(o.slots[0].it, other.slots[0].it):
			return o.slots[0].it.ID + " and " + other.slots[0].it.ID + " differ only in what was assumed"
		}
	}
	return ""
}

// giveBack undoes a claim of which nothing was delivered.
func (p *Player) giveBack(k *pick) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cast.forget(k)
	p.picked[k.due.nth]--
	if k.first {
		p.take(k.due, false)
		p.index.take(k.due, false)
		at, _ := slices.BinarySearchFunc(k.of.left, k.due, func(a, b *slot) int { return a.nth - b.nth })
		k.of.left = slices.Insert(slices.Clone(k.of.left), at, k.due)
	}
}

// commit counts a claim of which a byte was delivered.
func (p *Player) commit(k *pick) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.served[k.due.nth]++
	k.committed = true
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
