package cassette

import (
	"slices"

	"github.com/serge-net/serge-net/exchange"
)

// A part is a message of an interaction and its header fields.
type part struct {
	*Message
	fields []exchange.Field
}

// parts are the messages of i.
func (i *Interaction) parts() []part {
	ps := []part{{&i.Request.Message, i.Request.Fields}}
	if i.Response != nil {
		ps = append(ps, part{&i.Response.Message, i.Response.Fields})
	}
	_, said := i.said()
	for _, m := range said {
		ps = append(ps, part{m, nil})
	}
	return ps
}

// said are the messages of i that both sides sent behind the heads, and the member
// of i that has them.
func (i *Interaction) said() (member string, ms []*Message) {
	if w := i.WebSocket; w != nil {
		for n := range w.Messages {
			ms = append(ms, &w.Messages[n].Message)
		}
		return "websocket", ms
	}
	for n := range i.Upgraded {
		ms = append(ms, &i.Upgraded[n])
	}
	if i.Converses() {
		return "tcp", ms
	}
	return "upgraded", ms
}

// detached is i with messages of its own, which may be changed.
func (i *Interaction) detached() *Interaction {
	j := *i
	if i.Response != nil {
		j.Response = new(*i.Response)
	}
	j.Upgraded = slices.Clone(i.Upgraded)
	if w := i.WebSocket; w != nil {
		j.WebSocket = &WebSocket{Messages: slices.Clone(w.Messages), Close: w.Close}
	}
	return &j
}

// refile has i refer to bodies by the names that they have in kept, by the ones
// that they had when i was read.
func (i *Interaction) refile(kept map[string]Body) {
	for _, m := range i.parts() {
		if b, ok := kept[m.Body.file]; ok {
			m.Body = b
		}
	}
}

// refiled is n with the files that it refers to by the names in kept. What a body
// shows is no reference, whatever it looks like.
func (n *node) refiled(kept map[string]Body) *node {
	out := &node{kind: n.kind, tok: n.tok}
	for _, k := range n.kids {
		out.kids = append(out.kids, k.refiled(kept))
	}
	for _, m := range n.mem {
		if m.key != "json" {
			m.val = m.val.refiled(kept)
		}
		out.mem = append(out.mem, m)
	}
	if b, ok := kept[n.text("file")]; ok && n.get("sha256") != nil {
		return out.with("file", strNode(b.file))
	}
	return out
}
