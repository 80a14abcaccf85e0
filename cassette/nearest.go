package cassette

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/serge-net/serge-net/exchange"
)

// newMiss is a miss of l, with what is known without looking further.
func (p *Player) newMiss(o exchange.Origin, l *live) *exchange.Miss {
	p.mu.Lock()
	p.tally.Missed++
	url := p.hiddenURL(l.req.URL)
	p.mu.Unlock()
	m := &exchange.Miss{Cassette: p.c.Name, Method: l.req.Method, URL: url, Caller: o.Caller}
	m.Asked(l.req.Fields)
	return m
}

// miss tells that nothing answers l, whose form is f, and what comes nearest.
func (p *Player) miss(o exchange.Origin, l *live, f form) *exchange.Miss {
	m := p.newMiss(o, l)
	g, near, total, same, err := p.around(f)
	switch {
	case err != nil:
		m.Reason = err.Error()
	case g != nil:
		p.explain(m, g, l, f)
	case total == 0:
		m.Reason, m.Hosts = "no recording for this host", p.c.Hosts()
	default:
		if total > compareMost {
			m.Reason = fmt.Sprintf("compared %d of %d recordings", compareMost, total)
			near = near[:min(compareMost, len(near))]
		}
		p.nearest(m, l, f, near, same)
	}
	return m
}

// around is what is recorded that f is compared with: what is equal to it, else
// some of its route, which same says, else some of its host.
func (p *Player) around(f form) (g *group, near []*slot, total int, same bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if g, err = p.index.group(&f); g != nil || err != nil {
		return g, nil, 0, false, err
	}
	if near, total, err = p.index.route(&f); len(near) > 0 || err != nil {
		return nil, near, total, true, err
	}
	near, total, err = p.index.host(&f)
	if len(near) == 0 {
		total = 0
	}
	return nil, near, total, false, err
}

// nearest tells which of near comes nearest to l, and what differs. same says
// that they are of its route.
func (p *Player) nearest(m *exchange.Miss, l *live, f form, near []*slot, same bool) {
	atoms, err := p.rules.atomsOf(&l.req)
	if err != nil {
		m.Reason = err.Error()
		return
	}
	var best *slot
	var diffs []exchange.Diff
	p.mu.Lock()
	for _, s := range near {
		d := p.difference(s, f, atoms, same)
		if best == nil || cost(d, s, f) < cost(diffs, best, f) {
			best, diffs = s, d
		}
	}
	p.mu.Unlock()
	m.Nearest = p.near(best, diffs)
	unexplained := func(d exchange.Diff) bool { return d.Why != "" }
	if m.Reason == "" && p.several(f) && p.opt.Match != MatchExact && !slices.ContainsFunc(diffs, unexplained) {
		m.Reason = "recordings that differ from it only there have other answers"
	}
	if same || sameShape(best.form.route, f.route) {
		m.Accept = acceptFlags(diffs, best.form.route, f.route)
	}
}

// several says whether more than one group has f's loose sum.
func (p *Player) several(f form) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, open := range []bool{true, false} {
		if kin, _, err := p.index.related(&f, open, 2); err == nil {
			n += len(kin)
		}
	}
	return n > 1
}

// cost orders candidates by how far they are.
func cost(d []exchange.Diff, s *slot, f form) int {
	n := 1000 * len(d)
	a, b := s.form.route, f.route
	for i := 0; i < len(a) && i < len(b) && a[i] == b[i]; i++ {
		n--
	}
	return n
}

// near is s as the nearest recording.
func (p *Player) near(s *slot, diffs []exchange.Diff) *exchange.Near {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := &exchange.Near{Method: s.it.Request.Method, URL: p.hiddenURL(s.it.Request.URL), Diffs: diffs}
	if g, _ := p.index.group(&s.form); g != nil {
		p.index.each(g, func(nth int) {
			n.Recorded++
			if p.served[nth] > 0 {
				n.Served++
			}
		})
	}
	return n
}

// explain says why none of g, which equals the request, answers it.
func (p *Player) explain(m *exchange.Miss, g *group, l *live, f form) {
	n := p.near(g.slots[0], nil)
	m.Nearest = n
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range g.parts() {
		s := v.slots[0]
		_, ok := p.compatible(s, f)
		switch {
		case !ok:
			continue
		case !p.conditional(s, f):
			m.Reason = fmt.Sprintf("the recorded %d answers another condition", s.it.Response.Status)
		case p.offer(v, f) == nil && len(f.keys) > 0:
			m.Reason = "its idempotency key is that of another request"
		case p.offer(v, f) == nil && len(f.ids) > 0:
			m.Reason = "its JSON-RPC id differs"
		case p.offer(v, f) == nil:
			m.Reason = "its body does not fit the recorded one"
		case len(v.left) == 0:
			m.Reason = fmt.Sprintf("already served %d/%d", n.Served, n.Recorded)
		case len(v.left) > 0 && p.ahead(v.left[0]) != nil:
			m.Reason = "out of order: the next one recorded is " + p.ahead(v.left[0]).it.Line()
		case p.differs(f):
			m.Reason = "a value in it stands for another of the recording"
		default:
			m.Reason = "the recording does not tell which of its answers is meant"
		}
		return
	}
	m.Reason = "it carries other credentials than when it was recorded"
	for i, rec := range g.slots[0].form.secrets {
		if i < len(f.secrets) && p.toLive[rec.value] != unescape(f.secrets[i].value) {
			where, _, _ := strings.Cut(rec.name, " ")
			n.Diffs = append(n.Diffs, exchange.Diff{At: "header " + where, Recorded: strings.Trim(rec.value, "{}"), Live: "(another secret)"})
		}
	}
}

// differs says whether a value in f stands for another of the recording.
func (p *Player) differs(f form) bool {
	fit, err := p.equal(f)
	return err == nil && fit == nil
}

// difference lists where s and a request with the form f and the given atoms
// differ, and why that is not taken for nothing. same says that their routes are
// equal. p.mu is held.
func (p *Player) difference(s *slot, f form, live []atom, same bool) []exchange.Diff {
	var out []exchange.Diff
	if !same {
		if a, b := methodOf(s.form.route), methodOf(f.route); a != b {
			out = append(out, exchange.Diff{At: "method", Recorded: a, Live: b})
		}
		if a, b := pathOf(s.form.route), pathOf(f.route); a != b {
			out = append(out, exchange.Diff{At: "path", Recorded: a, Live: b})
		}
	}
	rec, err := p.rules.atomsOf(&s.it.Request)
	if err != nil {
		return append(out, exchange.Diff{At: "body", Recorded: err.Error()})
	}
	return append(out, p.differAtoms(p.judge(s, f), rec, live, same)...)
}

// diffsMost is how many differences of two requests are listed.
const diffsMost = 10

// differAtoms lists where two lists of atoms differ.
func (p *Player) differAtoms(j *judge, rec, live []atom, same bool) []exchange.Diff {
	of := map[string][]atom{}
	for _, w := range live {
		of[w.at] = append(of[w.at], w)
	}
	var out []exchange.Diff
	tell := func(u, w atom, at string) {
		if len(out) >= diffsMost || at == "method" || strings.HasPrefix(at, "path/") && !same || strings.IndexByte("{[<", orByte(u.kind, w.kind)) >= 0 {
			return
		}
		name, ok := p.rules.fieldName(j.bucket, at)
		if !ok {
			name = diffName(at)
		}
		d := exchange.Diff{At: name, Recorded: shownAtom(u), Live: shownAtom(w)}
		if u.at != "" && w.at != "" {
			j.v = verdict{marks: map[string]string{}, names: map[string]string{}}
			if !j.atom(u, w) {
				d.Why = j.v.why
			}
		}
		p.hide(&d, u, w)
		out = append(out, d)
	}
	for _, u := range rec {
		ws := of[u.at]
		if len(ws) == 0 {
			tell(u, atom{}, u.at)
			continue
		}
		of[u.at] = ws[1:]
		if ws[0].val != u.val || ws[0].kind != u.kind {
			tell(u, ws[0], u.at)
		}
	}
	for _, w := range live {
		if ws := of[w.at]; len(ws) > 0 && ws[0] == w {
			of[w.at] = ws[1:]
			tell(atom{}, w, w.at)
		}
	}
	return out
}

// orByte is a, or else b.
func orByte(a, b byte) byte {
	if a != 0 || b == 0 {
		return max(a, 1)
	}
	return b
}

// shownAtom is a's value as a diff shows it.
func shownAtom(a atom) string {
	if a.kind == 's' {
		return quote(valid(a.val))
	}
	return a.val
}

// diffName is an atom's place as a diff has it: "query page", "body $.user.name".
func diffName(at string) string {
	kind, rest, _ := strings.Cut(at, "/")
	switch kind {
	case "body.json":
		return "body " + pathOfPointer(rest)
	case "body.form":
		return "body $" + pathName(rest)
	}
	return placeName(at)
}

// pathOfPointer is a JSON pointer, without its first slash, as a JSONPath. A name
// that is a number reads as an index: what it is in, a pointer does not tell.
func pathOfPointer(pointer string) string {
	b := "$"
	for key := range strings.SplitSeq(pointer, "/") {
		key = strings.NewReplacer("~1", "/", "~0", "~").Replace(key)
		if _, err := strconv.Atoi(key); err == nil {
			b += "[" + key + "]"
		} else {
			b += pathName(key)
		}
	}
	return b
}

// pathName is a name as a step of a JSONPath.
func pathName(key string) string {
	if key == "" || strings.ContainsFunc(key, func(r rune) bool { return r >= utf8.RuneSelf || !alnum(byte(r)) && r != '_' && r != '-' }) {
		return `["` + key + `"]`
	}
	return "." + key
}

// methodOf is a route's method.
func methodOf(route string) string {
	m, _, _ := strings.Cut(route, " ")
	return m
}

// pathOf is a route's path.
func pathOf(route string) string {
	_, rest, _ := strings.Cut(route, "://")
	return rest[len(hostOf("x://"+rest)):]
}

// sameShape says whether two routes are of one method, host and number of path
// segments.
func sameShape(a, b string) bool {
	return methodOf(a) == methodOf(b) && hostOf(a) == hostOf(b) && strings.Count(a, "/") == strings.Count(b, "/")
}

// acceptFlags are the flags of accept, and of run, under which diffs count for
// nothing, "" if no flags do that.
func acceptFlags(diffs []exchange.Diff, recorded, live string) string {
	var flags []string
	add := func(flag, value string) {
		if strings.ContainsFunc(value, func(r rune) bool { return r >= utf8.RuneSelf || !unreserved(byte(r)) && r != '/' && r != ':' }) {
			value = "'" + value + "'"
		}
		if f := flag + " " + value; !slices.Contains(flags, f) {
			flags = append(flags, f)
		}
	}
	for _, d := range diffs {
		what, name, _ := strings.Cut(d.At, " ")
		if strings.ContainsAny(name, `'`) || what != "body" && strings.ContainsAny(name, `",`) {
			return "" // commas and quotes mean something in the flag
		}
		switch {
		case what == "query", what == "header":
			add("--ignore-"+what, name)
		case what == "body" && strings.HasPrefix(name, "$"):
			if _, err := parsePath(name); err != nil {
				return ""
			}
			add("--ignore-body", name)
		case d.At == "path", what == "path":
			add("--path-template", templateFor(pathOf(recorded), pathOf(live)))
		default:
			return ""
		}
	}
	return strings.Join(flags, " ")
}

// templateFor is the path template that two paths have in common.
func templateFor(a, b string) string {
	as, bs := strings.Split(a, "/"), strings.Split(b, "/")
	for i := range as {
		if i < len(bs) && as[i] != bs[i] {
			as[i] = "{id}"
		}
	}
	return strings.Join(as, "/")
}
