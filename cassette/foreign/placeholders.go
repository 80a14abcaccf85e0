package foreign

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/exchange"
)

// placeholder is what VCR's filter_sensitive_data writes in place of a secret, by
// the custom of its documentation.
var placeholder = regexp.MustCompile(`<[A-Z][A-Z0-9_]{2,}>`)

// placeholders makes rules of those in the requests: where one stands, any value
// is the recorded one. What is served still says the placeholder.
func (d *draft) placeholders(at *value, e *Exchange) {
	named := map[string]bool{}
	for _, f := range e.Request.Fields {
		if found := placeholder.FindString(f.Value); found != "" {
			named[found] = true
			d.rule(cassette.Rule{Because: "VCR wrote " + found, IgnoreHeaders: []string{strings.ToLower(f.Name)}})
		}
	}
	path, query, _ := strings.Cut(e.URL, "?")
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if found := placeholder.FindString(value); found != "" {
			named[found] = true
			d.rule(cassette.Rule{Because: "VCR wrote " + found, IgnoreQuery: []string{name}})
		}
	}
	if found := placeholder.FindString(path); found != "" {
		d.note(at, "the placeholder %s stands in a URL's path: only that path is matched", found)
	}
	d.placeholdersOf(at, e, named)
	for found := range named {
		if e.Response != nil && (bytes.Contains(e.ResponseBody, []byte(found)) || slices.ContainsFunc(e.Response.Fields, func(f exchange.Field) bool { return strings.Contains(f.Value, found) })) {
			d.note(at, "the placeholder %s is served as it is", found)
		}
	}
}

// placeholdersOf does so for the body.
func (d *draft) placeholdersOf(at *value, e *Exchange, named map[string]bool) {
	found := string(placeholder.Find(e.RequestBody))
	if found == "" {
		return
	}
	named[found] = true
	var root any
	if json.Unmarshal(e.RequestBody, &root) == nil {
		var paths []string
		walkText(root, "$", func(path, text string) {
			if placeholder.MatchString(text) {
				paths = append(paths, path)
			}
		})
		slices.Sort(paths)
		d.rule(cassette.Rule{Because: "VCR wrote " + found, IgnoreBody: paths})
		return
	}
	if ct, _ := exchange.Get(e.Request.Fields, "content-type"); strings.HasPrefix(ct, "application/x-www-form-urlencoded") {
		for pair := range strings.SplitSeq(string(e.RequestBody), "&") {
			if name, value, _ := strings.Cut(pair, "="); placeholder.MatchString(value) {
				d.rule(cassette.Rule{Because: "VCR wrote " + found, IgnoreBody: []string{"$." + name}})
			}
		}
		return
	}
	d.note(at, "the placeholder %s stands in a body that is neither JSON nor a form: only that body is matched", found)
}

// walkText calls f with each string in the JSON value v and its JSONPath.
func walkText(v any, path string, f func(path, text string)) {
	switch v := v.(type) {
	case string:
		f(path, v)
	case []any:
		for _, k := range v {
			walkText(k, path+"[*]", f)
		}
	case map[string]any:
		for name, k := range v {
			walkText(k, path+"['"+name+"']", f)
		}
	}
}
