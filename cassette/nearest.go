package cassette

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/serge-net/serge-net/exchange"
)

// compareMost is with how many recordings of a route a miss is compared.
const compareMost = 200

// newMiss is a miss of l, with what is known without looking further.
func (p *Player) newMiss(o exchange.Origin, l *live) *exchange.Miss {
	p.mu.Lock()
	p.tally.Missed++
	p.mu.Unlock()
	return &exchange.Miss{Cassette: p.c.Name, Method: l.req.Method, URL: l.req.URL, Caller: o.Caller}
}

// miss tells that nothing answers l, whose form is f, and what comes nearest.
func (p *Player) miss(o exchange.Origin, l *live, f form) *exchange.Miss {
	m := p.newMiss(o, l)
	host := hostOf(l.req.URL)
	if group := p.groups[f.sum]; len(group) > 0 {
		p.explain(m, group, f)
		return m
	}
	near, same := p.routes[f.route], true
	if len(near) == 0 {
		same = false
		for _, s := range p.slots {
			if strings.EqualFold(hostOf(s.it.Request.URL), host) {
				near = append(near, s)
			}
		}
	}
	if len(near) == 0 {
		m.Reason, m.Hosts = "no recording for this host", p.c.Hosts()
		return m
	}
	if len(near) > compareMost {
		m.Reason = fmt.Sprintf("compared %d of %d", compareMost, len(near))
		near = near[:compareMost]
	}
	var best *slot
	var diffs []exchange.Diff
	for _, s := range near {
		d := difference(s, l, f, same)
		if best == nil || cost(d, s, f) < cost(diffs, best, f) {
			best, diffs = s, d
		}
	}
	m.Nearest = p.near(best, diffs)
	if same {
		m.Accept = acceptFlags(diffs)
	}
	return m
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
	n := &exchange.Near{Method: s.it.Request.Method, URL: s.it.Request.URL, Diffs: diffs}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, g := range p.groups[s.form.sum] {
		n.Recorded++
		if p.served[g] > 0 {
			n.Served++
		}
	}
	return n
}

// explain says why none of group, which equals the request, answers it.
func (p *Player) explain(m *exchange.Miss, group []*slot, f form) {
	n := p.near(group[0], nil)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range group {
		_, ok := p.compatible(s, f)
		switch {
		case ok && !conditional(s, f):
			m.Reason = fmt.Sprintf("the recorded %d answers a conditional request", s.it.Response.Status)
		case ok && firstLeft(p.kinds[f.sum]) == nil:
			m.Reason = fmt.Sprintf("already served %d/%d", n.Served, n.Recorded)
		case ok:
			m.Reason = "the recording does not tell which of its answers is meant"
		}
		if ok {
			break
		}
	}
	if m.Reason == "" {
		m.Reason = "it carries other credentials than when it was recorded"
		for i, rec := range group[0].form.secrets {
			if i < len(f.secrets) && p.toLive[rec.value] != unescape(f.secrets[i].value) {
				where, _, _ := strings.Cut(rec.name, " ")
				n.Diffs = append(n.Diffs, exchange.Diff{At: "header " + where, Recorded: strings.Trim(rec.value, "{}"), Live: "(another secret)"})
			}
		}
	}
	m.Nearest = n
}

// difference lists where s and the request l differ. same says that their
// routes are equal.
func difference(s *slot, l *live, f form, same bool) []exchange.Diff {
	var out []exchange.Diff
	if !same {
		if s.it.Request.Method != l.req.Method {
			out = append(out, exchange.Diff{At: "method", Recorded: s.it.Request.Method, Live: l.req.Method})
		}
		if a, b := pathOf(s.form.route), pathOf(f.route); a != b {
			out = append(out, exchange.Diff{At: "path", Recorded: a, Live: b})
		}
	}
	out = append(out, differPairs("query ", s.form.query, f.query)...)
	out = append(out, differPairs("header ", s.form.hard, f.hard)...)
	if s.form.body != f.body {
		out = append(out, differBodies(&s.it.Request, &l.req)...)
	}
	return out
}

// pathOf is a route's path.
func pathOf(route string) string {
	_, rest, _ := strings.Cut(route, "://")
	return rest[len(hostOf("x://"+rest)):]
}

// differPairs lists the names whose values are not the same in a and b.
func differPairs(at string, a, b []pair) []exchange.Diff {
	values := func(ps []pair, name string) string {
		var vs []string
		for _, p := range ps {
			if p.name == name {
				vs = append(vs, strings.TrimPrefix(p.value, "="))
			}
		}
		return strings.Join(vs, ", ")
	}
	var names []string
	for _, p := range append(slices.Clone(a), b...) {
		if !slices.Contains(names, p.name) {
			names = append(names, p.name)
		}
	}
	slices.Sort(names)
	var out []exchange.Diff
	for _, n := range names {
		if x, y := values(a, n), values(b, n); x != y {
			out = append(out, exchange.Diff{At: at + n, Recorded: x, Live: y})
		}
	}
	return out
}

// differBodies lists where two bodies that are not equal differ: by path if
// both are JSON.
func differBodies(a, b *Request) []exchange.Diff {
	x, xn := treeOf(a)
	y, yn := treeOf(b)
	if x != nil && y != nil {
		return differTrees("$", x, y, nil)
	}
	return []exchange.Diff{{At: "body", Recorded: xn, Live: yn}}
}

// treeOf is r's body as JSON, or nil and the body in a few words.
func treeOf(r *Request) (*node, string) {
	data, ok, err := r.Body.Whole()
	if err != nil || !ok {
		return nil, fmt.Sprintf("%d bytes", r.Body.Size)
	}
	plain, ok := decoded(data, coding(r.Fields))
	if !ok {
		return nil, fmt.Sprintf("%d bytes", r.Body.Size)
	}
	if n, err := parseTree(plain); err == nil && n.kind != 's' {
		return n, ""
	}
	return nil, valid(string(plain))
}

// diffsMost is how many differences of one body are listed.
const diffsMost = 10

// differTrees adds to out where a and b differ.
func differTrees(at string, a, b *node, out []exchange.Diff) []exchange.Diff {
	if len(out) >= diffsMost {
		return out
	}
	switch {
	case a != nil && b != nil && a.kind == '{' && b.kind == '{':
		for _, m := range sortedMembers(a) {
			out = differTrees(at+"."+m.key, m.val, b.get(m.key), out)
		}
		for _, m := range sortedMembers(b) {
			if a.get(m.key) == nil {
				out = differTrees(at+"."+m.key, nil, m.val, out)
			}
		}
		return out
	case a != nil && b != nil && a.kind == '[' && b.kind == '[' && len(a.kids) == len(b.kids):
		for i := range a.kids {
			out = differTrees(fmt.Sprintf("%s[%d]", at, i), a.kids[i], b.kids[i], out)
		}
		return out
	}
	if x, y := brief(a), brief(b); x != y && len(out) < diffsMost {
		out = append(out, exchange.Diff{At: "body " + at, Recorded: x, Live: y})
	}
	return out
}

// brief is n as a diff shows it.
func brief(n *node) string {
	switch {
	case n == nil:
		return ""
	case n.isString():
		return quote(unquote(n.tok))
	}
	return n.compact()
}

// acceptFlags are the flags of run under which diffs count for nothing, "" if
// no flags do that.
func acceptFlags(diffs []exchange.Diff) string {
	var flags []string
	for _, d := range diffs {
		what, name, _ := strings.Cut(d.At, " ")
		if what != "query" && what != "header" || strings.ContainsAny(name, `",'`) {
			return "" // commas and quotes mean something in the flag
		}
		if strings.ContainsFunc(name, func(r rune) bool { return r >= utf8.RuneSelf || !unreserved(byte(r)) }) {
			name = "'" + name + "'"
		}
		flags = append(flags, "--ignore-"+what+" "+name)
	}
	return strings.Join(flags, " ")
}
