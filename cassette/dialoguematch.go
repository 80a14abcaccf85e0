package cassette

import (
	"bytes"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/serge-net/serge-net/exchange"
)

// window are the messages that the client may say now, in any order: those it had
// said until the server spoke, from the first on that is due.
func (s *dialogue) window() []int {
	var open []int
	for n := s.next; n < len(s.ms); n++ {
		switch m := &s.ms[n]; {
		case m.From == exchange.Server && len(open) > 0:
			return open
		case m.From == exchange.Client && !s.heard[n]:
			open = append(open, n)
		}
	}
	return open
}

// match is which of the messages that may be said now u is, -1 if it is none of
// them: first one that is equal, then one that is taken for it on evidence.
func (s *dialogue) match(u *remark) (int, error) {
	open := s.window()
	text, id := s.bonds.strip(u.typ, u.body)
	for _, n := range open {
		if m := &s.ms[n]; m.Type == u.typ && !m.Body.marked && m.Body.Size == u.size && u.sum == nil && bytes.Equal(m.Body.data, u.body) &&
			nextToken(string(u.body), 0).shape == "" && s.bonds.bind(id, id) {
			return n, nil
		}
	}
	live, err := s.request(u.typ, bodyAs(u, text))
	if err != nil {
		return -1, err
	}
	for _, n := range open {
		m := &s.ms[n]
		if m.Type != u.typ {
			continue
		}
		text, was := s.bonds.strip(m.Type, m.Body.data)
		b := m.Body
		if was != "" {
			if b, err = b.with(text, ""); err != nil {
				return -1, err
			}
		}
		rec, err := s.request(m.Type, b)
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

// bodyAs is the body of u, with text in its place where that was changed.
func bodyAs(u *remark, text []byte) Body {
	if u.sum != nil {
		return Body{Size: u.size, sum: fmt.Sprintf("%x", u.sum.Sum(nil))}
	}
	return bodyOf(text)
}

// A dissected is a message taken apart as requests are.
type dissected struct {
	form  form
	atoms []atom
}

// request takes a message with the body b apart.
func (s *dialogue) request(t exchange.MessageType, b Body) (dissected, error) {
	r := s.asked(t)
	r.Body = b
	f, err := s.l.p.rules.formOf(&r)
	if err != nil {
		return dissected{}, err
	}
	atoms, err := s.l.p.rules.atomsOf(&r)
	return dissected{f, atoms}, err
}

// same says whether live is taken for rec. If so, what that takes is so from then on.
func (s *dialogue) same(rec, live dissected) bool {
	p := s.l.p
	p.mu.Lock()
	defer p.mu.Unlock()
	j := s.judge(live.form)
	if live.form.check != "" && !bodyFits(live.form.check, rec.form.text, live.form.text) {
		return false
	}
	if !j.try(rec.atoms, live.atoms) || p.opt.Match == MatchExact && !j.v.redacted && len(j.v.evidence) > 0 {
		return false
	}
	for mark, value := range j.v.marks {
		p.toLive[mark], p.toMark[value] = value, mark
	}
	for u, v := range j.v.names {
		p.name(u, v)
	}
	for _, e := range j.v.evidence {
		p.tally.Assumptions = append(p.tally.Assumptions, Assumption{messageMethod, socketURL(s.l.req.URL), e})
	}
	return true
}

// judge compares a message of the client's: what the server has said in this
// socket is known, what it will say is not. p.mu is held.
func (s *dialogue) judge(f form) *judge {
	j := s.l.p.judge(s.slot, f)
	said := j.said
	j.said = func(token string) (int, bool) {
		n, ok := said(token)
		if ok && n == s.slot.nth {
			return n - 1, s.spoken[token]
		}
		return n, ok
	}
	return j
}

// again says whether u is what the client has said before, as heartbeats are.
func (s *dialogue) again(u *remark) bool {
	for n, m := range s.ms {
		if s.heard[n] && m.Type == u.typ && m.Body.Size == u.size && u.sum == nil && bytes.Equal(m.Body.data, u.body) {
			return true
		}
	}
	return false
}

// refuse closes the socket of a client that says what is not recorded.
func (s *dialogue) refuse(u *remark, answer func(exchange.Event) error) error {
	p := s.l.p
	m := p.newMiss(s.y.o, &u.live)
	m.Cassette, m.Reason = p.c.Name, "the client says more than was recorded: "+inBrief(u.message())
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

// nearest is the first of the messages in open with u's type, and where u differs.
func (s *dialogue) nearest(u *remark, open []int) *exchange.Near {
	at := max(0, slices.IndexFunc(open, func(n int) bool { return s.ms[n].Type == u.typ }))
	m := &s.ms[open[at]]
	near := &exchange.Near{Method: messageMethod, URL: socketURL(s.slot.it.Request.URL), Recorded: 1}
	rec, err := s.request(m.Type, m.Body)
	live, err2 := s.request(u.typ, bodyAs(u, u.body))
	if err == nil && err2 == nil && m.Type == u.typ {
		p := s.l.p
		p.mu.Lock()
		near.Diffs = p.differAtoms(s.judge(live.form), rec.atoms, live.atoms, true)
		p.mu.Unlock()
	}
	if len(near.Diffs) == 0 {
		near.Diffs = []exchange.Diff{{At: "message", Recorded: inBrief(m), Live: inBrief(u.message())}}
	}
	return near
}

// message is u as one of a recording.
func (u *remark) message() *SocketMessage {
	return &SocketMessage{Type: u.typ, Message: Message{Body: Body{Size: u.size, data: u.body}}}
}

// inBrief is m in a few words.
func inBrief(m *SocketMessage) string {
	const most = 100
	if data := m.Body.data; m.Type == exchange.MessageText && utf8.Valid(data) && len(data) <= most {
		return string(data)
	}
	return fmt.Sprintf("%v message of %d bytes: %.*q", m.Type, m.Body.Size, most, m.Body.data[:min(most, len(m.Body.data))])
}

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
	text := string(data)
	for t := nextToken(text, 0); t.shape != ""; t = nextToken(text, t.to) {
		s.spoken[tokenKey(text[t.from:t.to], t.shape)] = true
	}
	said := s.bonds.rewrite(text)
	if to := s.l.p.bound(); to != nil {
		said = mapTokens(said, to)
	}
	if said == text {
		return b, nil
	}
	return bodyOf([]byte(said)), nil
}
