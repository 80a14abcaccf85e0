package cassette

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// A matchCase is a recording, what is asked of it, and what must come of that.
type matchCase struct {
	known []string // secrets when it is recorded
	name  string
	opt   PlayOptions
	rec   []asked
	live  []said
	has   string // in what was assumed, found ambiguous, or missed for
}

// A said is a live request, and the body of its answer or "miss".
type said struct {
	req        *exchange.Head
	body, want string
}

// Random values of the recording (u) and of the run that is replayed (v).
const (
	u1, u2, u3 = "0b0e6f1c-52a9-48a1-8c3e-9a520c2b1f60", "1c0e6f1c-52a9-48a1-8c3e-9a520c2b1f61", "2d0e6f1c-52a9-48a1-8c3e-9a520c2b1f62"
	v1, v2, v3 = "a7d2c9e4-1b3f-4d5a-9e8c-7f6b5a4d3c21", "b7d2c9e4-1b3f-4d5a-9e8c-7f6b5a4d3c22", "c7d2c9e4-1b3f-4d5a-9e8c-7f6b5a4d3c23"

	hex24u, hex24v   = "507f1f77bcf86cd799439011", "65a1b2c3d4e5f60718293a4b"
	ulidU, ulidV     = "01ARZ3NDEKTSV4RRFFQ69G5FAV", "01BX5ZZKBKACTAV9WEVGEMMVRZ"
	ksuidU, ksuidV   = "0ujtsYcgvSTl8PAuAdqWYSMnLOv", "0ujzPyRiIAffKhBux4PvQdDqMHY"
	pkceU, pkceV     = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	hex64u, hex64v   = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"
	jsonType         = "Content-Type: application/json"
	formType         = "Content-Type: application/x-www-form-urlencoded"
	xmlType          = "Content-Type: text/xml; charset=utf-8"
	graphQL, fixed10 = `{"operationName":"U","query":"%s","variables":{"id":"%s"}}`, "1234567890"
)

// recordedAgo is how long ago the cases were recorded.
const recordedAgo = 1000 * time.Hour

// then and now are moments at the recording and at the replay, in a form.
func then(form string) string { return time.Now().Add(-recordedAgo).UTC().Format(form) }
func now(form string) string  { return time.Now().Add(time.Second).UTC().Format(form) }

// unixThen and unixNow are the same in units of so many to the second.
func unixThen(unit int64) string {
	return fmt.Sprint(time.Now().Add(-recordedAgo).UnixMicro() / (1e6 / unit))
}
func unixNow(unit int64) string { return fmt.Sprint(time.Now().UnixMicro() / (1e6 / unit)) }

// rec is an exchange that was recorded.
func rec(req *exchange.Head, body, answer string, lines ...string) asked {
	return asked{req: req, body: body, res: ok(lines...), answer: answer}
}

// put and patch and del are requests' heads.
func with(method string, h *exchange.Head) *exchange.Head { h.Method = method; return h }

// gzipped is s in gzip.
func gzipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(s))
	w.Close()
	return b.String()
}

// jwt is a token of sub.
func jwt(sub string, iat int) string {
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"HS256"}`)) + "." + enc(fmt.Appendf(nil, `{"sub":%q,"iat":%d}`, sub, iat)) + "." + enc([]byte("signature of it"))
}

// proto is a message with the string s as field n, then whatever follows.
func proto(n byte, s string) string { return string([]byte{n<<3 | 2, byte(len(s))}) + s }

// frame is a message as gRPC has it.
func frame(m string) string { return string([]byte{0, 0, 0, 0, byte(len(m))}) + m }

// one is a case of one recording and one request that is answered by it, or not.
func one(name string, r, l *exchange.Head, rb, lb string, hit bool, has ...string) matchCase {
	want := "miss"
	if hit {
		want = "A"
	}
	return matchCase{name: name, rec: []asked{rec(r, rb, "A")}, live: []said{{l, lb, want}}, has: strings.Join(has, "")}
}

// equalCases are what makes requests equal, and what does not.
func equalCases() []matchCase {
	form, js := formType, jsonType
	parts := func(boundary, text string) string {
		return "--" + boundary + "\r\nContent-Disposition: form-data; name=x; filename=a.txt\r\nContent-Type: text/plain\r\n\r\n" + text + "\r\n--" + boundary + "--\r\n"
	}
	soap := `<?xml version="1.0"?><s:Envelope xmlns:s="x"><s:Body a="1" b="2"><n>%s</n></s:Body></s:Envelope>`
	return []matchCase{
		one("percent-encoding", get("/%7eada/%c3%a9?q=a+b"), get("/~ada/%C3%A9?q=a%20b"), "", "", true),
		one("encoded slash", get("/a%2Fb"), get("/a/b"), "", "", false),
		one("default port", get("/a"), &exchange.Head{Method: "GET", Scheme: "http", Authority: "API.example.com:80", Target: "/a", Version: "1.1"}, "", "", true),
		one("another port", get("/a"), &exchange.Head{Method: "GET", Scheme: "http", Authority: "api.example.com:81", Target: "/a", Version: "1.1"}, "", "", false),
		one("another host", get("/a"), &exchange.Head{Method: "GET", Scheme: "http", Authority: "b.example.com", Target: "/a", Version: "1.1"}, "", "", false),
		one("another scheme", get("/a"), &exchange.Head{Method: "GET", Scheme: "https", Authority: "api.example.com", Target: "/a", Version: "1.1"}, "", "", false),
		one("another method", get("/a"), with("DELETE", get("/a")), "", "", false),
		one("query order", get("/a?x=1&y=2"), get("/a?y=2&x=1"), "", "", true),
		one("order within a name", get("/a?x=1&x=2"), get("/a?x=2&x=1"), "", "", false),
		one("more query", get("/a?x=1"), get("/a?x=1&y=2"), "", "", false),
		one("less query", get("/a?x=1&y=2"), get("/a?x=1"), "", "", false),
		one("empty value and none", get("/a?x="), get("/a?x"), "", "", false),
		one("segments", get("/a/b"), get("/a/b/c"), "", "", false),
		one("a slash at the end", get("/a"), get("/a/"), "", "", false),
		one("case of the path", get("/A"), get("/a"), "", "", false),
		one("cache buster", get("/a?_=1&cb=2"), get("/a?_=3&cb=4"), "", "", true),
		one("presigned, S3", get("/o?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20261122%2Fs3&X-Amz-Date=20261122T190000Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature=00ff&partNumber=1"),
			get("/o?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20261201%2Fs3&X-Amz-Date=20261201T190000Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature=11ee&partNumber=1"), "", "", true),
		one("presigned, S3, another part", get("/o?X-Amz-Date=20261122T190000Z&X-Amz-Signature=00ff&partNumber=1"), get("/o?X-Amz-Date=20261201T190000Z&X-Amz-Signature=11ee&partNumber=2"), "", "", false, "query partNumber: 1 -> 2"),
		one("half a signature", get("/o?X-Amz-Date=1"), get("/o?X-Amz-Date=2"), "", "", false),
		one("presigned, GCS", get("/o?X-Goog-Date=1&X-Goog-Signature=2"), get("/o?X-Goog-Date=3&X-Goog-Signature=4"), "", "", true),
		one("presigned, CloudFront", get("/o?Expires=1&Signature=a&Key-Pair-Id=K"), get("/o?Expires=2&Signature=b&Key-Pair-Id=K"), "", "", true),
		one("presigned, Azure", get("/o?sv=2022&se=2026-11-22T00:00:00Z&sr=b&sig=x"), get("/o?sv=2022&se=2026-12-22T00:00:00Z&sr=b&sig=y"), "", "", true),
		one("Expires alone", get("/o?Expires=1"), get("/o?Expires=2"), "", "", false),
		one("OAuth 1", get("/o?oauth_nonce=a&oauth_timestamp=1&oauth_signature=x&q=1"), get("/o?oauth_nonce=b&oauth_timestamp=2&oauth_signature=y&q=1"), "", "", true),
		one("OAuth 1, another question", get("/o?oauth_nonce=a&oauth_timestamp=1&oauth_signature=x&q=1"), get("/o?oauth_nonce=b&oauth_timestamp=2&oauth_signature=y&q=2"), "", "", false),
		one("AWS, signed", post("/", "X-Amz-Target: DynamoDB_20120810.GetItem", "Authorization: AWS4-HMAC-SHA256 Credential=a, Signature=1", "X-Amz-Date: 20261122T190000Z", "amz-sdk-invocation-id: "+u1, "Content-Type: application/x-amz-json-1.0"),
			post("/", "X-Amz-Target: DynamoDB_20120810.GetItem", "Authorization: AWS4-HMAC-SHA256 Credential=a, Signature=2", "X-Amz-Date: 20261201T190000Z", "amz-sdk-invocation-id: "+v1, "Content-Type: application/x-amz-json-1.0"), `{"a": 1, "b": 2}`, `{"b":2,"a":1}`, true),
		one("AWS, another operation", post("/", "X-Amz-Target: DynamoDB_20120810.GetItem"), post("/", "X-Amz-Target: DynamoDB_20120810.PutItem"), "", "", false, "header x-amz-target"),
		one("noisy headers", get("/a", "User-Agent: a/1", "X-Request-Id: 1", "traceparent: 00-1", "X-B3-TraceId: 1", "Date: yesterday"), get("/a", "User-Agent: b/2", "sentry-trace: 2", "baggage: 3"), "", "", true),
		one("range", get("/a", "Range: bytes=0-1"), get("/a", "Range: bytes=1-2"), "", "", false),
		one("SOAPAction", post("/", xmlType, `SOAPAction: "get"`), post("/", xmlType, `SOAPAction: "set"`), fmt.Sprintf(soap, "1"), fmt.Sprintf(soap, "1"), false),
		one("method override", post("/", "X-HTTP-Method-Override: PUT"), post("/", "X-HTTP-Method-Override: PATCH"), "", "", false),
		one("media type", post("/", "Content-Type: text/plain; charset=utf-8"), post("/", "Content-Type: text/plain"), "a", "a", true),
		one("another media type", post("/", "Content-Type: text/plain"), post("/", jsonType), "1", "1", false),
		one("cookie order", get("/a", "Cookie: a=1; b=2"), get("/a", "Cookie: b=2; a=1"), "", "", true),
		one("another Accept", get("/a", "Accept: text/html"), get("/a", "Accept: application/json"), "", "", true),
		one("JSON order and white space", post("/", js), post("/", js), `{"a":1,"b":[1,2]}`, "{ \"b\": [1,\n2], \"a\": 1 }", true),
		one("JSON escapes", post("/", js), post("/", js), `{"a":"é"}`, `{"a":"\u00e9"}`, true),
		one("JSON array order", post("/", js), post("/", js), `[1,2]`, `[2,1]`, false),
		one("JSON array length", post("/", js), post("/", js), `[1,2]`, `[1,2,3]`, false),
		one("JSON number literal", post("/", js), post("/", js), `{"a":1}`, `{"a":1.0}`, false),
		one("JSON number and string", post("/", js), post("/", js), `{"a":1}`, `{"a":"1"}`, false),
		one("JSON null and absent", post("/", js), post("/", js), `{"a":null}`, `{}`, false),
		one("JSON list and object", post("/", js), post("/", js), `{"a":["x"]}`, `{"a":{"0":"x"}}`, false),
		one("JSON more", post("/", js), post("/", js), `{"a":1}`, `{"a":1,"b":2}`, false, `body $.b: (none) -> 2`),
		one("form order", post("/", form), post("/", form), "a=1&b=2", "b=2&a=1", true),
		one("form values", post("/", form), post("/", form), "a=1&b=2", "a=1&b=3", false),
		one("bytes", post("/"), post("/"), "a b", "a  b", false),
		one("body decides", post("/", js), post("/", js), `{"user":"ada"}`, `{"user":"bob"}`, false, `"ada" -> "bob"`),
		one("multipart boundary", post("/", "Content-Type: multipart/form-data; boundary=A"), post("/", "Content-Type: multipart/form-data; boundary=B"), parts("A", "hello"), parts("B", "hello"), true),
		one("multipart content", post("/", "Content-Type: multipart/form-data; boundary=A"), post("/", "Content-Type: multipart/form-data; boundary=B"), parts("A", "hello"), parts("B", "world"), false),
		one("gzip body", post("/", js, "Content-Encoding: gzip"), post("/", js), gzipped(`{"a":1}`), `{"a":1}`, true),
		one("XML white space", post("/", xmlType), post("/", xmlType), fmt.Sprintf(soap, "1"), strings.ReplaceAll(strings.Replace(fmt.Sprintf(soap, "1"), `a="1" b="2"`, `b="2"  a="1"`, 1), "><", ">\n  <"), true),
		one("XML text", post("/", xmlType), post("/", xmlType), fmt.Sprintf(soap, "1"), fmt.Sprintf(soap, "2"), false),
		one("XML, an element more", post("/", xmlType), post("/", xmlType), "<a><b/></a>", "<a><b/><b/></a>", false),
		one("GraphQL white space", post("/", js), post("/", js), fmt.Sprintf(graphQL, `query U($id: ID!) {\n  user(id: $id) { name, mail } # who\n}`, "7"), fmt.Sprintf(graphQL, `query U($id: ID!) { user(id: $id) { name mail } }`, "7"), true),
		one("GraphQL, space in a string", post("/", js), post("/", js), `{"query":"{ a(s: \"x y\") }"}`, `{"query":"{ a(s: \"x  y\") }"}`, false),
		one("GraphQL operation", post("/", js), post("/", js), `{"operationName":"A","query":"query A{a} query B{b}"}`, `{"operationName":"B","query":"query A{a} query B{b}"}`, false),
		one("GraphQL variables", post("/", js), post("/", js), fmt.Sprintf(graphQL, "query U{a}", "7"), fmt.Sprintf(graphQL, "query U{a}", "8"), false),
		one("protobuf fields", post("/", "Content-Type: application/x-protobuf"), post("/", "Content-Type: application/x-protobuf"), proto(1, "ada")+proto(2, "x"), proto(2, "x")+proto(1, "ada"), true),
		one("protobuf values", post("/", "Content-Type: application/x-protobuf"), post("/", "Content-Type: application/x-protobuf"), proto(1, "ada"), proto(1, "bob"), false),
		one("gRPC fields", post("/a.B/C", "Content-Type: application/grpc"), post("/a.B/C", "Content-Type: application/grpc"), frame(proto(1, "ada")+proto(2, "x")), frame(proto(2, "x")+proto(1, "ada")), true),
		one("gRPC method", post("/a.B/C", "Content-Type: application/grpc"), post("/a.B/D", "Content-Type: application/grpc"), frame(""), frame(""), false),
	}
}

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
		one("old epoch", post("/", js), post("/", js), `{"born":1000000000}`, `{"born":1000000001}`, false),
		one("a recorded moment against an old one", post("/", js), post("/", js), `{"ts":`+unixThen(1)+`}`, `{"ts":1500000000}`, false, "it is not the time now"),
		one("a moment in other units", post("/", js), post("/", js), `{"ts":`+unixThen(1)+`}`, `{"ts":`+unixNow(1000)+`}`, false),
		one("UUID against a word", post("/", js), post("/", js), `{"id":"`+u1+`"}`, `{"id":"none"}`, false),
		one("UUID against another shape", post("/", js), post("/", js), `{"id":"`+u1+`"}`, `{"id":"`+hex24v+`"}`, false),
		one("what stands beside a UUID", post("/", js), post("/", js), `{"id":"order-`+u1+`"}`, `{"id":"user-`+v1+`"}`, false),
		one("GraphQL query of another id", post("/", js), post("/", js), fmt.Sprintf(graphQL, "query U{a}", u1), fmt.Sprintf(graphQL, "query U{a}", v1), false, "GraphQL query"),
		one("persisted query of another hash", post("/", js), post("/", js), `{"extensions":{"persistedQuery":{"sha256Hash":"`+hex64u+`"}}}`, `{"extensions":{"persistedQuery":{"sha256Hash":"`+hex64v+`"}}}`, false),
		one("JWT of somebody else", post("/", js), post("/", js), `{"t":"`+jwt("ada", 1)+`"}`, `{"t":"`+jwt("bob", 2)+`"}`, false, "somebody else"),
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
		random("PKCE verifier", pkceU, pkceV), random("hash", hex64u, hex64v), random("JWT", jwt("ada", 1), jwt("ada", 2)), random("UUID in a URN", "urn:uuid:"+u1, "urn:uuid:"+v1),
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
			live: []said{{get("/bot123:abc/me?k=4"), "", "A"}, {get("/bot123:abd/me?k=4"), "", "miss"}, {get("/hook/xyz"), "", "B"}, {get("/hook/abc"), "", "miss"}}},
		{name: "learned", opt: PlayOptions{Rules: []Rule{{At: "request.body.json/meta/pid", Is: "volatile", Because: "differed in 2 of 2 recordings"}}},
			rec:  []asked{rec(post("/a", js), `{"meta":{"pid":1},"n":1}`, "A")},
			live: []said{{post("/a", js), `{"meta":{"pid":2},"n":1}`, "A"}, {post("/a", js), `{"meta":{"pid":3},"n":2}`, "miss"}}, has: "body.meta.pid (learned: differed in 2 of 2 recordings)"},
		{name: "loose takes the nearest", opt: PlayOptions{Match: MatchLoose}, rec: []asked{rec(post("/a", js), `{"a":1,"b":2,"c":3,"d":4}`, "A"), rec(post("/a", js), `{"a":9,"b":9,"c":9,"d":9}`, "B")},
			live: []said{{post("/a", js), `{"a":1,"b":2,"c":3,"d":5}`, "A"}, {post("/a", js), `{"a":7,"b":7,"c":7,"d":7}`, "miss"}, {post("/a", js), `{"a":1,"b":2,"c":3}`, "miss"}}, has: "loose"},
		{name: "loose takes no tie", opt: PlayOptions{Match: MatchLoose}, rec: []asked{rec(post("/a", js), `{"a":1,"b":2,"c":3,"d":4}`, "A"), rec(post("/a", js), `{"a":1,"b":2,"c":3,"d":6}`, "B")},
			live: []said{{post("/a", js), `{"a":1,"b":2,"c":3,"d":5}`, "miss"}}},
	}
}

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

// matchCases are all of them.
func matchCases() []matchCase {
	var all []matchCase
	for _, cs := range [][]matchCase{equalCases(), conditionCases(), identityCases(), evidenceCases(), ruleCases()} {
		all = append(all, cs...)
	}
	return all
}

// recorded is the cassette of c.
func (c matchCase) recorded(t *testing.T) *Cassette {
	t.Helper()
	s, _ := newStore(t)
	for i := range c.rec {
		c.rec[i].at = time.Duration(i) * time.Minute
	}
	redact := known(t, c.known...)
	redact.Off = strings.HasPrefix(c.name, "JWT") // which would be placeholders
	recordAll(t, s, "x", RecordOptions{Redact: redact}, c.rec...)
	k := load(t, s, "x")
	k.RecordedAt = time.Now().Add(-recordedAgo)
	return k
}

// run asks what c asks of k, without the law off, and says what is wrong.
func (c matchCase) run(t *testing.T, k *Cassette, off law) string {
	t.Helper()
	opt := c.opt
	opt.off = off
	p := playerOf(t, k, opt)
	var said strings.Builder
	for n, l := range c.live {
		a := ask(t, p, l.req, l.body)
		got := a.body
		if a.miss != nil {
			got = "miss"
			fmt.Fprintln(&said, a.miss.Error())
		}
		if got != l.want {
			return fmt.Sprintf("request %d is answered %q; want %q\n%s", n, got, l.want, said.String())
		}
	}
	tally := p.Tally()
	for _, a := range tally.Assumptions {
		fmt.Fprintln(&said, a.Evidence)
	}
	for _, a := range tally.Ambiguous {
		fmt.Fprintln(&said, "ambiguous:", a.Evidence)
	}
	if !strings.Contains(said.String(), c.has) {
		return fmt.Sprintf("it says\n%swant %q in it", said.String(), c.has)
	}
	return ""
}

// TestMatch plays each case.
func TestMatch(t *testing.T) {
	for _, c := range matchCases() {
		if wrong := c.run(t, c.recorded(t), 0); wrong != "" {
			t.Errorf("%s: %s", c.name, wrong)
		}
	}
}

// TestEveryLawIsNeeded lifts each law of matching: without it, a case fails.
func TestEveryLawIsNeeded(t *testing.T) {
	cases := matchCases()
	cassettes := make([]*Cassette, len(cases))
	for i, c := range cases {
		cassettes[i] = c.recorded(t)
	}
	for off := law(1); off < lawEnd; off <<= 1 {
		failed := ""
		for i, c := range cases {
			if c.run(t, cassettes[i], off) != "" {
				failed = c.name
				break
			}
		}
		if failed == "" {
			t.Errorf("law %d is lifted, and no case fails", bitOf(off))
		} else {
			t.Logf("law %d: %s", bitOf(off), failed)
		}
	}
}

// TestDefaultPort holds that a URL with the port that its scheme implies is one
// without, as other programs write them.
func TestDefaultPort(t *testing.T) {
	for with, without := range map[string]string{
		"http://a:80/x": "http://A/x", "https://a:443/x": "https://a/x", "wss://a:443/x": "wss://a/x", "ws://a:80": "ws://a/",
	} {
		a, err := new(rules).formOf(&Request{Method: "GET", URL: with})
		b, err2 := new(rules).formOf(&Request{Method: "GET", URL: without})
		if err != nil || err2 != nil || a.sum != b.sum {
			t.Errorf("%s is not %s: %v, %v", with, without, err, err2)
		}
	}
}

// bitOf is the place of a law in its list.
func bitOf(l law) int {
	n := 0
	for ; l > 1; l >>= 1 {
		n++
	}
	return n
}
