package mitm

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/ws"
)

// sockets speak WebSocket with the clients of a player, which knows messages
// only. They implement exchange.Play's Event.
type sockets struct {
	play func(exchange.Event, func(exchange.Event) error) error

	mu   sync.Mutex
	asks map[uint64]handshake
	open map[uint64]*socket
}

// newSockets speak for play.
func newSockets(play func(exchange.Event, func(exchange.Event) error) error) *sockets {
	return &sockets{play: play, asks: map[uint64]handshake{}, open: map[uint64]*socket{}}
}

// event takes what the client did.
func (s *sockets) event(e exchange.Event, answer func(exchange.Event) error) error {
	if e.Kind == exchange.KindHead {
		return s.begin(e, answer)
	}
	s.mu.Lock()
	h, asked := s.asks[e.Stream]
	k := s.open[e.Stream]
	s.mu.Unlock()
	if e.Kind == exchange.KindEnd && h.connect {
		defer s.forget(e.Stream)
	}
	switch {
	case !asked:
		return s.play(e, answer)
	case k == nil:
		return s.play(e, func(r exchange.Event) error { return s.answer(h, r, answer) })
	case e.Kind == exchange.KindData:
		return k.hear(e, answer)
	}
	return s.play(e, func(r exchange.Event) error { return k.say(r, answer) })
}

// begin takes a request's head, and ends the request of an extended CONNECT with it.
func (s *sockets) begin(e exchange.Event, answer func(exchange.Event) error) error {
	head, h, ok := handshakeOf(e.Head)
	if !ok {
		return s.play(e, answer)
	}
	e.Head = head
	s.mu.Lock()
	s.asks[e.Stream] = h
	s.mu.Unlock()
	say := func(r exchange.Event) error { return s.answer(h, r, answer) }
	err := s.play(e, say)
	if h.connect && err == nil {
		e.Kind, e.Head, e.End = exchange.KindEnd, nil, &exchange.End{}
		err = s.play(e, say)
	}
	if h.connect && err != nil {
		s.forget(e.Stream)
	}
	return err
}

// forget forgets a stream that is at its end.
func (s *sockets) forget(stream uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.asks, stream)
	delete(s.open, stream)
}

// answer passes on what the player answers a client that asked h for a socket.
func (s *sockets) answer(h handshake, r exchange.Event, answer func(exchange.Event) error) error {
	s.mu.Lock()
	k := s.open[r.Stream]
	s.mu.Unlock()
	if k != nil {
		return k.say(r, answer)
	}
	if r.Kind != exchange.KindHead || !r.Framed {
		return answer(r)
	}
	head, p := h.accept(r.Head)
	if r.Head = switching(head, h.key); h.connect {
		r.Head = asConnected(head)
	}
	s.mu.Lock()
	s.open[r.Stream] = newSocket(s.play, p)
	s.mu.Unlock()
	return answer(r)
}

// accept is the recorded answer recorded as one to h, and what it agrees to: the
// key is this client's, and so is the compression, as far as it was recorded.
func (h handshake) accept(recorded *exchange.Head) (*exchange.Head, *ws.Params) {
	head := *recorded
	head.Raw = nil
	head.Fields = slices.Clone(recorded.Fields)
	var answer *ws.Params
	if was, ok := agreed(recorded); ok && was != nil {
		answer = h.agree(*was)
	}
	head.Fields = slices.DeleteFunc(head.Fields, func(f exchange.Field) bool {
		return answer == nil && strings.EqualFold(f.Name, "sec-websocket-extensions")
	})
	for i := range head.Fields {
		switch strings.ToLower(head.Fields[i].Name) {
		case "sec-websocket-accept":
			head.Fields[i].Value = ws.Accept(h.key)
		case "sec-websocket-extensions":
			head.Fields[i].Value = answer.String()
		}
	}
	return &head, answer
}

// agree is an answer like was to the first offer of permessage-deflate in h, or
// nil if there is none.
func (h handshake) agree(was ws.Params) *ws.Params {
	xs, err := ws.Extensions(h.offers)
	if err != nil {
		return nil
	}
	for _, x := range xs {
		if offer, err := ws.ParseParams(x, true); err == nil && x.Name == ws.PermessageDeflate {
			return new(was.Answer(offer))
		}
	}
	return nil
}

// errViolation ends a session whose client broke the protocol, when it was told so.
var errViolation = errors.New("mitm: the client broke the WebSocket protocol")

// A socket is the server's end of one WebSocket.
type socket struct {
	play   func(exchange.Event, func(exchange.Event) error) error
	ear    listener
	mouth  ws.Encoder
	out    []byte
	open   bool // a message was begun and has frames to come
	closed bool // a close frame was sent
}

// newSocket is a socket that speaks for play, under p.
func newSocket(play func(exchange.Event, func(exchange.Event) error) error, p *ws.Params) *socket {
	k := &socket{play: play, ear: listeners(p)[exchange.Client]}
	if p != nil {
		k.mouth.Deflate = ws.NewDeflater(p.Server())
	}
	return k
}

// hear tells the player what the client said. A ping is answered here, with a
// pong: whether a client asks if the line is alive depends on time, not on what
// it does, and so does what it answers to a ping.
func (k *socket) hear(e exchange.Event, answer func(exchange.Event) error) error {
	var err error
	say := func(r exchange.Event) error { return k.say(r, answer) }
	k.ear.data(e, func(e exchange.Event) {
		switch {
		case err != nil:
		case e.Kind == exchange.KindData:
			err = k.violated(e, answer)
		case e.Message.Type == exchange.MessagePing:
			m := *e.Message
			m.Type = exchange.MessagePong
			err = k.say(exchange.Event{Stream: e.Stream, From: exchange.Server, Kind: exchange.KindMessage, Message: &m, Data: e.Data}, answer)
		case e.Message.Type != exchange.MessagePong:
			err = k.play(e, say)
		}
	})
	return err
}

// violated closes a socket whose client sent what is no WebSocket.
func (k *socket) violated(e exchange.Event, answer func(exchange.Event) error) error {
	why := ws.Error{Code: ws.CodeProtocol}
	if v := new(ws.Error); errors.As(k.ear.r.Close(), &v) {
		why = *v
	}
	m := exchange.Message{Type: exchange.MessageClose, Frame: true, Fin: true, Last: true, Code: uint16(why.Code), Reason: why.Why}
	e.From, e.Kind, e.Message, e.Data = exchange.Server, exchange.KindMessage, &m, nil
	if err := k.say(e, answer); err != nil {
		return err
	}
	e.Kind, e.Message, e.End = exchange.KindEnd, nil, &exchange.End{}
	if err := answer(e); err != nil {
		return err
	}
	return errViolation
}

// say sends what the player answers. Behind a close frame nothing is sent.
func (k *socket) say(r exchange.Event, answer func(exchange.Event) error) error {
	if r.Kind != exchange.KindMessage {
		return answer(r)
	}
	if k.closed {
		return nil
	}
	out, err := k.print(k.out[:0], r.Message, r.Data)
	if err != nil {
		return err
	}
	k.out, k.closed = out, r.Message.Type == exchange.MessageClose
	r.Kind, r.Message, r.Data = exchange.KindData, nil, out
	return answer(r)
}

// print appends m, of which data is the next piece, as it is sent. What is
// compressed has a frame for each piece, since its size is not known before.
func (k *socket) print(dst []byte, m *exchange.Message, data []byte) ([]byte, error) {
	op := opcodeOf(m.Type)
	switch {
	case m.Type == exchange.MessageClose:
		return k.printClose(dst, ws.Code(m.Code), m.Reason)
	case op.Control():
		return k.mouth.Control(dst, op, data)
	case k.mouth.Deflate != nil:
		return k.mouth.Append(dst, op, true, m.Last, data)
	}
	if m.Frame {
		if k.open {
			op = ws.Continuation
		}
		k.open = !m.Fin
		dst = ws.AppendHeader(dst, ws.Header{Fin: m.Fin, Opcode: op, Length: uint64(m.Size)})
	}
	return append(dst, data...), nil
}

// printClose appends a close frame. A reason that is too long for one is cut.
func (k *socket) printClose(dst []byte, code ws.Code, reason string) ([]byte, error) {
	if len(reason) > ws.MaxReason {
		reason = strings.ToValidUTF8(reason[:ws.MaxReason], "")
	}
	payload, err := ws.AppendClose(nil, code, reason)
	if err != nil {
		return dst, err
	}
	return k.mouth.Control(dst, ws.Close, payload)
}
