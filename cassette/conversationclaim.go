package cassette

import (
	"fmt"
	"slices"
	"strings"

	"github.com/serge-net/serge-net/exchange"
)

// lead is the recording that the conversation is taken for: the one that it was, else
// the first that was not served, else one that may be served again.
func (c *conversation) lead() (*talk, string) {
	if c.claimed != nil && slices.Contains(c.left, c.claimed) {
		return c.claimed, ""
	}
	ahead := false
	for _, t := range c.left {
		switch free, inTurn := t.p.free(t.slot); {
		case free && inTurn:
			return t, ""
		case free:
			ahead = true
		}
	}
	if ahead {
		return nil, "it is not its turn: something else was recorded before it"
	}
	return c.again()
}

// free says whether s was not served, and whether it is its turn.
func (p *Player) free(s *slot) (free, inTurn bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.picked[s.nth] == 0, p.opt.Order == OrderNone || p.ahead(s) == nil
}

// again is which of those that were served is served once more.
func (c *conversation) again() (*talk, string) {
	first, last := c.left[0], c.left[len(c.left)-1]
	used := fmt.Sprintf("already served %d/%d", len(c.left), len(c.left))
	switch opt := last.p.opt; {
	case opt.Repeat == RepeatNever, opt.Repeat == RepeatAuto && opt.Order != OrderNone:
		return nil, used
	case opt.Repeat == RepeatFirst:
		return first, ""
	case opt.Repeat == RepeatCycle:
		return slices.MinFunc(c.left, func(a, b *talk) int { return a.p.times(a.slot) - b.p.times(b.slot) }), ""
	}
	return last, ""
}

// times is how often s was served, or is about to be.
func (p *Player) times(s *slot) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int(p.picked[s.nth])
}

// claim takes t for this conversation, so that no other one gets it.
func (c *conversation) claim(t *talk) {
	if c.claimed == t {
		return
	}
	c.giveBack()
	p := t.p
	p.mu.Lock()
	defer p.mu.Unlock()
	c.claimed, c.first = t, p.picked[t.slot.nth] == 0
	t.when = p.opt.Latency.schedule(t.it, int(p.picked[t.slot.nth]), p.c.Name)
	p.picked[t.slot.nth]++
	if c.first {
		p.take(t.slot, true)
	}
}

// giveBack undoes a claim.
func (c *conversation) giveBack() {
	t := c.claimed
	if t == nil {
		return
	}
	c.claimed = nil
	p := t.p
	p.mu.Lock()
	defer p.mu.Unlock()
	p.picked[t.slot.nth]--
	if c.first {
		p.take(t.slot, false)
	}
}

// leave counts what was served, and lets go of the rest. A nil conversation is none.
func (c *conversation) leave() {
	if c == nil {
		return
	}
	c.count()
	for _, t := range c.left {
		t.close()
	}
	if c.claimed != nil {
		c.claimed.close()
	}
}

// count counts, once, what was served and what the client did not say of it.
func (c *conversation) count() {
	t := c.claimed
	if c.over || t == nil {
		return
	}
	c.over = true
	p, r := t.p, t.it.Request
	evidence := slices.Clone(t.assumed)
	for mark := range t.bound {
		evidence = append(evidence, "took the client's own secret for "+strings.Trim(mark, "{}"))
	}
	if t.pids {
		evidence = append(evidence, "the client is another process than the recorded one, and says so to MySQL")
	}
	slices.Sort(evidence)
	rest := 0
	for n := t.at; n < len(t.ms); n++ {
		if m := t.ms[n]; m.From == exchange.Client && !m.HalfClose && !m.StartTLS {
			rest++
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.served[t.slot.nth]++
	p.tally.Served++
	if len(evidence) == 0 {
		p.tally.Exact++
	} else {
		p.tally.Assumed++
	}
	for _, e := range evidence {
		p.tally.Assumptions = append(p.tally.Assumptions, Assumption{r.Method, r.URL, e})
	}
	if rest > 0 {
		p.tally.Unsaid = append(p.tally.Unsaid, Assumption{r.Method, r.URL, fmt.Sprintf("%d of %d recorded messages were not said", rest, len(t.ms))})
	}
}

// raw adds to offer what is recorded of o that is no HTTP.
func (p *Player) raw(o exchange.Origin, offer *exchange.Offer) {
	at := p.rules.endpointAt(o.Host(), o.Addr.Port())
	mine, others := p.talks["tcp "+at], p.others[at]
	if o.TLS {
		mine = p.talks["tls "+at]
	} else {
		others = others || len(p.talks["tls "+at]) > 0
	}
	switch {
	case len(mine) == 0:
		return
	case others:
		offer.Raw = exchange.Some
	default:
		offer.Raw = exchange.All
	}
	offer.Recorded = true
	offer.Opens = slices.ContainsFunc(mine, func(s *slot) bool { return len(s.it.Upgraded) > 0 && s.it.Upgraded[0].From == exchange.Server })
}
