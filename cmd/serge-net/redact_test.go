package main

import (
	"os"
	"strings"
	"testing"
)

// leaky is a cassette that an older version has recorded.
const leaky = `{"version": "1.0", "name": "leaky", "recorded_at": "2026-11-22T19:00:00.000Z", "of later": 1, "interactions": [
  {"id": "get-a.1", "of later": 2, "request": {"method": "GET", "url": "http://a.example/a?access_token=7f3a9c1d27b604e5", "headers": [["Accept", "*/*"]]},
   "response": {"status": 200, "reason": "OK", "headers": [["Content-Type", "text/plain"]], "body": {"text": "mail ada@example.com, not 7f3a9c1d27b604e5"}}}]}`

// TestRedact looks for secrets in an old cassette, and takes them out, and then
// people.
func TestRedact(t *testing.T) {
	inShelf(t, map[string]string{"cassettes/leaky.json": leaky, "cassettes/plain.json": plain})
	at := "cassettes/leaky.json: /interactions/0/"
	found := at + "request/url: holds a secret: oauth\n" + at + "response/body: holds a secret: oauth\n"
	for _, c := range []typed{
		{name: "validate", args: []string{"validate", "--secrets", "leaky", "plain"}, code: 98, stdout: found + "2 cassettes, 2 interactions, 2 findings\n"},
		{name: "dry run", args: []string{"redact", "leaky", "--dry-run"}, stdout: found + "cassettes/leaky.json: 2 places would be replaced\n"},
		{name: "redact", args: []string{"redact", "leaky", "plain"}, stdout: "cassettes/leaky.json: 2 places replaced\ncassettes/plain.json: 0 places replaced\n"},
		{name: "redact again", args: []string{"redact", "leaky"}, stdout: "cassettes/leaky.json: 0 places replaced\n"},
		{name: "anonymize", args: []string{"anonymize", "leaky", "-q"}},
		{name: "validate after", args: []string{"validate", "--secrets"}, stdout: "2 cassettes, 2 interactions, 0 findings\n"},
		{name: "none named", args: []string{"redact"}, code: 125,
			stderr: "serge-net: error: no cassette named\nserge-net: hint: serge-net redact NAME…; serge-net list shows what there is\n"},
		{name: "no pattern", args: []string{"redact", "leaky", "--redact-pattern", "("}, code: 125,
			stderr: "serge-net: error: redact: pattern \"(\": error parsing regexp: missing closing ): `(`\n" +
				"serge-net: hint: --redact-pattern takes a regular expression as Go reads it, --redact-json a path as $.user.pin\n"},
	} {
		c.check(t)
	}
	b, err := os.ReadFile("cassettes/leaky.json")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int{"7f3a": 0, "ada@": 0, "{{secret:oauth#1}}": 2 + 1, "{{secret:email#1}}": 1, `"of later"`: 2} {
		if got := strings.Count(string(b), text); got != want {
			t.Errorf("%q is there %d times; want %d\n%s", text, got, want, b)
		}
	}
	if after, err := os.ReadFile("cassettes/plain.json"); err != nil || string(after) != plain {
		t.Errorf("a cassette without secrets was rewritten, or %v", err)
	}
}
