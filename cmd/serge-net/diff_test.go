package main

import (
	"strings"
	"testing"

	"github.com/serge-net/serge-net/cassette"
)

// users is a cassette of requests for users, whose names come in the answers.
func users(names ...string) string {
	var all []string
	for _, n := range names {
		path, name, _ := strings.Cut(n, "=")
		all = append(all, `{"id": "`+path+`.1", "request": {"method": "GET", "url": "http://a.example/`+path+`", "headers": []},
   "response": {"status": 200, "reason": "OK", "headers": [["Content-Type", "application/json"], ["Date", "Sun, 22 Nov 2026 19:00:00 GMT"]], "body": {"json": {"name": "`+name+`"}, "style": "compact"}}}`)
	}
	return `{"version": "1.0", "interactions": [` + strings.Join(all, ",\n") + `]}`
}

func TestDiff(t *testing.T) {
	inShelf(t, map[string]string{
		"cassettes/old.json":         users("ada=Ada", "bob=Bob", "cyn=Cyn"),
		"cassettes/new.json":         users("bob=Rob", "ada=Ada", "dan=Dan"),
		"cassettes/.failed/old.json": users("ada=Eda", "bob=Bob", "cyn=Cyn"),
		"other.json":                 users("ada=Ada", "bob=Bob", "cyn=Cyn"),
		"notes.txt":                  "",
	})
	const text = `~ GET http://a.example/bob
    body /name: "Bob" -> "Rob"
- GET http://a.example/cyn -> 200
+ GET http://a.example/dan -> 200
`
	for _, c := range []typed{
		{"names", []string{"diff", "old", "new"}, exitDiffers, text, ""},
		{"same", []string{"diff", "old", "old"}, 0, "", ""},
		{"a file", []string{"diff", "old", "other.json"}, 0, "", ""},
		{"a failed recording", []string{"diff", "old", "cassettes/.failed/old.json"}, exitDiffers, "~ GET http://a.example/ada\n    body /name: \"Ada\" -> \"Eda\"\n", ""},
		{"JSON", []string{"diff", "--json", "old", "cassettes/.failed/old.json"}, exitDiffers, `{
  "version": 1,
  "changes": [
    {
      "change": "changed",
      "old": {
        "id": "ada.1",
        "method": "GET",
        "url": "http://a.example/ada"
      },
      "new": {
        "id": "ada.1",
        "method": "GET",
        "url": "http://a.example/ada"
      },
      "diffs": [
        {
          "at": "body /name",
          "recorded": "\"Ada\"",
          "live": "\"Eda\""
        }
      ]
    }
  ]
}
`, ""},
		{"JSON of the same", []string{"diff", "--json", "old", "old"}, 0, "{\n  \"version\": 1,\n  \"changes\": []\n}\n", ""},
		{"one", []string{"diff", "old"}, exitStart, "", "serge-net: error: name two cassettes, or two files\nserge-net: hint: serge-net diff OLD NEW; serge-net list shows what there is\n"},
		{"none such", []string{"diff", "old", "nwe"}, exitStart, "", "serge-net: error: no cassette cassettes/nwe.json\nserge-net: hint: did you mean new? serge-net list shows what there is\n"},
		{"no cassette", []string{"diff", "old", "notes.txt"}, exitStart, "", "serge-net: error: notes.txt is no cassette: its name ends in none of .json, .json.gz, .json.zst, .json.enc, .smpk\n" +
			"serge-net: hint: serge-net import makes cassettes of other tools' recordings\n"},
	} {
		c.check(t)
	}
}

// TestPaintedChange colours the first line, on a terminal only.
func TestPaintedChange(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	i := &cassette.Interaction{Request: cassette.Request{Method: "GET", URL: "http://a/"}, Response: &cassette.Response{Status: 200}}
	c := cassette.Change{New: i}
	if got, want := paintedChange(true, c), "\x1b[32m+ GET http://a/ -> 200\x1b[0m"; got != want {
		t.Errorf("on a terminal %q; want %q", got, want)
	}
	t.Setenv("NO_COLOR", "1")
	for _, terminal := range []bool{false, true} {
		if got := paintedChange(terminal, c); got != c.String() {
			t.Errorf("terminal %v with NO_COLOR: %q", terminal, got)
		}
	}
}
