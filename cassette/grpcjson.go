package cassette

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/serge-net/serge-net/exchange"
)

// inCall says whether b, the body of a call's side, stands in the file as messages:
// it is in memory, and no message is of more than base64Most bytes but for JSON.
func (b Body) inCall() bool {
	if b.frames == nil || b.frames.bare || b.file != "" || b.Size > wholeMost {
		return false
	}
	data, ok, err := b.Whole()
	if err != nil || !ok {
		return false
	}
	all, rest := cutFrames(data)
	return len(rest) <= base64Most && !slices.ContainsFunc(all, func(f frame) bool {
		return len(f.data) > base64Most && !(b.frames.json && utf8.Valid(f.data))
	})
}

// callNode is i's call as it stands in the file.
func (i *Interaction) callNode() (*node, error) {
	c, halves := i.Call, i.halves()
	shown := make([]*node, len(c.Messages))
	for side, m := range halves {
		if m != nil && !m.Body.inCall() {
			halves[side] = nil
		}
	}
	told, err := c.payloads(halves, func(n int, b []byte) { shown[n] = c.Messages[n].inline(halves[c.Messages[n].From].Body, b) })
	if err != nil {
		return nil, err
	}
	l := list()
	for n, m := range c.Messages {
		v := shown[n]
		if v == nil {
			v = (&node{}).add("direction", directionNode(m.From)).add("timestamp_ms", ms(m.At)).add("payload", m.placeholder())
		}
		l.kids = append(l.kids, m.flagNodes(v))
	}
	_ = told
	return (&node{}).add("service", strNode(c.Service)).add("method", strNode(c.Method)).add("messages", l), nil
}

// placeholder is the payload of m where its bytes do not stand there.
func (m *CallMessage) placeholder() *node {
	yes := &node{kind: 's', tok: "true"}
	switch m.Event {
	case CallHead:
		return (&node{}).add("head", yes)
	case CallEnd:
		return (&node{}).add("end", yes)
	}
	return (&node{}).add("size", intNode(m.Size))
}

// flagNodes adds to v, which is m in the file, what its flags say.
func (m *CallMessage) flagNodes(v *node) *node {
	if m.Flags&frameCompressed != 0 {
		v.add("compressed", &node{kind: 's', tok: "true"})
	}
	if rest := m.Flags &^ (frameCompressed | frameUndone); rest != 0 {
		v.add("flags", intNode(int(rest)))
	}
	if m.Event == CallCut {
		v.add("end", strNode(exchange.Truncated.String()))
	}
	return v
}

// inline is m, of the body b, as it stands in the file with its bytes. What has
// secrets in it shows its fields alone: they are what it is.
func (m *CallMessage) inline(b Body, raw []byte) *node {
	v := (&node{}).add("direction", directionNode(m.From)).add("timestamp_ms", ms(m.At))
	data := raw
	if m.Event == CallSays {
		data = raw[framePrefix:]
	}
	f := frame{m.Flags, data}
	_, marks := cutMarks(string(data))
	if b.marked && !f.compressed() && (len(marks) > 0 || m.Flags&frameUndone != 0 || escaped(data)) {
		return v.add("payload", m.markedPayload(b, data))
	}
	plain, ok := f.plain(b.frames.coding)
	switch {
	case m.Event == CallSays && utf8.Valid(data) && (b.frames.json || m.Flags&(frameTrailers|frameEndStream) != 0) && !f.compressed():
		return v.add("payload", plainView(data, "application/json"))
	default:
		v.add("payload", (&node{}).add("binary", strNode(base64.StdEncoding.EncodeToString(data))))
	}
	if m.shown != nil {
		return v.add("fields", m.shown)
	}
	if ok && m.Event == CallSays && len(plain) <= base64Most {
		if fields := protoView(plain, 0); fields != nil && len(fields.mem) > 0 && !b.frames.json {
			v.add("fields", fields.mapStrings(escape))
		}
	}
	return v
}

// escaped says whether data, which is marked, is not what it says.
func escaped(data []byte) bool { return unescape(string(data)) != string(data) }

// markedPayload is data, a message of b with secrets in it: its fields if they give
// it back, else text or bytes that are marked.
func (m *CallMessage) markedPayload(b Body, data []byte) *node {
	if fields := protoView(data, 0); fields != nil && !b.frames.json && m.Event == CallSays {
		if again, ok := printProto(fields); ok && string(again) == string(data) {
			return (&node{}).add("fields", fields)
		}
	}
	yes := &node{kind: 's', tok: "true"}
	if utf8.Valid(data) {
		return (&node{}).add("text", strNode(string(data))).add("marked", yes)
	}
	return (&node{}).add("binary", strNode(base64.StdEncoding.EncodeToString(data))).add("marked", yes)
}

// readCall reads the call of i from n, whose bodies were read; those that stand in
// the messages are put together from them.
func (i *Interaction) readCall(n *node) error {
	c := &Call{Service: n.text("service"), Method: n.text("method")}
	var bodies [2][]byte
	var marked, inline [2]bool
	for k, v := range n.get("messages").elements() {
		m, err := readCallMessage(v)
		if err == nil && m.Event <= CallCut && v.get("payload").get("size") == nil {
			var b []byte
			b, err = m.readPayload(v)
			if m.Size = int64(len(b)); m.Event == CallSays {
				b = frame{m.Flags, b}.append(nil)
			}
			bodies[m.From], inline[m.From] = append(bodies[m.From], b...), true
			marked[m.From] = marked[m.From] || isMarkedPayload(v.get("payload"))
		}
		if err != nil {
			return fmt.Errorf("/messages/%d%w", k, err)
		}
		c.Messages = append(c.Messages, m)
	}
	i.Call = c
	for side, m := range i.halves() {
		if m != nil && inline[side] {
			m.Body = bodyOf(bodies[side])
			m.Body.marked = marked[side]
		}
	}
	return nil
}

// frameBodies has the bodies of i know how the messages in them are coded. Of what
// is no call they are protobuf messages alone.
func (i *Interaction) frameBodies() {
	frame := func(b *Body, fields []exchange.Field) {
		if fr, ok := structured(fields); ok && (fr.bare || i.Call != nil) {
			b.frames = &fr
		}
	}
	frame(&i.Request.Body, i.Request.Fields)
	if i.Response != nil {
		frame(&i.Response.Body, i.Response.Fields)
	}
}

// isMarkedPayload says whether the message whose payload is p has secrets in it.
func isMarkedPayload(p *node) bool { return p.get("fields") != nil || p.text("marked") == "true" }

// readCallMessage reads what n is, but for its bytes.
func readCallMessage(n *node) (CallMessage, error) {
	m := CallMessage{From: readDirection(n), At: readMS(n, "timestamp_ms"), Flags: byte(n.number("flags"))}
	if n.text("compressed") == "true" {
		m.Flags |= frameCompressed
	}
	p := n.get("payload")
	switch {
	case p == nil || p.kind != '{':
		return m, errors.New("/payload: is not an object")
	case p.get("head") != nil:
		m.Event = CallHead
	case p.get("end") != nil:
		m.Event = CallEnd
	case n.text("end") != "":
		m.Event = CallCut
	}
	m.Size = p.number("size")
	if m.Size < 0 {
		return m, fmt.Errorf("/payload/size: %d is not a size", m.Size)
	}
	if v := n.get("fields"); v != nil && v.kind == '{' {
		m.shown = v
	}
	return m, nil
}

// readPayload is the bytes of m, which n shows, but for those before a message.
// Fields by number that somebody edited count for more than the bytes that they
// were of.
func (m *CallMessage) readPayload(n *node) ([]byte, error) {
	p := n.get("payload")
	switch {
	case p.get("fields") != nil:
		b, ok := printProto(p.get("fields"))
		if !ok {
			return nil, errors.New("/payload/fields: are not fields by number")
		}
		if m.Flags&frameCompressed != 0 {
			m.Flags |= frameUndone
		}
		m.shown = nil
		return b, nil
	case p.text("marked") == "true" && p.get("text") != nil:
		return []byte(p.text("text")), nil
	case p.get("binary") == nil:
		b, err := readView(p)
		if err != nil {
			return nil, fmt.Errorf("/payload%w", err)
		}
		return b, nil
	}
	b, err := base64.StdEncoding.DecodeString(p.text("binary"))
	if err != nil {
		return nil, fmt.Errorf("/payload/binary: %w", err)
	}
	return m.edited(n.get("fields"), b), nil
}

// edited is b, or what fields says if it is not of b any more. An edited message is
// not compressed.
func (m *CallMessage) edited(fields *node, b []byte) []byte {
	if fields == nil || m.Flags&frameCompressed != 0 {
		return b
	}
	again, ok := printProto(fields.mapStrings(unescape))
	if !ok {
		return b // by name
	}
	m.shown = nil
	if was := protoView(b, 0); was == nil || was.compact() == fields.mapStrings(unescape).compact() {
		return b
	}
	return again
}
