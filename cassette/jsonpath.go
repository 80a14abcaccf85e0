package cassette

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A jsonPath names values in a JSON body: the part of RFC 9535 that needs no
// expressions. $.a.b, $['a b'], $.a[0], $.a[-1], $.a[*], $.a.* and $..a.
type jsonPath []pathStep

// A pathStep goes from a value to some of what is in it.
type pathStep struct {
	deep  bool   // or in what is in that, and so on
	any   bool   // all of it
	name  string // a member
	index *int   // an element, from the end if it is negative
}

// parsePath reads a JSONPath.
func parsePath(s string) (jsonPath, error) {
	rest, ok := strings.CutPrefix(s, "$")
	if !ok {
		return nil, fmt.Errorf("JSONPath %q: does not begin with $", s)
	}
	var p jsonPath
	for rest != "" {
		var step pathStep
		var err error
		step, rest, err = parseStep(rest)
		if err != nil {
			return nil, fmt.Errorf("JSONPath %q: %w", s, err)
		}
		p = append(p, step)
	}
	if len(p) == 0 {
		return nil, fmt.Errorf("JSONPath %q: names the whole body; use body = none for that", s)
	}
	return p, nil
}

// parseStep reads the first step of s.
func parseStep(s string) (step pathStep, rest string, err error) {
	if r, ok := strings.CutPrefix(s, ".."); ok {
		step.deep = true
		if s = r; !strings.HasPrefix(s, "[") {
			s = "." + s
		}
	}
	if r, ok := strings.CutPrefix(s, "."); ok {
		n := strings.IndexAny(r, ".[")
		if n < 0 {
			n = len(r)
		}
		if n == 0 {
			return step, "", errors.New("a name is missing")
		}
		if strings.ContainsAny(r[:n], " ]'\"()?@") {
			return step, "", fmt.Errorf("%q is not a name: write ['%s']", r[:n], strings.Trim(r[:n], "]'\""))
		}
		step.any = r[:n] == "*"
		step.name = r[:n]
		return step, r[n:], nil
	}
	if !strings.HasPrefix(s, "[") {
		return step, "", fmt.Errorf("%q is neither .name nor [index]", s)
	}
	return step.bracket(s[1:])
}

// bracket reads what stands in brackets.
func (step pathStep) bracket(s string) (pathStep, string, error) {
	if s != "" && (s[0] == '\'' || s[0] == '"') {
		n := strings.Index(s[1:], s[:1]+"]")
		if n < 0 {
			return step, "", fmt.Errorf("%s has no end", s)
		}
		step.name = s[1 : 1+n]
		return step, s[n+3:], nil
	}
	in, rest, ok := strings.Cut(s, "]")
	if !ok {
		return step, "", fmt.Errorf("[%s has no end", s)
	}
	if in == "*" {
		step.any = true
		return step, rest, nil
	}
	i, err := strconv.Atoi(in)
	if err != nil {
		return step, "", fmt.Errorf("[%s] is not an index, ['name'] or [*]; expressions and slices are not read", in)
	}
	step.index = &i
	return step, rest, nil
}

// prune removes what p names from n, in place. An element of a list is made
// null, so that the others keep their places.
func (p jsonPath) prune(n *node) {
	if n == nil {
		return
	}
	step, rest := p[0], p[1:]
	if step.deep {
		for _, m := range n.mem {
			p.prune(m.val)
		}
		for _, k := range n.kids {
			p.prune(k)
		}
	}
	if len(rest) > 0 {
		for _, m := range n.mem {
			if step.names(m.key) {
				rest.prune(m.val)
			}
		}
		for i, k := range n.kids {
			if step.counts(i, len(n.kids)) {
				rest.prune(k)
			}
		}
		return
	}
	n.mem = slices.DeleteFunc(n.mem, func(m member) bool { return step.names(m.key) })
	if n.kind == '[' && step.any {
		n.kids = nil
	}
	for i := range n.kids {
		if step.counts(i, len(n.kids)) {
			n.kids[i] = null()
		}
	}
}

// names says whether a step goes to the member called key.
func (step pathStep) names(key string) bool {
	return step.any || step.index == nil && step.name == key
}

// counts says whether a step goes to element i of n.
func (step pathStep) counts(i, n int) bool {
	return step.any || step.index != nil && (*step.index == i || *step.index+n == i)
}

// top says whether p names a member called key of the body itself.
func (p jsonPath) top(key string) bool { return len(p) == 1 && p[0].names(key) }
