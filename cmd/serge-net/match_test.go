package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/cassette"
)

// TestMatchRules reads rules of matching from the configuration.
func TestMatchRules(t *testing.T) {
	const text = `
[serge-net]
match = "loose"

[ignore]
headers = ["X-Build"]
query_params = ["ts"]
body = ["$.meta.*"]

[match]
url = [{ regex = "^https://a\\.example/v\\d+/", as = "https://a.example/v1/" }]
path_template = ["/users/{id}/…"]
host_alias = ["green.example=a.example"]
body = [{ route = "POST https://a.example/log", is = "none" }, { is = "json" }]
callback = ["./match.py", "-v"]
`
	f, err := configured(t, "serge-net.toml", text, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.matchFlags.rules()
	want := []cassette.Rule{
		{IgnoreHeaders: []string{"X-Build"}}, {IgnoreQuery: []string{"ts"}}, {IgnoreBody: []string{"$.meta.*"}},
		{URLRegex: `^https://a\.example/v\d+/`, As: "https://a.example/v1/"}, {PathTemplate: "/users/{id}/…"}, {HostAlias: "green.example=a.example"},
		{Body: "none", Route: "POST https://a.example/log"}, {Body: "json"},
	}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	if c := f.matchCallback; f.match != "loose" || len(c) != 2 || !strings.HasSuffix(c[0], "/match.py") || !strings.HasPrefix(c[0], "/") || c[1] != "-v" {
		t.Errorf("match %q, callback %q; want loose, the file's directory's ./match.py and -v", f.match, c)
	}
}

// TestMatchRulesRefused names the flag, and what is wrong with its value.
func TestMatchRulesRefused(t *testing.T) {
	for _, c := range []struct {
		flags matchFlags
		want  string
	}{
		{matchFlags{ignoreBody: []string{"meta"}}, `--ignore-body: JSONPath "meta": does not begin with $`},
		{matchFlags{ignoreBody: []string{"$.a[?(@.b)]"}}, "expressions and slices are not read"},
		{matchFlags{urlRegex: []string{"a"}}, "says not what such URLs are taken for"},
		{matchFlags{urlRegex: []string{"( => a"}}, "missing closing )"},
		{matchFlags{pathTemplate: []string{"/users"}}, "has no segment in braces"},
		{matchFlags{hostAlias: []string{"a"}}, `"a" is not A=B`},
		{matchFlags{matchBody: []string{"some"}}, `"some" is not one of json`},
		{matchFlags{matchBody: []string{"none /a"}}, "is not METHOD URL"},
	} {
		if _, err := c.flags.rules(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v; want %s", c.flags, err, c.want)
		}
	}
}

func TestUnquotedWords(t *testing.T) {
	got := unquotedWords("--ignore-query page  --ignore-body '$[\"a b\"]' x")
	if d := cmp.Diff([]string{"--ignore-query", "page", "--ignore-body", `$["a b"]`, "x"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestTallied lists what was assumed once, in order, and not without end.
func TestTallied(t *testing.T) {
	if d := cmp.Diff([]string{"a, 2 times", "b"}, tallied([]string{"a", "b", "a"})); d != "" {
		t.Errorf("tallied (-want +got):\n%s", d)
	}
	var out strings.Builder
	var s served
	for i := range listMost + 3 {
		s.assumptions = append(s.assumptions, fmt.Sprint(i))
	}
	newReport(&out, false).end(s, 0)
	if !strings.HasSuffix(out.String(), "assumed: 99\nserge-net: assumed: and 3 more\n") {
		t.Errorf("the end of the report is %q", out.String()[max(0, out.Len()-100):])
	}
}
