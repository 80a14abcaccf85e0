package foreign

import (
	"encoding/base64"
	"strings"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/ws"
)

// webSocket are the messages of an upgraded stream that is a WebSocket, and its
// control frames, for which HAR has no place.
func (x *export) webSocket(i *cassette.Interaction) ([]harMessage, []harControl, error) {
	if i.WebSocket != nil {
		return x.recorded(i)
	}
	if len(i.Upgraded) == 0 {
		return nil, nil, nil
	}
	if up, _ := exchange.Get(i.Response.Fields, "upgrade"); !strings.EqualFold(up, "websocket") {
		x.note(i, "an upgraded stream is not carried")
		return nil, nil, nil
	}
	client, server := inflaters(i.Response.Fields)
	l := listener{at: float64(x.c.RecordedAt.UnixMilli()+i.Timing.Start.Milliseconds()) / 1000}
	sides := [2]ws.Reader{{Masked: true, Inflate: client, Limit: bodyMost}, {Inflate: server, Limit: bodyMost}}
	for _, m := range i.Upgraded {
		b, err := x.bytes(i, m.Body)
		if err != nil {
			return nil, nil, err
		}
		if err := sides[m.From].Feed(b, func(e ws.Event) { l.hear(m.From, e) }); err != nil {
			x.note(i, "a WebSocket is carried up to where it is none any more")
			break
		}
	}
	return l.messages, l.control, nil
}

// recorded are those of a WebSocket that was recorded as messages.
func (x *export) recorded(i *cassette.Interaction) ([]harMessage, []harControl, error) {
	opened := float64(x.c.RecordedAt.UnixMilli()+i.Timing.Start.Milliseconds()) / 1000
	var l listener
	for _, m := range i.WebSocket.Messages {
		if m.Foreign {
			x.note(i, "a WebSocket is carried up to where it is none any more")
			break
		}
		b, err := x.bytes(i, m.Body)
		if err != nil {
			return nil, nil, err
		}
		l.at = opened + m.At.Seconds()
		op := map[exchange.MessageType]ws.Opcode{exchange.MessageText: ws.Text, exchange.MessageBinary: ws.Binary,
			exchange.MessagePing: ws.Ping, exchange.MessagePong: ws.Pong}[m.Type]
		if op.Control() {
			l.hear(m.From, ws.Event{Kind: ws.KindControl, Header: ws.Header{Opcode: op}, Data: b})
			continue
		}
		l.hear(m.From, ws.Event{Kind: ws.KindStart, Header: ws.Header{Opcode: op}})
		l.hear(m.From, ws.Event{Kind: ws.KindData, Data: b})
		l.hear(m.From, ws.Event{Kind: ws.KindEnd})
	}
	return l.messages, l.control, nil
}

// inflaters undo permessage-deflate of the client and the server, nil if the
// answer to the handshake does not have it.
func inflaters(fields []exchange.Field) (client, server *ws.Inflater) {
	var values []string
	for _, f := range fields {
		if strings.EqualFold(f.Name, "sec-websocket-extensions") {
			values = append(values, f.Value)
		}
	}
	xs, err := ws.Extensions(values)
	if err != nil {
		return nil, nil
	}
	for _, one := range xs {
		if p, err := ws.ParseParams(one, false); err == nil && one.Name == ws.PermessageDeflate {
			_, ofClient := p.Client()
			_, ofServer := p.Server()
			return ws.NewInflater(ws.MaxWindowBits, ofClient), ws.NewInflater(ws.MaxWindowBits, ofServer)
		}
	}
	return nil, nil
}

// A listener puts the messages of both sides in order of their ends.
type listener struct {
	at       float64 // seconds since 1970
	op       [2]ws.Opcode
	parts    [2][]byte
	messages []harMessage
	control  []harControl
}

// hear takes in what from said.
func (l *listener) hear(from exchange.Side, e ws.Event) {
	switch e.Kind {
	case ws.KindStart:
		l.op[from], l.parts[from] = e.Header.Opcode, nil
	case ws.KindData:
		l.parts[from] = append(l.parts[from], e.Data...)
	case ws.KindEnd:
		m := l.message(from, l.op[from])
		m.Data = string(l.parts[from])
		if l.op[from] != ws.Text {
			m.Data = base64.StdEncoding.EncodeToString(l.parts[from])
		}
		l.messages = append(l.messages, m)
	case ws.KindControl:
		m := l.message(from, e.Header.Opcode)
		m.Data = base64.StdEncoding.EncodeToString(e.Data)
		l.control = append(l.control, harControl{len(l.messages), m})
	}
}

// message is one without its data.
func (l *listener) message(from exchange.Side, op ws.Opcode) harMessage {
	m := harMessage{Type: "send", Time: l.at, Opcode: int(op)}
	if from == exchange.Server {
		m.Type = "receive"
	}
	return m
}
