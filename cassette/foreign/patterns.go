package foreign

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/exchange"
)

// A urlPattern is what the URLs of a recording by pattern look like. The
// recording is kept under one URL that fits: a rule takes all of them for it.
type urlPattern struct {
	re  *regexp.Regexp
	url string // that of the exchange
}

// A urlParts is a URL in regular expressions, each for the whole of its part.
type urlParts struct {
	scheme, host, path string
	query              string // with its question mark, if there is one
}

// Regular expressions for parts that a tool does not ask for.
const (
	anyScheme = `https?`
	anyHost   = `[^/?]+`
	anyPath   = `/[^?]*`
	anyQuery  = `(?:\?.*)?`
)

// regex is p as one.
func (p urlParts) regex() string {
	group := func(s string) string { return "(?:" + s + ")" }
	return "^" + group(p.scheme) + "://" + group(p.host) + group(p.path) + group(p.query) + "$"
}

// pattern takes in that an exchange is for the URLs of p, and returns one of
// them. It is false if none could be found.
func (d *draft) pattern(at *value, p urlParts) (string, bool) {
	re, err := regexp.Compile(p.regex())
	if err != nil {
		d.note(at, "the pattern of a URL is none that Go knows: left out: %v", err)
		return "", false
	}
	host := p.host
	if host == anyHost {
		host = "any.example"
	}
	tree, err := syntax.Parse(urlParts{p.scheme, host, p.path, p.query}.regex(), syntax.Perl)
	if err != nil {
		return "", false
	}
	url := example(tree)
	if !re.MatchString(url) {
		d.note(at, "no URL was found that a pattern is for: left out")
		return "", false
	}
	d.urls = append(d.urls, urlPattern{re, url})
	return url, true
}

// example is a text that re matches, short and of letters where it can be; it may
// be another if re has assertions.
func example(re *syntax.Regexp) string {
	switch re.Op {
	case syntax.OpLiteral:
		return string(re.Rune)
	case syntax.OpCharClass:
		return string(oneOf(re.Rune))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return "x"
	case syntax.OpCapture, syntax.OpPlus:
		return example(re.Sub[0])
	case syntax.OpAlternate:
		return example(re.Sub[0])
	case syntax.OpRepeat:
		return strings.Repeat(example(re.Sub[0]), re.Min)
	case syntax.OpConcat:
		var b strings.Builder
		for _, s := range re.Sub {
			b.WriteString(example(s))
		}
		return b.String()
	}
	return "" // OpStar, OpQuest, assertions
}

// oneOf is a letter or a digit of a class, or else its first character.
func oneOf(ranges []rune) rune {
	for _, want := range "x1A" {
		for i := 0; i+1 < len(ranges); i += 2 {
			if ranges[i] <= want && want <= ranges[i+1] {
				return want
			}
		}
	}
	if len(ranges) == 0 {
		return 'x'
	}
	return ranges[0]
}

// settleRules gives the recording the rules that its patterns are. What a pattern is for is taken for a
// URL that no other rule is for. An exchange whose own URL fits a pattern goes
// first, as in the tools.
func (d *draft) settleRules() {
	d.rec.Rules = slices.DeleteFunc(slices.Concat(d.hosts, d.urlRules(), d.rec.Rules), func(r cassette.Rule) bool {
		err := r.Check()
		if err != nil {
			d.note(nil, "a rule of matching has no form here: %v", err)
		}
		return err != nil
	})
}

// urlRules are those of the patterns.
func (d *draft) urlRules() []cassette.Rule {
	own := map[string]bool{}
	for _, p := range d.urls {
		own[p.url] = true
	}
	var first, then []cassette.Rule
	done := map[string]bool{}
	standIn := func(n int) string { return "http://" + strconv.Itoa(n) + ".pattern.invalid/" }
	for _, e := range d.rec.Exchanges {
		if own[e.URL] || done[e.URL] {
			continue
		}
		for _, p := range d.urls {
			if p.re.MatchString(e.URL) {
				done[e.URL] = true
				first = append(first, cassette.Rule{Because: "recorded beside a pattern that fits it", URLRegex: "^" + regexp.QuoteMeta(e.URL) + "$", As: standIn(len(done))})
				break
			}
		}
	}
	seen := map[string]bool{}
	for _, p := range d.urls {
		if from := p.re.String(); !seen[from] {
			seen[from] = true
			then = append(then, cassette.Rule{Because: "a pattern of " + d.rec.Format, URLRegex: from, As: standIn(len(done) + len(seen))})
		}
	}
	return append(first, then...)
}

// ruleFor says how the bodies of the requests that e is like are compared.
func (d *draft) ruleFor(method, url, body string) {
	route, _, _ := strings.Cut(url, "?")
	d.rule(cassette.Rule{Because: "so it is in " + d.rec.Format, Body: body, Route: method + " " + route})
}

// anyHead says that requests are told apart by the headers that the exchanges
// have, and by no other.
func (d *draft) anyHead() {
	var names []string
	for _, name := range []string{"authorization", "cookie", "content-type", "range", "soapaction", "x-amz-target", "x-http-method-override"} {
		asked := slices.ContainsFunc(d.rec.Exchanges, func(e Exchange) bool { _, ok := exchange.Get(e.Request.Fields, name); return ok })
		if !asked {
			names = append(names, name)
		}
	}
	if len(d.rec.Exchanges) > 0 {
		d.rule(cassette.Rule{Because: d.rec.Format + " did not ask for them", IgnoreHeaders: names})
	}
}

// rule takes r in, once.
func (d *draft) rule(r cassette.Rule) {
	for _, old := range d.rec.Rules {
		if fmt.Sprint(old) == fmt.Sprint(r) {
			return
		}
	}
	d.rec.Rules = append(d.rec.Rules, r)
}

// glob is a pattern with * for any text as a regular expression.
func glob(s, any string) string {
	return strings.ReplaceAll(regexp.QuoteMeta(s), `\*`, any+"*")
}

// whole is re, which is looked for anywhere, as one for all of a text whose
// characters are of any.
func whole(re, any string) string {
	head, tail := any+"*", any+"*"
	for _, a := range []string{"^", `\A`} {
		if cut, ok := strings.CutPrefix(re, a); ok {
			head, re = "", cut
		}
	}
	for _, z := range []string{"$", `\z`} {
		if cut, ok := strings.CutSuffix(re, z); ok && !strings.HasSuffix(cut, `\`) {
			tail, re = "", cut
		}
	}
	return head + "(?:" + re + ")" + tail
}
