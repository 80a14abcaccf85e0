package cassette

import (
	"fmt"
	"strings"
)

// Learn compares two recordings of the same command, aligned by route and order,
// and returns rules for the values that its requests had in one and not in the
// other: they differ from run to run. What is taken for equal without a rule, a
// random value or the time, needs none; what an origin said before is sent back
// and never noise; and neither a whole body nor a path is.
func Learn(first, second *Cassette) ([]Rule, error) {
	a, err := new(rules).index(first.Interactions)
	if err != nil {
		return nil, err
	}
	b, err := new(rules).index(second.Interactions)
	if err != nil {
		return nil, err
	}
	l := learner{first: first, second: second, a: a, b: b, known: map[string]bool{}}
	next := map[string]int{}
	for _, s := range a.slots {
		n := next[s.form.bucket]
		next[s.form.bucket]++
		if others := b.routes[s.form.bucket]; n < len(others) {
			if err := l.pair(s, others[n]); err != nil {
				return nil, err
			}
		}
	}
	return l.found, nil
}

// A learner collects what differs.
type learner struct {
	first, second *Cassette
	a, b          *index
	known         map[string]bool // route and place
	found         []Rule
}

// pair compares a request of the first recording with that of the second.
func (l *learner) pair(s, o *slot) error {
	u := new(rules)
	was, err := u.atomsOf(&s.it.Request)
	if err != nil {
		return err
	}
	is, err := u.atomsOf(&o.it.Request)
	if err != nil || len(was) != len(is) {
		return err
	}
	j := &judge{
		rules: u, scope: new(newScope()), bucket: s.form.bucket, method: s.it.Request.Method, read: s.form.read, nth: s.nth,
		said: l.a.said, recorded: l.first.recordedAt(s.it), now: l.second.recordedAt(o.it),
	}
	j.v = verdict{marks: map[string]string{}, names: map[string]string{}}
	for i, x := range was {
		y := is[i]
		if x.at != y.at || x.kind != y.kind {
			return nil // they are not the same request
		}
		if x.val == y.val || !noisy(x) || j.atom(x, y) || l.a.echoes(s.nth, x.val) && l.b.echoes(o.nth, y.val) {
			continue
		}
		l.add(s.form.route, x.at)
	}
	return nil
}

// noisy says whether an atom is of a kind that may be learned to differ.
func noisy(a atom) bool {
	return strings.Contains(a.at, "/") && !strings.HasPrefix(a.at, "path/") && strings.IndexByte("{[<", orByte(a.kind, 0)) < 0 && !strings.Contains(a.val, secretOpen)
}

// add makes a rule of a place in the requests of a route, once.
func (l *learner) add(route, at string) {
	base, path, _ := strings.Cut(route, "://")
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if i > 0 && nextToken(s, 0).shape != "" {
			segments[i] = "{id}"
		}
	}
	route = base + "://" + strings.Join(segments, "/")
	if l.known[route+" "+at] {
		return
	}
	l.known[route+" "+at] = true
	l.found = append(l.found, Rule{
		ID: fmt.Sprintf("learned-%d", len(l.found)+1), Route: route, At: "request." + at, Is: isVolatile,
		Because: "differed in 2 of 2 recordings",
	})
}

// echoes says whether an answer before the nth recording has val in it, as a word
// of its own.
func (x *index) echoes(nth int, val string) bool {
	for _, s := range x.slots[:nth] {
		r := s.it.Response
		if r == nil {
			continue
		}
		found := false
		look := func(text string) { found = found || hasWord(text, val) }
		for _, f := range r.Fields {
			look(f.Value)
		}
		eachPiece(r.Body, coding(r.Fields), look)
		if found {
			return true
		}
	}
	return false
}

// hasWord says whether word is in text, with no letter or digit beside it.
func hasWord(text, word string) bool {
	for from := 0; word != ""; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return false
		}
		i += from
		end := i + len(word)
		if (i == 0 || !alnum(text[i-1])) && (end == len(text) || !alnum(text[end])) {
			return true
		}
		from = i + 1
	}
	return false
}
