package cassette

import "regexp"

// bodyFits says whether a live body is what a recorded one asks for, where a rule
// has it be compared by how.
func bodyFits(how, recorded, live string) bool {
	if how == bodyRegex {
		re, err := regexp.Compile(`\A(?:` + recorded + `)\z`)
		return err == nil && re.MatchString(live)
	}
	a, err := parseTree([]byte(recorded))
	b, err2 := parseTree([]byte(live))
	return err == nil && err2 == nil && within(a, b)
}

// within says whether b has all of a: of an object its members, each within that
// of b, of a list as many elements, each within its own.
func within(a, b *node) bool {
	switch {
	case a.kind != b.kind || len(a.kids) != len(b.kids):
		return false
	case a.isString():
		return b.isString() && unquote(a.tok) == unquote(b.tok)
	case a.kind == 's':
		return a.tok == b.tok
	}
	for _, m := range a.mem {
		if o := b.get(m.key); o == nil || !within(m.val, o) {
			return false
		}
	}
	for i, k := range a.kids {
		if !within(k, b.kids[i]) {
			return false
		}
	}
	return true
}
