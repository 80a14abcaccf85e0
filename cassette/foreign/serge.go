package foreign

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/ws"
)

// isSerge says whether v is a cassette of serge's line. One in MessagePack is a
// list: version, name, recorded_at, interactions.
func isSerge(v *value) bool {
	return v.peek("interactions") != nil || v != nil && v.unit == "byte" && v.kind == '[' && len(v.kids) >= 4 && len(v.kids) <= 5 && v.kids[3].kind == '['
}

// readSerge reads the JSON and MessagePack of magneto-serge and matgto, which
// are ancestors of this program's: header maps, bodies as strings or lists of
// bytes. In their MessagePack some objects are lists of their members' values.
func readSerge(d *draft, root *value) error {
	if root.peek("connections") != nil || root.peek("secrets") != nil {
		return root.fault("this is a cassette of serge-net already: copy it, with its .bodies, to where cassettes are")
	}
	root.members("version", "name", "recorded_at", "interactions", "cookies")
	root.skip("version", "name", "recorded_at")
	for _, v := range root.get("interactions").list() {
		v.skip("id", "recorded_at", "timestamp")
		kind := v.str("kind") + v.str("type")
		for _, key := range []string{"Http", "http", "HttpError", "http_error", "WebSocket", "websocket"} {
			if in := v.get(key); in != nil {
				v, kind = in, key
				break
			}
		}
		var e Exchange
		var err error
		if strings.Contains(strings.ToLower(kind), "websocket") {
			err = sergeSocket(v, &e)
		} else {
			err = d.sergeHTTP(v, &e)
		}
		if err != nil {
			return err
		}
		d.add(v, e, either)
	}
	return nil
}

// members makes v, if it is a list, the object whose members have these names.
func (v *value) members(names ...string) {
	if v != nil && v.kind == '[' && len(v.kids) <= len(names) {
		v.kind, v.keys = '{', names[:len(v.kids)]
	}
}

// sergeHTTP reads a request and what came of it.
func (d *draft) sergeHTTP(v *value, e *Exchange) error {
	q, r := v.get("request"), v.get("response")
	q.members("method", "url", "headers", "body", "cookies")
	r.members("status", "headers", "body", "cookies")
	q.skip("cookies") // they are in the headers, too
	r.skip("cookies")
	e.URL = q.str("url")
	e.Request = exchange.Head{Method: strings.ToUpper(q.str("method")), Version: d.version(q, q.str("http_version")), Fields: d.fieldsOf(q.get("headers"))}
	var err error
	if e.RequestBody, err = sergeBody(q.get("body")); err != nil {
		return err
	}
	if r.null() {
		f := v.get("error")
		why := f.str("error_type") + f.str("kind")
		if why == "" && f.isMap() && len(f.kids) == 1 { // {"Timeout": {"message": …}}
			why, f = f.keys[0], f.kids[0]
			f.used = true
			f.members("message", "timeout_ms")
		}
		f.skip("timeout_ms", "redirect_count", "details")
		message := f.str("message") + f.str("cause")
		e.Failure = exchange.End{How: howOf(why), Err: strings.Trim(why+": "+message, ": ")}
		if e.Failure.How == exchange.Reset {
			e.Failure.How = howOf(message)
		}
		return nil
	}
	if e.ResponseBody, err = sergeBody(r.get("body")); err != nil {
		return err
	}
	e.Response = d.answer(r, e.Request.Version, r.int("status"), r.str("reason"), d.fieldsOf(r.get("headers")))
	return nil
}

// sergeSocket reads a WebSocket: its messages, in any of the shapes that were
// written, without its handshake.
func sergeSocket(v *value, e *Exchange) error {
	e.URL = v.str("url")
	e.Request = exchange.Head{Method: "GET", Version: "1.1"}
	e.Messages = []Message{}
	for _, k := range v.get("messages").list() {
		m := Message{From: exchange.Client, At: milliseconds(k.get("timestamp_ms"))}
		switch strings.ToLower(k.str("direction")) {
		case "received", "receive", "server":
			m.From = exchange.Server
		}
		data, kind := k.get("data"), k.str("msg_type")+k.str("type")
		if p := k.get("payload"); p.isMap() && len(p.kids) == 1 { // {"Text": "…"}
			kind, data = p.keys[0], p.kids[0]
			data.used = true
		} else if p != nil {
			kind, data = kind+p.str("msg_type")+p.str("type"), p
			if in := p.get("data"); in != nil {
				data = in
			}
		}
		var err error
		if m.Data, err = sergeBody(data); err != nil {
			return err
		}
		switch strings.ToLower(kind) {
		case "text", "":
			m.Op = ws.Text
		case "binary":
			m.Op = ws.Binary
		case "ping":
			m.Op = ws.Ping
		case "pong":
			m.Op = ws.Pong
		default:
			return k.fault("a WebSocket message of type %q is not known", kind)
		}
		if m.Op.Control() {
			m.Data = m.Data[:min(len(m.Data), 125)] // RFC 6455, 5.5
		}
		e.Messages = append(e.Messages, m)
	}
	f := v.get("close_frame")
	f.members("code", "reason")
	if f.null() {
		return nil
	}
	by := exchange.Client
	if strings.HasPrefix(strings.ToLower(f.str("direction")), "receive") {
		by = exchange.Server
	}
	e.Messages = append(e.Messages, closing(by, 0, ws.Code(f.int("code")), f.str("reason"))...)
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
