package cassette

import (
	"fmt"
	"strings"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// A Call is an exchange of gRPC, gRPC-Web or of Connect's streams as what was
// said in it, in its order. The messages are those of the bodies of the request
// and the response, one after the other.
type Call struct {
	Service, Method string // of the path: the last segment but one, and the last
	Messages        []CallMessage
}

// A CallMessage is a message of a Call, or what comes in its place: the head of
// the answer, or the end of a side. The head is there if something else was said
// between it and what follows it; the end of the server if the client said
// something after it.
type CallMessage struct {
	From  exchange.Side
	At    time.Duration // since the request's head; when it was whole
	Event CallEvent
	Size  int64 // of a message, in bytes: as it was sent, without the five before it
	Flags byte  // of a message: 1 says that it is compressed
	shown *node // its fields as the file has them; nil: by number
}

// A CallEvent is what a CallMessage stands for.
type CallEvent uint8

// The events of a Call.
const (
	CallSays CallEvent = iota // a message
	CallCut                   // a message that is not whole: Size is of what there is, the five bytes included
	CallHead                  // the head of the answer
	CallEnd                   // the end of its side
)

// servicePath is the service and the method that the URL of a call names.
func servicePath(url string) (service, method string) {
	_, _, path, _ := cutURL(url)
	at := strings.LastIndexByte(path, '/')
	service, method = path[:max(at, 0)], path[at+1:]
	return service[strings.LastIndexByte(service, '/')+1:], method
}

// bytes is how many bytes of its side's body m is.
func (m *CallMessage) bytes() int64 {
	switch m.Event {
	case CallSays:
		return framePrefix + m.Size
	case CallCut:
		return m.Size
	}
	return 0
}

// A step is how far a side of an exchange had come at a time.
type step struct {
	from  exchange.Side
	event CallEvent // CallSays: its body
	upTo  int64     // bytes of the body
	at    time.Duration
}

// framed notes how the messages of from are coded, which begins with h.
func (k *take) framed(from exchange.Side, h *exchange.Head) {
	if fr, ok := structured(h.Fields); ok && (fr.bare || from == exchange.Client || k.called()) {
		k.sides[from].frames = &fr
	}
}

// called says whether k is a call.
func (k *take) called() bool {
	fr := k.sides[exchange.Client].frames
	return fr != nil && !fr.bare
}

// step notes that from came so far, if k is a call.
func (k *take) step(from exchange.Side, event CallEvent, when time.Duration) {
	if k.called() {
		k.steps = append(k.steps, step{from, event, k.sides[from].size, when - k.start})
	}
}

// callOf makes i a Call if its request is one, by the steps in which it went.
func (i *Interaction) callOf(steps []step) error {
	if _, ok := framingOf(i.Request.Fields); !ok {
		return nil
	}
	var lanes [2][]frameHead
	for side, m := range i.halves() {
		if m == nil {
			continue
		}
		var err error
		if lanes[side], err = m.frames(); err != nil {
			return err
		}
	}
	c := &Call{}
	c.Service, c.Method = servicePath(i.Request.URL)
	var upTo [2]int64
	for _, s := range steps {
		if s.event != CallSays {
			c.Messages = append(c.Messages, CallMessage{From: s.from, At: s.at, Event: s.event})
			continue
		}
		for lane := lanes[s.from]; len(lane) > 0; lane = lanes[s.from] {
			m := CallMessage{From: s.from, At: s.at, Size: lane[0].size, Flags: lane[0].flags}
			if lane[0].cut {
				m.Event = CallCut
			}
			if upTo[s.from] += m.bytes(); upTo[s.from] > s.upTo {
				upTo[s.from] -= m.bytes()
				break
			}
			c.Messages, lanes[s.from] = append(c.Messages, m), lane[1:]
		}
	}
	c.tidy()
	i.Call = c
	return nil
}

// halves are the messages of i's request and response by side, nil where there is
// none.
func (i *Interaction) halves() [2]*Message {
	out := [2]*Message{&i.Request.Message}
	if i.Response != nil {
		if _, ok := framingOf(i.Response.Fields); ok {
			out[exchange.Server] = &i.Response.Message
		}
	}
	return out
}

// frames are the frames of m's body.
func (m *Message) frames() ([]frameHead, error) {
	if m.Body.Size == 0 {
		return nil, nil
	}
	r, err := m.Body.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return frameHeads(r)
}

// tidy leaves out of c what goes without saying: a head right before the first
// that the server says, or behind the client's end, and an end of the server that
// is the last.
func (c *Call) tidy() {
	var out []CallMessage
	over := false
	for n, m := range c.Messages {
		next := n+1 < len(c.Messages) && c.Messages[n+1].From == exchange.Client
		if m.From == exchange.Server && m.Event >= CallHead && (over || !next) {
			continue
		}
		over = over || m.From == exchange.Client && m.Event == CallEnd
		out = append(out, m)
	}
	c.Messages = out
}

// live says whether c has to be played while the client speaks: the server said
// something before the client's end, or that never came.
func (c *Call) live() bool {
	for _, m := range c.Messages {
		if m.From == exchange.Server {
			return true
		}
		if m.Event == CallEnd {
			return false
		}
	}
	return true
}

// payloads calls f with the messages of c and their bytes, of the sides whose body
// is in memory and cut as c says. It is false for a side of which that is not so.
func (c *Call) payloads(halves [2]*Message, f func(n int, b []byte)) (told [2]bool, err error) {
	var data [2][]byte
	for side, m := range halves {
		if m == nil || m.Body.Size == 0 {
			continue
		}
		if data[side], told[side], err = m.Body.Whole(); err != nil {
			return told, err
		}
		var sum int64
		for _, k := range c.Messages {
			if int(k.From) == side {
				sum += k.bytes()
			}
		}
		told[side] = told[side] && sum == m.Body.Size
	}
	for n := range c.Messages {
		m := &c.Messages[n]
		if k := m.bytes(); told[m.From] && k > 0 {
			f(n, data[m.From][:k])
			data[m.From] = data[m.From][k:]
		}
	}
	return told, nil
}

// lane is the messages of from.
func (c *Call) lane(from exchange.Side) []CallMessage {
	var out []CallMessage
	for _, m := range c.Messages {
		if m.From == from && m.bytes() > 0 {
			out = append(out, m)
		}
	}
	return out
}

// refit has i's call, if it is one, know the sizes of its messages, whose bodies
// have other placeholders than before.
func (i *Interaction) refit() {
	if i.Call == nil {
		return
	}
	for side, m := range i.halves() {
		if m == nil || !m.Body.marked {
			continue
		}
		heads, err := m.frames()
		for n := range i.Call.Messages {
			c := &i.Call.Messages[n]
			if int(c.From) != side || c.bytes() == 0 || err != nil || len(heads) == 0 {
				continue
			}
			c.Size, c.Flags, c.shown, heads = heads[0].size, heads[0].flags, nil, heads[1:] // what was shown may have secrets
		}
	}
}

// outcome is how c, which was answered by r, ended, in a few words.
func (c *Call) outcome(r *Response) string {
	n := len(c.lane(exchange.Client)) + len(c.lane(exchange.Server))
	for _, fields := range [][]exchange.Field{r.Trailers, r.Fields} {
		if status, ok := exchange.Get(fields, "grpc-status"); ok {
			return fmt.Sprintf("grpc-status %s, messages: %d", status, n)
		}
	}
	return fmt.Sprintf("messages: %d", n)
}
