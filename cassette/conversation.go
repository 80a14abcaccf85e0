package cassette

import (
	"slices"
	"strings"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// lingers is how long a client may go on with what it says where less would do: it
// may have been one of two recordings of which one says more.
const lingers = 200 * time.Millisecond

// A conversation is one of a protocol that is not known, while it is played. Which of
// the recordings it is shows as it goes on: they are those in which the client said
// the same so far, and the first that was not served is what is said to it.
type conversation struct {
	y       *play
	l       *live
	left    []*talk // what it may be, in the order in which they are served
	claimed *talk
	first   bool // claimed was not served before
	spoke   bool // the client got a byte, or was begun to be answered
	heard   bool // the client said something
	turning bool // the client was told that TLS begins, and that is not done
	over    bool // how it ended is counted
}

// converses are the conversations among slots, by scheme and endpoint, and of which
// of these endpoints there is something else.
func (u *rules) converses(slots []*slot) (talks map[string][]*slot, others map[string]bool) {
	talks, others = map[string][]*slot{}, map[string]bool{}
	for _, s := range slots {
		if s.it.Converses() {
			scheme, _, _ := strings.Cut(s.it.Request.URL, "://")
			at := u.endpoint(s.it)
			talks[scheme+" "+at], others[at] = append(talks[scheme+" "+at], s), false
		}
	}
	if len(talks) == 0 {
		return talks, others
	}
	for _, s := range slots {
		if at := u.endpoint(s.it); !s.it.Converses() && !s.it.Connects() {
			others[at] = true
		}
	}
	return talks, others
}

// converse begins a conversation, which the server may open.
func (y *play) converse(l *live, h *exchange.Head, answer func(exchange.Event) error) error {
	c := &conversation{y: y, l: l}
	for _, p := range []*Player{l.p, l.then} {
		if p == nil {
			continue
		}
		for _, s := range p.talks[h.Scheme+" "+p.rules.endpointAt(y.o.Host(), y.o.Addr.Port())] {
			c.left = append(c.left, newTalk(p, s))
		}
	}
	l.conversation = c
	if len(c.left) == 0 {
		y.drop(l)
		m := l.p.newMiss(y.o, l)
		m.URL = strings.TrimSuffix(m.URL, "/") // as other misses of connections have it
		m.Reason, m.Hosts = "no recording for this host and port, and what is said is no HTTP", l.p.c.Hosts()
		return m
	}
	return c.speak(answer)
}

// event takes what the client did.
func (c *conversation) event(e exchange.Event, answer func(exchange.Event) error) error {
	switch e.Kind {
	case exchange.KindData:
		return c.hear(e.Data, answer)
	case exchange.KindTLS:
		c.turning = false
		for _, t := range c.left {
			t.words.next()
			t.next++
		}
		return c.speak(answer)
	case exchange.KindWait:
		c.yield()
		return c.speak(answer)
	case exchange.KindEnd:
		return c.end(e.End, answer)
	}
	return nil
}

// hear goes on with those recordings in which the client says b, and says what follows.
func (c *conversation) hear(b []byte, answer func(exchange.Event) error) error {
	if c.claimed != nil && c.claimed.ended {
		return nil // the server has ended it, and heard no more
	}
	c.heard = true
	var farthest *talk
	var fit []*talk
	for _, t := range c.left {
		same, err := t.hear(b)
		switch {
		case err != nil:
			return err
		case same:
			fit = append(fit, t)
			continue
		case farthest == nil || t.words.heard > farthest.words.heard:
			farthest = t
		}
		if t != c.claimed {
			t.close()
		}
	}
	if len(fit) == 0 {
		return c.miss(farthest.p.told(farthest.difference()))
	}
	c.left = fit
	return c.speak(answer)
}

// told is s, of what a client said, as a person may see it.
func (p *Player) told(s string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hidden(s)
}

// miss ends the conversation for a reason.
func (c *conversation) miss(reason string) error {
	m := c.l.p.newMiss(c.y.o, c.l)
	m.URL, m.Reason = strings.TrimSuffix(m.URL, "/"), reason
	c.y.drop(c.l)
	return m
}

// speak says what is due, and where it is not known yet whose turn it is asks to be
// called.
func (c *conversation) speak(answer func(exchange.Event) error) error {
	for !c.turning {
		t, why := c.lead()
		if t == nil {
			return c.miss(why)
		}
		if !t.due() {
			return c.pauses(t, answer)
		}
		c.claim(t)
		if why := c.agree(t); why != "" {
			return c.miss(why)
		}
		if err := c.act(t, answer); err != nil {
			return err
		}
	}
	return nil
}

// act does what is due in t.
func (c *conversation) act(t *talk, answer func(exchange.Event) error) error {
	t.settle()
	m := &t.ms[t.next]
	c.spoke = true
	switch {
	case m.StartTLS:
		c.turning = true
		e := exchange.Event{Stream: c.l.stream, From: exchange.Server, Kind: exchange.KindTLS}
		if tcp := t.it.TCP; t.next == len(t.ms)-1 && t.it.ClosedBy == exchange.Server && !tcp.Open {
			e.End = &exchange.End{How: tcp.How, Code: tcp.Code}
		}
		return answer(e)
	case m.HalfClose:
		t.next++
		t.halved = true
		return answer(c.l.event(exchange.End{}))
	}
	if err := t.say(c.l, answer); err != nil {
		return err
	}
	t.next++
	return nil
}

// pauses waits for the client, as t does. If t ends here the server does too; and
// if the server says something in another recording, the client has to go on soon.
func (c *conversation) pauses(t *talk, answer func(exchange.Event) error) error {
	if t.next == len(t.ms) {
		if t.it.TCP.Open || t.it.ClosedBy == exchange.Client {
			return nil // finish follows the client's end
		}
		c.claim(t)
		err := t.finish(c.l, answer)
		c.count()
		return err
	}
	if slices.ContainsFunc(c.left, func(o *talk) bool { return o != t && o.due() && (o.p.times(o.slot) == 0 || !c.first && t == c.claimed) }) {
		return answer(exchange.Event{Stream: c.l.stream, From: exchange.Client, Kind: exchange.KindWait, Pause: lingers})
	}
	return nil
}

// yield prefers those recordings in which it is the server's turn.
func (c *conversation) yield() {
	slices.SortStableFunc(c.left, func(a, b *talk) int {
		switch x, y := a.due(), b.due(); {
		case x == y:
			return 0
		case x:
			return -1
		}
		return 1
	})
	if c.claimed != nil && len(c.left) > 0 && !c.claimed.due() && c.left[0].due() {
		c.giveBack()
	}
}

// agree keeps of the other recordings those that say what is due in t. If all were
// served and they do not agree, it is not known what would be said now, and why is
// told.
func (c *conversation) agree(t *talk) (why string) {
	m := &t.ms[t.next]
	repeats := !c.first && t.p.opt.Repeat == RepeatAuto
	c.left = slices.DeleteFunc(c.left, func(o *talk) bool {
		if o == t {
			return false
		}
		if !o.due() {
			return true
		}
		x := &o.ms[o.next]
		if x.StartTLS == m.StartTLS && x.HalfClose == m.HalfClose && sameBody(content{Body: x.Body}, content{Body: m.Body}) {
			if !m.StartTLS { // which is passed by all at once
				o.next++
			}
			return false
		}
		if repeats {
			why = "already served as often as it was recorded, with different answers"
		}
		o.close()
		return true
	})
	return why
}

// end is the end of the client, who may still listen.
func (c *conversation) end(e *exchange.End, answer func(exchange.Event) error) error {
	defer c.y.drop(c.l)
	for _, t := range c.left {
		if t.at < len(t.ms) && t.ms[t.at].HalfClose {
			t.words.next()
		}
	}
	whole := func(t *talk) bool { return t.at == len(t.ms) }
	if !c.spoke && !c.heard {
		return nil // it was looked whether the port is open
	}
	if c.claimed == nil || !whole(c.claimed) {
		if i := slices.IndexFunc(c.left, whole); i >= 0 {
			c.claim(c.left[i])
		} else if t, _ := c.lead(); t != nil {
			c.claim(t)
		}
	}
	if c.claimed == nil {
		return nil
	}
	if e.How != exchange.Complete || !whole(c.claimed) {
		return nil
	}
	if err := c.speak(answer); err != nil || c.claimed == nil {
		return err
	}
	return c.claimed.finish(c.l, answer)
}
