package cassette

import (
	"errors"
	"slices"
	"strings"

	"github.com/serge-net/serge-net/exchange"
)

// A duplex is a call that is played while the client speaks, because it was
// recorded so. What is said decides which recording it is: it may become another
// that agrees with all that was said.
type duplex struct {
	y      *play
	l      *live
	open   []*slot // what it may be: those that were not served in front
	only   bool    // nothing of the route was recorded as another kind of call
	scene  *scene  // what it is; nil: not known yet
	pick   *pick   // what was claimed for that
	bodies []Body  // of its cues: what the server's are, as they were sent
	ear    earful
	said   []*remark
	headed bool // the head was told,
	told   int  // so many of the server's cues,
	begun  bool // and of all this the client got a byte
	ended  bool
}

// The words for the cues of a call that are no messages, and for those that are.
const (
	cueMessage = "gRPC"
	cueHead    = "head"
	cueEnd     = "end"
)

// beginDuplex makes l a duplex if some of its route were recorded as one, and
// says what comes before the client says anything.
func (y *play) beginDuplex(l *live, answer func(exchange.Event) error) error {
	fr, ok := framingOf(l.req.Fields)
	if !ok || strings.HasPrefix(l.version, "1") { // in which both sides do not speak at once
		return nil
	}
	if l.p.whole[l.req.URL] {
		return nil // as most are
	}
	f, same, err := l.sameRoute()
	if err != nil {
		return err
	}
	open := l.p.duplexes(f, same)
	if len(open) == 0 {
		return nil
	}
	c := &duplex{y: y, l: l, open: open, ear: earful{framing: fr}}
	c.only = !slices.ContainsFunc(same, func(s *slot) bool { return !s.it.isDuplex() })
	l.duplex = c
	if !open[0].it.Call.silent() {
		return nil
	}
	if ok, err := c.become(open[0]); !ok || err != nil {
		return err
	}
	return c.speak(answer)
}

// wholeCalls are the URLs of calls of which all in slots can be played at their end:
// of them nothing has to be looked up when they begin. Rules that take URLs for others
// leave none.
func wholeCalls(slots []*slot, u *rules) map[string]bool {
	out := map[string]bool{}
	for _, s := range slots {
		if s.it.Call != nil && len(u.urls)+len(u.templates)+len(u.aliases) == 0 {
			out[s.it.Request.URL] = true
		}
	}
	for _, s := range slots {
		if s.it.isDuplex() {
			delete(out, s.it.Request.URL)
		}
	}
	return out
}

// silent says whether the client says nothing before the server does.
func (c *Call) silent() bool {
	return len(c.Messages) == 0 || c.Messages[0].From == exchange.Server
}

// isDuplex says whether i is played while the client speaks: because both sides
// spoke in turn, or because the client left before the end, which it may do at any
// time.
func (i *Interaction) isDuplex() bool {
	switch {
	case i.Call == nil:
		return false
	case i.Response == nil:
		return i.Failure != nil && i.Failure.end().How == exchange.Left || i.Call.live()
	}
	return i.Response.End == exchange.Left || i.Call.live()
}

// duplexes are those of same that f may be, as far as that is known before
// anything is said, and that were recorded as duplexes.
func (p *Player) duplexes(f form, same []*slot) []*slot {
	p.mu.Lock()
	defer p.mu.Unlock()
	var fresh, again []*slot
	for _, s := range same {
		if !s.it.isDuplex() || !slices.Equal(s.form.hard, f.hard) {
			continue
		}
		if _, ok := p.compatible(s, f); !ok {
			continue
		}
		if p.picked[s.nth] == 0 {
			fresh = append(fresh, s)
		} else if p.opt.Repeat != RepeatNever && p.opt.Order == OrderNone {
			again = append(again, s)
		}
	}
	best := func(ss []*slot) {
		slices.SortStableFunc(ss, func(a, b *slot) int { return softScore(b.form, f) - softScore(a.form, f) })
	}
	best(fresh)
	best(again)
	return append(fresh, again...)
}

// become makes c a duplex of s, from where it is. It is false, and c what it
// was, if that cannot be: something else was said in s, or it is served already.
func (c *duplex) become(s *slot) (bool, error) {
	next, bodies, err := c.as(s)
	if err != nil || next == nil {
		return false, err
	}
	k := c.l.p.claimSlot(s)
	if k == nil {
		return false, nil
	}
	if c.pick != nil {
		c.l.p.giveBack(c.pick)
	}
	c.scene, c.bodies, c.pick = next, bodies, k
	return true, nil
}

// claimSlot claims s for a duplex, nil if another has it.
func (p *Player) claimSlot(s *slot) *pick {
	p.mu.Lock()
	defer p.mu.Unlock()
	g, err := p.index.group(&s.form)
	if err != nil || g == nil {
		return nil
	}
	fresh := p.picked[s.nth] == 0
	at := slices.IndexFunc(g.parts(), func(v *variant) bool {
		return slices.ContainsFunc(v.slots, func(o *slot) bool { return o.nth == s.nth })
	})
	if at < 0 || p.opt.Order != OrderNone && fresh && p.ahead(s) != nil {
		return nil
	}
	k := &pick{slot: s, due: s, of: g.variants[at], first: fresh, nth: int(p.picked[s.nth])}
	p.picked[s.nth]++
	if fresh {
		k.of.left = slices.DeleteFunc(slices.Clone(k.of.left), func(o *slot) bool { return o.nth == s.nth })
		p.take(s, true)
		p.index.take(s, true)
	}
	return k
}

// as is the scene of s as far as c has come, or nil if s is something else: what
// was said before is the same in both, byte for byte, but for what was said last.
func (c *duplex) as(s *slot) (*scene, []Body, error) {
	x := newScene(c.y, c.l, s)
	x.asked, x.say, x.finish = c.asked, c.say, c.finish
	cues, bodies, err := s.it.cues()
	if err != nil {
		return nil, nil, err
	}
	x.cues, x.done = cues, make([]bool, len(cues))
	said, told := 0, 0
	for n := range cues {
		switch mine := cues[n].from == exchange.Server; {
		case mine && told < c.told:
			if !c.tells(told, cues[n].what, bodies[n]) {
				return nil, nil, nil
			}
			x.done[n] = true
			told++
		case !mine && said < len(c.said)-1:
			if !x.equals(c.said[said], n) {
				return nil, nil, nil
			}
			x.done[n] = true
			said++
		}
	}
	if told < c.told || said < len(c.said)-1 {
		return nil, nil, nil
	}
	if len(c.said) > 0 {
		n, err := x.match(c.said[len(c.said)-1])
		if err != nil || n < 0 {
			return nil, nil, err
		}
		x.done[n] = true
	}
	return &x, bodies, nil
}

// tells says whether the k-th that the client was told is what it would be told
// here.
func (c *duplex) tells(k int, what string, b Body) bool {
	for n := range c.scene.cues {
		if c.scene.cues[n].from != exchange.Server {
			continue
		}
		if k--; k >= 0 {
			continue
		}
		x, err := c.bodies[n].Sum()
		y, err2 := b.Sum()
		return c.scene.cues[n].what == what && err == nil && err2 == nil && x == y
	}
	return false
}

// asked is the request, without its body, that a message is matched as.
func (c *duplex) asked(string) Request {
	media := "application/x-protobuf"
	if c.ear.json {
		media = "application/json"
	}
	return Request{Method: messageMethod, URL: c.l.req.URL, Version: c.l.version, Fields: []exchange.Field{{Name: "content-type", Value: media}}}
}

// hear takes what the client sends.
func (c *duplex) hear(b []byte, answer func(exchange.Event) error) error {
	for len(b) > 0 && !c.ended && c.l.duplex == c {
		var u *remark
		if u, b = c.ear.hear(b, c.begin); u == nil {
			return nil
		}
		if err := c.take(u, answer); err != nil {
			return err
		}
	}
	return nil
}

// begin starts to take a message in.
func (c *duplex) begin() *remark {
	return &remark{what: cueMessage, live: live{p: c.l.p, stream: c.l.stream, req: c.asked(cueMessage)}}
}

// over takes the end of what the client says.
func (c *duplex) over(answer func(exchange.Event) error) error {
	if c.ended {
		return nil
	}
	return c.take(&remark{what: cueEnd, live: live{p: c.l.p, stream: c.l.stream, req: c.asked(cueEnd)}}, answer)
}

// take takes u for a recorded message, of the call that this is or of another
// that it may be, and says what follows. If it may be none, it is a call like any
// other, to be answered at its end, or nothing answers it.
func (c *duplex) take(u *remark, answer func(exchange.Event) error) error {
	c.said = append(c.said, u)
	if c.scene != nil {
		n, err := c.scene.match(u)
		if err != nil {
			return err
		}
		if n >= 0 {
			c.scene.done[n] = true
			c.scene.passed(n)
			return c.speak(answer)
		}
	}
	for _, s := range c.open {
		if c.scene != nil && s == c.scene.slot {
			continue
		}
		if ok, err := c.become(s); ok || err != nil {
			return errors.Join(err, c.speak(answer))
		}
	}
	if !c.begun && !c.only {
		c.l.duplex = nil
		c.drop()
		return nil
	}
	return c.refuse(u)
}

// speak says what is due.
func (c *duplex) speak(answer func(exchange.Event) error) error {
	return c.scene.speak(func(e exchange.Event) error {
		err := answer(e)
		c.begun = c.begun || err == nil && e.Kind != exchange.KindWait
		return err
	})
}

// refuse ends the call of a client that says what is not recorded.
func (c *duplex) refuse(u *remark) error {
	p := c.l.p
	m := p.newMiss(c.y.o, c.l)
	m.Begun, c.ended = c.headed, true
	x := c.scene
	if x == nil {
		first, _, err := (&duplex{y: c.y, l: c.l, ear: c.ear}).as(c.open[0])
		if err != nil {
			return err
		}
		x = first
	}
	m.Reason = "the client says more than was recorded: " + u.cue().inBrief()
	if open := x.window(); len(open) > 0 {
		m.Reason = "the client says what was not recorded here"
		m.Nearest = x.nearest(u, open)
	}
	return m
}

// leave is for a client that left before its end. What was recorded of one that
// did so too is served.
func (c *duplex) leave() {
	for _, s := range c.open {
		if c.pick != nil || c.begun {
			return
		}
		end := s.it.Response
		if end != nil && end.End == exchange.Left || end == nil && s.it.Failure.end().How == exchange.Left {
			_, _ = c.become(s) // that it cannot be read is found where it is played
		}
	}
	c.begun = c.begun || c.pick != nil
}

// drop counts what was served, and gives back what was claimed and not served. A
// nil duplex is none.
func (c *duplex) drop() {
	if c == nil || c.pick == nil {
		return
	}
	k := c.pick
	c.pick = nil
	if !c.begun && c.scene.next < len(c.scene.cues) {
		c.l.p.giveBack(k)
		return
	}
	c.l.p.commit(k)
	c.l.p.note(k.slot.it)
	if !c.ended {
		c.scene.leave()
	}
}

// wake goes on after a pause, or tells that the client says nothing. One of which
// nothing is known yet is not waited for.
func (c *duplex) wake(answer func(exchange.Event) error) error {
	if c.ended || c.scene == nil {
		return nil
	}
	return c.scene.wake(answer)
}

// settled forgets l, a duplex, if it has ended, or by err.
func (y *play) settled(l *live, err error) error {
	var m *exchange.Miss
	if c := l.duplex; err != nil && !errors.As(err, &m) || c == nil || c.ended {
		y.drop(l)
	}
	return err
}
