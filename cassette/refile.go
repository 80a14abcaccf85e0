package cassette

import "github.com/serge-net/serge-net/exchange"

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
	for n := range i.Upgraded {
		ps = append(ps, part{&i.Upgraded[n], nil})
	}
	if i.WebSocket != nil {
		for n := range i.WebSocket.Messages {
			ps = append(ps, part{&i.WebSocket.Messages[n].Message, nil})
		}
	}
	return ps
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
