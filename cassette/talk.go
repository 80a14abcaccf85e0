package cassette

import (
	"fmt"

	"github.com/serge-net/serge-net/exchange"
)

// A talk is an upgraded stream, or a conversation, while it is played: what the server
// said is released when the client has said all that it had said before. A nil talk is
// none.
type talk struct {
	p             *Player
	it            *Interaction
	slot          *slot
	ms            []Message
	next          int  // the piece that is due
	halved, ended bool // the server says no more, and it has ended the stream
	*words

	when    *schedule
	assumed []string // what is taken for no difference
}

// newTalk plays s by p.
func newTalk(p *Player, s *slot) *talk {
	t := &talk{p: p, slot: s, it: s.it, ms: s.it.Upgraded}
	if ms, ok := withoutSCRAM(t.ms); ok && s.it.Converses() {
		t.ms, t.assumed = ms, []string{scramEvidence}
	}
	t.words = newWords(t.ms, p.known)
	return t
}

// known is what a placeholder stands for in this run.
func (p *Player) known(mark string) (string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v, ok := p.toLive[mark]
	return v, ok
}

// close lets go of the messages.
func (t *talk) close() {
	if t != nil {
		t.words.close()
	}
}

// settle has what the client said so far be what placeholders stand for.
func (t *talk) settle() {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	for mark, value := range t.bound {
		if t.p.toLive[mark] == "" {
			t.p.toLive[mark], t.p.toMark[value] = value, mark
		}
	}
}

// due goes to the next piece of the server, and says whether it is its turn.
func (t *talk) due() bool {
	for t.next < len(t.ms) && t.ms[t.next].From == exchange.Client {
		m := &t.ms[t.next]
		if m.StartTLS && t.at == t.next {
			return true
		}
		if t.at <= t.next {
			return false
		}
		t.when.pass(m.At)
		t.next++
	}
	return t.next < len(t.ms)
}

// speak tells the client what the server said next, up to what the client has to say
// before.
func (t *talk) speak(l *live, tell func(exchange.Event) error) error {
	t.settle()
	for t.due() {
		if err := t.say(l, tell); err != nil {
			return err
		}
		t.next++
	}
	if t.next < len(t.ms) || t.it.ClosedBy == exchange.Client {
		return nil // finish follows the client's end
	}
	return t.finish(l, tell)
}

// say tells the client the piece of the server that is due.
func (t *talk) say(l *live, tell func(exchange.Event) error) error {
	m := &t.ms[t.next]
	b, err := m.Body.filled(t.p.value)
	if err != nil {
		return fmt.Errorf("serve %s: %w", t.it.ID, err)
	}
	r, err := b.Open()
	if err != nil {
		return fmt.Errorf("serve %s: %w", t.it.ID, err)
	}
	defer r.Close()
	s := sender{from: r, left: b.Size, buf: make([]byte, min(pieceSize, max(b.Size, 1))), pause: t.when.until(m.At), tell: func(e exchange.Event) error {
		e.Stream, e.From = l.stream, exchange.Server
		return tell(e)
	}}
	return s.send(s.left, 0, nil)
}

// finish ends the server's half, once.
func (t *talk) finish(l *live, tell func(exchange.Event) error) error {
	if t.ended {
		return nil
	}
	t.ended = true
	how := exchange.Complete
	switch {
	case t.it.Response != nil:
		how = t.it.Response.End
	case t.it.TCP != nil && t.it.ClosedBy == exchange.Server:
		how = t.it.TCP.How
	case t.it.TCP != nil:
		how = t.it.TCP.Reply
	}
	if t.halved && how == exchange.Complete {
		return nil
	}
	return tell(l.event(exchange.End{How: how}))
}
