package cassette

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/serge-net/serge-net/exchange"
)

// typed are the fields of a message of a type and a coding.
func typed(media, coding string) []exchange.Field {
	fs := []exchange.Field{{Name: "Content-Type", Value: media}}
	if coding != "" {
		fs = append(fs, exchange.Field{Name: "Content-Encoding", Value: coding})
	}
	return fs
}

// TestViews holds what each kind of body is shown as. FuzzBody holds that it
// comes back.
func TestViews(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	const parts = "multipart/form-data; boundary=b0"
	deep := strings.Repeat("[", jsonDepth+1) + strings.Repeat("]", jsonDepth+1)
	tests := []struct{ name, media, body, want string }{
		{"compact", "application/json", `{"b":1.0,"a":"é<&>"}`, `{"json":{"b":1.0,"a":"é<&>"},"style":"compact"}`},
		{"python", "application/json", `{"b": [1, 2]}`, `{"json":{"b":[1,2]},"style":"python"}`},
		{"indent2", "", "{\n  \"a\": []\n}\n", `{"json":{"a":[]},"style":"indent2+newline"}`},
		{"indent4", "", "{\n    \"a\": 1\n}", `{"json":{"a":1},"style":"indent4"}`},
		{"duplicate keys", "", `{"a":1,"a":1e2}`, `{"json":{"a":1,"a":1e2},"style":"compact"}`},
		{"odd spacing", "application/json", `{"a" :1}`, `{"text":"{\"a\" :1}"}`},
		{"too deep", "application/json", deep, `{"text":"` + deep + `"}`},
		{"text", "text/plain", "hi", `{"text":"hi"}`},
		{"lines", "text/plain", "a\nb\r\n", `{"lines":["a","b\r",""]}`},
		{"binary", "", "\xff\x00", `{"base64":"/wA="}`},
		{"literal", "", "{{secret:x", `{"text":"{{lit}}secret:x"}`},
		{"form of Go", form, "a=b+c&d=%C3%A9%2A&e~", `{"form":[["a","b c"],["d","é*"],["e~"]],"style":"plus"}`},
		{"form of a browser", form, "a=*+%7E", `{"form":[["a","* ~"]],"style":"browser"}`},
		{"form of curl", form, "a=b%20c", `{"form":[["a","b c"]],"style":"percent"}`},
		{"form of JavaScript", form, "a=(b)%20c", `{"form":[["a","(b) c"]],"style":"component"}`},
		{"form of jQuery", form, "a=(b)+c", `{"form":[["a","(b) c"]],"style":"component+"}`},
		{"form of nobody", form, "a=%7e&b=c=%ff", `{"form":[["a","%7e"],["b","c=%ff"]],"style":"raw"}`},
		{"form without a type", "", "a=b+c", `{"text":"a=b+c"}`},
		{"no form", form, "hello", `{"text":"hello"}`},
		{"events", "text/event-stream", "event: e\ndata: 1\ndata: 2\n\n: ping\n\n", `{"sse":[{"event":"e","data":"1\n2"},{"comment":" ping"}],"style":"spaced"}`},
		{"tight events", "text/event-stream;charset=utf-8", "id:7\r\ndata:\r\n\r\n", `{"sse":[{"id":"7","data":""}],"style":"tight+crlf"}`},
		{"cut events", "text/event-stream", "data: 1\n\ndata: 2", `{"sse":[{"data":"1"}],"style":"spaced","rest":"data: 2"}`},
		{"nothing but a cut event", "text/event-stream", "data: 1\n", `{"lines":["data: 1",""]}`},
		{"a cut event in CRLF", "text/event-stream", "data:1\r\n\r\nda", `{"sse":[{"data":"1"}],"style":"tight+crlf","rest":"da"}`},
		{"events of JSON", "text/event-stream", "event: d\ndata: {\"a\":1.0}\n\ndata: [DONE]\n\ndata: {\"a\": 1}\n\n",
			`{"sse":[{"event":"d","json":{"a":1.0}},{"data":"[DONE]"},{"data":"{\"a\": 1}"}],"style":"spaced"}`},
		{"events of Python's JSON", "text/event-stream", "data: {\"a\": {\"b\": \"{{secret:\"}}\n\ndata: []\n\n",
			`{"sse":[{"json":{"a":{"b":"{{lit}}secret:"}}},{"json":[]}],"style":"spaced+json+python"}`},
		{"JSON in two lines of data", "text/event-stream", "data: {\ndata: }\n\n", `{"sse":[{"data":"{\n}"}],"style":"spaced"}`},
		{"a field called json", "text/event-stream", "json: {}\n\ndata: {}\n\n", `{"sse":[{"json":"{}"},{"json":{}}],"style":"spaced"}`},
		{"json and data", "text/event-stream", "json: 1\ndata: {}\n\n", `{"lines":["json: 1","data: {}","",""]}`},
		{"lines of JSON", "application/x-ndjson", "{\"a\":1.0}\n\n[2]\n{\"b\": 1}\n", `{"ndjson":[{"a":1.0},"",[2],"{\"b\": 1}"],"style":"compact+newline"}`},
		{"lines of Python's JSON", "application/jsonl", "{\"a\": 1}\n{\"b\": \"{{secret:\"}", `{"ndjson":[{"a":1},{"b":"{{lit}}secret:"}],"style":"python"}`},
		{"a cut line of JSON", "application/json", "{\"a\":1}\n{\"b", `{"ndjson":[{"a":1}],"style":"compact+newline","rest":"{\"b"}`},
		{"lines of no JSON", "application/x-ndjson", "a\n{}\n", `{"lines":["a","{}",""]}`},
		{"a document over odd lines", "application/json", "[\n{\"a\":1},\n{\"a\":2}\n]", `{"lines":["[","{\"a\":1},","{\"a\":2}","]"]}`},
		{"mixed events", "text/event-stream", "data: 1\nid: 1\ndata: 2\n\n", `{"lines":["data: 1","id: 1","data: 2","",""]}`},
		{"parts", parts, "--b0\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b0\r\nContent-Type: application/json\r\n\r\n{\"x\": 1}\r\n--b0--\r\n",
			`{"multipart":[{"headers":[["Content-Disposition","form-data; name=\"a\""]],"text":"1"},{"headers":[["Content-Type","application/json"]],"json":{"x":1},"style":"python"}],"boundary":"b0","style":"newline"}`},
		{"binary parts", parts, "--b0\r\n\r\n\xff\r\n--b0--", `{"multipart":[{"headers":[],"base64":"/w=="}],"boundary":"b0","style":"bare"}`},
		{"cut parts", parts, "--b0\r\n\r\n1\r\n", `{"lines":["--b0\r","\r","1\r",""]}`},
	}
	for _, tt := range tests {
		n := viewNode([]byte(tt.body), typed(tt.media, ""))
		if got := n.compact(); got != tt.want {
			t.Errorf("%s: %q is shown as\n%s; want\n%s", tt.name, tt.body, got, tt.want)
		}
		if got, err := readView(n); err != nil || string(got) != tt.body {
			t.Errorf("%s: comes back as %q, %v", tt.name, got, err)
		}
	}
}

// TestHandWritten reads views that no recording has: styles left out, values
// changed by hand.
func TestHandWritten(t *testing.T) {
	tests := []struct{ name, view, want string }{
		{"json", `{"json":{"a": [1 , 2]}}`, `{"a":[1,2]}`},
		{"form", `{"form":[["a","b c"],["d"]]}`, "a=b+c&d"},
		{"events", `{"sse":[{"data":"1\n2","retry":5}]}`, "data: 1\ndata: 2\nretry: 5\n\n"},
		{"events of JSON", `{"sse":[{"json":{"a": 1}}],"rest":"data: {"}`, "data: {\"a\":1}\n\ndata: {"},
		{"lines of JSON", `{"ndjson":[{"a": 1},"x",5]}`, "{\"a\":1}\nx\n5"},
		{"parts", `{"multipart":[{"headers":[["A","b"]],"json":{"x":1}}],"boundary":"q"}`, "--q\r\nA: b\r\n\r\n{\"x\":1}\r\n--q--\r\n"},
		{"edited", `{"text":"new","wire":{"encoding":"","of":"sha256:00","base64":"b2xk"}}`, "new"},
	}
	for _, tt := range tests {
		n, err := parseTree([]byte(tt.view))
		if err != nil {
			t.Fatal(err)
		}
		b, err := readBody(n, noFiles)
		if err != nil || string(b.data) != tt.want {
			t.Errorf("%s: %s = %q, %v; want %q", tt.name, tt.view, b.data, err, tt.want)
		}
	}
	for _, tt := range []struct{ view, want string }{
		{`{"form":[],"style":"x"}`, `/style: unknown style "x"`},
		{`{"sse":[],"style":"x"}`, `/style: unknown style "x"`},
		{`{"sse":[],"style":"spaced+json+indent2"}`, `/style: unknown style "indent2"`},
		{`{"ndjson":[],"style":"x+newline"}`, `/style: unknown style "x"`},
		{`{"multipart":[]}`, "/boundary: is not there"},
		{`{"multipart":[{"base64":"*"}],"boundary":"b"}`, "/multipart/0/base64: illegal"},
		{`{"text":"x","wire":{"encoding":"compress"}}`, `/wire/encoding: body was edited and cannot be encoded again as "compress"`},
		{`{"text":"x","wire":{"of":"` + hashOf([]byte("x")) + `","file":"../x"}}`, "/wire/file:"},
		{`[1,256]`, "/1: byte 256"},
	} {
		n, err := parseTree([]byte(tt.view))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readBody(n, noFiles); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("readBody(%s) = %v; want %s", tt.view, err, tt.want)
		}
	}
}

// TestLean holds which encoded bodies are dropped where only the view is wanted,
// and that what is dropped is made again.
func TestLean(t *testing.T) {
	wire, err := encoded([]byte(`{"a":1}`), "gzip")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		field  string
		status int
		kept   bool
	}{
		{"X-Plain: 1", 200, false},
		{`ETag: W/"5f1c"`, 200, false},
		{`ETag: "5d41402abc4b2a76b9719d911017c592"`, 200, true},
		{`ETag: "5d41402abc4b2a76b9719d911017c592-3"`, 200, true},
		{"Content-MD5: x", 200, true},
		{"Digest: sha-256=x", 200, true},
		{"Repr-Digest: sha-256=:x:", 200, true},
		{"Content-Digest: sha-256=:x:", 200, true},
		{"x-amz-checksum-crc32: x", 200, true},
		{"x-goog-hash: crc32c=x", 200, true},
		{"X-Plain: 1", 206, true},
	}
	for _, tt := range tests {
		s, dir := newStore(t)
		res := ok("Content-Type: application/json", "Content-Encoding: gzip", "Content-Length: 31", tt.field)
		res.Status = tt.status
		recordAll(t, s, "x", RecordOptions{Lean: true}, asked{req: get("/a"), res: res, answer: string(wire)})
		text := read(t, dir, "x.json")
		if kept := strings.Contains(text, `"of": "sha256:`); kept != tt.kept {
			t.Errorf("%s, %d: wire kept %v; want %v\n%s", tt.field, tt.status, kept, tt.kept, text)
		}
		a := ask(t, playerOf(t, load(t, s, "x"), PlayOptions{}), get("/a"), "")
		if plain, decodes := Decoded([]byte(a.body), "gzip", wholeMost); !decodes || string(plain) != `{"a":1}` {
			t.Errorf("%s: replayed as %q", tt.field, a.body)
		}
		sum := recordAll(t, s, "x", RecordOptions{Lean: true}, asked{req: get("/a"), res: res, answer: string(wire)})
		if sum.Changed {
			t.Errorf("%s: recording it again changed\n%s\nto\n%s", tt.field, text, read(t, dir, "x.json"))
		}
	}
}

// TestEncodedFile holds that a large encoded text is shown, and its bytes are a
// file of their type that stays when the cassette is rewritten.
func TestEncodedFile(t *testing.T) {
	s, dir := newStore(t)
	random := rand.New(rand.NewPCG(5, 0))
	plain := make([]byte, 48<<10)
	for i := range plain { // so that it compresses badly
		plain[i] = 'a' + byte(random.IntN(26))
	}
	wire, err := encoded(plain, "zstd")
	if err != nil || len(wire) <= base64Most {
		t.Fatalf("%d bytes, %v; want more than %d", len(wire), err, base64Most)
	}
	res := ok("Content-Type: text/plain", "Content-Encoding: zstd")
	tell := asked{req: get("/a"), res: res, answer: string(wire)}
	recordAll(t, s, "x", RecordOptions{}, tell)
	text := read(t, dir, "x.json")
	if !strings.Contains(text, `.txt.zst"`) || !strings.Contains(text, string(plain[:1000])) {
		t.Fatalf("not shown beside a file:\n%.3000s", text)
	}
	c := load(t, s, "x")
	var again bytes.Buffer
	if err := c.write(&again); err != nil || again.String() != text {
		t.Errorf("rewritten, %v, it differs:\n%.3000s", err, again.String())
	}
	if a := ask(t, playerOf(t, c, PlayOptions{}), get("/a"), ""); a.body != string(wire) {
		t.Error("replayed with other bytes")
	}
}

// TestChunkCount serves a cut body whose file says that there are more chunks
// than anybody can wait for.
func TestChunkCount(t *testing.T) {
	const text = `{"version": "1.0", "name": "x", "interactions": [{"id": "a", "kind": "http", "seq": 1,
 "request": {"method": "GET", "url": "http://api.example.com/a", "http_version": "1.1", "headers": [], "body": null},
 "response": {"status": 200, "headers": [["Transfer-Encoding", "chunked"]], "body": {"text": "abc", "chunks": [1, [2, 4000000000000000]]}, "end": "truncated"}}]}`
	c, err := parse([]byte(text), noFiles)
	if err != nil {
		t.Fatal(err)
	}
	if a := ask(t, playerOf(t, c, PlayOptions{}), get("/a"), ""); a.body != "abc" || a.end.How != exchange.Truncated {
		t.Errorf("served %q, %v", a.body, a.end)
	}
}
