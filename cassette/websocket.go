package cassette

import (
	"slices"
	"time"

	"github.com/serge-net/serge-net/cassette/secret"
	"github.com/serge-net/serge-net/exchange"
)

// A WebSocket is what passed on a stream that is one: an ordered script with two
// lanes, the client's and the server's.
type WebSocket struct {
	Messages []SocketMessage
	Close    *SocketClose // nil: it was open when the recording ended
}

// A SocketMessage is a message of a WebSocket, in the place where it began.
type SocketMessage struct {
	Message // From, Body, and End: not Complete if the message was cut
	Type    exchange.MessageType
	Foreign bool          // it is no message but what is no WebSocket, as it came
	At      time.Duration // since the response's head
	// Fragments are the sizes of its frames in bytes, before they were compressed,
	// where it had several.
	Fragments []int64
	// Cut is the last frame of a message that has no end; nil if its size is not
	// known, as where frames are compressed.
	Cut *Frame
}

// A Frame is how a frame of a WebSocket was announced.
type Frame struct {
	Size int64 // in bytes, of which all or some came
	Fin  bool  // it was the last of its message
}

// A SocketClose is how a WebSocket ended.
type SocketClose struct {
	From   exchange.Side // who began it
	At     time.Duration // since the response's head
	Code   uint16        // RFC 6455, section 7.4: 1005 without one, 1006 without a close frame
	Reason string        // in the cassette's form, with placeholders
	Clean  bool          // the other end sent a close frame as well
	// ReplyCode and ReplyReason are what it sent, where that is not the same. 0: it is.
	ReplyCode   uint16
	ReplyReason string
}

// codeAbnormal is the code of an end without a close frame (RFC 6455, section 7.1.5).
const codeAbnormal = 1006

// A socket is a WebSocket while it is put together.
type socket struct {
	said   []partial
	open   [2]int // index in said of the message that is open, by side, and 1 more
	closes *SocketClose
	ended  [2]bool // by side: it was seen to end
}

// A partial is a message while it is put together.
type partial struct {
	SocketMessage
	side  side
	frame int64 // bytes of the frame that is open
	begun *Frame
}

// message records e, a piece of a message, without its secrets. What may begin
// one is held back until the next piece.
func (w *watch) message(e exchange.Event) {
	m := *e.Message
	m.Reason = w.r.hide.text(m.Reason)
	if w.r.hide == nil || m.Type == exchange.MessagePing || m.Type == exchange.MessagePong {
		w.said(e, &m, e.Data, false)
		return
	}
	if m.Type == exchange.MessageClose {
		w.hush(e) // it may cut a message
		w.said(e, &m, nil, false)
		return
	}
	k := sieveKey{e.Stream, e.From}
	if w.voices[k] == nil {
		w.voices[k] = w.r.hide.set.Stream()
	}
	text, marked := w.decided(w.voices[k], e.Data, m.Last)
	if m.Last {
		delete(w.voices, k)
	}
	w.said(e, &m, text, marked)
}

// hush records what is held back of a message that e cuts.
func (w *watch) hush(e exchange.Event) {
	k := sieveKey{e.Stream, e.From}
	if v := w.voices[k]; v != nil {
		delete(w.voices, k)
		text, marked := w.decided(v, nil, true)
		w.said(e, &exchange.Message{Type: exchange.MessageText}, text, marked)
	}
}

// decided is what v knows of data and what was held back before it, with
// placeholders if it is marked.
func (w *watch) decided(v *secret.Stream, data []byte, final bool) (out []byte, marked bool) {
	v.Next(data, final, func(text []byte, f *secret.Finding) {
		if f != nil {
			text, marked = []byte(w.r.hide.mark(*f)), true
		}
		out = append(out, text...)
	})
	return out, marked
}

// said writes a piece of m, which came with e.
func (w *watch) said(e exchange.Event, m *exchange.Message, data []byte, marked bool) {
	for first := true; first || len(data) > 0; first = false {
		n := min(len(data), recordMost)
		w.begin(recMessage, e)
		w.pen.num(uint64(m.Type))
		w.pen.num(announced(m, first))
		w.pen.flag(m.Last && n == len(data))
		w.pen.flag(marked)
		w.pen.num(uint64(m.Code))
		w.pen.str(m.Reason)
		w.pen.b = append(w.pen.b, data[:n]...)
		w.pen.end()
		data = data[n:]
	}
}

// announced is the frame that begins with a piece of m, as a number: 0 is none, 1
// is one of a size that is not known.
func announced(m *exchange.Message, first bool) uint64 {
	switch {
	case !first || !m.Frame:
		return 0
	case m.Size < 0:
		return 1
	case m.Fin:
		return uint64(m.Size)<<1 + 3
	}
	return uint64(m.Size)<<1 + 2
}

// message reads what watch.said wrote, but for the data behind it.
func (e *eye) message() (m *exchange.Message, marked bool) {
	m = &exchange.Message{Type: exchange.MessageType(min(e.num(), uint64(exchange.MessageClose))), Size: -1}
	frame := e.num()
	if m.Frame = frame > 0; frame > 1 {
		m.Size, m.Fin = int64(frame>>1)-1, frame&1 == 1
	}
	m.Last = e.num() == 1
	marked = e.num() == 1
	m.Code, m.Reason = uint16(e.num()), e.str()
	return m, marked
}

// add takes in a piece of a message that from sent, with its data in the journal.
func (s *socket) add(from exchange.Side, m *exchange.Message, marked bool, data segment, at time.Duration) {
	if m.Type == exchange.MessageClose {
		s.close(from, m, at)
		return
	}
	n := len(s.said)
	if open := s.open[from]; open > 0 && !m.Type.Control() {
		n = open - 1
	} else {
		s.said = append(s.said, partial{SocketMessage: SocketMessage{Message: Message{From: from, End: exchange.Truncated}, Type: m.Type, At: at}})
		if !m.Type.Control() {
			s.open[from] = n + 1
		}
	}
	k := &s.said[n]
	if m.Frame && len(k.side.segments) > 0 {
		k.fragment()
	}
	if m.Frame {
		if k.begun = nil; m.Size >= 0 {
			k.begun = &Frame{m.Size, m.Fin}
		}
	}
	if data.n > 0 || m.Frame {
		k.side.segments = append(k.side.segments, data)
	}
	k.side.marked = k.side.marked || marked
	k.side.size, k.frame = k.side.size+data.n, k.frame+data.n
	if !m.Last {
		return
	}
	k.End = exchange.Complete
	if k.Fragments != nil {
		k.fragment()
	}
	if !m.Type.Control() {
		s.open[from] = 0
	}
}

// fragment ends a frame of k. What came of it by now may be less than its size:
// what may begin a secret is held back.
func (k *partial) fragment() {
	if k.begun != nil {
		k.frame = k.begun.Size
	}
	k.Fragments, k.frame = append(k.Fragments, k.frame), 0
}

// cut notes what is known of the frame that is the last of a message without an end.
func (k *partial) cut() {
	if k.side.marked {
		return
	}
	if k.Cut = k.begun; k.Fragments != nil {
		k.Fragments = append(k.Fragments, k.side.size-total(k.Fragments))
	}
}

// foreign takes in what is no WebSocket.
func (s *socket) foreign(from exchange.Side, data segment, at time.Duration) {
	if data.n == 0 && from == exchange.Server {
		return // of a client, it tells where the server left it
	}
	n := len(s.said)
	if n == 0 || !s.said[n-1].Foreign || s.said[n-1].From != from {
		s.said = append(s.said, partial{SocketMessage: SocketMessage{Message: Message{From: from}, Foreign: true, At: at}})
		n++
	}
	k := &s.said[n-1]
	k.side.segments, k.side.size = append(k.side.segments, data), k.side.size+data.n
}

// close takes a close frame in.
func (s *socket) close(from exchange.Side, m *exchange.Message, at time.Duration) {
	switch c := s.closes; {
	case c == nil:
		s.closes = &SocketClose{From: from, At: at, Code: m.Code, Reason: m.Reason}
	case c.From != from:
		c.Clean = true
		if m.Code != c.Code || m.Reason != c.Reason {
			c.ReplyCode, c.ReplyReason = m.Code, m.Reason
		}
	}
}

// webSocket is what was put together of k.
func (t *tape) webSocket(k *take) (*WebSocket, error) {
	w := &WebSocket{Close: k.socket.closes}
	for n := range k.socket.said {
		s := &k.socket.said[n]
		whole, err := t.whole(&s.side)
		if err != nil {
			return nil, err
		}
		s.Body = whole
		if s.End != exchange.Complete && !s.Foreign {
			s.cut()
		}
		w.Messages = append(w.Messages, s.SocketMessage)
	}
	if by, ended := k.leftBy(); w.Close == nil && ended {
		w.Close = &SocketClose{From: by, At: max(k.sides[by].endAt-k.headAt, 0), Code: codeAbnormal}
	}
	return w, nil
}

// leftBy is who ended a WebSocket first, and whether anybody was seen to.
func (k *take) leftBy() (exchange.Side, bool) {
	ended := k.socket.ended
	if by := k.closedBy(); ended[exchange.Client] && ended[exchange.Server] {
		return by, true
	}
	if ended[exchange.Server] {
		return exchange.Server, true
	}
	return exchange.Client, ended[exchange.Client]
}

// kind is the word for what i is.
func (i *Interaction) kind() string {
	switch {
	case i.WebSocket != nil:
		return "websocket"
	case i.Converses():
		return "tcp"
	case i.Call != nil:
		return "grpc"
	}
	return "http"
}

// Passed is what was said after an upgrade, but for messages of control: of a
// WebSocket message by message.
func (i *Interaction) Passed() []Message {
	if i.WebSocket == nil {
		return i.Upgraded
	}
	var out []Message
	for _, m := range i.WebSocket.Messages {
		if !m.Type.Control() {
			out = append(out, m.Message)
		}
	}
	return out
}

// lane is the messages that from sent, those of control left out.
func (w *WebSocket) lane(from exchange.Side) []SocketMessage {
	var out []SocketMessage
	for _, m := range w.Messages {
		if m.From == from && !m.Type.Control() {
			out = append(out, m)
		}
	}
	return out
}

// sockets says whether both sides said the same and ended alike. Which of the
// two spoke first is chance, and so are pings and when things were said.
func (t *trial) sockets(a, b *WebSocket) bool {
	if a == nil || b == nil {
		return a == b
	}
	for _, side := range []exchange.Side{exchange.Client, exchange.Server} {
		if !slices.EqualFunc(a.lane(side), b.lane(side), func(x, y SocketMessage) bool {
			return x.Type == y.Type && x.End == y.End && x.Foreign == y.Foreign && (x.Cut == y.Cut || x.Cut != nil && y.Cut != nil && *x.Cut == *y.Cut) && t.pieces([]Message{x.Message}, []Message{y.Message})
		}) {
			return false
		}
	}
	if a.Close == nil || b.Close == nil {
		return a.Close == b.Close
	}
	x, y := *a.Close, *b.Close
	x.At, y.At = 0, 0
	return x == y
}

// frames are those that m is said in, and how many bytes of each there are to say.
func (m *SocketMessage) frames(size int64) (all []Frame, came []int64) {
	came = m.Fragments
	if total(came) != size || len(came) == 0 {
		came = []int64{size}
	}
	for n, size := range came {
		all = append(all, Frame{size, n == len(came)-1 && m.End == exchange.Complete})
	}
	if m.Cut != nil && m.Cut.Size >= came[len(came)-1] {
		all[len(all)-1] = *m.Cut
	}
	return all, came
}
