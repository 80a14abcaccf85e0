package cassette

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/serge-net/serge-net/exchange"
)

// closings are the words for how a conversation ended.
func closings() map[exchange.How]string {
	return map[exchange.How]string{exchange.Complete: "fin", exchange.Reset: "rst", exchange.TLSAlert: "tls"}
}

// tcpNode is i, a conversation, as it stands in the file: who it was with, what was
// said, and how it ended.
func (i *Interaction) tcpNode() (*node, error) {
	n := (&node{}).add("remote", strNode(i.remote()))
	if strings.HasPrefix(i.Request.URL, "tls:") {
		n.add("tls", &node{kind: 's', tok: "true"})
	}
	l := list()
	for k, m := range i.Upgraded {
		payload, err := m.saidNode()
		if err != nil {
			return nil, fmt.Errorf("message %d: %w", k, err)
		}
		l.kids = append(l.kids, (&node{}).add("direction", directionNode(m.From)).add("timestamp_ms", ms(m.At)).add("payload", payload))
	}
	n.add("messages", l)
	if c := i.TCP; !c.Open {
		end := (&node{}).add("by", strNode(i.ClosedBy.String())).add("how", strNode(closings()[c.How]))
		if c.Reply != exchange.Complete {
			end.add("reply", strNode(closings()[c.Reply]))
		}
		if c.Code != 0 {
			end.add("alert", intNode(c.Code))
		}
		n.add("close", end)
	}
	return n, nil
}

// knownTCP is n with what is known of i, a conversation.
func (i *Interaction) knownTCP(n *node) (*node, error) {
	t, err := i.tcpNode()
	if err != nil {
		return nil, fmt.Errorf("tcp: %w", err)
	}
	n.add("tcp", t)
	if !i.Peer.zero() {
		n.add("peer", i.Peer.node())
	}
	return n, nil
}

// saidNode is what m, a piece of a conversation, is or says.
func (m *Message) saidNode() (*node, error) {
	yes := &node{kind: 's', tok: "true"}
	switch {
	case m.StartTLS:
		return (&node{}).add("starttls", yes), nil
	case m.HalfClose:
		return (&node{}).add("end", yes), nil
	case m.Body.file != "":
		return bodyNode(m.Body, nil)
	}
	data, _, err := m.Body.Whole()
	text := string(data)
	switch {
	case err != nil:
		return nil, err
	case m.Body.marked && (!legible(data) || !strings.Contains(text, secretOpen)):
		return bodyNode(m.Body, nil)
	case !legible(data):
		return binaryNode(m.Body)
	case len(data) > lineMost:
		return bodyNode(m.Body, nil)
	case !m.Body.marked:
		text = escape(text)
	}
	return (&node{}).add("text", strNode(text)), nil
}

// lineMost is how long a piece of a conversation may be, in bytes, to stand on one line.
const lineMost = 120

// legible says whether a person can read b: text without what drives a terminal.
func legible(b []byte) bool {
	return utf8.Valid(b) && !strings.ContainsFunc(string(b), func(r rune) bool {
		return r != '\t' && r != '\r' && r != '\n' && !unicode.IsPrint(r)
	})
}

// readTCP reads n, a conversation. One without a remote is kept as it is.
func (c *Cassette) readTCP(n *node, profiles map[string]Connection, files opener) error {
	i := &Interaction{ID: n.text("id"), Seq: int(n.number("seq")), Connection: profiles[n.text("connection")], src: n}
	if err := i.readConversation(n, files); err != nil {
		return err
	}
	i.readTiming(n.get("timing"))
	i.Peer = readPeer(n.get("peer"))
	c.Interactions = append(c.Interactions, i)
	return i.rekey(rules{})
}

// readConversation reads i, a conversation, of n.
func (i *Interaction) readConversation(n *node, files opener) error {
	t := n.get("tcp")
	if t == nil || t.kind != '{' || t.text("remote") == "" {
		return errors.New("/tcp: names no remote")
	}
	i.Request = Request{Method: "CONNECT", URL: "tcp://" + t.text("remote") + "/"}
	if t.text("tls") == "true" {
		i.Request.URL = "tls" + strings.TrimPrefix(i.Request.URL, "tcp")
	}
	for k, v := range t.get("messages").elements() {
		m, err := readSaid(v, files)
		if err != nil {
			return fmt.Errorf("/tcp/messages/%d%w", k, err)
		}
		i.Upgraded = append(i.Upgraded, m)
	}
	i.TCP = &TCP{Open: true}
	c := t.get("close")
	if c.isNull() {
		return nil
	}
	how := func(key string) exchange.How {
		for h, word := range closings() {
			if word == c.text(key) {
				return h
			}
		}
		return exchange.Complete
	}
	i.TCP = &TCP{How: how("how"), Reply: how("reply"), Code: uint32(c.number("alert"))}
	if c.text("by") == exchange.Server.String() {
		i.ClosedBy = exchange.Server
	}
	return nil
}

// readSaid reads one piece of a conversation.
func readSaid(n *node, files opener) (Message, error) {
	m := Message{From: readDirection(n), At: readMS(n, "timestamp_ms")}
	p := n.get("payload")
	switch {
	case p == nil || p.kind != '{':
		return m, errors.New("/payload: is not an object")
	case p.text("starttls") == "true":
		m.StartTLS = true
		return m, nil
	case p.text("end") == "true":
		m.HalfClose = true
		return m, nil
	}
	said, err := readPiece(n, files)
	m.Body = said.Body
	return m, err
}
