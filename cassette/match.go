package cassette

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/serge-net/serge-net/cassette/descriptor"
)

// Match says how far a request may be from a recorded one.
type Match string

// The ways to match.
const (
	MatchSmart Match = ""      // equal, or with values that differ on evidence
	MatchExact Match = "exact" // equal
	MatchLoose Match = "loose" // or the one recording that is nearest
)

// How the body of a request is compared, as a Rule says it.
const (
	bodyJSON    = "json"    // as JSON, whatever its type
	bodyPartial = "partial" // the recorded JSON is in the live one, which may have more
	bodyRegex   = "regex"   // the recorded body is a regular expression for the live one
	bodyNone    = "none"    // not at all
)

// A Rule is one thing that somebody wants, or learned, of how requests are
// matched. The zero value says nothing. Each field that is set is in force; the
// lists of names are without case but for JSONPaths.
type Rule struct {
	ID      string // a label
	Because string // why it is there, for people

	IgnoreHeaders []string // request headers that never tell requests apart
	IgnoreQuery   []string // query parameters that never do
	IgnoreBody    []string // JSONPaths of a body that never do; $.name is a form's field too

	URLRegex     string // URLs that match are taken for what As makes of them, with $1 for a group
	As           string
	PathTemplate string // like /users/{id}/orders: what is in braces never tells; at the end … is any rest
	HostAlias    string // A=B: the host A is taken for B

	Body  string // how bodies are compared: "json", "partial", "regex" or "none"
	Route string // the requests of Body and of At, as "METHOD URL", {x} for any segment; "": all

	At string // a value by its place, like "request.body.json/meta/pid", and
	Is string // what is known of it: "volatile" is that it differs from run to run
}

// String is r in a few words.
func (r Rule) String() string {
	var said []string
	say := func(what string, values ...string) {
		if len(values) > 0 && values[0] != "" {
			said = append(said, what+" "+strings.Join(values, ", "))
		}
	}
	say("ignore header", r.IgnoreHeaders...)
	say("ignore query", r.IgnoreQuery...)
	say("ignore body", r.IgnoreBody...)
	say("path template", r.PathTemplate)
	say("host alias", r.HostAlias)
	if r.URLRegex != "" {
		say("url regex", r.URLRegex+" => "+r.As)
	}
	say("body", r.Body)
	say(r.Is, r.At)
	say("for", r.Route)
	return strings.Join(said, " ")
}

// isVolatile is what a learned Rule says of its place.
const isVolatile = "volatile"

// Check says what is wrong with r.
func (r Rule) Check() error {
	_, err := compile([]Rule{r})
	return err
}

// rules are Rules as matching reads them, names in lower case. The zero value is
// none.
type rules struct {
	headers, query map[string]bool
	drop           []jsonPath
	urls           []rewrite
	templates      []template
	aliases        map[string]string
	bodies         []bodyRule
	learned        []learnedAt
	masks          map[string]map[string]bool // by bucket: where loose sums have no values
	fields         *descriptor.Set            // what the fields of messages are called
	off            law                        // for tests: what is not in force
}

// A rewrite takes some URLs for others.
type rewrite struct {
	from *regexp.Regexp
	to   string
}

// A template is a path in which some segments count for nothing.
type template struct {
	segments []string
	rest     bool // anything may follow
	veiled   bool // the segments do count, but what they are is not known
}

// A bodyRule is how some bodies are compared.
type bodyRule struct {
	route routePattern
	how   string
}

// A learnedAt is a place whose value differs from run to run.
type learnedAt struct {
	route       routePattern
	at, because string
}

// A routePattern is a method and a URL without its query, segments in braces
// being any. The zero value is every route.
type routePattern struct {
	base     string // method, scheme, host and port
	segments []string
}

// compile makes rules of rs.
func compile(rs []Rule) (rules, error) {
	u := rules{headers: map[string]bool{}, query: map[string]bool{}, aliases: map[string]string{}}
	for _, r := range rs {
		if err := u.add(r); err != nil {
			return rules{}, err
		}
	}
	return u, nil
}

// add makes r one of u.
func (u *rules) add(r Rule) error {
	for _, n := range r.IgnoreHeaders {
		u.headers[strings.ToLower(n)] = true
	}
	for _, n := range r.IgnoreQuery {
		u.query[strings.ToLower(normal(n, true))] = true
	}
	for _, s := range r.IgnoreBody {
		p, err := parsePath(s)
		if err != nil {
			return err
		}
		u.drop = append(u.drop, p)
	}
	if r.URLRegex != "" {
		re, err := regexp.Compile(r.URLRegex)
		if err != nil {
			return fmt.Errorf("url regex: %w", err)
		}
		u.urls = append(u.urls, rewrite{re, r.As})
	}
	if r.PathTemplate != "" {
		t, err := parseTemplate(r.PathTemplate)
		if err != nil {
			return err
		}
		u.templates = append(u.templates, t)
	}
	if r.HostAlias != "" {
		a, b, ok := strings.Cut(strings.ToLower(r.HostAlias), "=")
		if !ok || a == "" || b == "" || strings.ContainsAny(r.HostAlias, "/ ") {
			return fmt.Errorf("host alias %q is not A=B", r.HostAlias)
		}
		u.aliases[a] = b
	}
	return u.addRouted(r)
}

// addRouted adds what r says of some routes.
func (u *rules) addRouted(r Rule) error {
	route, err := parseRoute(r.Route)
	if err != nil {
		return err
	}
	switch {
	case r.Body == "":
	case slices.Contains([]string{bodyJSON, bodyPartial, bodyRegex, bodyNone}, r.Body):
		u.bodies = append(u.bodies, bodyRule{route, r.Body})
	default:
		return fmt.Errorf("body %q is not one of json, partial, regex, none", r.Body)
	}
	switch at, ok := strings.CutPrefix(r.At, "request."); {
	case r.At == "" && r.Is == "":
	case !ok || r.Is != isVolatile:
		return fmt.Errorf("rule %q: %q is %q; a place begins with request. and is volatile", r.ID, r.At, r.Is)
	default:
		u.learned = append(u.learned, learnedAt{route, at, r.Because})
	}
	return nil
}

// parseTemplate reads a path template.
func parseTemplate(s string) (template, error) {
	if !strings.HasPrefix(s, "/") {
		return template{}, fmt.Errorf("path template %q does not begin with /", s)
	}
	var t template
	for _, end := range []string{"/…", "/..."} {
		if cut, ok := strings.CutSuffix(s, end); ok {
			s, t.rest = cut, true
		}
	}
	t.segments = strings.Split(s, "/")[1:]
	if !slices.ContainsFunc(t.segments, isHole) {
		return template{}, fmt.Errorf("path template %q has no segment in braces", s)
	}
	return t, nil
}

// isHole says whether a segment of a template is any.
func isHole(s string) bool {
	return strings.HasPrefix(s, "{") && strings.HasSuffix(s, "}") && !strings.HasPrefix(s, secretOpen)
}

// fits says whether segments have the form of t.
func (t template) fits(segments []string) bool {
	if len(segments) < len(t.segments) || len(segments) > len(t.segments) && !t.rest {
		return false
	}
	for i, s := range t.segments {
		if !isHole(s) && s != segments[i] {
			return false
		}
	}
	return true
}

// templateOf is the first template that a path has the form of.
func (u *rules) templateOf(segments []string) template {
	for _, t := range u.templates {
		if t.fits(segments) {
			return t
		}
	}
	return template{}
}

// apply is segment i, which is s, under t.
func (t template) apply(i int, s string) string {
	if !t.veiled && i < len(t.segments) && isHole(t.segments[i]) {
		return "{}"
	}
	return s
}

// veils says whether segment i counts, but is not known.
func (t template) veils(i int) bool {
	return t.veiled && i < len(t.segments) && isHole(t.segments[i])
}

// parseRoute reads a routePattern.
func parseRoute(s string) (routePattern, error) {
	if s == "" {
		return routePattern{}, nil
	}
	method, url, ok := strings.Cut(s, " ")
	if !ok || !strings.Contains(url, "://") {
		return routePattern{}, fmt.Errorf("route %q is not METHOD URL", s)
	}
	scheme, host, path, query := cutURL(url)
	if query != "" {
		return routePattern{}, fmt.Errorf("route %q has a query, which no route has", s)
	}
	base := method + " " + scheme + "://" + foldPort(scheme, host)
	return routePattern{base, strings.Split(normal(path, false), "/")[1:]}, nil
}

// has says whether a bucket, or a route, is one of p's.
func (p routePattern) has(bucket string) bool {
	if p.base == "" {
		return true
	}
	rest, ok := strings.CutPrefix(bucket, p.base+"/")
	if !ok {
		return false
	}
	segments := strings.Split(rest, "/")
	if len(segments) != len(p.segments) {
		return false
	}
	for i, s := range p.segments {
		if !isHole(s) && s != segments[i] && string(maskTokens(nil, s)) != segments[i] {
			return false
		}
	}
	return true
}

// rewritten is url as it is taken.
func (u *rules) rewritten(url string) string {
	for _, r := range u.urls {
		url = r.from.ReplaceAllString(url, r.to)
	}
	return url
}

// aliased is host as it is taken.
func (u *rules) aliased(scheme, host string) string {
	if to, ok := u.aliases[host]; ok {
		return foldPort(scheme, to)
	}
	return host
}

// bodyMode is how bodies of a bucket are compared, "" as usual.
func (u *rules) bodyMode(bucket string) string {
	for _, b := range u.bodies {
		if b.route.has(bucket) {
			return b.how
		}
	}
	return ""
}

// dropsName says whether a form's field counts for nothing.
func (u *rules) dropsName(name string) bool {
	return slices.ContainsFunc(u.drop, func(p jsonPath) bool { return p.top(name) })
}

// learnedOf is why the value at a place is known to differ, and whether it is.
func (u *rules) learnedOf(bucket, at string) (string, bool) {
	for _, l := range u.learned {
		if l.at == at && l.route.has(bucket) {
			return l.because, true
		}
	}
	return "", false
}
