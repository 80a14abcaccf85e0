package foreign

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/exchange"
)

// loadDir reads WireMock's directory name, which holds mappings, or is that.
func loadDir(fsys fs.FS, name string) (*value, error) {
	root := &value{kind: '{', keys: []string{"mappings"}, unit: "line", pos: 1}
	all := &value{kind: '[', unit: "line", pos: 1}
	root.kids = []*value{all}
	dir := path.Join(name, "mappings")
	if info, err := fs.Stat(fsys, dir); err != nil || !info.IsDir() {
		dir = name
	}
	err := fs.WalkDir(fsys, dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || path.Ext(p) != ".json" {
			return err
		}
		b, err := readFile(fsys, p, most)
		if err != nil {
			return err
		}
		v, err := parseJSON(b)
		if err != nil {
			return errors.Join(errors.New(p), err)
		}
		v.relocate(p)
		all.kids = append(all.kids, mappingsIn(v)...)
		return nil
	})
	if err == nil && len(all.kids) == 0 {
		err = &fs.PathError{Op: "read mappings", Path: name, Err: fs.ErrNotExist}
	}
	return root, err
}

// relocate makes v's places lines of the file p.
func (v *value) relocate(p string) {
	v.unit = p + " line"
	for _, k := range v.kids {
		k.relocate(p)
	}
}

// mappingsIn is the mappings of a file of one or of many.
func mappingsIn(v *value) []*value {
	if m := v.peek("mappings"); m != nil {
		return m.kids
	}
	return []*value{v}
}

func isWireMock(v *value) bool {
	if v.peek("mappings") != nil {
		return true
	}
	q := v.peek("request")
	for _, key := range []string{"url", "urlPath", "urlPattern", "urlPathPattern", "urlPathTemplate"} {
		if q.peek(key) != nil && v.peek("response") != nil {
			return true
		}
	}
	return false
}

// unknownHost is what mappings that name no host are recorded for: they are for
// any, and a rule takes any for it.
const unknownHost = "http://localhost"

// readWireMock reads WireMock's mappings. What matches by pattern becomes an
// exchange that the pattern is for, and a rule. What has no form as a rule is
// noted and left out.
func readWireMock(d *draft, root *value) error {
	root.skip("meta")
	list := slices.Clone(mappingsIn(root))
	slices.SortStableFunc(list, func(a, b *value) int { return turn(a) - turn(b) })
	root.skip("id", "uuid", "name", "priority", "persistent", "metadata", "insertionIndex")
	root.get("mappings").list()
	for _, v := range list {
		v.used = true
		v.skip("id", "uuid", "name", "persistent", "metadata", "insertionIndex", "scenarioName", "requiredScenarioState", "newScenarioState")
		e, ok, err := d.mapping(v.get("request"), v.get("response"))
		if err != nil {
			return err
		}
		if !ok {
			v.all()
			continue
		}
		d.add(v, e, either)
	}
	d.anyHead()
	return nil
}

// mapping is one of WireMock's, if it has a form here.
func (d *draft) mapping(q, r *value) (Exchange, bool, error) {
	var e Exchange
	if r.peek("proxyBaseUrl") != nil || len(r.peek("transformers").listOf()) > 0 {
		d.note(r, "a mapping that proxies or transforms is left out")
		return e, false, nil
	}
	e.Request = exchange.Head{Method: q.str("method"), Version: "1.1", Fields: d.matchers(q.get("headers"))}
	if e.Request.Method == "" || e.Request.Method == "ANY" {
		d.note(q, "a mapping for any method is carried for GET")
		e.Request.Method = "GET"
	}
	var ok bool
	if e.URL, ok = d.mappingURL(q); !ok {
		return e, false, nil
	}
	if !d.bodyPatterns(q.get("bodyPatterns"), &e) {
		return e, false, nil
	}
	var err error
	if e.ResponseBody, err = d.mockBody(r); err != nil {
		return e, false, err
	}
	switch fault := r.str("fault"); fault {
	case "":
	case "CONNECTION_RESET_BY_PEER":
		e.Failure = exchange.End{How: exchange.Reset, Err: fault}
		return e, true, nil
	default:
		d.note(r, "the fault %s is carried as a reset", fault)
		e.Failure = exchange.End{How: exchange.Reset, Err: fault}
		return e, true, nil
	}
	e.Wait = milliseconds(r.get("fixedDelayMilliseconds"))
	status := r.int("status")
	if status == 0 {
		status = 200
	}
	e.Response = d.answer(r, "1.1", status, r.str("statusMessage"), d.fieldsOf(r.get("headers")))
	return e, true, nil
}

// mappingURL is the URL of a mapping, or one that its pattern is for.
func (d *draft) mappingURL(q *value) (string, bool) {
	base := unknownHost
	if host := d.equal(q.get("host")); host != "" {
		scheme, port := q.str("scheme"), q.str("port")
		if scheme == "" {
			scheme = "http"
		}
		base = scheme + "://" + host
		if port != "" {
			base += ":" + port
		}
	} else {
		d.note(q, "no host is named: carried for any")
		d.hosts = []cassette.Rule{{Because: "mappings that name no host are for any", URLRegex: `^https?://[^/?]+`, As: unknownHost}}
	}
	scheme, host, _ := strings.Cut(base, "://")
	parts := urlParts{scheme: scheme, host: regexp.QuoteMeta(host), query: anyQuery}
	query := d.queryOf(q, strings.Contains(q.peek("url").string(), "?"))
	if q.peek("queryParameters") != nil {
		parts.query = regexp.QuoteMeta(query)
	}
	switch {
	case q.peek("url") != nil:
		return base + q.str("url") + query, true
	case q.peek("urlPath") != nil && q.peek("queryParameters") != nil:
		return base + q.str("urlPath") + query, true
	case q.peek("urlPath") != nil:
		parts.path = regexp.QuoteMeta(q.str("urlPath"))
	case q.peek("urlPattern") != nil:
		parts.path, parts.query = q.str("urlPattern"), ""
	case q.peek("urlPathPattern") != nil:
		parts.path = q.str("urlPathPattern")
	case q.peek("urlPathTemplate") != nil:
		parts.path = hole.ReplaceAllString(regexp.QuoteMeta(q.str("urlPathTemplate")), "[^/?]+")
	default:
		parts.path = anyPath
	}
	return d.pattern(q, parts)
}

// hole is a variable of a path template after QuoteMeta.
var hole = regexp.MustCompile(`\\\{[^/{}]*\\\}`)

// listOf is the elements of v, and does not count as use.
func (v *value) listOf() []*value {
	if v == nil {
		return nil
	}
	return v.kids
}

// equal is the one text that the matcher v accepts, "" if there is no such.
func (d *draft) equal(v *value) string {
	if v == nil || v.kind == 's' {
		return v.string()
	}
	v.skip("caseInsensitive")
	if t := v.get("equalTo"); t != nil {
		return t.string()
	}
	return ""
}

// matchers are the fields that a request must have.
func (d *draft) matchers(v *value) []exchange.Field {
	var fs []exchange.Field
	if v == nil {
		return nil
	}
	for i, name := range v.keys {
		v.kids[i].used = true
		if s := d.equal(v.kids[i]); s != "" {
			fs = append(fs, exchange.Field{Name: name, Value: s})
		} else {
			d.note(v.kids[i], "a pattern of a header is not carried: the header is not looked at")
		}
	}
	return fs
}

// queryOf is the query that a request must have.
func (d *draft) queryOf(q *value, more bool) string {
	ps := q.get("queryParameters")
	if ps == nil {
		return ""
	}
	out := ""
	for i, name := range ps.keys {
		ps.kids[i].used = true
		sep := "?"
		if more || out != "" {
			sep = "&"
		}
		out += sep + url.QueryEscape(name) + "=" + url.QueryEscape(d.equal(ps.kids[i]))
	}
	return out
}

// bodyPatterns takes in the body that a request must have, or what it is like. It
// is false if a matcher has no form here.
func (d *draft) bodyPatterns(v *value, e *Exchange) bool {
	if v == nil {
		if e.Request.Method != "GET" && e.Request.Method != "HEAD" {
			d.ruleFor(e.Request.Method, e.URL, "none")
		}
		return true
	}
	if len(v.list()) > 1 {
		d.note(v, "of several patterns of a body only the first is carried")
	}
	for _, p := range v.list()[:min(1, len(v.kids))] {
		how := ""
		for i, key := range p.keys {
			k := p.kids[i]
			k.used = true
			switch key {
			case "equalTo":
				e.RequestBody = []byte(k.text)
			case "equalToJson":
				k.all()
				e.RequestBody, how = k.json(), "json"
				if p.peek("ignoreExtraElements").string() == "true" {
					how = "partial"
				}
			case "binaryEqualTo":
				b, err := base64.StdEncoding.DecodeString(k.text)
				if err != nil {
					d.note(k, "a body that is no base64 is left out")
					return false
				}
				e.RequestBody = b
			case "matches":
				e.RequestBody, how = []byte("(?s)^(?:"+k.text+")$"), "regex"
			case "contains":
				e.RequestBody, how = []byte("(?s)^.*"+regexp.QuoteMeta(k.text)+".*$"), "regex"
			case "ignoreArrayOrder", "ignoreExtraElements", "caseInsensitive":
				if k.text == "true" && key != "ignoreExtraElements" {
					d.note(k, "%s of a body is not carried", key)
				}
			default:
				d.note(p, "a mapping by a %s matcher of the body is left out", key)
				return false
			}
		}
		if how != "" {
			d.ruleFor(e.Request.Method, e.URL, how)
		}
	}
	return true
}

// json is v as compact JSON; a string is taken to be JSON already.
func (v *value) json() []byte {
	if v.kind == 's' {
		return []byte(v.text)
	}
	if v.raw == nil {
		return []byte(v.text)
	}
	var b bytes.Buffer
	if json.Compact(&b, v.raw) != nil {
		return v.raw
	}
	return b.Bytes()
}

// mockBody is the body of a mapping's response.
func (d *draft) mockBody(r *value) ([]byte, error) {
	switch {
	case r.peek("bodyFileName") != nil:
		return d.side(r.get("bodyFileName"), d.filesDir())
	case r.peek("base64Body") != nil:
		b := r.get("base64Body")
		out, err := base64.StdEncoding.DecodeString(b.string())
		if err != nil {
			return nil, b.fault("base64Body: %v", err)
		}
		return out, nil
	case r.peek("jsonBody") != nil:
		j := r.get("jsonBody")
		j.all()
		if j.kind == 's' {
			out, err := json.Marshal(j.text)
			return out, err
		}
		return j.json(), nil
	}
	return []byte(r.str("body")), nil
}

// filesDir is where WireMock keeps bodies: __files, beside mappings.
func (d *draft) filesDir() string {
	dir := d.name
	if info, err := fs.Stat(d.files, d.name); err != nil || !info.IsDir() {
		dir = path.Dir(d.name)
	}
	if path.Base(dir) == "mappings" {
		dir = path.Dir(dir)
	}
	return path.Join(dir, "__files")
}

// turn is which of the answers to equal requests v is: WireMock's recorder makes
// a scenario of them, whose states are "Started", "name-2", "name-3"…
func turn(v *value) int {
	state := v.peek("requiredScenarioState").string()
	n, err := strconv.Atoi(state[strings.LastIndexByte(state, '-')+1:])
	if err != nil {
		return 1
	}
	return n
}
