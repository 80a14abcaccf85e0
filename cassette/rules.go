package cassette

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// Rules are what somebody accepted of the runs that a cassette is for. They stay
// when it is recorded again.
type Rules struct {
	// Bypass are hosts, addresses, prefixes and ports that pass untouched and
	// unrecorded, as they were accepted: what they mean is the caller's to say.
	Bypass []string
	// Match are how requests are matched, in the order in which they were accepted
	// or learned.
	Match []Rule
}

// rulesOf reads the member rules, and leaves out what is no text, or a rule of
// matching that this version does not know. One that it knows and that is none
// is an error: to leave it out would be to match other than somebody meant.
func rulesOf(n *node) (Rules, error) {
	var r Rules
	for _, k := range n.get("bypass").elements() {
		if k.isString() {
			r.Bypass = append(r.Bypass, unquote(k.tok))
		}
	}
	for i, k := range n.get("match").elements() {
		rule := ruleOf(k)
		if err := rule.Check(); err != nil {
			return r, fmt.Errorf("/rules/match/%d: %w", i, err)
		}
		r.Match = append(r.Match, rule)
	}
	return r, nil
}

// ruleOf reads a rule of matching.
func ruleOf(n *node) Rule {
	return Rule{
		ID: n.text("id"), Because: n.text("because"),
		IgnoreHeaders: n.get("ignore_headers").texts(), IgnoreQuery: n.get("ignore_query").texts(), IgnoreBody: n.get("ignore_body").texts(),
		URLRegex: n.text("url_regex"), As: n.text("as"), PathTemplate: n.text("path_template"), HostAlias: n.text("host_alias"),
		Body: n.text("body"), Route: n.text("route"), At: n.text("at"), Is: n.text("is"),
	}
}

// node is r as it stands in the file.
func (r Rule) node() *node {
	n := (&node{kind: '{'}).addString("id", r.ID)
	for _, l := range []struct {
		key   string
		names []string
	}{{"ignore_headers", r.IgnoreHeaders}, {"ignore_query", r.IgnoreQuery}, {"ignore_body", r.IgnoreBody}} {
		if len(l.names) > 0 {
			n.add(l.key, stringList(l.names))
		}
	}
	n.addString("url_regex", r.URLRegex).addString("as", r.As).addString("path_template", r.PathTemplate).addString("host_alias", r.HostAlias)
	n.addString("body", r.Body).addString("route", r.Route).addString("at", r.At).addString("is", r.Is)
	return n.addString("because", r.Because)
}

// same says whether two rules hold the same, whatever they are called.
func (r Rule) same(o Rule) bool {
	r.ID, r.Because, o.ID, o.Because = "", "", "", ""
	return r.node().compact() == o.node().compact()
}

// with is r and what o has beside it.
func (r Rules) with(o Rules) (all Rules, more bool) {
	all = Rules{slices.Clone(r.Bypass), slices.Clone(r.Match)}
	for _, p := range o.Bypass {
		if !slices.Contains(all.Bypass, p) {
			all.Bypass, more = append(all.Bypass, p), true
		}
	}
	for _, m := range o.Match {
		if !slices.ContainsFunc(all.Match, m.same) {
			all.Match, more = append(all.Match, m), true
		}
	}
	return all, more
}

// accept makes r the rules of c. Those that this version does not know stay.
func (c *Cassette) accept(r Rules) {
	added := r.Match[len(c.Rules.Match):]
	c.Rules = r
	old := (&node{mem: c.extra}).get("rules")
	if old == nil || old.kind != '{' {
		old = &node{kind: '{'}
	}
	now := old
	if len(added) > 0 {
		match := list(old.get("match").elements()...)
		for _, m := range added {
			match.kids = append(match.kids, m.node())
		}
		now = now.with("match", match)
	}
	if len(r.Bypass) > 0 {
		now = now.with("bypass", stringList(r.Bypass))
	}
	c.extra = (&node{mem: c.extra}).with("rules", now).mem
}

// Rules are those of the cassette called name, none if there is no cassette.
// That it is damaged otherwise does not matter here.
func (s *Store) Rules(name string) (Rules, error) {
	if err := checkName(name); err != nil {
		return Rules{}, err
	}
	c, err := s.around(name)
	if errors.Is(err, fs.ErrNotExist) {
		return Rules{}, nil
	}
	if err != nil {
		return Rules{}, err
	}
	return c.Rules, c.Close()
}

// Accept adds rules to those of the cassette called name and tells whether that
// changed it. If there is none, the error is fs.ErrNotExist; while it is being
// recorded, ErrBusy. A recording that was cut off is recovered first.
func (s *Store) Accept(name string, rules Rules) (bool, error) {
	release, err := s.still(name)
	if err != nil {
		return false, err
	}
	defer release()
	c, err := s.Mount(name)
	if err != nil {
		return false, err
	}
	defer c.Close()
	all, more := c.Rules.with(rules)
	if !more {
		return false, nil
	}
	root, err := s.opened()
	if err != nil {
		return false, err
	}
	c.accept(all)
	if c.box.format == MessagePack {
		err = s.extend(name, c.twin, c, nil)
	} else {
		err = (&compaction{store: s, root: root, of: name, name: name, box: c.box}).commitAs(c, c.each)
	}
	if err != nil {
		return false, fmt.Errorf("write cassette %s: %w", s.Path(name), err)
	}
	return true, nil
}
