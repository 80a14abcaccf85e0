package foreign

import (
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// readVCR reads what Ruby's VCR writes, as YAML or JSON.
func readVCR(d *draft, root *value) error {
	if err := refuseTemplates(root); err != nil {
		return err
	}
	root.skip("recorded_with")
	for _, v := range root.get("http_interactions").list() {
		var e Exchange
		var err error
		if s := v.str("recorded_at"); s != "" {
			if e.Start, err = http.ParseTime(s); err != nil {
				if e.Start, err = time.Parse(time.RFC3339, s); err != nil {
					return v.peek("recorded_at").fault("%q is not a date", s)
				}
			}
		}
		q, r := v.get("request"), v.get("response")
		e.URL = q.str("uri")
		e.Request = exchange.Head{Method: strings.ToUpper(q.str("method")), Version: "1.1", Fields: d.fieldsOf(q.get("headers"))}
		if e.RequestBody, err = vcrBody(q.get("body")); err != nil {
			return err
		}
		if e.ResponseBody, err = vcrBody(r.get("body")); err != nil {
			return err
		}
		r.skip("adapter_metadata")
		s := r.get("status")
		e.Response = d.answer(r, d.version(r, r.str("http_version")), s.int("code"), s.str("message"), d.fieldsOf(r.get("headers")))
		d.placeholders(v, &e)
		d.add(v, e, either)
	}
	return nil
}

// vcrBody is a body of VCR or vcrpy: a string, or an object with string or
// base64_string. The name of its encoding says nothing about the bytes.
func vcrBody(v *value) ([]byte, error) {
	if v == nil || v.kind != '{' {
		return []byte(v.string()), nil
	}
	v.skip("encoding")
	if b := v.get("base64_string"); !b.null() {
		out, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(b.text), ""))
		if err != nil {
			return nil, b.fault("base64_string: %v", err)
		}
		return out, nil
	}
	return []byte(v.str("string")), nil
}

// readVCRpy reads what vcrpy writes, as YAML or JSON.
func readVCRpy(d *draft, root *value) error {
	if s := root.str("version"); s != "1" {
		return root.fault("version %q of vcrpy's format is not known", s)
	}
	for _, v := range root.get("interactions").list() {
		var e Exchange
		var err error
		q, r := v.get("request"), v.get("response")
		e.URL = q.str("uri")
		e.Request = exchange.Head{Method: strings.ToUpper(q.str("method")), Version: "1.1", Fields: d.fieldsOf(q.get("headers"))}
		if e.RequestBody, err = vcrBody(q.get("body")); err != nil {
			return err
		}
		if b := r.get("content"); b != nil { // httpx's stub, until vcrpy 6
			e.ResponseBody, err = vcrBody(b)
		} else {
			e.ResponseBody, err = vcrBody(r.get("body"))
		}
		if err != nil {
			return err
		}
		s := r.get("status")
		code, reason := s.int("code"), s.str("message")
		if old := r.get("status_code"); old != nil {
			code = r.int("status_code")
		}
		r.skip("protocol", "http_version", "url") // the first is null, the others are of the httpx stub
		e.Response = d.answer(r, "1.1", code, reason, d.fieldsOf(r.get("headers")))
		d.add(v, e, either)
	}
	return nil
}

// isGoVCR says whether v is a cassette of go-vcr.
func isGoVCR(v *value) bool {
	if s := v.peek("version").string(); s != "1" && s != "2" {
		return false
	}
	q := firstRequest(v)
	return q.peek("url") != nil && (q.peek("form") != nil || q.peek("proto") != nil || q.peek("headers").peek("kind") == nil && len(v.keys) == 2 && q.peek("headers").isMap())
}

// isMap says whether v is an object.
func (v *value) isMap() bool { return v != nil && v.kind == '{' }

// readGoVCR reads what go-vcr writes: version 1 of its format (go-vcr 1 and 2)
// has no protocol, host and duration; version 2 (3 and 4) has.
func readGoVCR(d *draft, root *value) error {
	root.skip("version")
	for _, v := range root.get("interactions").list() {
		v.skip("id")
		q, r := v.get("request"), v.get("response")
		q.skip("proto_major", "proto_minor", "content_length", "form", "host", "request_uri", "remote_addr", "transfer_encoding")
		r.skip("proto_major", "proto_minor", "content_length", "uncompressed", "transfer_encoding")
		e := Exchange{URL: q.str("url"), RequestBody: []byte(q.str("body")), ResponseBody: []byte(r.str("body"))}
		e.Request = exchange.Head{Method: q.str("method"), Version: d.version(q, q.str("proto")), Fields: d.fieldsOf(q.get("headers"))}
		if e.Request.Method == "" {
			e.Request.Method = http.MethodGet // Go's empty method is GET
		}
		if s := r.str("duration"); s != "" {
			wait, err := time.ParseDuration(s)
			if err != nil {
				return r.peek("duration").fault("%v", err)
			}
			e.Wait = wait
		}
		code, reason := r.int("code"), r.str("status")
		if _, words, ok := strings.Cut(reason, " "); ok { // "200 OK"
			reason = words
		}
		if proto := r.get("proto"); proto != nil {
			e.Request.Version = d.version(proto, proto.text) // a client asks in 1.1 and may be answered in 2
		}
		e.Response = d.answer(r, e.Request.Version, code, reason, d.fieldsOf(r.get("headers")))
		e.Trailers = d.fieldsOf(q.get("trailer"))
		if len(e.Trailers) > 0 {
			d.note(q.peek("trailer"), "a request's trailers are not carried")
		}
		e.Trailers = d.fieldsOf(r.get("trailer"))
		d.add(v, e, either)
	}
	return nil
}
