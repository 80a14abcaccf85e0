package cassette

import (
	"encoding/base64"
	"strings"
)

// The programs before this one, magneto-serge and matgto, wrote interactions in
// several shapes: with the kind as a key around them ({"Http": {…}}) or as a
// "type"; failures as {"error_type", "message"}; cookies beside the headers;
// messages with "msg_type" and "data", or {"Text": …}, or {"type": "Text"}, sent
// by "Sent", "client" or "send"; bytes as lists of numbers.

// olderKind is our word for a kind of theirs, "" for what is none.
func olderKind(word string) string {
	switch strings.ToLower(strings.ReplaceAll(word, "_", "")) {
	case "http", "httperror":
		return "http"
	case "websocket", "ws":
		return "websocket"
	}
	return ""
}

// hasOlder says whether an interaction of top has one of those shapes.
func hasOlder(top *node) bool {
	for _, n := range top.get("interactions").elements() {
		kind := n.get("kind")
		switch {
		case wrapped(n) != nil,
			kind == nil && (n.get("websocket") != nil || n.get("messages") != nil || n.get("type") != nil),
			kind != nil && kind.kind == '{',
			kind.isString() && olderKind(kind.scalar()) != "" && olderKind(kind.scalar()) != kind.scalar(),
			kind.scalar() == "websocket" && n.get("websocket") == nil,
			n.get("error").get("error_type") != nil, n.get("error_type") != nil,
			n.get("request").get("cookies") != nil, n.get("response").get("cookies") != nil:
			return true
		}
		for _, m := range n.get("websocket").get("messages").elements() {
			if m.get("payload") == nil || sideOf(m.text("direction")) != m.text("direction") || !ourPayload(m.get("payload")) {
				return true
			}
		}
	}
	return false
}

// wrapped is the member of n, if it is of the form {"Http": {…}}.
func wrapped(n *node) *member {
	for i, m := range n.members() {
		if olderKind(m.key) != "" && m.val.kind == '{' && n.get("request") == nil && n.get("kind") == nil && m.val.get("messages") == nil == (olderKind(m.key) == "http") {
			return &n.mem[i]
		}
	}
	return nil
}

// ofOlder makes top of those programs one of version 1.0.
func ofOlder(top *node) *node {
	is := list()
	for _, n := range top.get("interactions").elements() {
		is.kids = append(is.kids, interactionOfOlder(n))
	}
	return top.with("version", strNode("1.0")).with("interactions", is)
}

// interactionOfOlder makes n an interaction of version 1.0.
func interactionOfOlder(n *node) *node {
	kind := ""
	if m := wrapped(n); m != nil {
		kind = olderKind(m.key)
		n = n.without(m.key).joined(m.val)
	}
	if k := n.get("kind"); k != nil && k.kind == '{' && len(k.mem) == 1 { // {"kind": {"Http": …}}
		kind = olderKind(k.mem[0].key)
		n = n.without("kind").joined(k.mem[0].val)
	}
	if k := olderKind(n.text("type")); k != "" {
		kind = k
		n = n.without("type")
	}
	if k := olderKind(n.text("kind")); k != "" {
		kind = k
	}
	if kind == "" && (n.get("messages") != nil || n.get("websocket") != nil) {
		kind = "websocket"
	}
	if kind != "" {
		n = n.with("kind", strNode(kind))
	}
	if kind == "websocket" {
		return talkOfOlder(n)
	}
	for _, key := range []string{"request", "response"} {
		if m := n.get(key); m.get("cookies") != nil {
			n = n.with(key, cookiesOfOlder(m, key == "response"))
		}
	}
	return failureOfOlder(n)
}

// failureOfOlder renames the members of a failure.
func failureOfOlder(n *node) *node {
	e := n.get("error")
	if t := n.get("error_type"); t != nil {
		e = (&node{}).add("error_type", t)
		if m := n.get("message"); m != nil {
			e.add("message", m)
		}
		n = n.without("error_type").without("message")
	}
	if e.get("error_type") == nil {
		return n
	}
	kind := "reset"
	switch word := strings.ToLower(strings.NewReplacer("_", "", " ", "").Replace(e.text("error_type"))); {
	case strings.Contains(word, "refused"):
		kind = "refused"
	case strings.Contains(word, "timeout"), strings.Contains(word, "timedout"):
		kind = "timeout"
	case strings.Contains(word, "tls"), strings.Contains(word, "ssl"), strings.Contains(word, "certificate"):
		kind = "tls"
	}
	cause := strings.Trim(e.text("error_type")+": "+e.text("message")+e.text("cause"), ": ")
	e = e.without("error_type").without("message").with("kind", strNode(kind)).with("cause", strNode(cause))
	return n.with("error", e)
}

// cookiesOfOlder moves cookies that stand beside the headers of m into them,
// unless they are there too.
func cookiesOfOlder(m *node, set bool) *node {
	name := "Cookie"
	if set {
		name = "Set-Cookie"
	}
	var pairs []string
	for _, c := range m.get("cookies").elements() {
		if c.kind == '{' {
			pairs = append(pairs, c.text("name")+"="+c.text("value"))
		} else if s := c.scalar(); s != "" {
			pairs = append(pairs, s)
		}
	}
	for _, c := range m.get("cookies").members() {
		pairs = append(pairs, c.key+"="+c.val.scalar())
	}
	fields := readFields(m.get("headers"))
	m = m.without("cookies")
	for _, f := range fields {
		if strings.EqualFold(f.Name, name) {
			return m
		}
	}
	headers := fieldsNode(fields)
	if !set && len(pairs) > 0 {
		pairs = []string{strings.Join(pairs, "; ")}
	}
	for _, p := range pairs {
		headers.kids = append(headers.kids, list(strNode(name), strNode(p)))
	}
	return m.with("headers", headers)
}

// talkOfOlder gives a WebSocket interaction its member "websocket".
func talkOfOlder(n *node) *node {
	ws := n.get("websocket")
	if ws == nil {
		ws = &node{kind: '{'}
		for _, key := range []string{"url", "messages", "close_frame"} {
			if v := n.get(key); v != nil {
				ws.add(key, v)
				n = n.without(key)
			}
		}
	}
	ms := list()
	for _, m := range ws.get("messages").elements() {
		ms.kids = append(ms.kids, messageOfOlder(m))
	}
	return n.with("websocket", ws.with("messages", ms))
}

// messageOfOlder gives a message its direction and payload.
func messageOfOlder(m *node) *node {
	p := m.get("payload")
	if t := m.text("msg_type"); t != "" { // flattened
		data := m.get("data")
		m = m.without("msg_type").without("data")
		p = (&node{}).add("type", strNode(t))
		if data != nil {
			p.add("data", data)
		}
	}
	m = m.with("direction", strNode(sideOf(m.text("direction"))))
	if p == nil || ourPayload(p) {
		return m
	}
	return m.with("payload", payloadOfOlder(p))
}

// sideOf is "sent" or "received" for the word of another program.
func sideOf(word string) string {
	switch strings.ToLower(word) {
	case "received", "server", "receive":
		return "received"
	case "sent", "client", "send":
		return "sent"
	}
	return word
}

// ourPayload says whether p has one of our members.
func ourPayload(p *node) bool {
	for _, key := range []string{"text", "binary", "ping", "pong", "foreign", "file", "end"} {
		if v := p.get(key); v != nil && v.kind == 's' {
			return true
		}
	}
	return p == nil
}

// payloadOfOlder makes p, {"Text": …}, {"type": "Text", "data": …} or a text
// alone, a payload of version 1.0. What is none of them stays.
func payloadOfOlder(p *node) *node {
	if p.isString() {
		return (&node{}).add("text", p)
	}
	kind, data := p.text("type"), p.get("data")
	for _, m := range p.members() {
		if key := strings.ToLower(m.key); kind == "" && (key == "text" || key == "binary" || key == "ping" || key == "pong") {
			kind, data = key, m.val
		}
	}
	switch kind = strings.ToLower(kind); kind {
	case "text":
		return (&node{}).add("text", strNode(data.scalar()))
	case "binary", "ping", "pong":
		if b, ok := base64Of(data); ok {
			return (&node{}).add(kind, strNode(b))
		}
	}
	return p
}

// base64Of is the bytes of n, a list of numbers or base64 already, in base64.
func base64Of(n *node) (string, bool) {
	if n.isNull() || n.kind != '[' {
		return n.scalar(), true
	}
	b, err := bytesBody(n)
	return base64.StdEncoding.EncodeToString(b.data), err == nil
}
