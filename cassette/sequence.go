package cassette

import (
	"strings"
	"time"
)

// A line is slots that are served in their order.
type line struct {
	slots []*slot
	place map[*slot]int
	taken map[*slot]bool
	low   int // all before are taken
}

// newLines cuts slots into the lines that o asks for, by host in lower case;
// the one line of all is "".
func newLines(o Order, slots []*slot) map[string]*line {
	lines := map[string]*line{}
	if o == OrderNone {
		return lines
	}
	for _, s := range slots {
		host := o.lineOf(s)
		if lines[host] == nil {
			lines[host] = &line{place: map[*slot]int{}, taken: map[*slot]bool{}}
		}
		l := lines[host]
		l.place[s] = len(l.slots)
		l.slots = append(l.slots, s)
	}
	return lines
}

// lineOf is the name of the line that s is in.
func (o Order) lineOf(s *slot) string {
	if o == OrderAll {
		return ""
	}
	return strings.ToLower(hostOf(s.it.Request.URL))
}

// ahead is what has to be served before s may be; nil: nothing. The caller
// holds mu.
func (p *Player) ahead(s *slot) *slot {
	l := p.lines[p.opt.Order.lineOf(s)]
	if l == nil {
		return nil
	}
	for ; l.low < len(l.slots) && l.taken[l.slots[l.low]]; l.low++ {
	}
	for _, o := range l.slots[l.low:l.place[s]] {
		if !l.taken[o] && !o.it.Timing.overlaps(s.it.Timing) {
			return o
		}
	}
	return nil
}

// take marks s as served, or as given back. The caller holds mu.
func (p *Player) take(s *slot, taken bool) {
	l := p.lines[p.opt.Order.lineOf(s)]
	if l == nil {
		return
	}
	l.taken[s] = taken
	if !taken {
		l.low = min(l.low, l.place[s])
	}
}

// overlaps says whether two exchanges of one recording were under way at the
// same time.
func (t Timing) overlaps(o Timing) bool {
	end := func(t Timing) time.Duration { return t.Start + t.Send + t.Wait + t.Receive }
	return t.Start < end(o) && o.Start < end(t)
}
