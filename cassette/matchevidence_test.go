package cassette

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// evidenceCases are values that differ for a reason.
func evidenceCases() []matchCase {
	js := jsonType
	id := func(s string) string { return `{"id":"` + s + `"}` }
	random := func(name, u, v string) matchCase {
		return one(name+" in a POST", post("/a", js), post("/a", js), id(u), id(v), true, "body.id")
	}
	clock := func(name, u, v string) matchCase {
		return one("clock, "+name, post("/a", js), post("/a", js), `{"at":`+u+`}`, `{"at":`+v+`}`, true, "body.at (the time, in ")
	}
	q := func(s string) string { return `"` + s + `"` }
	return []matchCase{
		random("hard-coded UUID", u1, v1), random("ObjectId", hex24u, hex24v), random("ULID", ulidU, ulidV), random("KSUID", ksuidU, ksuidV),
		random("PKCE verifier", pkceU, pkceV), random("hash", hex64u, hex64v), bare(random("JWT", jwt("ada", 1), jwt("ada", 2))), random("UUID in a URN", "urn:uuid:"+u1, "urn:uuid:"+v1),
		clock("seconds", unixThen(1), unixNow(1)), clock("milliseconds", unixThen(1000), unixNow(1000)), clock("microseconds", unixThen(1e6), unixNow(1e6)),
		clock("seconds as a string", q(unixThen(1)), q(unixNow(1))), clock("float", unixThen(1)+".25", unixNow(1)+".5"),
		clock("RFC 3339", q(then(time.RFC3339)), q(now(time.RFC3339Nano))), clock("http date", q(then(http.TimeFormat)), q(now(http.TimeFormat))), clock("SigV4", q(then("20060102T150405Z")), q(now("20060102T150405Z"))),
		one("clock in the query", get("/a?ts="+unixThen(1000)), get("/a?ts="+unixNow(1000)), "", "", true),
		one("client UUID in the path of a PUT", with("PUT", get("/up/"+u1)), with("PUT", get("/up/"+v1)), "x", "x", true, "path segment 1"),
		one("OAuth state and PKCE", get("/authorize?state="+u1+"&code_challenge="+pkceU), get("/authorize?state="+v1+"&code_challenge="+pkceV), "", "", true),
		one("UUID in a form", post("/a", formType), post("/a", formType), "id="+u1, "id="+v1, true),
		one("UUID in XML", post("/a", xmlType), post("/a", xmlType), "<a><id>"+u1+"</id></a>", "<a><id>"+v1+"</id></a>", true),
		one("UUID in protobuf", post("/a", "Content-Type: application/x-protobuf"), post("/a", "Content-Type: application/x-protobuf"), proto(1, u1), proto(1, v1), true),
		one("UUID in a part", post("/", "Content-Type: multipart/form-data; boundary=A"), post("/", "Content-Type: multipart/form-data; boundary=A"), "--A\r\n\r\n"+u1+"\r\n--A--", "--A\r\n\r\n"+v1+"\r\n--A--", true),
		one("GraphQL mutation", post("/", js), post("/", js), fmt.Sprintf(graphQL, "mutation U{a}", u1), fmt.Sprintf(graphQL, "mutation U{a}", v1), true),
		{name: "not when exact", opt: PlayOptions{Match: MatchExact}, rec: []asked{rec(post("/a", js), id(u1), "A")}, live: []said{{post("/a", js), id(v1), "miss"}, {post("/a", js), id(u1), "A"}}},
		{name: "client UUID in body, Location and path", rec: []asked{
			rec(post("/o", js), id(u1), `{"id":"`+u1+`","again":"`+strings.ToUpper(u1)+`"}`, "Location: /o/"+u1), rec(get("/o/"+u1), "", "O")},
			live: []said{{post("/o", js), id(v1), `{"id":"` + v1 + `","again":"` + strings.ToUpper(v1) + `"}`}, {get("/o/" + v1), "", "O"}, {get("/o/" + v2), "", "miss"}}},
		{name: "two client UUIDs out of order", rec: []asked{
			rec(post("/a", js), id(u1), "A"), rec(post("/b", js), id(u2), "B"), rec(get("/x/"+u1), "", "XA"), rec(get("/x/"+u2), "", "XB")},
			live: []said{{post("/b", js), id(v2), "B"}, {post("/a", js), id(v1), "A"}, {get("/x/" + v2), "", "XB"}, {get("/x/" + v1), "", "XA"}}},
		{name: "one stands for one", rec: []asked{rec(post("/a", js), id(u1), "A"), rec(post("/b", js), id(u1), "B")},
			live: []said{{post("/a", js), id(v1), "A"}, {post("/b", js), id(v2), "miss"}, {post("/b", js), id(v1), "B"}}, has: "stands for another of this run"},
		{name: "and not for two", rec: []asked{rec(post("/a", js), id(u1), "A"), rec(post("/b", js), id(u2), "B")},
			live: []said{{post("/a", js), id(v1), "A"}, {post("/b", js), id(v1), "miss"}}, has: "stands for another of the recording"},
		{name: "seeded values one further", rec: []asked{rec(post("/a", js), id(u1), "A"), rec(post("/b", js), id(u2), "B"), rec(get("/a/"+u1), "", "1"), rec(get("/a/"+u2), "", "2")},
			live: []said{{post("/a", js), id(u2), "A"}, {get("/a/" + u2), "", "1"}}},
		{name: "seeded values one further, all of them", rec: []asked{rec(post("/a", js), id(u1), "A"), rec(post("/b", js), id(u2), "B"), rec(get("/x/"+u1), "", "1"), rec(get("/x/"+u2), "", "2")},
			live: []said{{post("/a", js), id(u2), "A"}, {post("/b", js), id(u3), "B"}, {get("/x/" + u3), "", "2"}, {get("/x/" + u2), "", "1"}}},
		{name: "idempotency key in the body, out of order", rec: []asked{rec(post("/pay", js), `{"key":"`+u1+`","sum":1}`, "A"), rec(post("/pay", js), `{"key":"`+u2+`","sum":2}`, "B")},
			live: []said{{post("/pay", js), `{"key":"` + v2 + `","sum":2}`, "B"}, {post("/pay", js), `{"key":"` + v1 + `","sum":1}`, "A"}}},
		{name: "a retry is not the next payment", rec: []asked{rec(post("/pay", js), `{"key":"`+u1+`"}`, "A"), rec(post("/pay", js), `{"key":"`+u2+`"}`, "B")},
			live: []said{{post("/pay", js), `{"key":"` + v1 + `"}`, "A"}, {post("/pay", js), `{"key":"` + v1 + `"}`, "A"}, {post("/pay", js), `{"key":"` + v2 + `"}`, "B"}}, has: "ambiguous"},
		{name: "a retry by header is not the next payment", rec: []asked{rec(post("/pay", "Idempotency-Key: "+u1), "", "A"), rec(post("/pay", "Idempotency-Key: "+u2), "", "B")},
			live: []said{{post("/pay", "Idempotency-Key: "+v1), "", "A"}, {post("/pay", "Idempotency-Key: "+v1), "", "A"}, {post("/pay", "Idempotency-Key: "+v2), "", "B"}}},
		{name: "fewest differences first", rec: []asked{rec(post("/a", js), `{"a":"`+u1+`","b":"`+u2+`"}`, "far"), rec(post("/a", js), `{"a":"`+u3+`","b":"`+v2+`"}`, "near")},
			live: []said{{post("/a", js), `{"a":"` + v1 + `","b":"` + v2 + `"}`, "near"}}},
		{name: "JSON-RPC ids out of order", rec: []asked{rec(post("/", js), `{"jsonrpc":"2.0","id":1,"method":"a"}`, `{"jsonrpc":"2.0","id":1,"result":"A"}`, jsonType), rec(post("/", js), `{"jsonrpc":"2.0","id":2,"method":"b"}`, `{"jsonrpc":"2.0","id":2,"result":"B"}`, jsonType)},
			live: []said{{post("/", js), `{"jsonrpc":"2.0","id":1,"method":"b"}`, `{"jsonrpc":"2.0","id":1,"result":"B"}`}, {post("/", js), `{"jsonrpc":"2.0","id":"x","method":"a"}`, `{"jsonrpc":"2.0","id":"x","result":"A"}`}}, has: "JSON-RPC"},
		{name: "JSON-RPC in turn, ids shifted", rec: []asked{rec(post("/", js), `{"jsonrpc":"2.0","id":1,"method":"block"}`, `{"jsonrpc":"2.0","id":1,"result":10}`), rec(post("/", js), `{"jsonrpc":"2.0","id":2,"method":"block"}`, `{"jsonrpc":"2.0","id":2,"result":11}`)},
			live: []said{{post("/", js), `{"jsonrpc":"2.0","id":2,"method":"block"}`, `{"jsonrpc":"2.0","id":2,"result":10}`}, {post("/", js), `{"jsonrpc":"2.0","id":3,"method":"block"}`, `{"jsonrpc":"2.0","id":3,"result":11}`}}},
		{name: "JSON-RPC over events", rec: []asked{rec(post("/mcp", js), `{"jsonrpc":"2.0","id":1,"method":"a"}`, "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1}\n\n")},
			live: []said{{post("/mcp", js), `{"jsonrpc":"2.0","id":7,"method":"a"}`, "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":1}\n\n"}}},
		{name: "JSON-RPC params are identity", rec: []asked{rec(post("/", js), `{"jsonrpc":"2.0","id":1,"method":"a","params":[1]}`, "A")},
			live: []said{{post("/", js), `{"jsonrpc":"2.0","id":1,"method":"a","params":[2]}`, "miss"}}},
		{name: "an id without JSON-RPC is identity", rec: []asked{rec(post("/", js), `{"id":1,"method":"a"}`, "A")}, live: []said{{post("/", js), `{"id":2,"method":"a"}`, "miss"}}},
		{name: "two users' tokens", rec: []asked{rec(get("/me", "Authorization: Bearer a"), "", "ada"), rec(get("/me", "Authorization: Bearer b"), "", "bob")},
			live: []said{{get("/me", "Authorization: Bearer x"), "", "ada"}, {get("/me", "Authorization: Bearer y"), "", "bob"}, {get("/me", "Authorization: Bearer x"), "", "ada"}, {get("/me", "Authorization: Bearer z"), "", "miss"}}},
		{name: "a placeholder in a body", rec: []asked{rec(post("/login", js), `{"user":"ada","pw":"{{secret:pw#1}}"}`, "A"), rec(post("/login", js), `{"user":"bob","pw":"{{secret:pw#2}}"}`, "B"), rec(post("/again", formType), "pw=x{{secret:pw#1}}y", "C")},
			live: []said{{post("/login", js), `{"user":"bob","pw":"hunter2"}`, "B"}, {post("/login", js), `{"user":"ada","pw":"hunter2"}`, "miss"}, {post("/login", js), `{"user":"ada","pw":"hunter3"}`, "A"}, {post("/again", formType), "pw=xhunter2y", "miss"}, {post("/again", formType), "pw=xhunter3y", "C"}}, has: "took the request's own secret for secret:pw#1"},
		{name: "a placeholder, exact", opt: PlayOptions{Match: MatchExact}, rec: []asked{rec(post("/login", js), `{"pw":"{{secret:pw#1}}"}`, "A")}, live: []said{{post("/login", js), `{"pw":"hunter2"}`, "A"}}},
		{name: "a placeholder in a URL", known: []string{"321:cba-key", "five-and-5", "hook-and-eye"},
			rec:  []asked{rec(get("/bot321:cba-key/me?k=five-and-5"), "", "A"), rec(get("/hook/hook-and-eye"), "", "B")},
			live: []said{{get("/bot123:abc/me?k=4"), "", "A"}, {get("/bot123:abd/me?k=4"), "", "miss"}, {get("/hook/xyz"), "", "B"}, {get("/hook/abc"), "", "miss"}}, has: "miss: GET http://api.example.com/(secret)/me?k=(secret)"},
		{name: "learned", opt: PlayOptions{Rules: []Rule{{At: "request.body.json/meta/pid", Is: "volatile", Because: "differed in 2 of 2 recordings"}}},
			rec:  []asked{rec(post("/a", js), `{"meta":{"pid":1},"n":1}`, "A")},
			live: []said{{post("/a", js), `{"meta":{"pid":2},"n":1}`, "A"}, {post("/a", js), `{"meta":{"pid":3},"n":2}`, "miss"}}, has: "body.meta.pid (learned: differed in 2 of 2 recordings)"},
		{name: "loose takes the nearest", opt: PlayOptions{Match: MatchLoose}, rec: []asked{rec(post("/a", js), `{"a":1,"b":2,"c":3,"d":4}`, "A"), rec(post("/a", js), `{"a":9,"b":9,"c":9,"d":9}`, "B")},
			live: []said{{post("/a", js), `{"a":1,"b":2,"c":3,"d":5}`, "A"}, {post("/a", js), `{"a":7,"b":7,"c":7,"d":7}`, "miss"}, {post("/a", js), `{"a":1,"b":2,"c":3}`, "miss"}}, has: "loose"},
		{name: "loose takes no tie", opt: PlayOptions{Match: MatchLoose}, rec: []asked{rec(post("/a", js), `{"a":1,"b":2,"c":3,"d":4}`, "A"), rec(post("/a", js), `{"a":1,"b":2,"c":3,"d":6}`, "B")},
			live: []said{{post("/a", js), `{"a":1,"b":2,"c":3,"d":5}`, "miss"}}},
	}
}
