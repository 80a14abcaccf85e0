package main

import (
	"strings"
	"testing"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/exchange"
)

// TestCallback asks scripts: one that answers, and those that break the protocol,
// of which every later question hears too.
func TestCallback(t *testing.T) {
	question := cassette.Question{
		Request:    &cassette.Request{Method: "GET", URL: "http://a.example/b", Fields: []exchange.Field{{Name: "Host", Value: "a.example"}}},
		Candidates: []*cassette.Interaction{{ID: "get-b.1", Request: cassette.Request{Method: "GET", URL: "http://a.example/c"}}},
	}
	const number = `n=0; while read -r q; do n=$((n+1)); `
	for _, c := range []struct {
		name, script string
		want         cassette.Answer
		err          string
	}{
		{"answers", number + `case $q in *'"url":"http://a.example/b","headers":[["Host","a.example"]],"body":null'*) echo "{\"question\":$n,\"match\":\"get-b.1\",\"because\":\"b is c\"}"; esac; done`,
			cassette.Answer{ID: "get-b.1", Because: "b is c"}, ""},
		{"says none", number + `echo "{\"question\":$n,\"match\":null}"; done`, cassette.Answer{}, ""},
		{"ends", `read -r q; exit 3`, cassette.Answer{}, "it ended without an answer"},
		{"says something else", `read -r q; echo hello; cat`, cassette.Answer{}, `its answer "hello" is not one`},
		{"talks too much", `read -r q; echo '{"question":1,"match":null}'; echo '{"question":1,"match":null}'; cat >/dev/null`, cassette.Answer{}, "it answers question 1; asked was 2"},
	} {
		cb := &callback{argv: []string{"sh", "-c", c.script}}
		for range 2 {
			got, err := cb.ask(question)
			if c.err != "" && err == nil && c.name == "talks too much" {
				continue
			}
			if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: ask() = %v, %v; want %v, %q", c.name, got, err, c.want, c.err)
			}
		}
		cb.close()
	}
	none := &callback{argv: []string{"/nonexistent/program"}}
	if _, err := none.ask(question); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("ask() of no program = %v", err)
	}
	none.close()
}
