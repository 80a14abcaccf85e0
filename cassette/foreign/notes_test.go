package foreign

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/exchange"
)

// packed is v as MessagePack: a string, []byte, int, []any or pairs.
func packed(v any) string {
	switch v := v.(type) {
	case string:
		return "\xda" + string([]byte{byte(len(v) >> 8), byte(len(v))}) + v
	case int:
		return "\xcd" + string([]byte{byte(v >> 8), byte(v)})
	case []any:
		s := string([]byte{0x90 | byte(len(v))})
		for _, k := range v {
			s += packed(k)
		}
		return s
	case pairs2:
		s := string([]byte{0x80 | byte(len(v))})
		for _, k := range v {
			s += packed(k[0]) + packed(k[1])
		}
		return s
	}
	return "\xc0"
}

type pairs2 [][2]any

// zipped is s in gzip.
func zipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(s))
	w.Close()
	return b.String()
}

// bytesOf is s as serde writes bytes.
func bytesOf(s string) []any {
	var l []any
	for _, c := range []byte(s) {
		l = append(l, int(c))
	}
	return l
}

// TestNotes holds each peculiarity of each format, by a file of one exchange.
func TestNotes(t *testing.T) {
	entry := func(more string) string {
		return `{"log": {"entries": [{"request": {"method": "GET", "url": "https://a.example.com/x", "headers": []}, ` + more + `}]}}`
	}
	polly := func(more string) string {
		return strings.Replace(entry(`"response": {"status": 200, "headers": [{"name": "Content-Encoding", "value": "gzip"}], `+more+`}`), `{"entries"`, `{"creator": {"name": "Polly.JS"}, "entries"`, 1)
	}
	tests := []struct {
		name, file, want string
		notes            []string
	}{
		{"go-vcr 1 has numeric codes and no protocol", "version: 1\ninteractions:\n- request: {body: '', form: {}, headers: {}, url: 'http://a/', method: ''}\n  response: {body: hi, headers: {}, status: 200 OK, code: 200, duration: 1.2ms}\n",
			"GET http://a/ 1.1 -> 200 OK hi [Content-Length: 2] 1.2ms", nil},
		{"go-vcr 2, uncompressed by the transport, trailers", "version: 2\ninteractions:\n- id: 0\n  request: {proto: HTTP/1.1, proto_major: 1, proto_minor: 1, body: a=1, form: {a: ['1']}, headers: {}, url: 'http://a/', method: POST, host: a}\n  response: {proto: HTTP/2.0, proto_major: 2, body: !!binary aGk=, uncompressed: true, trailer: {X-Sum: ['5']}, headers: {}, status: 200 OK, code: 200, duration: 2ms}\n",
			"POST http://a/ 2 a=1 -> 200 hi [] 2ms trailers [X-Sum: 5]", nil},
		{"VCR without a protocol, in base64", "http_interactions:\n- request: {method: get, uri: 'http://a/', headers: {}}\n  response:\n    status: {code: 200, message: OK}\n    headers: {A: ['1', '2']}\n    body: {encoding: ASCII-8BIT, base64_string: '/wA='}\n    http_version:\n",
			"GET http://a/ 1.1 -> 200 OK \xff\x00 [A: 1 A: 2 Content-Length: 2]", nil},
		{"vcrpy in its old shape, decoded", "interactions:\n- request: {method: GET, uri: 'http://a/', body: null, headers: {}}\n  response: {status: {code: 200, message: OK}, headers: {content-encoding: [gzip]}, body: {base64_string: aGk=}}\nversion: 1\n",
			"GET http://a/ 1.1 -> 200 OK hi [Content-Length: 2]", []string{"line 2: body was kept decoded: Content-Encoding is left out, Content-Length set"}},
		{"Polly 5 keeps hex", polly(`"content": {"_isBinary": true, "text": "` + strings.ReplaceAll(`[\"`+hex.EncodeToString([]byte(zipped("hi")))+`\"]`, `"`, `"`) + `"}`),
			"GET https://a.example.com/x 1.1 -> 200 OK " + zipped("hi") + " [Content-Encoding: gzip Content-Length: 26]", nil},
		{"Polly 6 keeps base64", polly(`"content": {"encoding": "base64", "text": "` + base64.StdEncoding.EncodeToString([]byte(zipped("hi"))) + `"}`),
			"GET https://a.example.com/x 1.1 -> 200 OK " + zipped("hi") + " [Content-Encoding: gzip Content-Length: 26]", nil},
		{"HAR without a response", entry(`"response": {"status": 0, "_error": "net::ERR_NAME_NOT_RESOLVED"}`), "GET https://a.example.com/x 1.1 -> dns", nil},
		{"HAR of a redirect, from a script", entry(`"_initiator": {"type": "script"}, "response": {"status": 302, "headers": [{"name": "Location", "value": "/y"}], "redirectURL": "/y"}`),
			"GET https://a.example.com/x 1.1 -> 302 Found  [Location: /y Content-Length: 0]", nil},
		{"HAR with a body beside it", entry(`"response": {"status": 200, "headers": [], "content": {"_file": "side.txt"}}`), "GET https://a.example.com/x 1.1 -> 200 OK beside [Content-Length: 6]", nil},
		{"HAR with a WebSocket", entry(`"response": {"status": 101, "headers": []}, "_webSocketMessages": [{"type": "send", "time": 1.5, "opcode": 1, "data": "a"}, {"type": "receive", "time": 2, "opcode": 2, "data": "/w=="}, {"type": "receive", "time": 2, "opcode": -1, "data": ""}]`),
			"GET https://a.example.com/x 1.1 -> 101 client text a 0s, server binary \xff 500ms, client close \x03\xe8 500ms, server close \x03\xe8 500ms",
			[]string{"line 1: a WebSocket message of opcode -1 is not carried", "line 1: a WebSocket's handshake is not whole in the file: the rest of it is made up", "line 1: how a WebSocket was closed is not in the file: carried as closed by the client"}},
		{"magneto-serge in MessagePack", packed([]any{"1.0", "it", "2025-10-01T10:00:00Z", []any{pairs2{{"type", "Http"}, {"request", []any{"GET", "http://a/", pairs2{{"x", "1"}}, nil}}, {"response", []any{200, pairs2{}, bytesOf("hi")}}, {"recorded_at", "2025"}}}}),
			"GET http://a/ 1.1 -> 200 OK hi [Content-Length: 2]", nil},
		{"magneto-serge of an error", `{"interactions": [{"type": "HttpError", "request": {"method": "GET", "url": "http://a/", "headers": {}}, "error": {"Timeout": {"message": "timed out", "timeout_ms": 5}}}]}`,
			"GET http://a/ 1.1 -> connect_timeout", nil},
		{"compressed as a whole", zipped(`{"interactions": [{"type": "Http", "request": {"method": "GET", "url": "http://a/", "headers": {}, "cookies": []}, "response": {"status": 204, "headers": {}}}]}`), "GET http://a/ 1.1 -> 204 No Content  []", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rec, err := Read(fstest.MapFS{"f": {Data: []byte(tt.file)}, "side.txt": {Data: []byte("beside")}}, "f", "")
			if err != nil {
				t.Fatal(err)
			}
			if len(rec.Exchanges) != 1 {
				t.Fatalf("Read = %+v; want one exchange", rec)
			}
			if diff := cmp.Diff(tt.want, told1(rec.Exchanges[0])); diff != "" {
				t.Errorf("the exchange (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.notes, noteLines(rec)); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
		})
	}
}

// told1 is e in one line.
func told1(e Exchange) string {
	s := strings.TrimSpace(fmt.Sprintf("%s %s %s %s", e.Request.Method, e.URL, e.Request.Version, e.RequestBody)) + " -> "
	switch {
	case e.Response == nil:
		return s + e.Failure.How.String()
	case e.Messages != nil:
		s += "101"
		sep := " "
		for _, m := range e.Messages {
			s += fmt.Sprintf("%s%s %s %s %s", sep, m.From, m.Op, m.Data, m.At)
			sep = ", "
		}
		return s
	}
	s += strings.TrimSpace(fmt.Sprint(e.Response.Status, " ", e.Response.Reason)) + " " + string(e.ResponseBody) + " " + list(e.Response.Fields)
	if e.Wait > 0 {
		s += " " + e.Wait.String()
	}
	if e.Trailers != nil {
		s += " trailers " + list(e.Trailers)
	}
	return s
}

// list is fields in one line.
func list(fields []exchange.Field) string {
	var l []string
	for _, f := range fields {
		l = append(l, f.Name+": "+f.Value)
	}
	return "[" + strings.Join(l, " ") + "]"
}

// TestPatterns: what Hoverfly and WireMock match by pattern, as rules.
func TestPatterns(t *testing.T) {
	hoverfly := func(request string) string {
		return `{"data": {"pairs": [{"request": {"destination": [{"matcher": "exact", "value": "a.example.com"}], "method": [{"matcher": "exact", "value": "POST"}], "body": [{"matcher": "exact", "value": ""}], ` + request + `}, "response": {"status": 200, "body": "x"}}]}}`
	}
	wiremock := func(request string) string {
		return `{"mappings": [{"request": {"method": "POST", "host": {"equalTo": "a.example.com"}, "bodyPatterns": [], ` + request + `}, "response": {"status": 200, "body": "x"}}]}`
	}
	tests := []struct{ name, file, url, fits, rule string }{
		{"glob", hoverfly(`"path": [{"matcher": "glob", "value": "/users/*/orders"}], "query": {}`), "http://a.example.com/users//orders", "http://a.example.com/users/7/orders",
			`url regex ^(?:http)://(?:a\.example\.com)(?:/users/[^?]*/orders)(?:)$ => http://1.pattern.invalid/`},
		{"regex", hoverfly(`"path": [{"matcher": "regex", "value": "^/v[0-9]+$"}]`), "http://a.example.com/v1", "http://a.example.com/v12?q=1",
			`url regex ^(?:http)://(?:a\.example\.com)(?:(?:/v[0-9]+))(?:(?:\?.*)?)$ => http://1.pattern.invalid/`},
		{"version 2", hoverfly(`"path": {"globMatch": "/*"}, "query": {"exactMatch": "a=1"}`), "http://a.example.com/?a=1", "http://a.example.com/b?a=1",
			`url regex ^(?:http)://(?:a\.example\.com)(?:/[^?]*)(?:\?a=1)$ => http://1.pattern.invalid/`},
		{"a query parameter", hoverfly(`"path": [{"matcher": "exact", "value": "/s"}], "query": {"q": [{"matcher": "regex", "value": "^[a-z]+$"}]}`), "http://a.example.com/s?q=x", "http://a.example.com/s?p=1&q=ab",
			`url regex ^(?:http)://(?:a\.example\.com)(?:/s)(?:\?(?:.*&)?q=(?:[a-z]+)(?:&.*)?)$ => http://1.pattern.invalid/`},
		{"a JSONPath is left out", hoverfly(`"path": [{"matcher": "jsonpath", "value": "$.a"}]`), "", "", ""},
		{"a URL pattern", wiremock(`"urlPattern": "/a/[0-9]{2}"`), "http://a.example.com/a/11", "http://a.example.com/a/23",
			`url regex ^(?:http)://(?:a\.example\.com)(?:/a/[0-9]{2})(?:)$ => http://1.pattern.invalid/`},
		{"a path template", wiremock(`"urlPathTemplate": "/u/{id}/o"`), "http://a.example.com/u/x/o", "http://a.example.com/u/77/o?b=1",
			`url regex ^(?:http)://(?:a\.example\.com)(?:/u/[^/?]+/o)(?:(?:\?.*)?)$ => http://1.pattern.invalid/`},
		{"a path, whatever the query", wiremock(`"urlPath": "/p"`), "http://a.example.com/p", "http://a.example.com/p?x=y",
			`url regex ^(?:http)://(?:a\.example\.com)(?:/p)(?:(?:\?.*)?)$ => http://1.pattern.invalid/`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rec, err := Read(fstest.MapFS{"f": {Data: []byte(tt.file)}}, "f", "")
			if err != nil {
				t.Fatal(err)
			}
			if tt.rule == "" {
				if len(rec.Exchanges) != 0 || len(rec.Notes) != 1 {
					t.Errorf("Read = %+v; want a note and nothing else", rec)
				}
				return
			}
			if len(rec.Exchanges) != 1 || rec.Exchanges[0].URL != tt.url {
				t.Fatalf("Read = %+v; want an exchange with %s", rec.Exchanges, tt.url)
			}
			if got := rec.Rules[0].String(); got != tt.rule {
				t.Errorf("rule = %s; want %s", got, tt.rule)
			}
			if got := answerTo(t, rec, "POST", tt.fits, ""); got != "200 x" {
				t.Errorf("POST %s is answered %q; want 200 x", tt.fits, got)
			}
		})
	}
}

// TestBodiesByRule: bodies that Hoverfly and WireMock compare in ways of theirs.
func TestBodiesByRule(t *testing.T) {
	tests := []struct{ how, matcher, fits, not string }{
		{"hoverfly", `{"matcher": "regex", "value": "id=[0-9]+"}`, "x id=7 y", "id=x"},
		{"hoverfly", `{"matcher": "glob", "value": "a*c"}`, "abbc", "abb"},
		{"hoverfly", `{"matcher": "json", "value": {"a": 1, "b": 2}}`, `{"b":2,"a":1}`, `{"a":1}`},
		{"hoverfly", `{"matcher": "jsonPartial", "value": "{\"a\": 1}"}`, `{"b":2,"a":1}`, `{"a":2}`},
		{"wiremock", `{"matches": "[a-c]+"}`, "abc", "abd"},
		{"wiremock", `{"contains": "(b)"}`, "a(b)c", "abc"},
		{"wiremock", `{"equalToJson": "{\"a\":1}", "ignoreExtraElements": true}`, `{"a":1,"b":2}`, `{"b":2}`},
	}
	for _, tt := range tests {
		file := `{"data": {"pairs": [{"request": {"destination": "a.example.com", "scheme": "http", "method": "POST", "path": "/", "query": "", "body": [` + tt.matcher + `]}, "response": {"status": 200, "body": "x"}}]}}`
		if tt.how == "wiremock" {
			file = `{"request": {"method": "POST", "host": "a.example.com", "url": "/", "bodyPatterns": [` + tt.matcher + `]}, "response": {"status": 200, "body": "x"}}`
		}
		rec, err := Read(fstest.MapFS{"f": {Data: []byte(file)}}, "f", "")
		if err != nil {
			t.Fatal(err)
		}
		if got := answerTo(t, rec, "POST", "http://a.example.com/", tt.fits); got != "200 x" {
			t.Errorf("%s %s answers %s with %q; want 200 x (%v, %v)", tt.how, tt.matcher, tt.fits, got, rec.Rules, rec.Notes)
		}
		if got := answerTo(t, rec, "POST", "http://a.example.com/", tt.not); got != "miss" {
			t.Errorf("%s %s answers %s with %q; want a miss", tt.how, tt.matcher, tt.not, got)
		}
	}
}

// TestStates: Hoverfly's sequences are in order of their states, a pattern yields
// to the exchange that was recorded for a URL, and VCR's placeholders are any.
func TestStates(t *testing.T) {
	pair := func(path, required, body string) string {
		state := ""
		if required != "" {
			state = `, "requiresState": {"sequence:1": "` + required + `"}`
		}
		return `{"request": {"destination": "a.example.com", "scheme": "http", "method": "GET", "path": ` + path + `, "query": "", "body": ""` + state + `}, "response": {"status": 200, "body": "` + body + `"}}`
	}
	file := `{"data": {"pairs": [` + strings.Join([]string{pair(`"/n"`, "2", "two"), pair(`"/n"`, "1", "one"), pair(`[{"matcher": "glob", "value": "/*"}]`, "", "any"), pair(`"/own"`, "", "own")}, ",") + `]}}`
	rec, err := Read(fstest.MapFS{"f": {Data: []byte(file)}}, "f", "")
	if err != nil {
		t.Fatal(err)
	}
	p := playerOf(t, rec)
	for _, tt := range []struct{ path, want string }{{"/n", "200 one"}, {"/n", "200 two"}, {"/own", "200 own"}, {"/else", "200 any"}, {"/more", "200 any"}} {
		if got := ask(t, p, "GET", "http://a.example.com"+tt.path, ""); got != tt.want {
			t.Errorf("GET %s is answered %q; want %q", tt.path, got, tt.want)
		}
	}
	vcr := "http_interactions:\n- request:\n    method: post\n    uri: http://a/s?key=<API_KEY>&q=1\n    headers: {X-Api: [<API_KEY>], Content-Type: [application/json]}\n    body: {string: '{\"key\":\"<API_KEY>\",\"q\":1}'}\n  response: {status: {code: 200, message: OK}, headers: {}, body: {string: x}}\n"
	if rec, err = Read(fstest.MapFS{"f": {Data: []byte(vcr)}}, "f", ""); err != nil {
		t.Fatal(err)
	}
	if got := answerTo(t, rec, "POST", "http://a/s?key=mine&q=1", `{"key":"mine","q":1}`); got != "200 x" {
		t.Errorf("a request with a key of its own is answered %q; want 200 x (%v)", got, rec.Rules)
	}
	if got := answerTo(t, rec, "POST", "http://a/s?key=mine&q=2", `{"key":"mine","q":1}`); got != "miss" {
		t.Errorf("a request with another q is answered %q; want a miss", got)
	}
}

// playerOf is a player of what rec tells.
func playerOf(t *testing.T, rec *Recording) *cassette.Player {
	t.Helper()
	c := told(t, rec.Start, func(w exchange.Watcher) error { return rec.Tell(w, nil) })
	c.Rules.Match = append(c.Rules.Match, rec.Rules...)
	p, err := c.Player(cassette.PlayOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// answerTo is what one request is answered by a recording.
func answerTo(t *testing.T, rec *Recording, method, url, body string) string {
	t.Helper()
	return ask(t, playerOf(t, rec), method, url, body)
}

// ask is what p answers: status and body, or "miss".
func ask(t *testing.T, p *cassette.Player, method, url, body string) string {
	t.Helper()
	_, rest, _ := strings.Cut(url, "://")
	host, target, _ := strings.Cut(rest, "/")
	e := Exchange{URL: url, Request: exchange.Head{Method: method, Scheme: "http", Authority: host, Target: "/" + target, Version: "1.1", Fields: []exchange.Field{{Name: "Host", Value: host}}}}
	if strings.HasPrefix(body, "{") {
		e.Request.Fields = append(e.Request.Fields, exchange.Field{Name: "Content-Type", Value: "application/json"})
	}
	play, err := p.Open(e.origin())
	if err != nil {
		t.Fatal(err)
	}
	defer play.Close()
	said := ""
	answer := func(v exchange.Event) error {
		if v.Kind == exchange.KindHead {
			said += fmt.Sprint(v.Head.Status, " ")
		}
		said += string(v.Data)
		return nil
	}
	events := []exchange.Event{{Kind: exchange.KindHead, Head: &e.Request}, {Kind: exchange.KindData, Data: []byte(body)}, {Kind: exchange.KindEnd, End: &exchange.End{}}}
	for _, v := range events {
		v.Stream = 1
		if err = play.Event(v, answer); err != nil {
			if said != "" || !strings.Contains(err.Error(), method) {
				t.Fatal(err)
			}
			return "miss"
		}
	}
	return said
}
