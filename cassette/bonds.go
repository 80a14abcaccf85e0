package cassette

import (
	"bytes"
	"net/url"
	"slices"
	"strings"

	"github.com/serge-net/serge-net/exchange"
)

// bonds are the ids by which the answers of a protocol over WebSocket tell what
// they answer, chosen by the client: of JSON-RPC calls and GraphQL subscriptions.
// Each recorded one stands for one of this run.
type bonds struct {
	graphql bool
	live    map[string]string // recorded id → that of this run, as JSON
	back    map[string]string // and back
	beats   beats
}

// newBonds are those of a socket that was answered with fields.
func newBonds(fields []exchange.Field) bonds {
	p, _ := exchange.Get(fields, "sec-websocket-protocol")
	return bonds{graphql: isGraphQLSocket(p), live: map[string]string{}, back: map[string]string{}}
}

// isGraphQLSocket says whether a subprotocol is one of GraphQL: graphql-ws's own,
// or subscriptions-transport-ws's, whose name is graphql-ws.
func isGraphQLSocket(p string) bool { return p == "graphql-transport-ws" || p == "graphql-ws" }

// strip is a message without the id that it is told by, and the id, "" if it has none.
func (b *bonds) strip(t exchange.MessageType, data []byte) ([]byte, string) {
	n, id := b.idOf(t, data)
	if id == nil {
		return data, ""
	}
	return []byte(n.without("id").compact()), id.compact()
}

// idOf is a message, and the id in it, nil if there is none.
func (b *bonds) idOf(t exchange.MessageType, data []byte) (n, id *node) {
	if t != exchange.MessageText || len(data) == 0 || data[0] != '{' || !b.graphql && !bytes.Contains(data, []byte(`"jsonrpc"`)) {
		return nil, nil
	}
	n, err := parseTree(data)
	if err != nil || !b.graphql && n.get("jsonrpc") == nil {
		return nil, nil
	}
	id = n.get("id")
	if id.isNull() || id.kind != 's' {
		return nil, nil
	}
	return n, id
}

// can says whether live may stand for was.
func (b *bonds) can(was, live string) bool {
	if was == "" || live == "" {
		return was == live
	}
	now, bound := b.live[was]
	then, taken := b.back[live]
	return (!bound || now == live) && (!taken || then == was)
}

// bind has live stand for was, if it may.
func (b *bonds) bind(was, live string) bool {
	if !b.can(was, live) {
		return false
	}
	if was != "" {
		b.live[was], b.back[live] = live, was
	}
	return true
}

// rewrite is text, a message of the server, with the id of this run.
func (b *bonds) rewrite(text string) string {
	if len(b.live) == 0 {
		return text
	}
	n, id := b.idOf(exchange.MessageText, []byte(text))
	if id == nil {
		return text
	}
	to, ok := b.live[id.compact()]
	if !ok || to == id.compact() || n.get("method") != nil {
		return text
	}
	id.tok = to
	if v, st := jsonView([]byte(text)); v != nil {
		if out, err := printView(n, st); err == nil {
			return string(out)
		}
	}
	return n.compact()
}

// beats are the messages by which the ends of a protocol tell each other that
// they are alive. How many there are depends on time: they are answered, and not
// matched.
type beats struct{ asks, replies []string }

// What a message is as a heartbeat.
type beat uint8

const (
	notBeat beat = iota
	beatAsks
	beatReplies
)

// beatsOf are those of the protocol of a socket at u that was answered with fields.
func beatsOf(u string, fields []exchange.Field) beats {
	p, _ := exchange.Get(fields, "sec-websocket-protocol")
	switch at, err := url.Parse(u); {
	case err == nil && at.Query().Has("EIO"): // Engine.IO, below Socket.IO
		return beats{[]string{"2"}, []string{"3"}}
	case p == "graphql-transport-ws":
		return beats{[]string{`{"type":"ping"}`}, []string{`{"type":"pong"}`}}
	case strings.HasPrefix(p, "v1") && strings.HasSuffix(p, ".stomp"):
		return beats{nil, []string{"\n"}}
	}
	return beats{}
}

// of says what a message is, and what is answered to it.
func (b beats) of(t exchange.MessageType, data []byte) (beat, []byte) {
	if t != exchange.MessageText || len(b.asks)+len(b.replies) == 0 {
		return notBeat, nil
	}
	if i := slices.Index(b.asks, string(data)); i >= 0 {
		return beatAsks, []byte(b.replies[i])
	}
	if slices.Contains(b.replies, string(data)) {
		return beatReplies, nil
	}
	return notBeat, nil
}
