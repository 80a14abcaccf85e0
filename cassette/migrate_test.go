package cassette

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestEveryVersionHasAGolden holds that a cassette of every version that there
// was stays in testdata: TestGolden reads it.
func TestEveryVersionHasAGolden(t *testing.T) {
	last := older
	for _, m := range migrations() {
		if m.from != last {
			t.Errorf("a migration begins at %s; the one before it ends at %s", m.from, last)
		}
		last = m.to
		for _, v := range []string{m.from, m.to} {
			for _, end := range []string{".json", ".golden"} {
				if _, err := os.Stat("testdata/v" + v + end); err != nil {
					t.Errorf("version %s has no cassette: %v", v, err)
				}
			}
		}
	}
	if last != Version {
		t.Errorf("migrations end at %s; want %s", last, Version)
	}
}

// TestMigrate goes from each version through every step that follows.
func TestMigrate(t *testing.T) {
	step := func(name string) func(*node) *node {
		return func(n *node) *node { return n.with("path", strNode(n.text("path")+name)) }
	}
	steps := []migration{{"0", "1.0", step("a")}, {"1.0", "1.1", step("b")}, {"1.1", "2.0", step("c")}}
	const wrapped = `"interactions": [{"Http": {}}]`
	for _, tt := range []struct{ text, want string }{
		{`{}`, "abc"},
		{`{"version": "0.4"}`, "abc"},
		{`{"version": "1"}`, "bc"},
		{`{"version": "v1.0"}`, "bc"},
		{`{"version": "1.0", ` + wrapped + `}`, "abc"},
		{`{"version": "1.1"}`, "c"},
		{`{"version": "1.7"}`, "c"},
		{`{"version": "2.0"}`, ""},
		{`{"version": "2.9"}`, ""},
	} {
		n, err := parseTree([]byte(tt.text))
		if err != nil {
			t.Fatal(err)
		}
		got, err := migrate(n, steps)
		if err != nil || got.text("path") != tt.want {
			t.Errorf("migrate(%s) goes by %q, %v; want %q", tt.text, got.text("path"), err, tt.want)
		}
	}
	for text, want := range map[string]string{
		`{"version": "3.1"}`:                  "format 3.1 needs a serge-net that reads 3.x; this one reads up to 2.0",
		`{"version": "3.1", ` + wrapped + `}`: "needs a serge-net that reads 3.x",
		`{"version": "x"}`:                    `/version: "x" is not a version`,
		`{"version": "1.x"}`:                  `/version: "1.x" is not a version`,
	} {
		n, err := parseTree([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		_, err = migrate(n, steps)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("migrate(%s) = %v; want %q", text, err, want)
		}
		if strings.Contains(text, "3.1") != errors.Is(err, ErrVersion) {
			t.Errorf("migrate(%s) = %v, which wraps ErrVersion or not", text, err)
		}
	}
}

// TestOlderShapes holds what one interaction of another program becomes.
func TestOlderShapes(t *testing.T) {
	const request = `"request": {"method": "GET", "url": "http://a/"}`
	message := func(m string) string {
		return fmt.Sprintf(`{"kind": "websocket", "websocket": {"messages": [%s]}}`, m)
	}
	tests := []struct{ name, in, want string }{
		{"wrapped", `{"Http": {` + request + `}, "x": 1}`, `{"x":1,"request":{"method":"GET","url":"http://a/"},"kind":"http"}`},
		{"nested kind", `{"kind": {"http": {` + request + `}}}`, `{"request":{"method":"GET","url":"http://a/"},"kind":"http"}`},
		{"type", `{"type": "Http", ` + request + `}`, `{"request":{"method":"GET","url":"http://a/"},"kind":"http"}`},
		{"error type", `{"error": {"error_type": "TlsError", "message": "bad", "more": 1}}`, `{"error":{"more":1,"kind":"tls","cause":"TlsError: bad"}}`},
		{"flat error", `{"error_type": "connection_refused"}`, `{"error":{"kind":"refused","cause":"connection_refused"}}`},
		{"unknown error", `{"error_type": "Odd"}`, `{"error":{"kind":"reset","cause":"Odd"}}`},
		{"cookies", `{"request": {"cookies": {"a": "1", "b": "2"}}}`, `{"request":{"headers":[["Cookie","a=1; b=2"]]}}`},
		{"cookies twice", `{"request": {"headers": {"cookie": "a=1"}, "cookies": ["a=1"]}}`, `{"request":{"headers":{"cookie":"a=1"}}}`},
		{"set cookies", `{"response": {"cookies": ["a=1; Path=/", "b=2"]}}`, `{"response":{"headers":[["Set-Cookie","a=1; Path=/"],["Set-Cookie","b=2"]]}}`},
		{"no kind", `{"url": "ws://a/", "messages": []}`, `{"kind":"websocket","websocket":{"url":"ws://a/","messages":[]}}`},
		{"msg_type", message(`{"direction": "Sent", "msg_type": "Text", "data": "x"}`), `{"kind":"websocket","websocket":{"messages":[{"direction":"sent","payload":{"text":"x"}}]}}`},
		{"Text", message(`{"direction": "client", "payload": {"Text": "x"}}`), `{"kind":"websocket","websocket":{"messages":[{"direction":"sent","payload":{"text":"x"}}]}}`},
		{"typed", message(`{"direction": "receive", "payload": {"type": "Binary", "data": [1]}}`), `{"kind":"websocket","websocket":{"messages":[{"direction":"received","payload":{"binary":"AQ=="}}]}}`},
		{"bare", message(`{"direction": "server", "payload": "x"}`), `{"kind":"websocket","websocket":{"messages":[{"direction":"received","payload":{"text":"x"}}]}}`},
		{"not bytes", message(`{"direction": "sent", "payload": {"Binary": [999]}}`), `{"kind":"websocket","websocket":{"messages":[{"direction":"sent","payload":{"Binary":[999]}}]}}`},
		{"ours", message(`{"direction": "sent", "payload": {"end": true}}`), `{"kind":"websocket","websocket":{"messages":[{"direction":"sent","payload":{"end":true}}]}}`},
	}
	for _, tt := range tests {
		n, err := parseTree([]byte(tt.in))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(tt.want, interactionOfOlder(n).compact()); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, d)
		}
		top, err := parseTree([]byte(`{"interactions": [` + tt.in + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		once := ofOlder(top)
		if got := tt.name == "ours" || tt.name == "not bytes" || hasOlder(top); !got {
			t.Errorf("%s is not taken for an older one", tt.name)
		}
		if twice := ofOlder(once); twice.compact() != once.compact() {
			t.Errorf("%s: not stable: %s", tt.name, twice.compact())
		}
	}
	b, err := os.ReadFile("testdata/v1.0.json")
	if err != nil {
		t.Fatal(err)
	}
	if top, err := parseTree(bytes.TrimSpace(b)); err != nil || hasOlder(top) {
		t.Errorf("today's form is taken for an older one, %v", err)
	}
}
