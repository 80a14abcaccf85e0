package foreign

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/exchange"
)

// fieldsOf reads header fields: [{name, value}], {name: value} or {name: [values]},
// in the order of the file.
func (d *draft) fieldsOf(v *value) []exchange.Field {
	var fs []exchange.Field
	add := func(at *value, name, text string) {
		// Chrome joins repeated fields by line ends.
		for _, s := range strings.Split(text, "\n") {
			s = strings.Trim(s, " \t\r")
			switch {
			case strings.HasPrefix(name, ":"): // HTTP/2: said by method, URL and status too
			case !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(s):
				d.note(at, "header field %q is not HTTP: left out", name)
			default:
				fs = append(fs, exchange.Field{Name: name, Value: s})
			}
		}
	}
	for _, k := range v.list() {
		if k.kind == '[' && len(k.list()) == 2 { // a pair
			add(k, k.kids[0].string(), k.kids[1].string())
		} else {
			k.skip("comment")
			add(k, k.str("name"), k.str("value"))
		}
	}
	if v == nil || v.kind != '{' {
		return fs
	}
	for i, name := range v.keys {
		k := v.kids[i]
		k.used = true
		if k.kind != '[' {
			add(k, name, k.string())
		}
		for _, one := range k.list() {
			add(one, name, one.string())
		}
	}
	return fs
}

// without is fields but for those called name.
func without(fields []exchange.Field, name string) []exchange.Field {
	return slices.DeleteFunc(slices.Clone(fields), func(f exchange.Field) bool { return strings.EqualFold(f.Name, name) })
}

// coding is the content coding that fields name, "" for none.
func coding(fields []exchange.Field) string {
	s, _ := exchange.Get(fields, "content-encoding")
	if s = strings.ToLower(strings.TrimSpace(s)); s == "identity" {
		return ""
	}
	return s
}

// plainMost bounds what a compressed body may unfold to, in bytes.
const plainMost = 256 << 20

// A storage says how a tool keeps the bodies of a message.
type storage byte

const (
	asSent  storage = iota // with content coding
	decoded                // without
	either                 // it depends: the bytes tell
)

// settleBody makes fields fit body, which was kept as kept says.
func (d *draft) settleBody(at *value, fields []exchange.Field, body []byte, kept storage) []exchange.Field {
	c := coding(fields)
	if c == "" || len(body) == 0 {
		return fields
	}
	_, ok := cassette.Decoded(body, c, plainMost)
	standard := c == "gzip" || c == "x-gzip" || c == "deflate" || c == "br" || c == "zstd"
	sent := kept == asSent || kept == either && (ok || !standard && !textual(body))
	if sent {
		return fields
	}
	d.note(at, "body was kept decoded: Content-Encoding is left out, Content-Length set")
	return without(without(fields, "content-encoding"), "content-length")
}

// textual says whether b reads as text: no compressed body does.
func textual(b []byte) bool {
	return strings.ToValidUTF8(string(b), "") == string(b)
}

// frame gives the response head h the framing that its body has.
func (d *draft) frame(at *value, method string, h *exchange.Head, size int) {
	if method == "HEAD" || h.Status < 200 || h.Status == 204 || h.Status == 304 {
		return
	}
	want := strconv.Itoa(size)
	if te, ok := exchange.Get(h.Fields, "transfer-encoding"); ok && strings.Contains(strings.ToLower(te), "chunked") && h.Version == "1.1" {
		h.Fields = without(h.Fields, "content-length")
		return
	}
	h.Fields = without(h.Fields, "transfer-encoding")
	got, ok := exchange.Get(h.Fields, "content-length")
	switch {
	case ok && got != want:
		d.note(at, "Content-Length did not fit the body: set")
		for i := range h.Fields {
			if strings.EqualFold(h.Fields[i].Name, "content-length") {
				h.Fields[i].Value = want
			}
		}
	case !ok && h.Version != "2":
		h.Fields = append(h.Fields, exchange.Field{Name: "Content-Length", Value: want})
	}
}

// version is how a head says the HTTP version that a tool calls s.
func (d *draft) version(at *value, s string) string {
	switch s = strings.TrimPrefix(strings.ToUpper(s), "HTTP/"); s {
	case "1.0", "1.1":
		return s
	case "2", "2.0", "H2":
		return "2"
	case "3", "3.0", "H3", "QUIC":
		d.note(at, "HTTP/3 is carried as HTTP/2")
		return "2"
	}
	return "1.1" // many tools do not know
}

// answer makes a response head.
func (d *draft) answer(at *value, version string, status int, reason string, fields []exchange.Field) *exchange.Head {
	h := &exchange.Head{Status: status, Reason: reason, Version: version, Fields: fields}
	if h.Reason == "" && version != "2" {
		h.Reason = http.StatusText(status)
	}
	if version == "2" || !httpguts.ValidHeaderFieldValue(reason) {
		h.Reason = ""
	}
	return h
}

// add takes e in, which was at v. kept says how its bodies were kept.
func (d *draft) add(at *value, e Exchange, kept storage) {
	scheme, rest, ok := strings.Cut(e.URL, "://")
	scheme = strings.ToLower(scheme)
	if len(e.Messages) > 0 || scheme == "ws" || scheme == "wss" {
		scheme = strings.Replace(scheme, "ws", "http", 1)
		d.handshake(at, &e)
	}
	if !ok || scheme != "http" && scheme != "https" || !httpguts.ValidHeaderFieldName(e.Request.Method) {
		d.note(at, "not an HTTP exchange: %q %s left out", e.Request.Method, e.URL)
		return
	}
	rest, _, _ = strings.Cut(rest, "#")
	host, target := rest, "/"
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		host, target = rest[:i], rest[i:]
	}
	if target[0] == '?' {
		target = "/" + target
	}
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		d.note(at, "user and password in the URL are left out")
		host = host[i+1:]
	}
	if host == "" || !httpguts.ValidHostHeader(host) || hostName(host) == "" {
		d.note(at, "no host in %s: left out", e.URL)
		return
	}
	r := &e.Request
	r.Scheme, r.Authority, r.Target = scheme, host, printable(target)
	e.URL = scheme + "://" + host + r.Target
	r.Fields = d.settleBody(at, r.Fields, e.RequestBody, kept)
	if e.Response != nil && e.Messages == nil && (e.Response.Status < 200 || e.Response.Status > 999) {
		d.note(at, "status %d is not the status of an answer: left out", e.Response.Status)
		return
	}
	if h := e.Response; h != nil {
		h.Fields = d.settleBody(at, h.Fields, e.ResponseBody, kept)
		if e.Failure.How == exchange.Complete {
			d.frame(at, r.Method, h, len(e.ResponseBody))
		}
		if r.Method == "CONNECT" {
			d.note(at, "CONNECT is left out: what passed through it is in the other exchanges")
			return
		}
	}
	d.rec.Exchanges = append(d.rec.Exchanges, e)
}

// printable is s with what may not stand in a request-target percent-encoded.
func printable(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= 0x20 || c >= 0x7f {
			b.WriteString("%" + strings.ToUpper(strconv.FormatInt(int64(c)+256, 16)[1:]))
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
