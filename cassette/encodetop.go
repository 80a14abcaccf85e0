package cassette

import (
	"slices"
	"strconv"
)

// pins are the pinned names.
func (c *Cassette) pins() *node {
	n := &node{kind: '{'}
	if len(c.Pins) > 0 {
		pins := list()
		for _, p := range c.Pins {
			pins.kids = append(pins.kids, (&node{}).add("name", strNode(p.Name)).addString("v4", addrText(p.V4)).addString("v6", addrText(p.V6)))
		}
		n.add("pins", pins)
	}
	pinsPlace().keep(n, c.pinned)
	return n
}

// connections are the profiles that interactions refer to, with what was read
// and is not known to this version, and the label of each.
func (c *Cassette) connections() (*node, map[string]string) {
	read := map[string]*node{}
	for _, m := range slices.Backward(c.profiles) {
		read[readConnection(m.val).node().compact()] = m.val
	}
	profiles, labels := &node{kind: '{'}, map[string]string{}
	add := func(p Connection) {
		v := p.node()
		id := v.compact()
		if _, ok := labels[id]; ok || p.Host == "" {
			return
		}
		labels[id] = "c" + strconv.Itoa(len(labels)+1)
		connectionPlace().keep(v, read[id])
		profiles.add(labels[id], v)
	}
	for _, i := range c.Interactions {
		add(i.Connection)
	}
	for _, n := range c.others {
		add(c.profileOf(n))
	}
	return profiles, labels
}

// profileOf is the connection that n, an interaction as it was read, names.
func (c *Cassette) profileOf(n *node) Connection {
	for _, m := range slices.Backward(c.profiles) {
		if m.key == n.text("connection") {
			return readConnection(m.val)
		}
	}
	return Connection{}
}

// otherNodes are the interactions of kinds that this version does not play, behind
// so many others and the DNS answers.
func (c *Cassette) otherNodes(labels map[string]string, behind int) []*node {
	var out []*node
	for i, n := range c.others {
		n = n.with("seq", intNode(behind+len(c.DNS)+i+1))
		if label := labels[c.profileOf(n).node().compact()]; label != "" {
			n = n.with("connection", strNode(label))
		}
		out = append(out, n)
	}
	return out
}

func (c Connection) node() *node {
	n := (&node{}).add("scheme", strNode(c.Scheme)).add("host", strNode(c.Host)).add("port", intNode(c.Port)).addString("http_version", c.Version)
	if c.ConnectProtocol {
		n.add("connect_protocol", &node{kind: 's', tok: "true"})
	}
	if c.secure() {
		t := (&node{kind: '{'}).addString("alpn", c.ALPN).addString("sni", c.SNI)
		if len(c.Names) > 0 {
			t.add("sans", stringList(c.Names))
		}
		n.add("tls", t)
	}
	return n
}

// secure says whether c shows a handshake of TLS.
func (c Connection) secure() bool {
	return c.Scheme == "https" || c.Scheme == "tls" || c.Scheme == "tcp" && (c.ALPN+c.SNI != "" || len(c.Names) > 0)
}

// dnsNodes are the DNS answers as interactions, behind so many others.
func (c *Cassette) dnsNodes(behind int) []*node {
	var out []*node
	for i, d := range c.DNS {
		v := (&node{}).add("name", strNode(valid(d.Name))).add("type", strNode(d.Type)).add("rcode", strNode(d.Rcode)).add("answers", stringList(d.Answers))
		if len(d.Authority) > 0 {
			v.add("authority", stringList(d.Authority))
		}
		if len(d.Additional) > 0 {
			v.add("additional", stringList(d.Additional))
		}
		n := (&node{}).add("id", strNode("dns-"+sumOf([]byte(d.Name + " " + d.Type))[:4]+"."+strconv.Itoa(i+1))).add("kind", strNode("dns"))
		n.add("seq", intNode(behind+i+1)).add("dns", v)
		dnsPlace().keep(n, c.asked[d.question()])
		out = append(out, n)
	}
	return out
}
