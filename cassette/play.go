package cassette

import (
	"slices"
	"strings"
	"sync"

	"github.com/serge-net/serge-net/exchange"
)

// play answers one connection.
type play struct {
	// of are the players of an exchange, the second for what the first has no
	// answer to, or why it has none.
	of func(o exchange.Origin, h *exchange.Head) (first, then *Player, why string)
	o  exchange.Origin

	mu      sync.Mutex
	streams map[uint64]*live
}

// Close forgets what was going on.
func (y *play) Close() {
	y.mu.Lock()
	defer y.mu.Unlock()
	for id, l := range y.streams {
		l.leave()
		delete(y.streams, id)
	}
}

// Event takes what the client did, and answers when it has asked.
func (y *play) Event(e exchange.Event, answer func(exchange.Event) error) error {
	if e.From != exchange.Client {
		return nil
	}
	if e.Kind == exchange.KindHead {
		l, err := y.begin(e)
		if err != nil {
			return err
		}
		if isRaw(e.Head) {
			return y.converse(l, e.Head, answer)
		}
		return y.early(l, answer)
	}
	y.mu.Lock()
	l := y.streams[e.Stream]
	y.mu.Unlock()
	if l == nil {
		return nil
	}
	if l.conversation != nil {
		return l.conversation.event(e, answer)
	}
	switch e.Kind {
	case exchange.KindMessage, exchange.KindWait:
		switch {
		case l.dialogue != nil:
			return l.dialogue.event(e, answer)
		case l.duplex != nil:
			return y.settled(l, l.duplex.wake(answer))
		}
	case exchange.KindData:
		if l.talk != nil {
			return y.hear(l, e.Data, answer)
		}
		if c := l.duplex; c != nil {
			err := c.hear(e.Data, answer)
			if err != nil || c.ended || l.duplex != nil && c.begun {
				return y.settled(l, err) // what came before is not asked for any more
			}
		}
		l.add(e.Data)
	case exchange.KindEnd:
		return y.end(l, e.End, answer)
	}
	return nil
}

// begin starts an exchange. The error is a miss, if nobody is there to answer it.
func (y *play) begin(e exchange.Event) (*live, error) {
	h := e.Head
	l := &live{stream: e.Stream, version: h.Version}
	l.req = Request{Method: h.Method, URL: escape(printable(y.o.URL(h))), Version: h.Version}
	if target := escape(h.Target); !strings.HasSuffix(l.req.URL, target) || !strings.HasPrefix(h.Target, "/") {
		l.req.Target = target
	}
	l.req.Fields = make([]exchange.Field, len(h.Fields))
	for i, f := range h.Fields {
		l.req.Fields[i] = exchange.Field{Name: f.Name, Value: escape(f.Value)}
	}
	var why string
	if l.p, l.then, why = y.of(y.o, h); why != "" {
		m := &exchange.Miss{Method: l.req.Method, URL: l.req.URL, Caller: y.o.Caller, Reason: why}
		m.Asked(l.req.Fields)
		return nil, m
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	y.streams[e.Stream] = l
	return l, nil
}

// early answers what cannot wait for the request's end: a client that waits
// for leave to send its body, or offers to upgrade, or may send and be answered
// by turns, of whose route nothing is recorded.
func (y *play) early(l *live, answer func(exchange.Event) error) error {
	if err := y.beginDuplex(l, answer); err != nil || l.duplex != nil {
		return y.settled(l, err)
	}
	_, upgrade := exchange.Get(l.req.Fields, "upgrade")
	streams := l.streams() && !l.p.whole[l.req.URL]
	if !expects(&l.req) && !upgrade && l.req.Method != "CONNECT" && !streams {
		return nil
	}
	f, same, err := l.sameRoute()
	if err != nil {
		return err
	}
	switch {
	case streams && len(same) == 0:
		y.drop(l)
		return l.p.miss(y.o, l, f)
	case expects(&l.req):
		if leave, ok := l.p.leave(same); ok {
			l.interim = true
			leave.Fields = l.p.fill(leave.Fields)
			return answer(leave.event(l))
		}
		if len(same) == 0 { // it waits: better a miss now
			y.drop(l)
			return l.p.miss(y.o, l, f)
		}
		// Its origin refused before the body came: so do we, if none was recorded.
		bare := slices.ContainsFunc(same, func(s *slot) bool { return s.it.Request.Body.Size == 0 })
		return y.tryNow(l, bare, answer)
	case y.stranger(l, same):
		m := l.p.newMiss(y.o, l)
		m.Cassette, m.Reason = "", "a WebSocket that was recorded byte by byte: its messages are masked with another key"
		y.drop(l)
		return m
	case upgrade || l.req.Method == "CONNECT":
		turns := slices.ContainsFunc(same, func(s *slot) bool {
			r := s.it.Response
			return r != nil && upgrades(&exchange.Head{Method: l.req.Method}, r.Status)
		})
		_, length := exchange.Get(l.req.Fields, "content-length")
		return y.tryNow(l, turns && !length, answer)
	}
	return nil
}

// ofRoute are recordings of f's route.
func (p *Player) ofRoute(f form) ([]*slot, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	same, _, err := p.index.route(&f)
	return same, err
}

// stranger says whether l is a WebSocket's handshake whose key none of same has.
// What was answered to theirs is no answer to it (RFC 6455 section 4.2.2), and
// its frames are masked otherwise.
func (y *play) stranger(l *live, same []*slot) bool {
	const name = "sec-websocket-key"
	key, ok := exchange.Get(l.req.Fields, name)
	return ok && len(same) > 0 && !slices.ContainsFunc(same, func(s *slot) bool {
		if s.it.WebSocket != nil {
			return true
		}
		theirs, _ := exchange.Get(s.it.Request.Fields, name)
		return theirs == key
	})
}

// tryNow answers by the head alone, if worth and if something matches.
func (y *play) tryNow(l *live, worth bool, answer func(exchange.Event) error) error {
	if !worth {
		return nil
	}
	k, _, err := l.claim()
	if err != nil {
		return err
	}
	if k == nil {
		return nil
	}
	return y.serve(l, k, answer)
}

// leave is the 100 that one of same was recorded with, or one in its place where
// none could be recorded: the recorded client did not wait, or did so over a
// protocol in which leave is not told.
func (p *Player) leave(same []*slot) (Interim, bool) {
	plain := false
	for _, s := range same {
		r := s.it.Response
		if r == nil {
			continue
		}
		if i := slices.IndexFunc(r.Informational, func(i Interim) bool { return i.Status == 100 }); i >= 0 {
			return r.Informational[i], true
		}
		plain = plain || r.Status < 400 && (!expects(&s.it.Request) || !strings.HasPrefix(s.it.Request.Version, "1"))
	}
	return Interim{Status: 100, Reason: "Continue"}, plain
}

// event is i for l.
func (i Interim) event(l *live) exchange.Event {
	h := &exchange.Head{Status: i.Status, Reason: i.Reason, Version: l.version, Fields: i.Fields}
	return exchange.Event{Stream: l.stream, From: exchange.Server, Kind: exchange.KindHead, Head: translated(h, l.version)}
}

// end is the end of a request, or of the client's half of an upgraded stream.
func (y *play) end(l *live, e *exchange.End, answer func(exchange.Event) error) error {
	l.ends++
	switch {
	case e.How != exchange.Complete:
		if l.duplex != nil {
			l.duplex.leave()
		}
		y.drop(l)
		return nil
	case l.talk != nil && l.ends > 1:
		defer y.drop(l)
		return l.talk.finish(l, answer)
	case l.dialogue != nil && l.ends > 1:
		defer y.drop(l)
		return l.dialogue.end(exchange.End{}, answer)
	case l.duplex != nil:
		if err := l.duplex.over(answer); err != nil || l.duplex != nil {
			return y.settled(l, err)
		}
	case l.answered:
		if l.talk == nil && l.dialogue == nil {
			y.drop(l)
		}
		return nil
	}
	k, f, err := l.claim()
	if err != nil {
		return err
	}
	if k == nil {
		k, err = l.p.consult(l, f)
	}
	if k == nil {
		y.drop(l)
		m := l.p.miss(y.o, l, f)
		if err != nil {
			m.Reason = err.Error()
		}
		return m
	}
	err = y.serve(l, k, answer)
	if err != nil || l.talk == nil && l.dialogue == nil {
		y.drop(l)
	}
	return err
}

// drop forgets l.
func (y *play) drop(l *live) {
	y.mu.Lock()
	defer y.mu.Unlock()
	l.leave()
	delete(y.streams, l.stream)
}

// hear compares what the client says in an upgraded stream with what was
// recorded, and says what follows.
func (y *play) hear(l *live, b []byte, answer func(exchange.Event) error) error {
	same, err := l.talk.hear(b)
	if err != nil {
		return err
	}
	if !same {
		m := l.p.newMiss(y.o, l)
		m.Reason = l.p.told(l.talk.difference())
		y.drop(l)
		if err := answer(l.event(exchange.End{How: exchange.Reset, Err: m.Reason})); err != nil {
			return err
		}
		return m
	}
	return l.talk.speak(l, answer)
}
