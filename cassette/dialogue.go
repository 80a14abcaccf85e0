package cassette

import (
	"fmt"
	"io"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// stallAfter is how long a client may take for what is due, beside the time that
// it took when recorded, until it is told what it is.
const stallAfter = 10 * time.Second

// A dialogue is a WebSocket while it is played: what the server said is said again
// when the client has said all that it had said before. It is one of two ways to
// play an upgraded stream; the other is talk.
type dialogue struct {
	y    *play
	l    *live
	slot *slot
	ms   []SocketMessage // those that are played
	ends *SocketClose
	pace float64 // how much of the recorded time passes, 0 for none

	next   int    // the message that is due
	heard  []bool // which of ms the client has said
	in     *remark
	bonds  bonds
	spoken map[string]bool // random values in what was said to the client
	at     time.Duration   // what was said last, as recorded
	since  time.Time       // and when in this run
	closes bool            // a close frame was sent
	ended  bool
	left   bool // leave was called

	pick    *pick // how it came to be played
	decided bool  // the client has said which it is
}

// An remark is a message of the client that comes in.
type remark struct {
	live
	typ exchange.MessageType
}

// newDialogue plays the WebSocket that k is to l.
func newDialogue(y *play, l *live, k *pick, it *Interaction) *dialogue {
	c := &dialogue{y: y, l: l, pick: k, slot: k.slot, pace: l.p.opt.Latency.Scale, since: time.Now(), spoken: map[string]bool{}}
	c.bonds = newBonds(it.Response.Fields)
	c.bonds.beats = beatsOf(it.Request.URL, it.Response.Fields)
	c.ms, c.ends = c.script(it)
	c.heard = make([]bool, len(c.ms))
	return c
}

// script is what of it is played, and how it ends.
func (s *dialogue) script(it *Interaction) (ms []SocketMessage, ends *SocketClose) {
	broken := false
	ms = make([]SocketMessage, 0, len(it.WebSocket.Messages))
	for _, m := range it.WebSocket.Messages {
		if m.Foreign && m.From == exchange.Client {
			broken = true
		}
		if s.plays(m, s.bonds.beats) {
			ms = append(ms, m)
		}
	}
	if broken {
		return ms, nil // it is closed by who notices that
	}
	return ms, it.WebSocket.Close
}

// plays says whether m is said, or waited for. Pings of the server are sent where
// time passes, and pongs never: pings are answered as they come, and so are the
// heartbeats of a protocol.
func (s *dialogue) plays(m SocketMessage, beats beats) bool {
	switch {
	case m.Type.Control():
		return m.From == exchange.Server && m.Type == exchange.MessagePing && s.pace > 0
	case m.From == exchange.Client && (m.Foreign || m.End != exchange.Complete):
		return false
	}
	kind, _ := beats.of(m.Type, m.Body.data)
	return kind == notBeat || kind == beatAsks && m.From == exchange.Server
}

// event takes a piece of a message, or that it is time for something.
func (s *dialogue) event(e exchange.Event, answer func(exchange.Event) error) error {
	switch {
	case s.ended:
		return nil
	case e.Kind == exchange.KindWait:
		return s.wake(answer)
	case e.Kind != exchange.KindMessage:
		return nil
	case e.Message.Type == exchange.MessageClose:
		return s.closed(e.Message, answer)
	}
	if s.in == nil {
		s.in = s.begin(e.Message.Type)
	}
	s.in.add(e.Data)
	if !e.Message.Last {
		return nil
	}
	u := s.in
	s.in = nil
	return s.hear(u, answer)
}

// begin starts to take a message in. As a request it is one of the method
// MESSAGE, which is what rules call it.
func (s *dialogue) begin(t exchange.MessageType) *remark {
	return &remark{typ: t, live: live{p: s.l.p, stream: s.l.stream, req: s.asked(t)}}
}

// asked is the request, without its body, that a message is matched as.
func (s *dialogue) asked(t exchange.MessageType) Request {
	r := Request{Method: messageMethod, URL: socketURL(s.l.req.URL), Version: s.l.version}
	if t == exchange.MessageText {
		r.Fields = []exchange.Field{{Name: "content-type", Value: "application/json"}}
	}
	return r
}

// messageMethod is the method of the requests that messages are matched as.
const messageMethod = "MESSAGE"

// hear takes u, which is whole, for a recorded message, and says what follows.
func (s *dialogue) hear(u *remark, answer func(exchange.Event) error) error {
	if kind, reply := s.bonds.beats.of(u.typ, u.body); kind != notBeat {
		if kind == beatAsks {
			return s.say(&SocketMessage{Type: u.typ, Message: Message{Body: bodyOf(reply)}}, answer)
		}
		return nil
	}
	match := s.match
	if !s.decided {
		match = s.decide
	}
	n, err := match(u)
	switch {
	case err != nil:
		return err
	case n >= 0:
		s.heard[n] = true
		s.passed(&s.ms[n])
		return s.speak(answer)
	case s.again(u):
		return nil
	}
	return s.refuse(u, answer)
}

// passed notes that m was said now.
func (s *dialogue) passed(m *SocketMessage) { s.at, s.since = max(s.at, m.At), time.Now() }

// speak says what is due, up to what the client has to say before, and asks to be
// called when it is time for more.
func (s *dialogue) speak(answer func(exchange.Event) error) error {
	for ; s.next < len(s.ms); s.next++ {
		switch m := &s.ms[s.next]; {
		case m.From == exchange.Client && !s.heard[s.next]:
			return answer(s.wait(stallAfter + max(m.At-s.at, 0)))
		case m.From == exchange.Client:
		default:
			if d := s.until(m.At); d > 0 {
				return answer(s.wait(d))
			}
			s.passed(m)
			if err := s.say(m, answer); err != nil {
				return err
			}
		}
	}
	return s.finish(answer)
}

// until is how long to wait for what was said at.
func (s *dialogue) until(at time.Duration) time.Duration {
	return time.Until(s.since.Add(time.Duration(s.pace * float64(at-s.at))))
}

// wait asks to be called after d, or not at all if that is 0.
func (s *dialogue) wait(d time.Duration) exchange.Event {
	return exchange.Event{Stream: s.l.stream, From: exchange.Client, Kind: exchange.KindWait, Pause: d}
}

// wake goes on after a pause, or tells that the client says nothing.
func (s *dialogue) wake(answer func(exchange.Event) error) error {
	if s.next == len(s.ms) || s.ms[s.next].From == exchange.Server {
		return s.speak(answer)
	}
	m := &exchange.Miss{Method: messageMethod, URL: socketURL(s.l.req.URL), Caller: s.y.o.Caller}
	m.Reason = fmt.Sprintf("stalled: for %v the client has not said what it said next when recorded: %s",
		time.Since(s.since).Round(time.Second), inBrief(&s.ms[s.next]))
	return m
}

// say tells the client m, with what was bound in the place of what was recorded.
func (s *dialogue) say(m *SocketMessage, answer func(exchange.Event) error) error {
	b, err := s.bound(m)
	if err != nil {
		return err
	}
	r, err := b.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	frames, came := m.frames(b.Size)
	buf := make([]byte, min(pieceSize, b.Size))
	for n, f := range frames {
		last := n == len(frames)-1 && m.End == exchange.Complete
		head := exchange.Message{Type: m.Type, Frame: true, Fin: f.Fin, Size: f.Size}
		for left := came[n]; head.Frame || left > 0; head.Frame = false {
			k, err := io.ReadFull(r, buf[:min(left, int64(len(buf)))])
			if err != nil {
				return fmt.Errorf("read message: %w", err)
			}
			left -= int64(k)
			e := exchange.Event{Stream: s.l.stream, From: exchange.Server, Kind: exchange.KindMessage, Data: buf[:k]}
			piece := head
			piece.Last = last && left == 0
			if e.Message = &piece; m.Foreign {
				e.Kind, e.Message = exchange.KindData, nil
			}
			if err := answer(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// total is the sum of ns.
func total(ns []int64) int64 {
	var sum int64
	for _, n := range ns {
		sum += n
	}
	return sum
}

// finish ends the socket as its server did, if it was its server.
func (s *dialogue) finish(answer func(exchange.Event) error) error {
	c := s.ends
	if c == nil || c.From == exchange.Client || s.closes {
		return answer(s.wait(0))
	}
	if d := s.until(c.At); d > 0 {
		return answer(s.wait(d))
	}
	if c.Code == codeAbnormal {
		return s.end(exchange.End{How: s.slot.it.Response.End, Code: s.slot.it.Response.EndCode}, answer)
	}
	return s.close(c.Code, expand(c.Reason, s.l.p.value), answer)
}

// closed answers a close frame of the client, and ends the socket.
func (s *dialogue) closed(m *exchange.Message, answer func(exchange.Event) error) error {
	if c := s.ends; !s.closes {
		code, reason := m.Code, m.Reason
		if c != nil && c.From == exchange.Client && c.ReplyCode != 0 {
			code, reason = c.ReplyCode, expand(c.ReplyReason, s.l.p.value)
		}
		if err := s.close(code, reason, answer); err != nil {
			return err
		}
	}
	return s.end(exchange.End{}, answer)
}

// close sends a close frame.
func (s *dialogue) close(code uint16, reason string, answer func(exchange.Event) error) error {
	s.closes = true
	m := &exchange.Message{Type: exchange.MessageClose, Frame: true, Fin: true, Last: true, Code: code, Reason: reason}
	if err := answer(exchange.Event{Stream: s.l.stream, From: exchange.Server, Kind: exchange.KindMessage, Message: m}); err != nil {
		return err
	}
	return answer(s.wait(0))
}

// leave notes, once, what was not said when the socket ended. A nil dialogue is none.
func (s *dialogue) leave() {
	if s == nil || s.left {
		return
	}
	s.left = true
	if p := s.l.p; !s.decided {
		p.mu.Lock()
		p.cast.forget(s.pick)
		p.mu.Unlock()
	}
	rest, first := 0, 0
	for n := s.next; n < len(s.ms); n++ {
		if s.heard[n] {
			continue
		}
		if rest++; rest == 1 {
			first = n
		}
	}
	if rest == 0 {
		return
	}
	p := s.l.p
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tally.Unsaid = append(p.tally.Unsaid, Assumption{messageMethod, socketURL(s.l.req.URL), fmt.Sprintf("%d of %d recorded messages were not said, from this on: %s", rest, len(s.ms), inBrief(&s.ms[first]))})
}

// end ends the server's half, once.
func (s *dialogue) end(end exchange.End, answer func(exchange.Event) error) error {
	if s.ended {
		return nil
	}
	s.ended = true
	return answer(s.l.event(end))
}
