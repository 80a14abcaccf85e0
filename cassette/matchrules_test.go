package cassette

import (
	"github.com/serge-net/serge-net/exchange"
)

// ruleCases are what users want of matching.
func ruleCases() []matchCase {
	js := jsonType
	rule := func(r Rule) PlayOptions { return PlayOptions{Rules: []Rule{r}} }
	alias := &exchange.Head{Method: "GET", Scheme: "http", Authority: "green.example.com", Target: "/a", Version: "1.1"}
	return []matchCase{
		{name: "ignore a header", opt: rule(Rule{IgnoreHeaders: []string{"Content-Type"}}), rec: []asked{rec(post("/a", "Content-Type: a/b"), "x", "A")}, live: []said{{post("/a"), "x", "A"}}},
		{name: "ignore a query parameter", opt: rule(Rule{IgnoreQuery: []string{"page"}}), rec: []asked{rec(get("/a?page=1&q=1"), "", "A")}, live: []said{{get("/a?q=1"), "", "A"}, {get("/a?q=2&page=1"), "", "miss"}}},
		{name: "ignore in a body", opt: rule(Rule{IgnoreBody: []string{"$.meta.*", "$.list[0]", "$..at", "$.o[*].n"}}),
			rec:  []asked{rec(post("/a", js), `{"meta":{"a":1},"list":[1,2],"x":{"at":1},"o":[{"n":1}],"n":1}`, "A")},
			live: []said{{post("/a", js), `{"meta":{"b":2},"list":[9,2],"x":{},"o":[{}],"n":1}`, "A"}, {post("/a", js), `{"meta":{"b":2},"list":[9,3],"x":{},"o":[{}],"n":1}`, "miss"}}},
		{name: "ignore in a form", opt: rule(Rule{IgnoreBody: []string{"$.ts"}}), rec: []asked{rec(post("/a", formType), "ts=1&n=1", "A")}, live: []said{{post("/a", formType), "n=1&ts=2", "A"}, {post("/a", formType), "n=2&ts=2", "miss"}}},
		{name: "url regex", opt: rule(Rule{URLRegex: `^http://api\.example\.com/v\d+/`, As: "http://api.example.com/v1/"}), rec: []asked{rec(get("/v1/a"), "", "A")}, live: []said{{get("/v2/a"), "", "A"}, {get("/w2/a"), "", "miss"}}},
		{name: "path template", opt: rule(Rule{PathTemplate: "/users/{id}/…"}), rec: []asked{rec(get("/users/1/orders"), "", "A")}, live: []said{{get("/users/2/orders"), "", "A"}, {get("/users/2/bills"), "", "miss"}, {get("/teams/2/orders"), "", "miss"}}},
		{name: "host alias", opt: rule(Rule{HostAlias: "green.example.com=api.example.com"}), rec: []asked{rec(get("/a"), "", "A")}, live: []said{{alias, "", "A"}}},
		{name: "body none", opt: rule(Rule{Body: "none", Route: "POST http://api.example.com/a/{x}"}), rec: []asked{rec(post("/a/1"), "x", "A"), rec(post("/b"), "x", "B")}, live: []said{{post("/a/1"), "y", "A"}, {post("/b"), "y", "miss"}}},
		{name: "body json", opt: rule(Rule{Body: "json"}), rec: []asked{rec(post("/a"), `{"a":1,"b":2}`, "A")}, live: []said{{post("/a"), `{"b":2, "a":1}`, "A"}, {post("/a"), `{"b":3}`, "miss"}}},
		{name: "body partial", opt: rule(Rule{Body: "partial"}), rec: []asked{rec(post("/a", js), `{"a":1,"o":{"b":[1,{"c":2}]}}`, "A")},
			live: []said{{post("/a", js), `{"z":0,"a":1,"o":{"b":[1,{"c":2,"d":3}]}}`, "A"}, {post("/a", js), `{"a":1,"o":{"b":[1]}}`, "miss"}, {post("/a", js), `{"a":2}`, "miss"}}, has: "its body does not fit the recorded one"},
		{name: "body regex", opt: rule(Rule{Body: "regex"}), rec: []asked{rec(post("/a"), `hello \w+`, "A")}, live: []said{{post("/a"), "hello ada", "A"}, {post("/a"), "hello ada!", "miss"}}},
	}
}
