package cassette

import (
	"bytes"
	"slices"
	"sync"

	"github.com/serge-net/serge-net/exchange"
)

// A cast is which of the recorded WebSockets of one request is played to whom, for
// as long as that is open: clients that open several at once say by their first
// message which one they are. Until then each has one by the order of opening.
type cast struct {
	deciding sync.Mutex // one client at a time says which it is
	open     []*pick    // of clients that have said nothing yet, in the order of opening; guarded by Player.mu
}

// forget has k leave the cast, and says whether it was in it. Player.mu is held.
func (c *cast) forget(k *pick) bool {
	i := slices.Index(c.open, k)
	if i >= 0 {
		c.open = slices.Delete(c.open, i, i+1)
	}
	return i >= 0
}

// castMost is how many recorded WebSockets a client's first message is compared with.
const castMost = 200

// A role is one of the recorded WebSockets that a client may mean.
type role struct {
	slot   *slot
	holder *pick // who has it by the order of opening; nil: nobody
	ms     []SocketMessage
	ends   *SocketClose
}

// decide is match of the first thing that the client says: it decides which of the
// recorded WebSockets is played. One that has the very message comes before one in
// which it is taken for another, and among equals the one that s has.
func (s *dialogue) decide(u *remark) (int, error) {
	p := s.l.p
	p.cast.deciding.Lock()
	defer p.cast.deciding.Unlock()
	p.mu.Lock()
	in := p.cast.forget(s.pick)
	p.mu.Unlock()
	if s.decided = true; !in {
		return s.match(u)
	}
	roles, err := s.roles()
	if err != nil {
		return -1, err
	}
	if len(roles) == 1 && s.slot == roles[0].slot {
		return s.match(u)
	}
	for _, verbatim := range []bool{true, false} {
		for _, r := range roles {
			s.perform(r)
			if verbatim && !s.verbatim(u) {
				continue
			}
			if n, err := s.match(u); n >= 0 || err != nil {
				p.recast(s.pick, r)
				return n, err
			}
		}
	}
	s.perform(roles[0])
	return -1, nil
}

// roles are those that s can have: its own first, then those of others whose client
// has not said anything either, then those that nobody has. In all of them the
// server says the same before the client does.
func (s *dialogue) roles() ([]*role, error) {
	p := s.l.p
	all := p.roles(s.pick)
	if len(all) == 1 && s.slot == all[0].slot {
		return all, nil
	}
	var out []*role
	for _, t := range all {
		if t.slot.it.WebSocket == nil {
			continue
		}
		it, err := p.answered(s.l, t.slot.it, nil)
		if err != nil {
			return nil, err
		}
		t.ms, t.ends = s.script(it)
		if len(out) == 0 || slices.EqualFunc(opening(out[0].ms), opening(t.ms), sameSaid) {
			out = append(out, t)
		}
	}
	return out, nil
}

// roles are those that the client that k was claimed for can have.
func (p *Player) roles(k *pick) []*role {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := []*role{{slot: k.due}}
	for _, o := range p.cast.open {
		if o.of == k.of && o.first && k.first {
			all = append(all, &role{slot: o.due, holder: o})
		}
	}
	rest := k.of.left
	if !k.first { // all were served: any of them may be again
		rest = k.of.slots
	}
	for _, t := range rest[:min(len(rest), castMost)] {
		if t != k.due {
			all = append(all, &role{slot: t})
		}
	}
	return all
}

// opening is what the server says before the client does.
func opening(ms []SocketMessage) []SocketMessage {
	if i := slices.IndexFunc(ms, func(m SocketMessage) bool { return m.From == exchange.Client }); i >= 0 {
		return ms[:i]
	}
	return ms
}

// sameSaid says whether a and b are the same message.
func sameSaid(a, b SocketMessage) bool {
	return a.Type == b.Type && a.Foreign == b.Foreign && a.Body.Size == b.Body.Size && a.Body.file == b.Body.file && bytes.Equal(a.Body.data, b.Body.data)
}

// perform has s play p from here on.
func (s *dialogue) perform(p *role) {
	s.slot = p.slot
	s.stage(p.ms, p.ends)
}

// verbatim says whether u is, byte for byte, what the client may say now.
func (s *dialogue) verbatim(u *remark) bool {
	return slices.ContainsFunc(s.window(), func(n int) bool {
		c := &s.cues[n]
		return c.what == u.what && u.sum == nil && c.body.Size == u.size && bytes.Equal(c.body.data, u.body)
	})
}

// recast has t be k's, which was committed, and what k had be whose t was.
func (p *Player) recast(k *pick, t *role) {
	p.mu.Lock()
	defer p.mu.Unlock()
	own := k.due
	if k.due = t.slot; own == t.slot {
		return
	}
	p.served[own.nth]--
	p.served[t.slot.nth]++
	if h := t.holder; h != nil {
		if h.due = own; h.committed {
			p.served[t.slot.nth]--
			p.served[own.nth]++
		}
		return
	}
	p.picked[own.nth]--
	p.picked[t.slot.nth]++
	if !k.first {
		return
	}
	left := slices.DeleteFunc(slices.Clone(k.of.left), func(s *slot) bool { return s == t.slot })
	at, _ := slices.BinarySearchFunc(left, own, func(a, b *slot) int { return a.nth - b.nth })
	k.of.left = slices.Insert(left, at, own)
	for s, taken := range map[*slot]bool{own: false, t.slot: true} {
		p.take(s, taken)
		p.index.take(s, taken)
	}
}
