package cassette

import (
	"maps"

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
					used[k] = true
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
	fields(i.Request.Fields)
	fields(i.Request.Trailers)
	i.Request.RawHead = raw(i.Request.RawHead)
	if r := i.Response; r != nil {
		for _, m := range r.Informational {
			fields(m.Fields)
		}
		fields(r.Fields)
		fields(r.Trailers)
		r.RawHead = raw(r.RawHead)
	}
}
