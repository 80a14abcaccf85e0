package cassette

import (
	"fmt"
	"strings"

	"github.com/serge-net/serge-net/exchange"
)

// conditionCases are answers to conditional requests, and ties.
func conditionCases() []matchCase {
	notModified := asked{req: get("/a", `If-None-Match: "x"`), res: &exchange.Head{Status: 304, Reason: "Not Modified", Version: "1.1"}}
	failed := asked{req: with("PUT", get("/a", `If-Match: "x"`)), res: &exchange.Head{Status: 412, Reason: "Precondition Failed", Version: "1.1"}}
	return []matchCase{
		{name: "304 to the same condition", rec: []asked{notModified}, live: []said{{get("/a", `If-None-Match: "x"`), "", ""}}},
		{name: "304 to no condition", rec: []asked{notModified}, live: []said{{get("/a"), "", "miss"}}, has: "304"},
		{name: "304 to another condition", rec: []asked{notModified}, live: []said{{get("/a", `If-None-Match: "y"`), "", "miss"}}, has: "304"},
		{name: "412 to no condition", rec: []asked{failed}, live: []said{{with("PUT", get("/a")), "", "miss"}}},
		{name: "206 of another range", rec: []asked{{req: get("/a", "Range: bytes=0-9"), res: &exchange.Head{Status: 206, Version: "1.1"}, answer: "0123456789"}}, live: []said{{get("/a"), "", "miss"}}},
		{name: "Accept breaks the tie", rec: []asked{rec(get("/a", "Accept: text/html"), "", "html"), rec(get("/a", "Accept: application/json"), "", "json")},
			live: []said{{get("/a", "Accept: application/json"), "", "json"}, {get("/a", "Accept: text/html"), "", "html"}, {get("/a", "Accept: application/json"), "", "json"}}},
		{name: "a request's number breaks no tie", rec: []asked{rec(get("/a", "X-Request-Id: 1"), "", "A"), rec(get("/a", "X-Request-Id: 2"), "", "B")}, live: []said{{get("/a", "X-Request-Id: 2"), "", "A"}}},
		{name: "a stream goes on where it was left", rec: []asked{rec(get("/s"), "", "1 2"), rec(get("/s", "Last-Event-ID: 2"), "", "3"), rec(get("/s", "Last-Event-ID: 3"), "", "4")},
			live: []said{{get("/s", "Last-Event-ID: 3"), "", "4"}, {get("/s"), "", "1 2"}, {get("/s", "last-event-id: 2"), "", "3"}, {get("/s", "Last-Event-ID: 4"), "", "miss"}}, has: "header last-event-id: "},
		{name: "repeats 1, 2, 3, 3", rec: []asked{rec(get("/a"), "", "1"), rec(get("/a"), "", "2"), rec(get("/a"), "", "3")},
			live: []said{{get("/a"), "", "1"}, {get("/a"), "", "2"}, {get("/a"), "", "3"}, {get("/a"), "", "3"}}},
		{name: "no more repeats", opt: PlayOptions{Repeat: RepeatNever}, rec: []asked{rec(get("/a"), "", "1")},
			live: []said{{get("/a"), "", "1"}, {get("/a"), "", "miss"}}, has: "already served 1/1"},
		{name: "POST is not repeated", rec: []asked{rec(post("/a"), "", "1"), rec(post("/a"), "", "2")},
			live: []said{{post("/a"), "", "1"}, {post("/a"), "", "2"}, {post("/a"), "", "miss"}}, has: "already served 2/2"},
	}
}

// identityCases are values that look as if they could be anything, and are not.
func identityCases() []matchCase {
	js := jsonType
	return []matchCase{
		one("numeric id", get("/students/1"), get("/students/20"), "", "", false, "path: /students/1 -> /students/20"),
		one("numeric id of the same length", get("/students/1"), get("/students/2"), "", "", false),
		one("page", get("/a?page=2"), get("/a?page=3"), "", "", false, "to accept: serge-net accept x --ignore-query page"),
		one("short string", post("/", js), post("/", js), `{"s":"abcd1234"}`, `{"s":"efab5678"}`, false),
		one("boolean", post("/", js), post("/", js), `{"dry_run":true}`, `{"dry_run":false}`, false),
		one("16 digits are a number", post("/", js), post("/", js), `{"card":"4111111111111111"}`, `{"card":"4012888888881881"}`, false),
		one("a word of 16 letters", post("/", js), post("/", js), `{"s":"abcdefabcdefabcd"}`, `{"s":"fedcbafedcbafedc"}`, false),
		one("unknown UUID in a GET", get("/users/"+u1), get("/users/"+v1), "", "", false, "an unknown uuid in the path of a GET is another resource"),
		one("unknown UUID in a DELETE", with("DELETE", get("/users/"+u1)), with("DELETE", get("/users/"+v1)), "", "", false),
		one("unknown UUID in a HEAD", with("HEAD", get("/users/"+u1)), with("HEAD", get("/users/"+v1)), "", "", false),
		one("digest in a PUT", with("PUT", get("/blobs?digest=sha256:"+hex64u)), with("PUT", get("/blobs?digest=sha256:"+hex64v)), "", "", false),
		one("business date", post("/", js), post("/", js), `{"due":"2026-03-01T00:00:00Z"}`, `{"due":"2026-04-01T00:00:00Z"}`, false, "it was not the time"),
		one("a date without a time", post("/", js), post("/", js), `{"due":"`+then("2006-01-02")+`"}`, `{"due":"`+now("2006-01-02")+`"}`, false),
		one("a moment in a path", get("/snapshots/"+unixThen(1)), get("/snapshots/"+unixNow(1)), "", "", false),
		one("a value that is a key elsewhere", post("/", js), post("/", js), `{"a.b":{"c d":1}}`, `{"a.b":{"c d":2}}`, false, `--ignore-body '$["a.b"]["c d"]'`),
		bare(one("a secret that nobody knows", post("/a?access_token=hunter2", js), post("/a?access_token=hunter3", js), `{"user":{"password":"hunter4"}}`, `{"user":{"password":"hunter5"}}`, false, "query access_token: (secret) -> (another secret)\n    body $.user.password: (secret) -> (another secret)")),
		one("old epoch", post("/", js), post("/", js), `{"born":1000000000}`, `{"born":1000000001}`, false),
		one("a recorded moment against an old one", post("/", js), post("/", js), `{"ts":`+unixThen(1)+`}`, `{"ts":1500000000}`, false, "it is not the time now"),
		one("a moment in other units", post("/", js), post("/", js), `{"ts":`+unixThen(1)+`}`, `{"ts":`+unixNow(1000)+`}`, false),
		one("UUID against a word", post("/", js), post("/", js), `{"id":"`+u1+`"}`, `{"id":"none"}`, false),
		one("UUID against another shape", post("/", js), post("/", js), `{"id":"`+u1+`"}`, `{"id":"`+hex24v+`"}`, false),
		one("what stands beside a UUID", post("/", js), post("/", js), `{"id":"order-`+u1+`"}`, `{"id":"user-`+v1+`"}`, false),
		one("GraphQL query of another id", post("/", js), post("/", js), fmt.Sprintf(graphQL, "query U{a}", u1), fmt.Sprintf(graphQL, "query U{a}", v1), false, "GraphQL query"),
		one("large body of other bytes", post("/"), post("/"), strings.Repeat("a", wholeMost+1), strings.Repeat("b", wholeMost+1), false),
		one("persisted query of another hash", post("/", js), post("/", js), `{"extensions":{"persistedQuery":{"sha256Hash":"`+hex64u+`"}}}`, `{"extensions":{"persistedQuery":{"sha256Hash":"`+hex64v+`"}}}`, false),
		bare(one("JWT of somebody else", post("/", js), post("/", js), `{"t":"`+jwt("ada", 1)+`"}`, `{"t":"`+jwt("bob", 2)+`"}`, false, "somebody else")),
		{name: "server id comes back literally", rec: []asked{rec(post("/a"), "", `{"id":"`+u1+`"}`), rec(post("/b", js), `{"of":"`+u1+`"}`, "B")},
			live: []said{{post("/a"), "", `{"id":"` + u1 + `"}`}, {post("/b", js), `{"of":"` + v1 + `"}`, "miss"}, {post("/b", js), `{"of":"` + u1 + `"}`, "B"}}, has: "came in an earlier answer"},
		{name: "pagination cursor", rec: []asked{rec(get("/a"), "", `{"next":"`+hex24u+`"}`), rec(get("/a?after="+hex24u), "", "2")},
			live: []said{{get("/a"), "", `{"next":"` + hex24u + `"}`}, {get("/a?after=" + hex24v), "", "miss"}, {get("/a?after=" + hex24u), "", "2"}}},
		{name: "cursors that nobody gave", rec: []asked{rec(get("/a?after="+hex24u), "", "1"), rec(get("/a?after=605f1f77bcf86cd799439022"), "", "2")},
			live: []said{{get("/a?after=" + hex24v), "", "miss"}}},
		{name: "a recorded id is no new one", rec: []asked{rec(post("/a", js), `{"id":"`+u1+`"}`, "A"), rec(get("/b"), "", `{"id":"`+u2+`"}`)},
			live: []said{{post("/a", js), `{"id":"` + u2 + `"}`, "miss"}}, has: "names something else"},
	}
}
