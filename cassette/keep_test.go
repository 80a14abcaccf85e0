package cassette

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// marked is n with a member that no version knows in every object whose place is
// p or below, and how many those are.
func marked(p place, n *node) int {
	if n == nil || n.kind != '{' || p == nil {
		return 0
	}
	count := 1
	for _, m := range n.mem {
		count += marked(p[m.key], m.val)
		for _, k := range m.val.elements() {
			count += marked(p[m.key], k)
		}
	}
	n.add("x_of_later", list(intNode(1), strNode("kept")))
	return count
}

// full is a cassette with something at every place.
const full = `{"version": "1.0", "name": "x", "later": {"a": 1},
 "rules": {"bypass": ["h"], "later": 1},
 "dns": {"pins": [{"name": "a", "v4": "198.18.0.1"}]},
 "connections": {"c1": {"scheme": "https", "host": "a.example.com", "port": 443, "tls": {"alpn": "h2"}},
  "c2": {"scheme": "https", "host": "b.example.com", "port": 443}},
 "interactions": [
  {"id": "a", "kind": "http", "seq": 1, "connection": "c1",
   "request": {"method": "GET", "url": "https://a.example.com/", "headers": [["Accept", "x"]], "body": {"text": "q"}},
   "response": {"informational": [{"status": 103, "headers": []}], "status": 200, "headers": [["Content-Encoding", "gzip"]],
    "body": {"text": "x", "wire": {"encoding": "gzip"}}},
   "peer": {"pid": 1}, "timing": {"start_ms": 1}},
  {"id": "b", "kind": "http", "seq": 2, "connection": "c1",
   "request": {"method": "GET", "url": "https://a.example.com/b", "headers": [], "body": null},
   "error": {"kind": "reset"}, "timing": {"start_ms": 1}},
  {"id": "w", "kind": "websocket", "seq": 3, "connection": "c2", "request": {"method": "GET", "url": "wss://b.example.com/"},
   "websocket": {"messages": [{"direction": "sent", "timestamp_ms": 0, "payload": {"text": "x"}, "fragments": [1]}], "close_frame": {"code": 1000}}},
  {"id": "u", "kind": "http", "seq": 4, "connection": "c1",
   "request": {"method": "GET", "url": "https://a.example.com/u", "headers": [], "body": null},
   "response": {"status": 101, "headers": [], "body": null},
   "upgraded": {"messages": [{"direction": "sent", "payload": {"text": "x"}}], "closed_by": "client"}, "timing": {"start_ms": 1}},
  {"id": "d", "kind": "dns", "seq": 5, "dns": {"name": "db.", "type": "A", "rcode": "NXDOMAIN", "answers": []}}
 ]}`

// places are those of the whole file.
func places() place {
	i := interactionPlace()
	i["dns"] = dnsPlace()["dns"]
	return place{"interactions": i, "dns": pinsPlace(), "rules": place{}, "later": place{}}
}

// TestUnknownKeys holds that what this version does not know stays, wherever it
// stands, when a cassette is read and written, and when one interaction of it is
// recorded again with another answer.
func TestUnknownKeys(t *testing.T) {
	top, err := parseTree([]byte(full))
	if err != nil {
		t.Fatal(err)
	}
	count := marked(places(), top)
	for _, m := range top.get("connections").mem {
		count += marked(connectionPlace(), m.val)
	}
	s, dir := newStore(t)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "x.json"), []byte(top.compact()), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := load(t, s, "x").write(&out); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(out.String(), "x_of_later"); got != count {
		t.Errorf("%d of %d unknown members are kept:\n%s", got, count, out.String())
	}
	var twice bytes.Buffer
	again, err := parse(out.Bytes(), noFiles)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.write(&twice); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(out.String(), twice.String()); d != "" {
		t.Errorf("not stable (-once +twice):\n%s", d)
	}
	if !strings.Contains(out.String(), `"id": "w",`+"\n"+`      "kind": "websocket",`+"\n"+`      "seq": 3,`+"\n"+`      "connection": "c2"`) {
		t.Errorf("the WebSocket interaction does not refer to its connection:\n%s", out.String())
	}
}

// TestUnknownKeysRecorded records over an interaction with unknown members.
func TestUnknownKeysRecorded(t *testing.T) {
	s, dir := newStore(t)
	tell := asked{req: get("/a"), res: ok("Content-Type: text/plain"), answer: "one"}
	recordAll(t, s, "x", RecordOptions{}, tell, asked{req: get("/b"), res: ok(), answer: "b"})
	file := filepath.Join(dir, "x.json")
	text := strings.NewReplacer(`"body": {"text": "one"}`, `"body": {"text": "one", "x_body": 1}, "x_response": 2`, `"kind": "http",`, `"kind": "http", "x_interaction": 3,`,
		`"port": 80`, `"port": 80, "x_connection": 4`).Replace(read(t, dir, "x.json"))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	tell.answer = "two"
	sum := recordAll(t, s, "x", RecordOptions{}, tell, asked{req: get("/b"), res: ok(), answer: "b"})
	text = read(t, dir, "x.json")
	for _, want := range []string{`"text": "two", "x_body": 1`, `"x_response": 2`, `"x_interaction": 3`, `"x_connection": 4`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is lost; kept %d:\n%s", want, sum.Kept, text)
		}
	}
}
