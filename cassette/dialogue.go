package cassette

import (
	"fmt"
	"io"

	"github.com/serge-net/serge-net/exchange"
)

// A dialogue is a WebSocket while it is played. It is one of two ways to play an
// upgraded stream; the other is talk.
type dialogue struct {
	scene
	ms   []SocketMessage // those that are played: the cues
	ends *SocketClose

	in     *remark
	bonds  bonds
	closes bool // a close frame was sent
	ended  bool

	pick    *pick // how it came to be played
	decided bool  // the client has said which it is
}

// newDialogue plays the WebSocket that k is to l.
func newDialogue(y *play, l *live, k *pick, it *Interaction) *dialogue {
	c := &dialogue{scene: newScene(y, l, k.slot), pick: k}
	c.scene.asked, c.scene.say, c.scene.finish = c.asked, c.sayMessage, c.finish
	c.bonds = newBonds(it.Response.Fields)
	c.bonds.beats = beatsOf(it.Request.URL, it.Response.Fields)
	c.stage(c.script(it))
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

// stage has s play ms, and end as ends says.
func (s *dialogue) stage(ms []SocketMessage, ends *SocketClose) {
	s.ms, s.ends, s.cues, s.done = ms, ends, make([]cue, len(ms)), make([]bool, len(ms))
	for n, m := range ms {
		s.cues[n] = cue{m.From, m.Type.String(), m.Body, m.At}
	}
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
		s.in = s.begin(e.Message.Type.String())
	}
	s.in.add(e.Data)
	if !e.Message.Last {
		return nil
	}
	u := s.in
	s.in = nil
	return s.hear(u, answer)
}

// asked is the request, without its body, that a message is matched as.
func (s *dialogue) asked(what string) Request {
	r := Request{Method: messageMethod, URL: socketURL(s.l.req.URL), Version: s.l.version}
	if what == exchange.MessageText.String() {
		r.Fields = []exchange.Field{{Name: "content-type", Value: "application/json"}}
	}
	return r
}

// hear takes u, which is whole, for a recorded message, and says what follows.
func (s *dialogue) hear(u *remark, answer func(exchange.Event) error) error {
	t := u.messageType()
	if kind, reply := s.bonds.beats.of(t, u.body); kind != notBeat {
		if kind == beatAsks {
			return s.sayPart(&SocketMessage{Type: t, Message: Message{Body: bodyOf(reply)}}, answer)
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
		return s.hears(n, answer)
	case s.again(u):
		return nil
	}
	return s.refuse(u, answer)
}

// sayMessage tells the client message n.
func (s *dialogue) sayMessage(n int, answer func(exchange.Event) error) error {
	return s.sayPart(&s.ms[n], answer)
}

// sayPart tells the client m, with what was bound in the place of what was recorded.
func (s *dialogue) sayPart(m *SocketMessage, answer func(exchange.Event) error) error {
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
	if p := s.l.p; !s.decided {
		p.mu.Lock()
		p.cast.forget(s.pick)
		p.mu.Unlock()
	}
	s.scene.leave()
}

// end ends the server's half, once.
func (s *dialogue) end(end exchange.End, answer func(exchange.Event) error) error {
	if s.ended {
		return nil
	}
	s.ended = true
	return answer(s.l.event(end))
}
