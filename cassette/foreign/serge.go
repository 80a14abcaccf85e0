package foreign

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/serge-net/serge-net/exchange"
)

// readSerge reads the JSON of magneto-serge and matgto, which is an ancestor of
// this program's: header maps, bodies as strings or lists of bytes.
func readSerge(d *draft, root *value) error {
	if root.peek("connections") != nil || root.peek("secrets") != nil {
		return root.fault("this is a cassette of serge-net already: copy it, with its .bodies, to where cassettes are")
	}
	root.skip("version", "name", "recorded_at")
	for _, v := range root.get("interactions").list() {
		for _, key := range []string{"Http", "http", "HttpError", "http_error"} {
			if in := v.get(key); in != nil {
				v = in
				break
			}
		}
		if kind := v.str("kind") + v.str("type"); strings.Contains(strings.ToLower(kind), "websocket") || v.peek("request") == nil {
			v.all()
			d.note(v, "WebSocket and other interactions that are not HTTP are not carried")
			continue
		}
		v.skip("id", "recorded_at", "timestamp")
		q, r := v.get("request"), v.get("response")
		var e Exchange
		var err error
		e.URL = q.str("url")
		e.Request = exchange.Head{Method: strings.ToUpper(q.str("method")), Version: d.version(q, q.str("http_version")), Fields: d.fieldsOf(q.get("headers"))}
		if e.RequestBody, err = sergeBody(q.get("body")); err != nil {
			return err
		}
		q.skip("cookies")
		r.skip("cookies")
		if r.null() {
			f := v.get("error")
			why := f.str("error_type") + f.str("kind")
			e.Failure = exchange.End{How: howOf(why), Err: strings.Trim(why+": "+f.str("message")+f.str("cause"), ": ")}
			d.add(v, e, either)
			continue
		}
		if e.ResponseBody, err = sergeBody(r.get("body")); err != nil {
			return err
		}
		e.Response = d.answer(r, e.Request.Version, r.int("status"), r.str("reason"), d.fieldsOf(r.get("headers")))
		d.add(v, e, either)
	}
	return nil
}

// sergeBody is a body in any of the shapes that were written.
func sergeBody(v *value) ([]byte, error) {
	switch {
	case v.null():
		return nil, nil
	case v.kind == '[':
		b := make([]byte, 0, len(v.kids))
		for _, k := range v.list() {
			n, err := strconv.ParseUint(k.text, 10, 8)
			if err != nil {
				return nil, k.fault("%q is not a byte", k.text)
			}
			b = append(b, byte(n))
		}
		return b, nil
	case v.kind != '{':
		return []byte(v.text), nil
	case v.peek("json") != nil:
		j := v.get("json")
		j.all()
		v.skip("style")
		return j.json(), nil
	case v.peek("base64") != nil:
		b, err := base64.StdEncoding.DecodeString(v.str("base64"))
		if err != nil {
			return nil, v.fault("base64: %v", err)
		}
		return b, nil
	}
	return []byte(v.str("text")), nil
}
