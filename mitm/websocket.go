package mitm

import (
	"errors"
	"strings"

	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/ws"
)

// A handshake is what a client asked for that wants a WebSocket.
type handshake struct {
	key    string
	offers []string // its Sec-WebSocket-Extensions
}

// handshakeOf reads the handshake in a request's head, and whether it is one.
func handshakeOf(h *exchange.Head) (handshake, bool) {
	if v, _ := exchange.Get(h.Fields, "upgrade"); !strings.EqualFold(v, "websocket") {
		return handshake{}, false
	}
	key, ok := exchange.Get(h.Fields, "sec-websocket-key")
	return handshake{key, extensions(h)}, ok
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
type framer struct {
	asked map[uint64]bool
	open  map[uint64]*[2]listener
}

// event passes e on, or what e is in messages.
func (f *framer) event(e exchange.Event, emit func(exchange.Event)) {
	switch {
	case e.Kind == exchange.KindHead && e.From == exchange.Client:
		if _, ok := handshakeOf(e.Head); ok {
			if f.asked == nil {
				f.asked, f.open = map[uint64]bool{}, map[uint64]*[2]listener{}
			}
			f.asked[e.Stream] = true
		}
	case len(f.asked) == 0 || !f.asked[e.Stream]:
	case e.Kind == exchange.KindHead && e.Head.Status == 101:
		if p, ok := agreed(e.Head); ok {
			e.Framed = true
			f.open[e.Stream] = listeners(p)
		}
	case e.Kind == exchange.KindData && f.open[e.Stream] != nil:
		f.open[e.Stream][e.From].data(e, emit)
		return
	}
	emit(e)
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
// is all behind it.
func (l *listener) data(e exchange.Event, emit func(exchange.Event)) {
	if l.lost {
		emit(e)
		return
	}
	err := l.r.Feed(e.Data, func(w ws.Event) { l.read(w, e, emit) })
	var violation *ws.Error
	if l.lost = errors.As(err, &violation); l.lost {
		e.Data = l.r.Rest()
		emit(e)
	}
}

// typeOf is the type of the message that a frame of op begins.
func typeOf(op ws.Opcode) exchange.MessageType {
	switch op {
	case ws.Text:
		return exchange.MessageText
	case ws.Ping:
		return exchange.MessagePing
	case ws.Pong:
		return exchange.MessagePong
	case ws.Close:
		return exchange.MessageClose
	}
	return exchange.MessageBinary
}

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
