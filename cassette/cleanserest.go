package cassette

import "strconv"

// tops goes through what is not in interactions that this version plays.
func (cl *cleansing) tops() {
	c := cl.c
	for n, m := range c.extra {
		if m.key != "rules" { // they match what is there
			c.extra[n] = cl.member(m, "/"+pointerToken(m.key))
		}
	}
	for n, m := range c.profiles {
		c.profiles[n].val = cl.rest(connectionPlace(), m.val, "/connections/"+pointerToken(m.key))
	}
	c.pinned = cl.rest(pinsPlace(), c.pinned, "/dns")
	for n, o := range c.others {
		m := cl.member(member{"", `""`, o}, "/interactions/"+strconv.Itoa(len(c.Interactions)+len(c.DNS)+n))
		c.others[n] = m.val
	}
}

// rest goes through the members of src, an object at p that is at the JSON pointer
// at, which this version does not know.
func (cl *cleansing) rest(p place, src *node, at string) *node {
	if src == nil {
		return nil
	}
	out := &node{kind: src.kind, tok: src.tok}
	for _, m := range src.mem {
		below, known := p[m.key]
		to := at + "/" + pointerToken(m.key)
		if !known {
			m = cl.member(m, to)
		} else if below != nil {
			m.val = cl.rest(below, m.val, to)
		}
		out.mem = append(out.mem, m)
	}
	for n, k := range src.kids {
		out.kids = append(out.kids, cl.rest(p, k, at+"/"+strconv.Itoa(n)))
	}
	return out
}

// member goes through m, which is at the JSON pointer at, as text: names tell of
// secrets. A value that is no JSON without them becomes a string.
func (cl *cleansing) member(m member, at string) member {
	cl.at = at
	text := "{" + m.ktok + ":" + m.val.compact() + "}"
	got := cl.hide.around(text)
	if got == text {
		return m
	}
	if n, err := parseTree([]byte(got)); err == nil && len(n.mem) == 1 {
		return n.mem[0]
	}
	m.val = strNode(cl.hide.around(m.val.compact()))
	return m
}
