package foreign

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

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

// unknownHost is the host of mappings that name none: they are for any.
const unknownHost = "http://localhost"

// readWireMock reads WireMock's mappings. What matches more than one request is
// not a recording of any: it is noted and left out.
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
	return nil
}

// mapping is one of WireMock's, if it stands for one exchange.
func (d *draft) mapping(q, r *value) (Exchange, bool, error) {
	var e Exchange
	target := q.str("url")
	if target == "" {
		target = q.str("urlPath")
	}
	if target == "" || q.str("method") == "" || q.str("method") == "ANY" {
		d.note(q, "a mapping by pattern is a rule, not a recording: left out")
		return e, false, nil
	}
	if r.peek("proxyBaseUrl") != nil || len(r.peek("transformers").listOf()) > 0 {
		d.note(r, "a mapping that proxies or transforms is left out")
		return e, false, nil
	}
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
		d.note(q, "no host is named: taken for %s", unknownHost)
	}
	e.URL = base + target + d.queryOf(q, strings.Contains(target, "?"))
	e.Request = exchange.Head{Method: q.str("method"), Version: "1.1", Fields: d.matchers(q.get("headers"))}
	var err error
	e.RequestBody = d.patterns(q.get("bodyPatterns"))
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

// patterns is the body that a request must have.
func (d *draft) patterns(v *value) []byte {
	for _, p := range v.list() {
		p.skip("ignoreArrayOrder", "ignoreExtraElements", "caseInsensitive")
		switch {
		case p.peek("equalTo") != nil:
			return []byte(p.str("equalTo"))
		case p.peek("equalToJson") != nil:
			j := p.get("equalToJson")
			j.all()
			return j.json()
		case p.peek("binaryEqualTo") != nil:
			b, err := base64.StdEncoding.DecodeString(p.str("binaryEqualTo"))
			if err == nil {
				return b
			}
		}
		p.used = true
	}
	return nil
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
