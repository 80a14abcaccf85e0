package mitm

import (
	"errors"
	"net/http"
	"strings"

	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/ws"
)

// A handshake is what a client asked for that wants a WebSocket.
type handshake struct {
	key     string
	offers  []string // its Sec-WebSocket-Extensions
	connect bool     // it is an extended CONNECT: there is no key, and the request has no end of its own
}

// handshakeOf reads the handshake in a request's head, and whether it is one. It
// returns the head as HTTP/1.1 has it.
func handshakeOf(h *exchange.Head) (*exchange.Head, handshake, bool) {
	if up, ok := asUpgrade(h); ok {
		return up, handshake{offers: extensions(h), connect: true}, true
	}
	if v, _ := exchange.Get(h.Fields, "upgrade"); !strings.EqualFold(v, "websocket") {
		return h, handshake{}, false
	}
	key, ok := exchange.Get(h.Fields, "sec-websocket-key")
	return h, handshake{key: key, offers: extensions(h)}, ok
}

// extensions are the values of h's Sec-WebSocket-Extensions.
func extensions(h *exchange.Head) []string {
	var vs []string
	for _, f := range h.Fields {
		if strings.EqualFold(f.Name, "sec-websocket-extensions") {
			vs = append(vs, f.Value)
		}
	}
	return vs
}

// agreed is the permessage-deflate in the answer h, nil if it has none. It is
// false if what h agrees to is not known, so that the frames are not either.
func agreed(h *exchange.Head) (*ws.Params, bool) {
	xs, err := ws.Extensions(extensions(h))
	switch {
	case err != nil || len(xs) > 1 || len(xs) == 1 && xs[0].Name != ws.PermessageDeflate:
		return nil, false
	case len(xs) == 0:
		return nil, true
	}
	p, err := ws.ParseParams(xs[0], false)
	return &p, err == nil
}

// A framer turns what passes on the WebSockets of one connection into messages.
type framer struct{ asked map[uint64]*framed }

// framed is a stream whose client asked for a WebSocket.
type framed struct {
	connect bool         // by an extended CONNECT
	ears    *[2]listener // nil: the origin has not agreed, or to what is not known
	refused bool
	ended   [2]bool // by side
}

// event passes e on, or what e is in messages.
func (f *framer) event(e exchange.Event, emit func(exchange.Event)) {
	if e.Kind == exchange.KindHead && e.From == exchange.Client {
		f.ask(e, emit)
		return
	}
	if len(f.asked) == 0 || f.asked[e.Stream] == nil {
		emit(e)
		return
	}
	w := f.asked[e.Stream]
	switch e.Kind {
	case exchange.KindHead:
		if w.connect {
			e.Head = asSwitch(e.Head)
		}
		if e.Head.Status == http.StatusSwitchingProtocols {
			if p, ok := agreed(e.Head); ok {
				e.Framed, w.ears = true, listeners(p)
			}
		}
		w.refused = e.Head.Status >= 200
	case exchange.KindEnd:
		w.ended[e.From] = true
		if w.connect && w.ended[1-e.From] {
			delete(f.asked, e.Stream)
		}
	case exchange.KindData:
		if w.ears != nil {
			w.ears[e.From].data(e, emit)
			return
		}
	}
	if w.connect && w.refused && e.From == exchange.Client {
		return // its request was told whole
	}
	emit(e)
}

// ask passes a request's head on, and its end if that of the stream is another.
func (f *framer) ask(e exchange.Event, emit func(exchange.Event)) {
	head, h, ok := handshakeOf(e.Head)
	if e.Head = head; ok {
		if f.asked == nil {
			f.asked = map[uint64]*framed{}
		}
		f.asked[e.Stream] = &framed{connect: h.connect}
	}
	emit(e)
	if h.connect {
		e.Kind, e.Head, e.End = exchange.KindEnd, nil, &exchange.End{}
		emit(e)
	}
}

// listeners read both directions of a WebSocket under p. What window was agreed
// on does not matter to who watches.
func listeners(p *ws.Params) *[2]listener {
	var both [2]listener
	both[exchange.Client].r.Masked = true
	if p != nil {
		_, takeover := p.Client()
		both[exchange.Client].r.Inflate = ws.NewInflater(ws.MaxWindowBits, takeover)
		_, takeover = p.Server()
		both[exchange.Server].r.Inflate = ws.NewInflater(ws.MaxWindowBits, takeover)
	}
	return &both
}

// A listener turns what one end of a WebSocket sends into messages.
type listener struct {
	r     ws.Reader
	m     exchange.Message // the message that is open
	begun bool             // a frame of it has begun, and no piece of it was told
	lost  bool             // what is read is not WebSocket
}

// data tells what e's bytes are. What is not WebSocket is told as it is, and so
// is all behind it; the frame that it begins in is the last of a message that has
// no end.
func (l *listener) data(e exchange.Event, emit func(exchange.Event)) {
	if l.lost {
		emit(e)
		return
	}
	err := l.r.Feed(e.Data, func(w ws.Event) { l.read(w, e, emit) })
	var violation *ws.Error
	if l.lost = errors.As(err, &violation); l.lost {
		if l.begun {
			cut := e
			cut.Kind, cut.Data = exchange.KindMessage, nil
			l.piece(cut, emit)
		}
		e.Data = l.r.Rest()
		emit(e)
	}
}

// opcodes are those of the frames that messages begin with, by type.
type opcodes [exchange.MessageClose + 1]ws.Opcode

// begins are the opcodes of RFC 6455, section 5.2.
func begins() opcodes {
	return opcodes{
		exchange.MessageText: ws.Text, exchange.MessageBinary: ws.Binary,
		exchange.MessagePing: ws.Ping, exchange.MessagePong: ws.Pong, exchange.MessageClose: ws.Close,
	}
}

// typeOf is the type of the message that a frame of op begins.
func typeOf(op ws.Opcode) exchange.MessageType {
	all := begins()
	for t := exchange.MessageText; t < exchange.MessageClose; t++ {
		if all[t] == op {
			return t
		}
	}
	return exchange.MessageClose
}

// opcodeOf is the opcode of the first frame of a message of type t.
func opcodeOf(t exchange.MessageType) ws.Opcode { return begins()[t] }

// read tells what w is, an event that came with e.
func (l *listener) read(w ws.Event, e exchange.Event, emit func(exchange.Event)) {
	e.Kind, e.Data = exchange.KindMessage, w.Data
	switch w.Kind {
	case ws.KindStart, ws.KindFrame:
		if l.begun {
			e.Data = nil
			l.piece(e, emit) // an empty frame
		}
		if w.Kind == ws.KindStart {
			l.m = exchange.Message{Type: typeOf(w.Header.Opcode)}
		}
		l.begun, l.m.Frame, l.m.Fin, l.m.Size = true, true, w.Header.Fin, int64(w.Header.Length)
		if w.Header.RSV != 0 {
			l.m.Size = -1
		}
	case ws.KindData:
		l.piece(e, emit)
	case ws.KindEnd:
		l.m.Last = true
		l.piece(e, emit)
	case ws.KindControl:
		e.Message = &exchange.Message{Type: typeOf(w.Header.Opcode), Frame: true, Fin: true, Size: int64(len(w.Data)),
			Last: true, Code: uint16(w.Code), Reason: w.Reason}
		emit(e)
	}
}

// piece tells e as the next piece of the message that is open.
func (l *listener) piece(e exchange.Event, emit func(exchange.Event)) {
	m := l.m
	e.Message = &m
	emit(e)
	l.begun, l.m.Frame = false, false
}
