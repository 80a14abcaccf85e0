package foreign

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/ws"
)

// readHAR reads HAR 1.2 (http://www.softwareishard.com/blog/har-12-spec/), as
// browsers, mitmproxy, Playwright and Polly write it.
func readHAR(d *draft, root *value) error {
	l := root.get("log")
	skipLog(l)
	polly := isPolly(l)
	for _, v := range l.get("entries").list() {
		h := harEntry{d, v, polly}
		if err := h.read(); err != nil {
			return err
		}
	}
	return nil
}

// skipLog takes for used what of the log l says nothing of its entries.
func skipLog(l *value) { l.skip("version", "creator", "browser", "comment", "_recordingName") }

// isPolly says whether Polly wrote the log l.
func isPolly(l *value) bool { return l.peek("creator").peek("name").string() == "Polly.JS" }

// A harEntry is one entry of a HAR. Polly keeps bodies in ways of its own.
type harEntry struct {
	d     *draft
	v     *value
	polly bool
}

func (h harEntry) read() error {
	d, v := h.d, h.v
	v.skip("_id", "_order", "_initiator", "_priority", "_resourceType", "_frameref", "_monotonicTime", "pageref", "cache", "_serverPort", "connection", "serverIPAddress", "time", "comment")
	var e Exchange
	var err error
	if e.Messages, err = h.socket(v); err != nil {
		return err
	}
	q, r := v.get("request"), v.get("response")
	if q == nil {
		return v.fault("an entry without a request")
	}
	if s := v.str("startedDateTime"); s != "" {
		if e.Start, err = time.Parse(time.RFC3339, s); err != nil {
			return v.peek("startedDateTime").fault("%q is not a time of RFC 3339", s)
		}
	}
	t := v.get("timings")
	e.Send, e.Wait, e.Receive = milliseconds(t.get("send")), milliseconds(t.get("wait")), milliseconds(t.get("receive"))
	for _, key := range []string{"blocked", "dns", "connect", "ssl"} {
		if f, _ := t.peek(key).float(); f <= 0 {
			t.skip(key)
		}
	}
	q.skip("queryString", "cookies", "headersSize", "bodySize", "comment")
	e.URL = q.str("url")
	e.Request = exchange.Head{Method: strings.ToUpper(q.str("method")), Version: d.version(q, q.str("httpVersion")), Fields: d.fieldsOf(q.get("headers"))}
	if e.RequestBody, err = h.posted(q.get("postData")); err != nil {
		return err
	}
	h.answer(&e, r)
	if e.Messages != nil {
		r.skip("content")
	} else if c := r.get("content"); e.Response != nil && c != nil {
		if e.ResponseBody, err = h.content(c, e.Response.Fields); err != nil {
			return err
		}
	}
	kept := decoded
	if h.polly {
		kept = either
	}
	if own := v.get("_serge"); own != nil {
		kept = either
		if err := e.amend(own); err != nil {
			return err
		}
	}
	d.add(v, e, kept)
	return nil
}

// socket is the messages of an entry that is a WebSocket: in it, or, by
// Playwright, one a line in a file beside it.
func (h harEntry) socket(v *value) ([]Message, error) {
	if m := v.get("_webSocketMessages"); m != nil {
		return h.messages(m.list())
	}
	file := v.peek("response").peek("content").peek("_file")
	if file == nil || v.peek("response").peek("status").string() != "101" {
		return nil, nil
	}
	file.used = true
	b, err := h.d.side(file, path.Dir(h.d.name))
	if err != nil {
		return nil, err
	}
	var lines []*value
	for line := range strings.Lines(string(b)) {
		m, err := parseJSON([]byte(line))
		if err != nil {
			return nil, file.fault("%s: %v", file.text, err)
		}
		m.pos = file.pos
		lines = append(lines, m)
	}
	return h.messages(lines)
}

// messages are those of a WebSocket, as Chromium has them: data is base64 unless
// it is text.
func (h harEntry) messages(list []*value) ([]Message, error) {
	ms := []Message{}
	var first float64
	for i, k := range list {
		at, _ := k.get("time").float() // since 1970: seconds, or by Playwright milliseconds
		if at > 1e11 {
			at /= 1000
		}
		if i == 0 {
			first = at
		}
		m := Message{From: exchange.Client, At: fraction(at - first), Op: ws.Text}
		if k.str("type") == "receive" {
			m.From = exchange.Server
		}
		data := k.get("data")
		m.Data = []byte(data.string())
		switch op := k.int("opcode"); op {
		case 1:
		case 2:
			b, err := base64.StdEncoding.DecodeString(data.string())
			if err != nil {
				return nil, data.fault("data of a WebSocket message: %v", err)
			}
			m.Op, m.Data = ws.Binary, b
		default:
			h.d.note(k, "a WebSocket message of opcode %d is not carried", op)
			continue
		}
		ms = append(ms, m)
	}
	return ms, nil
}

// fraction is s seconds; 0 if that is no length of time.
func fraction(s float64) time.Duration {
	if !(s > 0) || s > 1e6 {
		return 0
	}
	return time.Duration(s * float64(time.Second))
}

// answer takes the response r in, or why there is none.
func (h harEntry) answer(e *Exchange, r *value) {
	r.skip("cookies", "headersSize", "bodySize", "redirectURL", "_transferSize", "comment")
	why := r.str("_error") + h.v.str("_error")
	if text := r.str("_failureText"); why == "" { // Playwright
		why = text
	}
	status := r.int("status")
	if status <= 0 {
		r.skip("headers", "content", "statusText", "httpVersion")
		e.Failure = exchange.End{How: howOf(why), Err: why}
		return
	}
	for _, f := range r.peek("headers").listOf() {
		f.skip("_fromType") // Polly: whether the value was a list
	}
	e.Response = h.d.answer(r, h.d.version(r, r.str("httpVersion")), status, r.str("statusText"), h.d.fieldsOf(r.get("headers")))
	if e.Request.Version == "2" {
		e.Response.Version = "2"
	}
}

// howOf is how an exchange ended of which a tool says why in words.
func howOf(why string) exchange.How {
	if how, ok := exchange.HowOf(why); ok && how != exchange.Complete {
		return how
	}
	switch w := strings.ToLower(why); {
	case strings.Contains(w, "refused") || strings.Contains(w, "connect call failed"):
		return exchange.Refused
	case strings.Contains(w, "dns") || strings.Contains(w, "resolve") || strings.Contains(w, "name_not"):
		return exchange.Unresolved
	case strings.Contains(w, "unreachable"):
		return exchange.Unreachable
	case strings.Contains(w, "timed_out") || strings.Contains(w, "timed out") || strings.Contains(w, "timeout"):
		return exchange.Timeout
	case strings.Contains(w, "ssl") || strings.Contains(w, "tls") || strings.Contains(w, "cert"):
		return exchange.TLSAlert
	}
	return exchange.Reset
}

// milliseconds is the number v as a length of time; -1, which means none, is 0.
func milliseconds(v *value) time.Duration {
	f, _ := v.float()
	if !(f > 0) || f > 1e9 {
		return 0
	}
	return time.Duration(f * float64(time.Millisecond))
}

// posted is a request's body.
func (h harEntry) posted(v *value) ([]byte, error) {
	if v == nil {
		return nil, nil
	}
	v.skip("mimeType", "comment", "size")
	if file := v.get("_file"); file != nil {
		return h.d.side(file, path.Dir(h.d.name))
	}
	params := v.get("params")
	if text := v.get("text"); !text.empty() {
		params.allIfAny()
		return h.bytes(v, text)
	}
	if len(params.list()) == 0 {
		return nil, nil
	}
	var pairs []string
	for _, p := range params.list() {
		if p.get("fileName") != nil {
			h.d.note(p, "an uploaded file's content is not in the HAR")
		}
		p.skip("contentType", "comment")
		pairs = append(pairs, url.QueryEscape(p.str("name"))+"="+url.QueryEscape(p.str("value")))
	}
	h.d.note(v, "body is only told as parameters: written as a form")
	return []byte(strings.Join(pairs, "&")), nil
}

// allIfAny is all, of a value that may be absent.
func (v *value) allIfAny() {
	if v != nil {
		v.all()
	}
}

// content is a response's body.
func (h harEntry) content(v *value, fields []exchange.Field) ([]byte, error) {
	v.skip("mimeType", "compression", "comment", "_isBinary")
	size := v.int("size")
	text := v.get("text")
	if file := v.get("_file"); file != nil {
		return h.d.side(file, path.Dir(h.d.name))
	}
	if text.empty() {
		v.skip("encoding")
		if size > 0 && h.v.peek("request").peek("method").string() != "HEAD" {
			h.d.note(v, "the body is not in the HAR: carried as empty")
		}
		return nil, nil
	}
	if h.polly && coding(fields) != "" && strings.HasPrefix(text.text, "[") {
		return h.pollyChunks(v, text)
	}
	return h.bytes(v, text)
}

// bytes is text as v says that it is encoded.
func (h harEntry) bytes(v, text *value) ([]byte, error) {
	var b []byte
	var err error
	binary := v.str("_isBinary") == "true" || h.v.peek("response").peek("_isBinary").string() == "true"
	switch enc := v.str("encoding"); {
	case enc == "base64":
		b, err = base64.StdEncoding.DecodeString(text.text)
	case enc == "hex" || enc == "" && binary && h.polly: // Polly 5
		b, err = hex.DecodeString(text.text)
	default:
		return []byte(text.text), nil
	}
	if err != nil {
		return nil, text.fault("%s: %v", v.str("encoding"), err)
	}
	return b, nil
}

// pollyChunks is a compressed body: Polly keeps a JSON list of its pieces, in
// base64 (version 6) or hex (version 5).
func (h harEntry) pollyChunks(v, text *value) ([]byte, error) {
	v.skip("encoding")
	var pieces []string
	if err := json.Unmarshal([]byte(text.text), &pieces); err != nil {
		return h.bytes(v, text)
	}
	var all []byte
	for _, p := range pieces {
		b, err := hex.DecodeString(p)
		if err != nil || v.str("encoding") == "base64" {
			b, err = base64.StdEncoding.DecodeString(p)
		}
		if err != nil {
			return nil, text.fault("a piece of a compressed body: %v", err)
		}
		all = append(all, b...)
	}
	return all, nil
}
