package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

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
