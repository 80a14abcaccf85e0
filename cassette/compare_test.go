package cassette

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/serge-net/serge-net/exchange"
)

// compared records olds and news, each a minute after the other, and compares them.
func compared(t *testing.T, olds, news []asked) []string {
	t.Helper()
	s, _ := newStore(t)
	for name, as := range map[string][]asked{"old": olds, "new": news} {
		for i := range as {
			as[i].at = time.Duration(i) * time.Minute
		}
		recordAll(t, s, name, RecordOptions{}, as...)
	}
	var out []string
	for _, c := range Compare(load(t, s, "old"), load(t, s, "new")) {
		out = append(out, strings.Split(c.String(), "\n")...)
	}
	return out
}

func TestCompare(t *testing.T) {
	const js = "Content-Type: application/json"
	answered := func(req *exchange.Head, body string, head ...string) asked {
		return asked{req: req, res: ok(append([]string{js}, head...)...), answer: body}
	}
	const url = "http://api.example.com"
	tests := []struct {
		name       string
		olds, news []asked
		want       []string
	}{
		{"nothing", []asked{answered(get("/a"), "{}", "Date: yesterday", "X-Request-Id: 1")}, []asked{answered(get("/a"), "{}", "Date: today", "X-Request-Id: 2")}, nil},
		{"order of what was asked", []asked{answered(get("/a"), "1"), answered(get("/b"), "2")}, []asked{answered(get("/b"), "2"), answered(get("/a"), "1")}, nil},
		{"status", []asked{{req: get("/a"), res: ok()}}, []asked{{req: get("/a"), res: &exchange.Head{Status: 404, Version: "1.1"}}},
			[]string{"~ GET " + url + "/a", "    status: 200 -> 404", "    reason: OK -> (none)"}},
		{"header", []asked{answered(get("/a"), "", "X-A: 1", "X-A: 2", "X-B: 1")}, []asked{answered(get("/a"), "", "X-A: 1", "X-C: 3", "X-B: 1")},
			[]string{"~ GET " + url + "/a", "    header x-a: 1, 2 -> 1", "    header x-c: (none) -> 3"}},
		{"JSON by pointer", []asked{answered(get("/a"), `{"user":{"name":"ada","a/b":1},"n":[1,2],"gone":null}`)}, []asked{answered(get("/a"), `{"n":[1,3,4],"user":{"a/b":2,"name":"eve"},"more":true}`)},
			[]string{"~ GET " + url + "/a", `    body /user/name: "ada" -> "eve"`, "    body /user/a~1b: 1 -> 2", "    body /n/1: 2 -> 3", "    body /n/2: (none) -> 4",
				"    body /gone: null -> (none)", "    body /more: (none) -> true"}},
		{"JSON written otherwise", []asked{answered(get("/a"), `{"a":1}`)}, []asked{answered(get("/a"), `{"a": 1}`)},
			[]string{"~ GET " + url + "/a", "    body: JSON in 7 bytes -> the same JSON, written otherwise, in 8 bytes"}},
		{"text by line", []asked{answered(get("/a"), "one\ntwo\n")}, []asked{answered(get("/a"), "one\n2\n")}, []string{"~ GET " + url + "/a", "    body line 2: two -> 2"}},
		{"text of other length", []asked{answered(get("/a"), "one\ntwo")}, []asked{answered(get("/a"), "one\ntwo\nthree")},
			[]string{"~ GET " + url + "/a", "    body line 3: (none) -> three", "    body: 2 lines -> 3 lines"}},
		{"binary", []asked{answered(get("/a"), "\x00\x01")}, []asked{answered(get("/a"), "\x00\x02")}, []string{"~ GET " + url + "/a",
			"    body: 2 bytes, sha256 b413f47d13ee2fe6… -> 2 bytes, sha256 fcf0a6c700dd13e2…"}},
		{"added and removed", []asked{answered(get("/a"), "1")}, []asked{answered(get("/b"), "2")}, []string{"- GET " + url + "/a -> 200", "+ GET " + url + "/b -> 200"}},
		{"another query", []asked{answered(get("/a?p=1"), "1")}, []asked{answered(get("/a?p=2"), "1")}, []string{"~ GET " + url + "/a?p=1", "    request query p: 1 -> 2"}},
		{"another request body", []asked{{req: post("/a", js), body: `{"n":{"x":1}}`, res: ok()}}, []asked{{req: post("/a", js), body: `{"n":{"x":2}}`, res: ok()}},
			[]string{"~ POST " + url + "/a", "    request body /n/x: 1 -> 2"}},
		{"another nonce", []asked{{req: post("/a", js), body: `{"nonce":"6f1c0a52-98a1-4c3e-9a52-0c2b1f6e0001"}`, res: ok()}},
			[]asked{{req: post("/a", js), body: `{"nonce":"0b0e2d1c-1111-4c3e-8a52-0c2b1f6e0002"}`, res: ok()}}, nil},
		{"repeats", []asked{answered(get("/a"), "1"), answered(get("/a"), "2")}, []asked{answered(get("/a"), "1"), answered(get("/a"), "3"), answered(get("/a"), "4")},
			[]string{"~ GET " + url + "/a", "    body line 1: 2 -> 3", "+ GET " + url + "/a -> 200"}},
		{"other secrets", []asked{answered(get("/a", "Authorization: Bearer alice"), "{}", "Set-Cookie: s=one"), answered(get("/b", "Authorization: Bearer bob"), "{}")},
			[]asked{answered(get("/b", "Authorization: Bearer carol"), "{}"), answered(get("/a", "Authorization: Bearer dave"), "{}", "Set-Cookie: s=two")}, nil},
		{"one user where there were two", []asked{answered(get("/a", "Authorization: Bearer alice"), "{}"), answered(get("/b", "Authorization: Bearer bob"), "{}")},
			[]asked{answered(get("/a", "Authorization: Bearer carol"), "{}"), answered(get("/b", "Authorization: Bearer carol"), "{}")},
			[]string{"~ GET " + url + "/b", "    request secrets: authorization Bearer secret:auth#2 -> authorization Bearer secret:auth#1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, compared(t, tt.olds, tt.news)); d != "" {
				t.Errorf("Compare() (-want +got):\n%s", d)
			}
		})
	}
}

// TestCompareUpgraded compares what was said after an upgrade.
func TestCompareUpgraded(t *testing.T) {
	talk := func(said ...string) *Cassette {
		i := &Interaction{Request: Request{Method: "GET", URL: "http://a.example/"}, Response: &Response{Status: 101}}
		for n, s := range said {
			i.Upgraded = append(i.Upgraded, Message{From: exchange.Side(n % 2), Body: bodyOf([]byte(s))})
		}
		if err := i.rekey(rules{}); err != nil {
			t.Fatal(err)
		}
		return &Cassette{Interactions: []*Interaction{i}}
	}
	got := Compare(talk("hello", "hi", "bye"), talk("hello", "ho"))
	want := []exchange.Diff{{At: "message 2", Recorded: `server: "hi"`, Live: `server: "ho"`}, {At: "message 3", Recorded: `client: "bye"`}}
	if len(got) != 1 {
		t.Fatalf("Compare() = %v; want one change", got)
	}
	if d := cmp.Diff(want, got[0].Diffs); d != "" {
		t.Errorf("Compare() (-want +got):\n%s", d)
	}
}
