package cassette

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A scope is what stands for what: in a run, for each secret and each random
// value of the recording, at most one of the live ones, and the other way round.
type scope struct {
	toLive map[string]string // placeholder → the value that stands for it in this run
	toMark map[string]string // and back
	names  map[string]string // random value of the recording → the live one, as tokenKey has them
	back   map[string]string // and back
	moved  int               // how many of names are not the same
}

func newScope() scope {
	return scope{map[string]string{}, map[string]string{}, map[string]string{}, map[string]string{}, 0}
}

// name has the random value v stand for u from now on.
func (s *scope) name(u, v string) {
	if _, ok := s.names[u]; ok {
		return
	}
	s.names[u], s.back[v] = v, u
	if u != v {
		s.moved++
	}
}

// A verdict says whether a recorded request, which is not equal to a live one, is
// taken for it.
type verdict struct {
	evidence []string          // one for each value that differs
	marks    map[string]string // what the live values are that placeholders stand for
	names    map[string]string // what the live random values are
	query    bool              // a random value in the query is taken for another
	redacted bool              // nothing differs but secrets
	at, why  string            // where it is not taken, and why
}

// A judge compares a recorded request with a live one, both known to be alike
// but for values of volatile shapes. It changes nothing.
type judge struct {
	*rules
	scope    *scope
	bucket   string
	method   string
	read     bool                           // a GraphQL query
	nth      int                            // the recorded one's place
	said     func(token string) (int, bool) // the place of the first answer with it
	recorded time.Time                      // when
	now      time.Time
	v        verdict
}

// clockSkew is how far a clock may be from the time at which it is read: a test
// may hold a moment for a while, but not for a day.
const clockSkew = time.Hour

// try compares the atoms of both, and says whether one is taken for the other.
func (j *judge) try(rec, live []atom) bool {
	if len(rec) != len(live) {
		j.v.at, j.v.why = "body", "it has other parts"
		return false
	}
	j.v.marks, j.v.names, j.v.redacted = map[string]string{}, map[string]string{}, true
	for i, u := range rec {
		if w := live[i]; u.at != w.at || u.kind != w.kind && !strings.Contains(u.val, secretOpen) || !j.atom(u, w) {
			j.v.at = w.at
			return false
		}
	}
	return true
}

// atom compares one.
func (j *judge) atom(u, w atom) bool {
	if u.val == w.val {
		return j.tokens(u, w, "")
	}
	if strings.Contains(u.val, secretOpen) && !j.off.has(lawRedacted) {
		return j.redacted(u, w)
	}
	j.v.redacted = false
	if because, ok := j.learnedOf(j.bucket, w.at); ok && !j.off.has(lawLearned) {
		return j.grant(w.at, "learned: "+orElse(because, "accepted"))
	}
	if j.unitOf([]byte(u.at), u.kind, u.val) != "" {
		return j.clock(u, w)
	}
	return j.tokens(u, w, "renamed")
}

// orElse is s, or else other.
func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// grant takes a value for another.
func (j *judge) grant(at, why string) bool {
	j.v.evidence = append(j.v.evidence, placeName(at)+" ("+why+")")
	return true
}

// refuse does not.
func (j *judge) refuse(why string, args ...any) bool {
	j.v.why = fmt.Sprintf(why, args...)
	return false
}

// redacted compares text in which placeholders stand for secrets: what is between
// them is literal.
func (j *judge) redacted(u, w atom) bool {
	texts, marks := cutMarks(u.val)
	rest, ok := strings.CutPrefix(w.val, texts[0])
	if !ok {
		return j.refuse("what is beside the secret differs")
	}
	for i, mark := range marks {
		end := len(rest)
		if next := texts[i+1]; i+1 < len(marks) || next != "" {
			if end = strings.Index(rest, next); i+1 == len(marks) {
				end = len(rest) - len(next)
			}
			if end < 0 || next == "" || !strings.HasPrefix(rest[end:], next) {
				return j.refuse("what is beside the secret differs")
			}
		}
		mark, form := cutForm(mark)
		if !j.bind(mark, form.Decode(rest[:end])) {
			return j.refuse("it is another secret than the recording has there")
		}
		rest = rest[end+len(texts[i+1]):]
		j.v.evidence = append(j.v.evidence, "took the request's own secret for "+strings.Trim(mark, "{}"))
	}
	return rest == "" || j.refuse("what is beside the secret differs")
}

// bind has value stand for a placeholder, if nothing speaks against it.
func (j *judge) bind(mark, value string) bool {
	is, ok := j.scope.toLive[mark]
	if !ok {
		is, ok = j.v.marks[mark]
	}
	if ok || j.off.has(lawSecrets) {
		return is == value || j.off.has(lawSecrets)
	}
	for m, v := range j.v.marks {
		if v == value && m != mark {
			return false
		}
	}
	if j.scope.toMark[value] != "" {
		return false
	}
	j.v.marks[mark] = value
	return true
}

// clock compares two moments.
func (j *judge) clock(u, w atom) bool {
	was, unit := clockOf(unescaped(u.kind, u.val))
	is, same := clockOf(unescaped(w.kind, w.val))
	near := func(a, b time.Time) bool { return a.Sub(b).Abs() <= clockSkew || j.off.has(lawAnchor) }
	switch {
	case unit != same:
		return j.refuse("%s are not %s", unit, orElse(same, "that"))
	case !near(was, j.recorded):
		return j.refuse("it was not the time when it was recorded, so it says something else")
	case !near(is, j.now):
		return j.refuse("it is not the time now")
	}
	return j.grant(w.at, "the time, in "+unit)
}

// unescaped is an atom's value without percent-encoding, where it may have that.
func unescaped(kind byte, val string) string {
	if kind == '=' && strings.Contains(val, "%") {
		if s, err := url.PathUnescape(val); err == nil {
			return s
		}
	}
	return val
}

// tokens compares two texts that have random values at the same places. Of equal
// texts, each value stands for itself.
func (j *judge) tokens(u, w atom, relax string) bool {
	a, b := u.val, w.val
	x, y := nextToken(a, 0), nextToken(b, 0)
	i, k := 0, 0
	for ; x.shape != "" && y.shape != ""; x, y = nextToken(a, x.to), nextToken(b, y.to) {
		if a[i:x.from] != b[k:y.from] || x.shape != y.shape || keyLen(a[x.from:x.to], x.shape) != keyLen(b[y.from:y.to], y.shape) {
			return j.refuse("")
		}
		from, to := tokenKey(a[x.from:x.to], x.shape), tokenKey(b[y.from:y.to], y.shape)
		switch {
		case relax != "" && from != to && digestBefore(a[:x.from]) && !j.off.has(lawDigest):
			return j.refuse("a digest names content, and it is another one")
		case relax != "" && from != to:
			if !j.renamed(u, x.shape, from, to) {
				return false
			}
		case from == to:
			j.same(from)
		}
		i, k = x.to, y.to
	}
	return x.shape == y.shape && a[i:] == b[k:] || j.refuse("")
}

// same notes that a random value stands for itself, if nothing else does.
func (j *judge) same(token string) {
	if j.scope.names[token] == "" && j.scope.back[token] == "" {
		j.v.names[token] = token
	}
}

// renamed takes the random value v for u.
func (j *judge) renamed(at atom, sh shape, u, v string) bool {
	if j.off.has(lawRenamed) {
		return j.refuse("")
	}
	name := string(sh)
	now, back := orElse(j.scope.names[u], j.v.names[u]), j.scope.back[v]
	for r, l := range j.v.names {
		if l == v {
			back = orElse(back, r)
		}
	}
	one := !j.off.has(lawOneToOne)
	first, said := j.said(u)
	_, spoken := j.said(v)
	inPath := strings.HasPrefix(at.at, "path/")
	switch {
	case now == v && back == u:
		return j.grant(at.at, name+" that stood for the recorded one before")
	case now != "" && one:
		return j.refuse("the recorded %s stands for another of this run", name)
	case back != "" && one:
		return j.refuse("the %s stands for another of the recording", name)
	case said && first < j.nth && !j.off.has(lawUnseen):
		return j.refuse("the recorded %s came in an earlier answer, so it is to be sent as it was served", name)
	case spoken && !j.off.has(lawUnseen):
		return j.refuse("the %s is one that the recording's answers have: it names something else", name)
	case inPath && !slices.Contains([]string{"PUT", "POST", "PATCH"}, j.method) && !j.off.has(lawResource):
		return j.refuse("an unknown %s in the path of a %s is another resource", name, j.method)
	case j.read && strings.HasPrefix(at.at, "body") && !j.off.has(lawReading):
		return j.refuse("an unknown %s in a GraphQL query is another resource", name)
	case sh == shapeJWT && !sameHolder(u, v) && !j.off.has(lawHolder):
		return j.refuse("the token is of somebody else")
	}
	j.v.names[u] = v
	j.v.query = j.v.query || strings.HasPrefix(at.at, "query/")
	return j.grant(at.at, name+" never seen in a response")
}

// placeName is the place of an atom as people read it: body.meta.pid, query page.
func placeName(at string) string {
	kind, rest, _ := strings.Cut(at, "/")
	switch kind {
	case "body.json", "body.form", "body.xml":
		var b strings.Builder
		b.WriteString("body")
		for key := range strings.SplitSeq(rest, "/") {
			key = strings.NewReplacer("~1", "/", "~0", "~").Replace(key)
			if _, err := strconv.Atoi(key); err == nil && kind == "body.json" {
				b.WriteString("[" + key + "]")
			} else {
				b.WriteString("." + key)
			}
		}
		return b.String()
	case "body.part", "body.part-head":
		return "body part " + rest
	case "body.proto", "body.grpc":
		return "body field " + strings.ReplaceAll(rest, "/", ".")
	case "path":
		return "path segment " + rest
	}
	return strings.TrimSuffix(kind+" "+rest, " ")
}
