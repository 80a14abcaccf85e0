package cassette

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/serge-net/serge-net/exchange"
)

// node is w as it stands in the file, of an interaction with url.
func (w *WebSocket) node(url string) (*node, error) {
	l := list()
	for n, m := range w.Messages {
		v, err := m.node()
		if err != nil {
			return nil, fmt.Errorf("message %d: %w", n, err)
		}
		l.kids = append(l.kids, v)
	}
	out := (&node{}).add("url", strNode(socketURL(url))).add("messages", l)
	if w.Close != nil {
		out.add("close_frame", w.Close.node())
	}
	return out, nil
}

// socketURL is url, of the request that opened a WebSocket, as that of the WebSocket.
func socketURL(url string) string {
	if rest, ok := strings.CutPrefix(url, "http"); ok {
		return "ws" + rest
	}
	return url
}

// handshakeURL is the URL of the request that opens the WebSocket url.
func handshakeURL(url string) string {
	if rest, ok := strings.CutPrefix(url, "ws"); ok && (strings.HasPrefix(rest, "://") || strings.HasPrefix(rest, "s://")) {
		return "http" + rest
	}
	return url
}

func (m *SocketMessage) node() (*node, error) {
	payload, err := m.payload()
	if err != nil {
		return nil, err
	}
	n := (&node{}).add("direction", directionNode(m.From)).add("timestamp_ms", ms(m.At)).add("payload", payload)
	if len(m.Fragments) > 0 {
		l := list()
		for _, f := range m.Fragments {
			l.kids = append(l.kids, intNode(f))
		}
		n.add("fragments", l)
	}
	if m.Cut != nil {
		n.add("cut_frame", (&node{}).add("size", intNode(m.Cut.Size)).add("fin", &node{kind: 's', tok: fmt.Sprint(m.Cut.Fin)}))
	}
	if m.End != exchange.Complete {
		n.add("end", strNode(m.End.String()))
	}
	return n, nil
}

// payload is what m says: under a key that has its type, or a file.
func (m *SocketMessage) payload() (*node, error) {
	if m.Body.file == "" && !m.Body.marked && m.Type == exchange.MessageText && !m.Foreign {
		n, err := pieceNode(m.Body)
		if n.get("binary") != nil { // of a message that is no UTF-8
			n.add("opcode", strNode(m.Type.String()))
		}
		return n, err
	}
	if m.Body.file != "" || m.Body.marked {
		n, err := bodyNode(m.Body, nil)
		return n.add("opcode", strNode(m.word())), err
	}
	data, _, err := m.Body.Whole()
	return (&node{}).add(m.word(), strNode(base64.StdEncoding.EncodeToString(data))), err
}

// word is what m is called.
func (m *SocketMessage) word() string {
	if m.Foreign {
		return "foreign"
	}
	return m.Type.String()
}

// pieceNode is what was said at once: text, or bytes, or a file.
func pieceNode(b Body) (*node, error) {
	data, ok, err := b.Whole()
	switch {
	case err != nil:
		return nil, err
	case b.file != "" || b.marked:
		return bodyNode(b, nil)
	case ok && utf8.Valid(data):
		return (&node{}).add("text", strNode(escape(string(data)))), nil
	}
	return binaryNode(b)
}

// binaryNode is b, which is in memory, as bytes.
func binaryNode(b Body) (*node, error) {
	data, _, err := b.Whole()
	return (&node{}).add("binary", strNode(base64.StdEncoding.EncodeToString(data))), err
}

// directionNode is the word for what from sent, as the client sees it.
func directionNode(from exchange.Side) *node {
	if from == exchange.Server {
		return strNode("received")
	}
	return strNode("sent")
}

func (c *SocketClose) node() *node {
	n := (&node{}).add("code", intNode(c.Code)).add("reason", bytesNode(c.Reason)).add("direction", directionNode(c.From)).
		add("timestamp_ms", ms(c.At)).add("clean", &node{kind: 's', tok: fmt.Sprint(c.Clean)})
	if c.ReplyCode != 0 {
		n.add("reply", (&node{}).add("code", intNode(c.ReplyCode)).add("reason", bytesNode(c.ReplyReason)))
	}
	return n
}

// readWebSocket reads the WebSocket of an interaction.
func readWebSocket(n *node, files opener) (*WebSocket, error) {
	w := &WebSocket{}
	for k, v := range n.get("messages").elements() {
		m, err := readSocketMessage(v, files)
		if err != nil {
			return nil, fmt.Errorf("/messages/%d%w", k, err)
		}
		w.Messages = append(w.Messages, m)
	}
	c := n.get("close_frame")
	if c.isNull() {
		return w, nil
	}
	w.Close = &SocketClose{From: readDirection(c), At: readMS(c, "timestamp_ms"), Code: uint16(c.number("code")), Reason: c.get("reason").bytes(), Clean: c.text("clean") == "true"}
	if r := c.get("reply"); r != nil {
		w.Close.ReplyCode, w.Close.ReplyReason = uint16(r.number("code")), r.get("reason").bytes()
	}
	return w, nil
}

func readMS(n *node, key string) time.Duration {
	return time.Duration(n.number(key)) * time.Millisecond
}

// readDirection is who sent n.
func readDirection(n *node) exchange.Side {
	if sideOf(n.text("direction")) == "received" {
		return exchange.Server
	}
	return exchange.Client
}

func readSocketMessage(n *node, files opener) (SocketMessage, error) {
	m := SocketMessage{Message: Message{From: readDirection(n)}, At: readMS(n, "timestamp_ms")}
	p := n.get("payload")
	if p == nil || p.kind != '{' {
		return m, errors.New("/payload: is not an object")
	}
	var err error
	if m.Type, m.Foreign, err = readType(p); err != nil {
		return m, fmt.Errorf("/payload: %w", err)
	}
	key := m.word()
	v := p.get(key)
	if m.Type == exchange.MessageText && p.get("binary") != nil { // text that is none
		key, v = "binary", p.get("binary")
	}
	if v != nil && key != "text" && (p.get("opcode") == nil || key == "binary") {
		data, err := base64.StdEncoding.DecodeString(v.scalar())
		if err != nil {
			return m, fmt.Errorf("/payload/%s: %w", key, err)
		}
		m.Body = bodyOf(data)
	} else if m.Body, err = readBody(p, files); err != nil {
		return m, fmt.Errorf("/payload%w", err)
	}
	for _, f := range n.get("fragments").elements() {
		m.Fragments = append(m.Fragments, numberOf(f))
	}
	if c := n.get("cut_frame"); c != nil {
		m.Cut = &Frame{c.number("size"), c.text("fin") == "true"}
	}
	m.End, _ = exchange.HowOf(n.text("end"))
	return m, nil
}

// errPayload is of a message of a type that this version does not play.
var errPayload = errors.New("it has none of text, binary, ping, pong")

// readType is the type of the message whose payload is p.
func readType(p *node) (t exchange.MessageType, foreign bool, err error) {
	word := ""
	for _, k := range []string{"text", "binary", "ping", "pong", "foreign"} {
		if p.get(k) != nil {
			word = k
		}
	}
	if o := p.text("opcode"); o != "" {
		word = o
	}
	switch word {
	case "text":
		return exchange.MessageText, false, nil
	case "binary":
		return exchange.MessageBinary, false, nil
	case "ping":
		return exchange.MessagePing, false, nil
	case "pong":
		return exchange.MessagePong, false, nil
	case "foreign":
		return exchange.MessageBinary, true, nil
	}
	return 0, false, errPayload
}

// withHandshake is n, a WebSocket's interaction, with the request and the response
// that older programs left out.
func withHandshake(n *node) *node {
	fields := []exchange.Field{{Name: "Connection", Value: "Upgrade"}, {Name: "Upgrade", Value: "websocket"}}
	if n.get("request").isNull() {
		asks := append(fields[:2:2], exchange.Field{Name: "Sec-WebSocket-Version", Value: "13"})
		n = n.with("request", (&node{}).add("method", strNode("GET")).add("url", strNode(n.get("websocket").text("url"))).
			add("http_version", strNode("1.1")).add("headers", fieldsNode(asks)))
	}
	if n.get("response").isNull() && n.get("error").isNull() {
		answers := append(fields[:2:2], exchange.Field{Name: "Sec-WebSocket-Accept", Value: "of the live key"})
		n = n.with("response", (&node{}).add("status", intNode(101)).add("reason", strNode("Switching Protocols")).add("headers", fieldsNode(answers)))
	}
	return n
}
