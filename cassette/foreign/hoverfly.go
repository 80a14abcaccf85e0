package foreign

import (
	"encoding/base64"
	"net/url"
	"path"
	"strings"

	"github.com/serge-net/serge-net/exchange"
)

// readHoverfly reads Hoverfly's simulations, versions 1 to 5. A pair that
// matches by pattern is a rule and not a recording: it is noted and left out.
func readHoverfly(d *draft, root *value) error {
	root.skip("meta")
	data := root.get("data")
	for _, v := range data.get("pairs").list() {
		q, r := v.get("request"), v.get("response")
		if d.sequenced(q.get("requiresState")) && d.sequenced(r.get("transitionsState")) {
			e, err := d.pair(q, r)
			if err != nil {
				return err
			}
			if e != nil {
				d.add(v, *e, either)
				continue
			}
		}
		d.note(v, "a pair by pattern or by state is a rule, not a recording: left out")
		v.all()
	}
	return nil
}

// sequenced says whether v is the state by which equal requests are counted, or
// none: their order is the file's.
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

// pair is one of Hoverfly's, nil if it does not stand for one exchange.
func (d *draft) pair(q, r *value) (*Exchange, error) {
	part := map[string]string{"scheme": "http"}
	for _, key := range []string{"scheme", "method", "destination", "path", "body"} {
		m := q.get(key)
		s, ok := exactly(m)
		if !ok {
			return nil, nil
		}
		if !m.empty() {
			part[key] = s
		}
	}
	query, ok := hoverflyQuery(q)
	if !ok || part["method"] == "" || part["destination"] == "" {
		return nil, nil
	}
	e := &Exchange{URL: part["scheme"] + "://" + part["destination"] + part["path"] + query, RequestBody: []byte(part["body"])}
	e.Request = exchange.Head{Method: part["method"], Version: "1.1"}
	for _, key := range []string{"headers", "headersWithQuery"} {
		h := q.get(key)
		for i, name := range h.names() {
			h.kids[i].used = true
			s, ok := exactly(h.kids[i])
			if !ok {
				return nil, nil
			}
			e.Request.Fields = append(e.Request.Fields, exchange.Field{Name: name, Value: s})
		}
	}
	q.skip("requestType")
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

// names are the keys of v, which may be absent.
func (v *value) names() []string {
	if v == nil {
		return nil
	}
	return v.keys
}

// exactly is the one text that v matches, and whether it is such: a string, a
// list of one, or matchers in the forms of any version.
func exactly(v *value) (string, bool) {
	switch {
	case v.empty():
		return "", true
	case v.kind != '[' && v.kind != '{':
		return v.text, true
	case v.kind == '[':
		l := v.list()
		if len(l) == 1 {
			return exactly(l[0])
		}
		return "", false
	}
	if m := v.get("exactMatch"); m != nil { // versions 2 to 4
		return m.string(), true
	}
	switch v.str("matcher") {
	case "", "exact", "json", "xml", "form":
		v.skip("config")
		m := v.get("value")
		if m == nil || m.kind == '[' || m.kind == '{' {
			return "", false
		}
		return m.text, true
	}
	return "", false
}

// hoverflyQuery is the query with its question mark, "" for none.
func hoverflyQuery(q *value) (string, bool) {
	if s, ok := exactly(q.get("deprecatedQuery")); !ok || s != "" {
		return "?" + s, ok
	}
	v := q.get("query")
	if v.null() || v.kind != '{' || v.peek("exactMatch") != nil { // versions 1 to 4
		s, ok := exactly(v)
		if s != "" {
			s = "?" + s
		}
		return s, ok
	}
	var pairs []string
	for i, name := range v.keys {
		v.kids[i].used = true
		for _, m := range append([]*value{}, v.kids[i].listOr()...) {
			s, ok := exactly(m)
			if !ok {
				return "", false
			}
			for one := range strings.SplitSeq(s, ";") { // how Hoverfly joins repeated ones
				pairs = append(pairs, url.QueryEscape(name)+"="+url.QueryEscape(one))
			}
		}
	}
	if len(pairs) == 0 {
		return "", true
	}
	return "?" + strings.Join(pairs, "&"), true
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
