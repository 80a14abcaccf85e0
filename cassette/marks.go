package cassette

import (
	"io"
	"maps"
	"slices"

	"github.com/serge-net/serge-net/exchange"
)

// rename gives the placeholders of the interactions that are not kept from an
// old recording their final numbers, in the order of the file: those of
// secrets known from the old one keep theirs, the others get the lowest free
// one. It returns the shapes of all that are in use. more says that there are
// interactions of the old recording beside is.
func (m *merger) rename(is []*Interaction, oldShapes, newShapes map[string]string, more bool) map[string]string {
	used := map[string]bool{}
	if more {
		for old := range maps.Keys(oldShapes) {
			used[old] = true
		}
	}
	for _, i := range is {
		if i.src != nil {
			i.eachText(func(s string) string {
				_, marks := cutMarks(s)
				for _, k := range marks {
					mark, _ := cutForm(k)
					used[mark] = true
				}
				return s
			})
		}
	}
	for old := range maps.Values(m.toOld) {
		used[old] = true
	}
	shapes := map[string]string{}
	last := map[string]int{} // number given, by class
	final := func(mark string) string {
		if m.toOld[mark] == "" {
			class := classOf(mark)
			for last[class]++; used[placeholder(class, last[class])]; {
				last[class]++
			}
			m.toOld[mark] = placeholder(class, last[class])
			used[m.toOld[mark]] = true
		}
		if s, ok := newShapes[mark]; ok {
			shapes[m.toOld[mark]] = s
		}
		return m.toOld[mark]
	}
	for _, i := range is {
		if i.src == nil {
			i.eachText(func(s string) string { return replaceMarks(s, final) })
		}
	}
	for k := range used {
		if s, ok := oldShapes[k]; ok {
			shapes[k] = s
		}
	}
	return shapes
}

// eachText replaces every text of i that can hold placeholders by f of it.
func (i *Interaction) eachText(f func(string) string) {
	fields := func(fs []exchange.Field) {
		for n := range fs {
			if v := f(fs[n].Value); v != fs[n].Value {
				fs[n].Value = v
			}
		}
	}
	raw := func(b []byte) []byte {
		if b == nil {
			return nil
		}
		return []byte(f(string(b)))
	}
	for _, m := range i.parts() {
		m.Body.eachText(f)
		m.RawEnd = raw(m.RawEnd)
		for n, l := range m.Lines {
			m.Lines[n] = raw(l)
		}
	}
	i.Request.URL, i.Request.Target = f(i.Request.URL), f(i.Request.Target)
	fields(i.Request.Fields)
	fields(i.Request.Trailers)
	i.Request.RawHead = raw(i.Request.RawHead)
	if w := i.WebSocket; w != nil && w.Close != nil {
		w.Close.Reason, w.Close.ReplyReason = f(w.Close.Reason), f(w.Close.ReplyReason)
	}
	defer i.refit()
	if e := i.Failure; e != nil {
		e.Cause, e.Raw = f(e.Cause), raw(e.Raw)
	}
	if r := i.Response; r != nil {
		r.Reason = f(r.Reason)
		for _, m := range r.Informational {
			fields(m.Fields)
		}
		fields(r.Fields)
		fields(r.Trailers)
		r.RawHead = raw(r.RawHead)
	}
}

// eachText is Interaction.eachText of a body. A large one, whose text is not in
// memory, is asked for its placeholders, each apart.
func (b *Body) eachText(f func(string) string) {
	if !b.marked {
		return
	}
	if b.frames != nil {
		b.eachFrameText(f)
		return
	}
	if b.open == nil {
		if s := f(string(b.data)); s != string(b.data) {
			b.data, b.Size, b.sum = []byte(s), int64(len(s)), ""
		}
		return
	}
	changed, names := false, map[string]string{}
	r, err := b.Open()
	if err != nil {
		return
	}
	defer r.Close()
	x := &expanding{from: r, value: func(mark string) string {
		names[mark] = f(mark)
		changed = changed || names[mark] != mark
		return mark
	}}
	if _, err := io.Copy(io.Discard, x); err != nil || !changed {
		return
	}
	was := b.open
	open := func() (io.ReadCloser, error) {
		r, err := was()
		return &expanding{from: r, keep: true, value: func(mark string) string { return names[mark] }}, err
	}
	size := int64(0)
	if r, err := open(); err == nil {
		size, _ = io.Copy(io.Discard, r)
		r.Close()
	}
	*b = Body{Size: size, open: open, marked: true, coding: b.coding}
}

// renameFiles gives the placeholders in i's bodies that are files the names that
// name gives for them.
func (i *Interaction) renameFiles(name func(mark string) string) {
	for _, p := range i.parts() {
		if p.Body.file != "" {
			p.Body.eachText(func(s string) string { return replaceMarks(s, name) })
		}
	}
	i.refit()
}

// secretCount is how many different secrets c has, by class.
func (c *Cassette) secretCount() map[string]int {
	n := map[string]int{}
	for m := range c.shapes {
		n[classOf(m)]++
	}
	return n
}

// countNode tells in the rules of n, the head of c, what was taken out.
func (c *Cassette) countNode(n *node) {
	count := c.secretCount()
	if len(count) == 0 {
		return
	}
	l := list()
	for _, class := range slices.Sorted(maps.Keys(count)) {
		l.kids = append(l.kids, (&node{}).add("rule", strNode("builtin:"+class)).add("found", intNode(count[class])))
	}
	for i := range n.mem {
		if n.mem[i].key == "rules" && n.mem[i].val.kind == '{' {
			n.mem[i].val = n.mem[i].val.with("redact", l)
			return
		}
	}
	n.add("rules", (&node{}).add("redact", l))
}
