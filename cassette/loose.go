package cassette

import (
	"fmt"
	"strings"
)

// looseLeast is what part of the values of a request have to be equal for it to
// be taken for a recorded one where matching is loose.
const looseLeast = 0.7

// closest is the offer of the one recording that comes nearest to l, whose form is
// f, where matching is loose. What is asked for, and of which fields it consists,
// is never taken loosely: only values in the query and the body are.
func (p *Player) closest(l *live, f form) ([]*offer, error) {
	if p.opt.Match != MatchLoose {
		return nil, nil
	}
	live, err := p.rules.atomsOf(&l.req)
	if err != nil {
		return nil, err
	}
	var fit []*offer
	best, tie := looseLeast, false
	seen := map[*group]bool{}
	near, _, err := p.index.route(&f)
	if err != nil {
		return nil, err
	}
	for _, s := range near {
		g, err := p.index.group(&s.form)
		if err != nil {
			return nil, err
		}
		if g == nil || seen[g] || len(seen) >= compareMost {
			continue
		}
		seen[g] = true
		rec, err := g.parsed(p.rules)
		if err != nil {
			return nil, err
		}
		score, differ := p.score(p.judge(s, f), rec, live)
		if score < best {
			continue
		}
		var here []*offer
		for _, v := range g.parts() {
			if o := p.offer(v, f); o != nil {
				o.evidence = append(o.evidence, fmt.Sprintf("loose: %.0f %% equal, but for %s", score*100, strings.Join(differ, ", ")))
				here = append(here, o)
			}
		}
		if len(here) > 0 {
			tie = len(fit) > 0 && score == best
			fit, best = here, score
		}
	}
	if tie {
		return nil, nil
	}
	return fit, nil
}

// score is what part of the values of a live request are those of a recorded one,
// and which are not; zero if they differ in more than values.
func (p *Player) score(j *judge, rec, live []atom) (float64, []string) {
	if len(rec) != len(live) {
		return 0, nil
	}
	j.v = verdict{marks: map[string]string{}, names: map[string]string{}}
	all, equal := 0, 0
	var differ []string
	for i, u := range rec {
		w := live[i]
		if u.at != w.at || u.kind != w.kind {
			return 0, nil
		}
		value := (strings.HasPrefix(u.at, "query/") || strings.HasPrefix(u.at, "body")) && strings.IndexByte("{[<", orByte(u.kind, 0)) < 0
		switch {
		case j.atom(u, w):
			if value {
				equal++
			}
		case !value || u.at == "body" || u.at == "body.json/operationName" || isGraphQL(u.val):
			return 0, nil
		default:
			differ = append(differ, placeName(u.at))
		}
		if value {
			all++
		}
	}
	return float64(equal) / float64(max(all, 1)), differ
}
