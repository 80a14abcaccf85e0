package cassette

import (
	"cmp"
	"errors"
	"slices"
)

// kin is as index.related.
func (x *shelf) kin(f *form, open bool, most int) ([]*group, int, error) {
	k := f.groupKey()
	k.canon = 0
	var keys []key
	total := 0
	all := true // up to here nothing is left
	for n, s := range x.sections {
		sp, err := x.span(s, k)
		if err != nil {
			return nil, 0, err
		}
		done := key{route: k.route, loose: k.loose, canon: uint64(n)}
		if open {
			sp.from = max(sp.from, x.served[done])
		}
		total += max(sp.to-sp.from, 0)
		at := sp.from
		err = x.each([]span{sp}, func(e entry) bool {
			at++
			taken := x.taken[e.nth]
			if all = all && taken; all && open {
				x.served[done] = at
			}
			if taken != open && (len(keys) == 0 || keys[len(keys)-1] != e.group()) {
				keys = append(keys, e.group())
			}
			return len(keys) < most
		})
		if err != nil {
			return nil, 0, err
		}
		all = true
	}
	var out []*group
	for _, k := range keys {
		g, err := x.groupAt(k, nil)
		if err != nil {
			return nil, 0, err
		}
		if g != nil && g.slots[0].form.loose == f.loose && g.open() == open && !slices.Contains(out, g) {
			out = append(out, g)
		}
	}
	if len(keys) < most {
		total = len(out)
	}
	return out, total, nil
}

// near are the recordings whose keys are from from on and before to, and whose
// forms are of, up to most of them, in order, and how many have such keys.
func (x *shelf) near(from, to key, most int, of func(*form) bool) ([]*slot, int, error) {
	var slots []*slot
	total := 0
	for _, s := range x.sections {
		c := x.cursor(s)
		sp := span{s: s}
		var err, wrong error
		if sp.from, err = c.search(from); err == nil {
			sp.to, err = c.search(to)
		}
		if err != nil {
			return nil, 0, err
		}
		total += max(sp.to-sp.from, 0)
		err = x.each([]span{sp}, func(e entry) bool {
			if len(slots) == most {
				return false
			}
			var s *slot
			if s, wrong = x.read(e, nil); wrong == nil && of(&s.form) {
				slots = append(slots, s)
			}
			return wrong == nil
		})
		if err = errors.Join(err, wrong); err != nil {
			return nil, 0, err
		}
	}
	slices.SortFunc(slots, func(a, b *slot) int { return cmp.Compare(a.nth, b.nth) })
	return slots, total, nil
}

// all calls f with every entry, in the order of the keys. What cannot be read is
// left out: who serves it says so.
func (x *shelf) all(f func(entry)) {
	for _, s := range x.sections {
		_ = x.each([]span{{s, 0, s.n}}, func(e entry) bool { f(e); return true })
	}
}

// said is as index.said.
func (x *shelf) said(token string) (int, bool) {
	if x.tokens == nil {
		x.tokens = map[uint64]int{}
		x.all(func(e entry) {
			i, err := x.t.interaction(e)
			if err != nil {
				return
			}
			for _, t := range i.answerTokens() {
				d := digest([]byte(t))
				if n := x.tokens[d]; n == 0 || n > int(e.nth)+1 {
					x.tokens[d] = int(e.nth) + 1
				}
			}
		})
	}
	n := x.tokens[digest([]byte(token))]
	return n - 1, n > 0
}

// unserved are the first recordings that were not served, up to most of them.
func (x *shelf) unserved(served []uint32, most int) []*Interaction {
	var want []int
	for nth := range served {
		if served[nth] == 0 && len(want) < most {
			want = append(want, nth)
		}
	}
	if len(want) == 0 {
		return nil
	}
	found := make([]*Interaction, len(want))
	x.all(func(e entry) {
		if n, ok := slices.BinarySearch(want, int(e.nth)); ok {
			found[n], _ = x.t.interaction(e)
		}
	})
	return slices.DeleteFunc(found, func(i *Interaction) bool { return i == nil })
}

// take says whether s is served, or about to be, from now on.
func (x *shelf) take(s *slot, taken bool) {
	x.taken[s.nth] = taken
	if !taken { // windows are behind it
		clear(x.groups)
		clear(x.served)
	}
}
