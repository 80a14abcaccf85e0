package foreign

import (
	"time"

	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/ws"
)

// A Message is one of a WebSocket, or a control frame.
type Message struct {
	From exchange.Side
	At   time.Duration // since the answer to the handshake
	Op   ws.Opcode
	Data []byte // what a frame has, unmasked and inflated
}

// closing is a close frame from by and the other side's, which says the same.
func closing(by exchange.Side, at time.Duration, code ws.Code, reason string) []Message {
	b, err := ws.AppendClose(nil, code, reason)
	if err != nil {
		b = nil // not a code that can be sent: one without
	}
	return []Message{{by, at, ws.Close, b}, {1 - by, at, ws.Close, b}}
}

// ended says whether ms have a close frame.
func ended(ms []Message) bool {
	for _, m := range ms {
		if m.Op == ws.Close {
			return true
		}
	}
	return false
}

// handshake makes the heads of e, a WebSocket at v, what a client and a server
// need of them: tools leave out much of that.
func (d *draft) handshake(v *value, e *Exchange) {
	q := &e.Request
	if q.Version != "1.1" {
		d.note(v, "a WebSocket over HTTP/%s is carried as one over HTTP/1.1", q.Version)
		q.Version = "1.1"
	}
	made := false
	need := func(h *exchange.Head, name, value string) string {
		if s, ok := exchange.Get(h.Fields, name); ok {
			return s
		}
		made = true
		h.Fields = append(h.Fields, exchange.Field{Name: name, Value: value})
		return value
	}
	q.Method = "GET"
	need(q, "Connection", "Upgrade")
	need(q, "Upgrade", "websocket")
	need(q, "Sec-WebSocket-Version", ws.Version)
	key := need(q, "Sec-WebSocket-Key", ws.Key([16]byte{}))
	if e.Response == nil || e.Response.Status != 101 {
		made = true
		e.Response, e.Failure = &exchange.Head{Status: 101, Reason: "Switching Protocols"}, exchange.End{}
	}
	r := e.Response
	r.Version = "1.1"
	need(r, "Connection", "Upgrade")
	need(r, "Upgrade", "websocket")
	need(r, "Sec-WebSocket-Accept", ws.Accept(key))
	if made {
		d.note(v, "a WebSocket's handshake is not whole in the file: the rest of it is made up")
	}
	if !ended(e.Messages) {
		d.note(v, "how a WebSocket was closed is not in the file: carried as closed by the client")
		var last time.Duration
		if n := len(e.Messages); n > 0 {
			last = e.Messages[n-1].At
		}
		e.Messages = append(e.Messages, closing(exchange.Client, last, ws.CodeNormal, "")...)
	}
}

// A framer prints what each side of a WebSocket sent. The masks are zero, so that
// a recording that is imported again is the same.
type framer [2]ws.Encoder

func newFramer() *framer {
	unmasked := func() [4]byte { return [4]byte{} }
	return &framer{{Masked: true, Key: unmasked}, {}}
}

// frame is m as it is sent.
func (f *framer) frame(m Message) ([]byte, error) {
	if m.Op.Control() {
		return f[m.From].Control(nil, m.Op, m.Data)
	}
	return f[m.From].Append(nil, m.Op, false, true, m.Data)
}
