package cassette

import (
	"fmt"
	"strings"

	"github.com/serge-net/serge-net/exchange"
)

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
		one("a poll of Engine.IO", get("/socket.io/?EIO=4&transport=polling&t=x4eyf3jt"), get("/socket.io/?EIO=4&transport=polling&t=x4fmjh2d"), "", "", true),
		one("a poll of another session of Engine.IO", get("/socket.io/?EIO=4&transport=polling&t=a&sid=b"), get("/socket.io/?EIO=4&transport=polling&t=a&sid=c"), "", "", false),
		one("t of something else", get("/graph?t=1"), get("/graph?t=2"), "", "", false),
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
		one("gRPC fields", post("/a.B/C", "Content-Type: application/grpc"), post("/a.B/C", "Content-Type: application/grpc"), enveloped(proto(1, "ada")+proto(2, "x")), enveloped(proto(2, "x")+proto(1, "ada")), true),
		one("gRPC method", post("/a.B/C", "Content-Type: application/grpc"), post("/a.B/D", "Content-Type: application/grpc"), enveloped(""), enveloped(""), false),
	}
}
