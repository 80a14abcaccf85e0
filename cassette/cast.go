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
	mu   sync.Mutex
	open []*dialogue // whose client has said nothing yet, in the order of opening; their picks are guarded too
}

// castMost is how many recorded WebSockets a client's first message is compared with.
const castMost = 200

// A role is one of the recorded WebSockets that a client may mean.
type role struct {
	slot   *slot
	holder *dialogue // who has it by the order of opening; nil: nobody
	ms     []SocketMessage
	ends   *SocketClose
}

// join lets s have another role than that of k, which it has.
func (s *dialogue) join(k *pick) {
	if s.pick = k; s.l.p.opt.Order != OrderNone {
		return
	}
	c := &s.l.p.cast
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = append(c.open, s)
}

// forget has s leave the cast, and says whether it was in it.
func (c *cast) forget(s *dialogue) bool {
	i := slices.Index(c.open, s)
	if i >= 0 {
		c.open = slices.Delete(c.open, i, i+1)
	}
	return i >= 0
}

// decide is match of the first thing that the client says: it decides which of the
// recorded WebSockets is played. One that has the very message comes before one in
// which it is taken for another, and among equals the one that s has.
func (s *dialogue) decide(u *remark) (int, error) {
	c := &s.l.p.cast
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.decided = true; !c.forget(s) {
		return s.match(u)
	}
	roles, err := s.roles()
	if err != nil {
		return -1, err
	}
	for _, verbatim := range []bool{true, false} {
		for _, p := range roles {
			s.perform(p)
			if verbatim && !s.verbatim(u) {
				continue
			}
			if n, err := s.match(u); n >= 0 || err != nil {
				s.claim(p)
				return n, err
			}
		}
	}
	s.perform(roles[0])
	return -1, nil
}

// roles are those that s can have: its own first, then those of others whose client
// has not said anything either, then those that nobody has. In all of them the
// server says the same before the client does. cast.mu is held.
func (s *dialogue) roles() ([]*role, error) {
	p := s.l.p
	all := []*role{{slot: s.pick.slot}}
	for _, d := range p.cast.open {
		if d.pick.of == s.pick.of && d.pick.first && s.pick.first {
			all = append(all, &role{slot: d.pick.slot, holder: d})
		}
	}
	p.mu.Lock()
	rest := s.pick.of.left
	if !s.pick.first { // all were served: any of them may be again
		rest = s.pick.of.slots
	}
	for _, t := range rest[:min(len(rest), castMost)] {
		if t != s.pick.slot {
			all = append(all, &role{slot: t})
		}
	}
	p.mu.Unlock()
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
	s.slot, s.ms, s.ends, s.heard = p.slot, p.ms, p.ends, make([]bool, len(p.ms))
}

// verbatim says whether u is, byte for byte, what the client may say now.
func (s *dialogue) verbatim(u *remark) bool {
	return slices.ContainsFunc(s.window(), func(n int) bool {
		m := &s.ms[n]
		return m.Type == u.typ && u.sum == nil && m.Body.Size == u.size && bytes.Equal(m.Body.data, u.body)
	})
}

// claim has t be s's, and what s had be whose t was. cast.mu is held.
func (s *dialogue) claim(t *role) {
	own := s.pick.slot
	s.pick.slot = t.slot
	switch {
	case t.slot == own:
	case t.holder != nil:
		t.holder.pick.slot = own
	default:
		s.l.p.exchange(s.pick, own)
	}
}

// exchange has k, which was committed for the slot was, be one of its present slot.
func (p *Player) exchange(k *pick, was *slot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.served[was.nth]--
	p.picked[was.nth]--
	p.served[k.slot.nth]++
	p.picked[k.slot.nth]++
	if !k.first {
		return
	}
	left := slices.DeleteFunc(slices.Clone(k.of.left), func(s *slot) bool { return s == k.slot })
	at, _ := slices.BinarySearchFunc(left, was, func(a, b *slot) int { return a.nth - b.nth })
	k.of.left = slices.Insert(left, at, was)
	for s, taken := range map[*slot]bool{was: false, k.slot: true} {
		p.take(s, taken)
		p.index.take(s, taken)
	}
}
