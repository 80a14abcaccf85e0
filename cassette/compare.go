package cassette

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/serge-net/serge-net/exchange"
)

// A Change is an interaction that two cassettes do not agree on.
type Change struct {
	Old, New *Interaction // nil: the cassette has none. One of them is there
	// Diffs are where the two differ: Recorded is Old's, Live is New's. At says
	// the place: "request query page", "request body /user/name", "status",
	// "header content-type", "body /items/0/id" (JSON pointers, RFC 6901). There
	// are none if one of the two is nil.
	Diffs []exchange.Diff
}

// String is the change over one or more lines: "+ GET URL -> 200" for an
// interaction that is new, "-" for one that is gone, "~" for one that changed,
// and then a line for each difference.
func (c Change) String() string {
	switch {
	case c.Old == nil:
		return "+ " + exchange.Visible(c.New.Line())
	case c.New == nil:
		return "- " + exchange.Visible(c.Old.Line())
	}
	var b strings.Builder
	b.WriteString("~ " + exchange.Visible(c.Old.Request.Method+" "+c.Old.Request.URL))
	for _, d := range c.Diffs {
		b.WriteString("\n    " + d.String())
	}
	return b.String()
}

// Compare lists what changed from old to new, in the order of old and then of
// new. Requests are the same if they are equal in canonical form, or but for
// random values and times, as a replay takes them on evidence; several equal ones
// are taken in their order. Of what is left, one of the same method
// and URL without its query is taken for the same request changed. What varies
// by nature is no change: dates, ids of the answer, expiry of cookies, the
// numbers of secrets, white space between header fields' names and values.
func Compare(old, new *Cassette) []Change {
	own := func(i *Interaction) (form, error) { return i.key, nil }
	all, _ := compare(old, new, own) // which does not fail
	return all
}

// Compare is the function Compare for requests that are told apart by the rules
// of o and of old. An error says which rule is none, or which body cannot be read.
func (o PlayOptions) Compare(old, new *Cassette) ([]Change, error) {
	u, err := compile(slices.Concat(o.Rules, old.Rules.Match))
	if err != nil {
		return nil, fmt.Errorf("compare with cassette %s: %w", old.Name, err)
	}
	return compare(old, new, func(i *Interaction) (form, error) { return u.formOf(i.asked()) })
}

// compare is Compare for requests whose forms are formOf's.
func compare(old, new *Cassette, formOf func(*Interaction) (form, error)) ([]Change, error) {
	c := comparison{
		m:    merger{toOld: map[string]string{}, toNew: map[string]string{}},
		form: map[*Interaction]form{}, pair: map[*Interaction]*Interaction{}, taken: map[*Interaction]bool{},
	}
	for _, i := range slices.Concat(old.Interactions, new.Interactions) {
		var err error
		if c.form[i], err = formOf(i); err != nil {
			return nil, fmt.Errorf("interaction %s: %w", i.ID, err)
		}
	}
	c.match(old.Interactions, new.Interactions, func(i *Interaction) string { sum := c.form[i].sum; return string(sum[:]) })
	c.match(old.Interactions, new.Interactions, func(i *Interaction) string { k := c.form[i].kin(); return string(k.loose[:]) + k.route })
	c.match(old.Interactions, new.Interactions, func(i *Interaction) string { return c.form[i].route })
	var out []Change
	for _, o := range old.Interactions {
		n := c.pair[o]
		if n == nil {
			out = append(out, Change{Old: o})
			continue
		}
		if diffs := c.diffs(o, n); len(diffs) > 0 {
			out = append(out, Change{o, n, diffs})
		}
	}
	for _, n := range new.Interactions {
		if !c.taken[n] {
			out = append(out, Change{New: n})
		}
	}
	return out, nil
}

// A comparison is what Compare knows so far.
type comparison struct {
	m     merger // which secret of the one is which of the other
	form  map[*Interaction]form
	pair  map[*Interaction]*Interaction
	taken map[*Interaction]bool // of the new ones, those that are some pair's
}

// match pairs what is not paired yet and has the same key, in order.
func (c *comparison) match(olds, news []*Interaction, key func(*Interaction) string) {
	free := map[string][]*Interaction{}
	for _, n := range news {
		if !c.taken[n] {
			free[key(n)] = append(free[key(n)], n)
		}
	}
	for _, o := range olds {
		ns := free[key(o)]
		if c.pair[o] != nil || len(ns) == 0 {
			continue
		}
		at := max(0, slices.IndexFunc(ns, func(n *Interaction) bool { return c.sameSecrets(o, n) }))
		c.pair[o], c.taken[ns[at]] = ns[at], true
		free[key(o)] = slices.Delete(ns, at, at+1)
	}
}

// sameSecrets tells whether the secrets in the requests of o and n can be the
// same, and if so takes them for it.
func (c *comparison) sameSecrets(o, n *Interaction) bool {
	t := trial{m: &c.m, toOld: map[string]string{}, toNew: map[string]string{}}
	same := slices.EqualFunc(c.form[o].secrets, c.form[n].secrets, func(a, b pair) bool {
		return a.name == b.name && t.text(a.value, b.value)
	})
	if same {
		t.keep()
	}
	return same
}

// diffs is where o and n differ.
func (c *comparison) diffs(o, n *Interaction) []exchange.Diff {
	out := connectionDiffs(o.Connection, n.Connection)
	for _, d := range c.requestDiffs(o, n) {
		d.At = "request " + d.At
		out = append(out, d)
	}
	if !c.sameSecrets(o, n) {
		out = append(out, exchange.Diff{At: "request secrets", Recorded: secretNames(c.form[o]), Live: secretNames(c.form[n])})
	}
	out = appendDiff(out, "status", o.result(), n.result())
	if o.Response != nil && n.Response != nil {
		out = append(out, c.responseDiffs(o.Response, n.Response)...)
	}
	if o.Converses() && n.Converses() {
		return append(out, conversationDiffs(o, n)...)
	}
	return append(out, saidDiffs(o, n)...)
}

// result is i's outcome, and how it ended if not as the protocol says.
func (i *Interaction) result() string {
	if i.Converses() {
		return i.parted()
	}
	if r := i.Response; r != nil && r.End != exchange.Complete {
		return i.outcome() + ", " + r.End.String()
	}
	return i.outcome()
}

// secretNames says which secrets a request has, and where.
func secretNames(f form) string {
	var out []string
	for _, s := range f.secrets {
		out = append(out, strings.TrimSpace(s.name)+" "+strings.Trim(s.value, "{}"))
	}
	return strings.Join(out, ", ")
}

// appendDiff appends a difference if there is one.
func appendDiff(out []exchange.Diff, at, a, b string) []exchange.Diff {
	if a == b {
		return out
	}
	return append(out, exchange.Diff{At: at, Recorded: a, Live: b})
}

// connectionDiffs is where two connections differ, as far as a client sees it.
func connectionDiffs(a, b Connection) []exchange.Diff {
	out := appendDiff(nil, "HTTP version", a.Version, b.Version)
	out = appendDiff(out, "ALPN", a.ALPN, b.ALPN)
	names := func(c Connection) string { return strings.Join(slices.Sorted(slices.Values(c.Names)), ", ") }
	return appendDiff(out, "certificate names", names(a), names(b))
}

// requestDiffs is where the requests of o and n, which have the same route,
// differ in canonical form.
func (c *comparison) requestDiffs(o, n *Interaction) []exchange.Diff {
	a, b := c.form[o], c.form[n]
	if a.sum == b.sum || a.kin() == b.kin() {
		return nil
	}
	out := differPairs("query ", a.query, b.query)
	out = append(out, differPairs("header ", a.hard, b.hard)...)
	if !sayTheSame(&o.Request, &n.Request) {
		out = append(out, c.bodyDiffs(content{o.Request.Body, o.Request.Fields}, content{n.Request.Body, n.Request.Fields})...)
	}
	return out
}

// responseDiffs is where a and b differ.
func (c *comparison) responseDiffs(a, b *Response) []exchange.Diff {
	out := appendDiff(nil, "reason", a.Reason, b.Reason)
	x, y := a.Fields, b.Fields
	if a.Body.Size+b.Body.Size > 0 { // it says no more than the bodies
		x, y = without(x, "content-length"), without(y, "content-length")
	}
	out = append(out, c.fieldDiffs("header ", x, y)...)
	out = append(out, c.bodyDiffs(content{a.Body, a.Fields}, content{b.Body, b.Fields})...)
	out = append(out, c.fieldDiffs("trailer ", a.Trailers, b.Trailers)...)
	hints := func(r *Response) string {
		var out []string
		for _, i := range r.Informational {
			out = append(out, strconv.Itoa(i.Status))
		}
		return strings.Join(out, ", ")
	}
	return appendDiff(out, "informational", hints(a), hints(b))
}

// fieldDiffs is where two lists of fields differ, by name.
func (c *comparison) fieldDiffs(at string, a, b []exchange.Field) []exchange.Diff {
	a, b = steady(a), steady(b)
	var names []string
	for _, f := range slices.Concat(a, b) {
		if n := strings.ToLower(f.Name); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	var out []exchange.Diff
	for _, name := range names {
		x, y := valuesOf(a, name), valuesOf(b, name)
		if !c.sameTexts(x, y) {
			out = append(out, exchange.Diff{At: at + name, Recorded: strings.Join(x, ", "), Live: strings.Join(y, ", ")})
		}
	}
	return out
}

// valuesOf is the values of name, in lower case, in order.
func valuesOf(fields []exchange.Field, name string) []string {
	var out []string
	for _, f := range fields {
		if strings.EqualFold(f.Name, name) {
			out = append(out, f.Value)
		}
	}
	return out
}

// sameTexts says whether a and b are the same but for the numbers of secrets.
func (c *comparison) sameTexts(a, b []string) bool {
	t := trial{m: &c.m, toOld: map[string]string{}, toNew: map[string]string{}}
	same := slices.EqualFunc(a, b, t.text)
	if same {
		t.keep()
	}
	return same
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
