package cassette

import (
	"fmt"
	"strings"

	"github.com/serge-net/serge-net/exchange"
)

// saidDiffs is where two interactions differ in what was said behind the heads. Of
// WebSockets each side is compared for itself: which spoke first is chance.
func saidDiffs(o, n *Interaction) []exchange.Diff {
	if o.WebSocket == nil || n.WebSocket == nil {
		return messageDiffs("message", o.Passed(), n.Passed())
	}
	said := func(w *WebSocket, from exchange.Side) []Message {
		var out []Message
		for _, m := range w.lane(from) {
			out = append(out, m.Message)
		}
		return out
	}
	a, b := o.WebSocket, n.WebSocket
	out := messageDiffs("sent message", said(a, exchange.Client), said(b, exchange.Client))
	out = append(out, messageDiffs("received message", said(a, exchange.Server), said(b, exchange.Server))...)
	return appendDiff(out, "close", a.Close.brief(), b.Close.brief())
}

// messageDiffs is where a and b differ, message by message.
func messageDiffs(at string, a, b []Message) []exchange.Diff {
	var out []exchange.Diff
	for n := range max(len(a), len(b)) {
		x, y := messageAt(a, n), messageAt(b, n)
		if x.From != y.From || !sameBody(content{Body: x.Body}, content{Body: y.Body}) {
			out = append(out, exchange.Diff{At: fmt.Sprintf("%s %d", at, n+1), Recorded: x.brief(), Live: y.brief()})
		}
	}
	return out
}

// messageAt is the n-th of ms, or one that nobody sent.
func messageAt(ms []Message, n int) Message {
	if n < len(ms) {
		return ms[n]
	}
	return Message{From: nobody}
}

// nobody is the side that a message which is not there is from.
const nobody = exchange.Side(255)

// brief is m in a few words, "" if it is not there.
func (m Message) brief() string {
	if m.From == nobody {
		return ""
	}
	return m.From.String() + ": " + content{Body: m.Body}.brief()
}

// brief is c in a few words, "" if there is none.
func (c *SocketClose) brief() string {
	if c == nil {
		return ""
	}
	return strings.TrimSpace(fmt.Sprintf("%v: %d %s", c.From, c.Code, c.Reason))
}
