package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A typed is a command line and all that comes of it.
type typed struct {
	name           string
	args           []string
	code           int
	stdout, stderr string
}

// inShelf has the test run in a new directory that holds files.
func inShelf(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for path, text := range files {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// check runs c in this process.
func (c typed) check(t *testing.T) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := Main(c.args, &stdout, &stderr); code != c.code {
		t.Errorf("%s: exit code %d; want %d", c.name, code, c.code)
	}
	if d := cmp.Diff(c.stdout, stdout.String()); d != "" {
		t.Errorf("%s: stdout (-want +got):\n%s", c.name, d)
	}
	if d := cmp.Diff(c.stderr, stderr.String()); d != "" {
		t.Errorf("%s: stderr (-want +got):\n%s", c.name, d)
	}
}

// plain is a cassette of one request.
const plain = `{"version": "1.0", "name": "plain", "recorded_at": "2026-11-22T19:00:00.000Z", "interactions": [
  {"id": "get-a.1", "request": {"method": "GET", "url": "http://a.example/a?x=1", "headers": [["Accept", "*/*"]]},
   "response": {"status": 200, "reason": "OK", "headers": [["Content-Type", "text/plain"]], "body": {"text": "hello"}}}]}`

func TestValidate(t *testing.T) {
	inShelf(t, map[string]string{
		"cassettes/plain.json":     plain,
		"cassettes/suite/bad.json": `{"interactions": [{"id": "x.1", "request": {"method": "GET", "url": "http://a/"}, "response": {"status": 1}}, {"request": 0}]}`,
		"cassettes/torn.json":      "{",
		"cassettes/.new.journal":   "", // never finished
	})
	for _, c := range []typed{
		{"all", []string{"validate"}, exitFindings, "cassettes/suite/bad.json: /interactions/0/response/status: 1 is not a status\n" +
			"cassettes/suite/bad.json: /interactions/1/request: is not an object\n" +
			"cassettes/torn.json: line 1, column 1: unexpected end of JSON input\n" +
			"3 cassettes, 3 interactions, 3 findings\n", ""},
		{"one", []string{"validate", "plain"}, 0, "1 cassette, 1 interaction, 0 findings\n", ""},
		{"quiet", []string{"validate", "plain", "-q"}, 0, "", ""},
		{"JSON", []string{"validate", "suite/bad", "--json"}, exitFindings, `{
  "version": 1,
  "cassettes": [
    {
      "name": "suite/bad",
      "path": "cassettes/suite/bad.json",
      "interactions": 2,
      "findings": [
        {
          "at": "/interactions/0/response/status",
          "interaction": "x.1",
          "problem": "1 is not a status"
        },
        {
          "at": "/interactions/1/request",
          "problem": "is not an object"
        }
      ]
    }
  ]
}
`, ""},
		{"no such", []string{"validate", "plain", "plane"}, exitStart, "",
			"serge-net: error: no cassette cassettes/plane.json\nserge-net: hint: did you mean plain? serge-net list shows what there is\n"},
		{"no name", []string{"validate", "../x"}, exitStart, "",
			"serge-net: error: cassette: not a cassette's name: \"../x\" leads out of the cassette directory\n" +
				"serge-net: hint: a cassette is named as a file below --cassette-dir is, without its ending: api, login/first\n"},
		{"completion", []string{"__completeNoDesc", "validate", "plain", ""}, 0, "new\nsuite/bad\ntorn\n:4\n", "Completion ended with directive: ShellCompDirectiveNoFileComp\n"},
	} {
		c.check(t)
	}
}

func TestList(t *testing.T) {
	const incomplete = `{"recorded_at": "2020-01-01T00:00:00Z", "incomplete": true, "interactions": [
		{"request": {"url": "http://a/"}}, {"request": {"url": "http://b/"}}, {"request": {"url": "https://c:1/"}}]}`
	inShelf(t, map[string]string{
		"cassettes/plain.json":           plain,
		"cassettes/plain.bodies/x.bin":   strings.Repeat("x", 20<<10),
		"cassettes/suite/cut.json":       incomplete,
		"cassettes/suite/.cut.journal":   "",
		"cassettes/torn.json":            "{",
		"cassettes/.failed/plain.json":   plain,
		"cassettes/.new.journal":         "",
		"cassettes/.hidden/no.json":      plain,
		"cassettes/plain.bodies/no.json": plain,
	})
	names := func(args ...string) []string {
		var stdout, stderr bytes.Buffer
		if code := Main(append([]string{"list", "--json"}, args...), &stdout, &stderr); code != 0 {
			t.Fatalf("list %v: exit code %d\n%s", args, code, &stderr)
		}
		var all []listed
		if err := json.Unmarshal(stdout.Bytes(), &all); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, l := range all {
			names = append(names, l.Name)
		}
		return names
	}
	for by, want := range map[string][]string{
		"name": {"new", "plain", "suite/cut", "torn"}, "size": {"plain", "suite/cut", "torn", "new"},
		"count": {"suite/cut", "plain", "new", "torn"},
	} {
		if d := cmp.Diff(want, names("--sort", by)); d != "" {
			t.Errorf("by %s (-want +got):\n%s", by, d)
		}
	}
	if got := names("--sort", "age"); !slices.Equal(got[:2], []string{"new", "suite/cut"}) {
		t.Errorf("by age: %v; want suite/cut before all that were recorded later", got)
	}
	all, err := listAll(rack{dir: "cassettes"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 22, 20, 30, 0, 0, time.UTC)
	for i := range all {
		all[i].Changed = now
	}
	var table bytes.Buffer
	if err := printList(&table, all, now); err != nil {
		t.Fatal(err)
	}
	want := `NAME       INTERACTIONS  HOSTS      SIZE    AGE     STATE
new        0             -          0 B     now     being recorded, or cut off
plain      1             a.example  20 KiB  90 min  complete, but a later recording failed
suite/cut  3             a, +2      188 B   2517 d  incomplete, being recorded, or cut off
torn       0             -          1 B     now     unreadable: serge-net validate torn says why
`
	if d := cmp.Diff(want, table.String()); d != "" {
		t.Errorf("the table (-want +got):\n%s", d)
	}
	typed{"wrong order", []string{"list", "--sort", "sizes"}, exitStart, "", "serge-net: error: --sort: \"sizes\" is not one of name, size, age, count\nserge-net: hint: did you mean size?\n"}.check(t)
}

func TestShow(t *testing.T) {
	const one = `{"version": "1.0", "name": "one", "recorded_at": "2026-11-22T19:00:00.000Z", "interactions": [
  {"id": "a.1", "request": {"method": "POST", "url": "http://a.example/a", "headers": [["Authorization", "Bearer {{secret:auth#1}}"]], "body": {"text": "ask"}},
   "response": {"status": 200, "headers": [], "body": {"json": {"n": [1, 2]}, "style": "compact"}}, "timing": {"start_ms": 5, "wait_ms": 7}},
  {"id": "b.1", "request": {"method": "GET", "url": "http://a.example/b"}, "error": {"kind": "refused", "cause": "nobody there"}},
  {"id": "c.1", "request": {"method": "GET", "url": "http://a.example/c"}, "response": {"status": 200, "body": {"base64": "AP8="}}}]}`
	inShelf(t, map[string]string{"cassettes/one.json": one})
	for _, c := range []typed{
		{"interaction", []string{"show", "one", "a.1"}, 0, `POST http://a.example/a HTTP/
Authorization: Bearer {{secret:auth#1}}

ask

200 ` + `

{
  "n": [
    1,
    2
  ]
}

after 5ms: sent in 0s, answered after 7ms, received in 0s
`, ""},
		{"its body", []string{"show", "one", "a.1", "--body"}, 0, `{"n":[1,2]}`, ""},
		{"what was sent", []string{"show", "one", "a.1", "--body=request"}, 0, "ask", ""},
		{"bytes", []string{"show", "one", "c.1", "--body=response"}, 0, "\x00\xff", ""},
		{"JSON", []string{"show", "one", "b.1", "--json"}, 0, `{
  "id": "b.1",
  "kind": "http",
  "seq": 2,
  "request": {
    "method": "GET",
    "url": "http://a.example/b",
    "headers": [],
    "body": null
  },
  "error": {"kind": "refused", "cause": "nobody there"},
  "timing": {"start_ms": 0, "send_ms": 0, "wait_ms": 0, "receive_ms": 0}
}
`, ""},
		{"no body", []string{"show", "one", "b.1", "--body"}, exitStart, "", "serge-net: error: interaction b.1 has no response: refused\nserge-net: hint: --body=request is what was sent\n"},
		{"whose body", []string{"show", "one", "--body"}, exitStart, "", "serge-net: error: --body is that of one interaction\n" +
			"serge-net: hint: serge-net show one lists them; then serge-net show NAME [ID] --body\n"},
		{"too many forms", []string{"show", "one", "--json", "--curl"}, exitStart, "", "serge-net: error: if any flags in the group [curl json body file] are set none of the others can be; [curl json] were all set\n"},
		{"no such", []string{"show", "one", "a.2"}, exitStart, "", "serge-net: error: cassette one has no interaction \"a.2\"\nserge-net: hint: did you mean a.1?\n"},
		{"completion", []string{"__complete", "show", "one", ""}, 0, "a.1\tPOST http://a.example/a -> 200\nb.1\tGET http://a.example/b -> refused\nc.1\tGET http://a.example/c -> 200\n:4\n",
			"Completion ended with directive: ShellCompDirectiveNoFileComp\n"},
	} {
		c.check(t)
	}
	var whole, calls, stderr bytes.Buffer
	if Main([]string{"show", "one", "--json"}, &whole, &stderr) != 0 || !json.Valid(whole.Bytes()) || !strings.Contains(whole.String(), `"summary"`) {
		t.Errorf("show --json: %s\n%s", &whole, &stderr)
	}
	if Main([]string{"show", "one", "a.1", "--curl"}, &calls, &stderr) != 0 || strings.Count(calls.String(), "\ncurl ") != 1 || !strings.Contains(calls.String(), `"$AUTH_1"`) {
		t.Errorf("show --curl: %s\n%s", &calls, &stderr)
	}
}
