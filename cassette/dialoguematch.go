package cassette

import (
	"bytes"

	"github.com/serge-net/serge-net/exchange"
)

// messageType is the type of u, a message of a WebSocket.
func (u *remark) messageType() exchange.MessageType {
	if u.what == exchange.MessageText.String() {
		return exchange.MessageText
	}
	return exchange.MessageBinary
}

// match is which of the messages that may be said now u is, -1 if it is none of
// them: first one that is equal, then one that is taken for it on evidence.
func (s *dialogue) match(u *remark) (int, error) {
	open := s.window()
	text, id := s.bonds.strip(u.messageType(), u.body)
	for _, n := range open {
		if s.equals(u, n) && s.bonds.bind(id, id) {
			return n, nil
		}
	}
	live, err := s.request(u.what, bodyAs(u, text))
	if err != nil {
		return -1, err
	}
	for _, n := range open {
		c := &s.cues[n]
		if c.what != u.what {
			continue
		}
		text, was := s.bonds.strip(s.ms[n].Type, c.body.data)
		b := c.body
		if was != "" {
			if b, err = b.with(text, ""); err != nil {
				return -1, err
			}
		}
		rec, err := s.request(c.what, b)
		if err != nil {
			return -1, err
		}
		if s.bonds.can(was, id) && s.same(rec, live) {
			s.bonds.bind(was, id)
			return n, nil
		}
	}
	return -1, nil
}

// again says whether u is what the client has said before, as heartbeats are.
func (s *dialogue) again(u *remark) bool {
	for n, c := range s.cues {
		if s.done[n] && c.what == u.what && c.body.Size == u.size && u.sum == nil && bytes.Equal(c.body.data, u.body) {
			return true
		}
	}
	return false
}

// refuse closes the socket of a client that says what is not recorded.
func (s *dialogue) refuse(u *remark, answer func(exchange.Event) error) error {
	p := s.l.p
	m := p.newMiss(s.y.o, &u.live)
	m.Cassette, m.Reason = p.c.Name, "the client says more than was recorded: "+u.cue().inBrief()
	if open := s.window(); len(open) > 0 {
		m.Reason = "the client says what was not recorded here"
		m.Nearest = s.nearest(u, open)
	}
	if err := s.close(codePolicy, "serge-net: this message is not recorded", answer); err != nil {
		return err
	}
	if err := s.end(exchange.End{}, answer); err != nil {
		return err
	}
	return m
}

// codePolicy is the code of a close by who does not take a message.
const codePolicy = 1008

// bound is m's body as it is said in this run: values that stand for recorded ones
// take their place. A large one is said as it is.
func (s *dialogue) bound(m *SocketMessage) (Body, error) {
	b, err := m.Body.filled(s.l.p.value)
	if err != nil {
		return b, err
	}
	data, ok, err := b.Whole()
	if err != nil || !ok || m.Type != exchange.MessageText || m.Foreign {
		return b, err
	}
	s.note(string(data))
	said := s.renamed(s.bonds.rewrite(string(data)))
	if said == string(data) {
		return b, nil
	}
	return bodyOf([]byte(said)), nil
}
