package foreign

import (
	"cmp"
	"encoding/base64"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/serge-net/serge-net/exchange"
)

// readHoverfly reads Hoverfly's simulations, versions 1 to 5. What is matched by
// pattern becomes an exchange that the pattern is for, and a rule. What has no
// form as a rule is noted and left out.
func readHoverfly(d *draft, root *value) error {
	root.skip("meta")
	pairs := slices.Clone(root.get("data").get("pairs").list())
	slices.SortStableFunc(pairs, func(a, b *value) int { return cmp.Compare(sequence(a), sequence(b)) })
	for _, v := range pairs {
		q, r := v.get("request"), v.get("response")
		if !d.sequenced(q.get("requiresState")) || !d.sequenced(r.get("transitionsState")) || len(r.peek("removesState").listOf()) > 0 {
			d.note(v, "a pair that depends on a state is left out")
			v.all()
			continue
		}
		e, err := d.pair(v, q, r)
		if err != nil {
			return err
		}
		if e == nil {
			v.all()
			continue
		}
		d.add(v, *e, either)
	}
	d.anyHead()
	return nil
}

// sequence is which of the answers to equal requests a pair is, by the state that
// it requires: "sequence:1" is "1", then "2".
func sequence(pair *value) int {
	state := pair.peek("request").peek("requiresState")
	for i, key := range state.names() {
		if n, err := strconv.Atoi(state.kids[i].text); err == nil && strings.HasPrefix(key, "sequence:") {
			return n
		}
	}
	return 0
}

// sequenced says whether v is the state by which equal requests are counted, or
// none.
func (d *draft) sequenced(v *value) bool {
	if v == nil {
		return true
	}
	for i, key := range v.keys {
		v.kids[i].used = true
		if !strings.HasPrefix(key, "sequence:") {
			return false
		}
	}
	return true
}

// pair is one of Hoverfly's as an exchange, nil if that has no form.
func (d *draft) pair(v, q, r *value) (*Exchange, error) {
	q.skip("requestType")
	method := exactly(q.get("method"))
	if method.how == "any" {
		d.note(v, "a pair for any method is carried for GET")
		method = matcher{"exact", "GET"}
	}
	if method.how != "exact" {
		d.note(v, "a pair by a pattern of methods is left out")
		return nil, nil
	}
	e := &Exchange{Request: exchange.Head{Method: method.text, Version: "1.1"}}
	var ok bool
	if e.URL, ok = d.pairURL(v, q); !ok {
		return nil, nil
	}
	if !d.pairRequest(v, q, e) {
		return nil, nil
	}
	var err error
	if e.ResponseBody, err = d.pairBody(r); err != nil {
		return nil, err
	}
	e.Wait = milliseconds(r.get("fixedDelay"))
	if r.str("templated") == "true" {
		d.note(r, "a template is code and is not evaluated: its text is the body")
	}
	e.Response = d.answer(r, "1.1", r.int("status"), "", d.fieldsOf(r.get("headers")))
	return e, nil
}

// pairURL is the URL of a pair, or one that its patterns are for.
func (d *draft) pairURL(v, q *value) (string, bool) {
	scheme, host, path := exactly(q.get("scheme")), exactly(q.get("destination")), exactly(q.get("path"))
	if scheme.how == "any" && host.how == "exact" {
		scheme = matcher{"exact", "http"}
	}
	query, known := hoverflyQuery(q)
	plain := scheme.how == "exact" && host.how == "exact" && path.how == "exact"
	if plain && known {
		return scheme.text + "://" + host.text + path.text + query, true
	}
	parts := urlParts{scheme.regex(anyScheme, "[a-z]"), host.regex(anyHost, "[^/?]"), path.regex(anyPath, "[^?]"), regexp.QuoteMeta(query)}
	switch {
	case q.peek("query") == nil && q.peek("queryMatchers") == nil && query == "":
		parts.query = anyQuery
	case !known:
		if parts.query, known = queryPattern(q); !known {
			d.note(v, "a pair by patterns of several query parameters is left out")
			return "", false
		}
	}
	if parts.scheme == "" || parts.host == "" || parts.path == "" {
		d.note(v, "a pair by a matcher that is no exact, glob or regex of a URL is left out")
		return "", false
	}
	return d.pattern(v, parts)
}

// pairRequest takes in what a pair asks of the request's head and body. It is
// false if a matcher has no form here.
func (d *draft) pairRequest(v, q *value, e *Exchange) bool {
	for _, key := range []string{"headers", "headersWithQuery"} {
		h := q.get(key)
		for i, name := range h.names() {
			h.kids[i].used = true
			if m := exactly(h.kids[i]); m.how == "exact" {
				e.Request.Fields = append(e.Request.Fields, exchange.Field{Name: name, Value: m.text})
			} else {
				d.note(h.kids[i], "a pattern of a header is not carried: the header is not looked at")
			}
		}
	}
	m := exactly(q.get("body"))
	e.RequestBody = []byte(m.text)
	switch m.how {
	case "exact", "form":
	case "json", "xml":
		if m.how == "json" {
			d.ruleFor(e.Request.Method, e.URL, "json")
		}
	case "any":
		if e.Request.Method != "GET" && e.Request.Method != "HEAD" {
			d.ruleFor(e.Request.Method, e.URL, "none")
		}
	case "jsonPartial":
		d.ruleFor(e.Request.Method, e.URL, "partial")
	case "glob", "regex":
		e.RequestBody = []byte("(?s)^" + m.regex("", ".") + "$")
		d.ruleFor(e.Request.Method, e.URL, "regex")
	default:
		d.note(v, "a pair by a %s matcher of the body is left out", m.how)
		return false
	}
	return true
}

// names are the keys of v, which may be absent.
func (v *value) names() []string {
	if v == nil {
		return nil
	}
	return v.keys
}

// A matcher is one of Hoverfly's: how is "any" for none, "several" for more than
// one, and else what the simulation calls it.
type matcher struct{ how, text string }

// regex is m as a regular expression for the whole of a text of characters of
// char, any if m takes all, "" if it cannot be one.
func (m matcher) regex(any, char string) string {
	switch m.how {
	case "any":
		return any
	case "exact":
		return regexp.QuoteMeta(m.text)
	case "glob":
		return glob(m.text, char)
	case "regex":
		return whole(m.text, char)
	}
	return ""
}

// exactly is the matcher that v is: a string, a list of one, or an object in the
// form of any version.
func exactly(v *value) matcher {
	switch {
	case v == nil || v.kind == 'z':
		return matcher{how: "any"}
	case v.kind != '[' && v.kind != '{':
		return matcher{"exact", v.text}
	case v.kind == '[':
		switch l := v.list(); len(l) {
		case 0:
			return matcher{how: "any"}
		case 1:
			return exactly(l[0])
		}
		return matcher{how: "several"}
	}
	for key, how := range map[string]string{"exactMatch": "exact", "globMatch": "glob", "regexMatch": "regex", "jsonMatch": "json", "xmlMatch": "xml"} {
		if m := v.get(key); m != nil { // versions 2 to 4
			return matcher{how, m.string()}
		}
	}
	if v.peek("doMatch") != nil { // version 5.1: a second matcher on what the first found
		return matcher{how: "chained"}
	}
	how, m := v.str("matcher"), v.get("value")
	v.skip("config")
	switch {
	case how == "":
		how = "exact"
	case how == "glob" && !strings.Contains(m.string(), "*"):
		how = "exact"
	}
	if m != nil && (m.kind == '[' || m.kind == '{') {
		m.all()
		return matcher{how, string(m.json())}
	}
	return matcher{how, m.string()}
}

// hoverflyQuery is the query with its question mark, "" for none; false if it is
// a pattern.
func hoverflyQuery(q *value) (string, bool) {
	if m := exactly(q.get("deprecatedQuery")); m.how != "any" && m.text != "" {
		return "?" + m.text, m.how == "exact"
	}
	v := q.get("query")
	if v.null() || v.kind != '{' || v.peek("exactMatch") != nil { // versions 1 to 4
		m := exactly(v)
		if m.text != "" {
			m.text = "?" + m.text
		}
		return m.text, m.how == "exact" || m.how == "any"
	}
	var pairs []string
	for i, name := range v.keys {
		v.kids[i].used = true
		for _, k := range v.kids[i].listOr() {
			m := exactly(k)
			if m.how != "exact" && m.how != "array" {
				return "", false
			}
			for one := range strings.SplitSeq(m.text, ";") { // how Hoverfly joins repeated ones
				pairs = append(pairs, url.QueryEscape(name)+"="+url.QueryEscape(one))
			}
		}
	}
	if len(pairs) == 0 {
		return "", true
	}
	return "?" + strings.Join(pairs, "&"), true
}

// queryPattern is the regular expression of a query of which one parameter is a
// pattern, whatever stands around it.
func queryPattern(q *value) (string, bool) {
	v := q.peek("query")
	if v == nil || len(v.kids) != 1 {
		return "", false
	}
	m := exactly(v.kids[0])
	re := m.regex("[^&]*", "[^&]")
	return `\?(?:.*&)?` + regexp.QuoteMeta(url.QueryEscape(v.keys[0])) + "=" + re + "(?:&.*)?", re != ""
}

// listOr is the elements of v, or v if it is no list.
func (v *value) listOr() []*value {
	if v.kind == '[' {
		return v.list()
	}
	return []*value{v}
}

// pairBody is the body of a response.
func (d *draft) pairBody(r *value) ([]byte, error) {
	if f := r.get("bodyFile"); !f.empty() {
		return d.side(f, path.Dir(d.name))
	}
	b := r.get("body")
	if r.str("encodedBody") != "true" {
		return []byte(b.string()), nil
	}
	out, err := base64.StdEncoding.DecodeString(b.string())
	if err != nil {
		return nil, b.fault("encodedBody: %v", err)
	}
	return out, nil
}
