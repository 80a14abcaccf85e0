package http1

import (
	"io"
	"strings"
)

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

// forms are talks that are understood, and the events they make.
var forms = []struct {
	name string
	talk []says
	want []string
}{
	{"length", []says{c(get), s("HTTP/1.1 200 OK\r\nServer: x\r\ncontent-LENGTH: 5\r\nServer: y\r\n\r\nhello")}, []string{
		"c1 GET http://a / 1.1 [Host=a]", "c1 complete",
		`s1 200 "OK" 1.1 [Server=x] [content-LENGTH=5] [Server=y]`, `s1 data "hello"`, "s1 complete"}},
	{"keep-alive", []says{c(get), s("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"), c(get), s("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")}, []string{
		"c1 GET http://a / 1.1 [Host=a]", "c1 complete", `s1 200 "OK" 1.1 [Content-Length=1]`, `s1 data "a"`, "s1 complete",
		"c2 GET http://a / 1.1 [Host=a]", "c2 complete", `s2 200 "OK" 1.1 [Content-Length=0]`, "s2 complete"}},
	{"pipelining", []says{c("HEAD /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi" + get),
		s("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")}, []string{
		"c1 HEAD http://a /1 1.1 [Host=a]", "c1 complete", "c2 POST http://a /2 1.1 [Host=a] [Content-Length=2]", `c2 data "hi"`, "c2 complete",
		"c3 GET http://a / 1.1 [Host=a]", "c3 complete",
		`s1 200 "OK" 1.1 [Content-Length=9]`, "s1 complete", `s2 304 "Not Modified" 1.1 [Content-Length=9]`, "s2 complete", `s3 204 "No Content" 1.1`, "s3 complete"}},
	{"chunks", []says{c(get), s("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n")}, []string{
		"c1 GET http://a / 1.1 [Host=a]", "c1 complete", `s1 200 "OK" 1.1 [Transfer-Encoding=chunked]`,
		`s1 data "abc" of 3`, `s1 data "0123456789abcdef" of 16`, "s1 trailers", "s1 complete"}},
	{"odd chunks", []says{c(get), s("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n3 ;a=\"b\"\r\nabc\r\n00A\r\n0123456789\r\n1\nx\r\n000;last\r\nT: 1\r\nt:2\r\n\r\n")}, []string{
		"c1 GET http://a / 1.1 [Host=a]", "c1 complete", `s1 200 "OK" 1.1 [Transfer-Encoding=gzip, Chunked]`,
		`s1 data "abc" of 3 raw "3 ;a=\"b\"\r\n"`, `s1 data "0123456789" of 10 raw "00A\r\n"`, `s1 data "x" of 1 raw "1\n"`,
		`s1 trailers [T=1] [t=2] raw "000;last\r\nT: 1\r\nt:2\r\n\r\n"`, "s1 complete"}},
	{"trailers", []says{c("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;x\r\na\r\n0\r\nA: 1\r\nB: 2\r\n\r\n"), s("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")}, []string{
		"c1 POST http://a / 1.1 [Host=a] [Transfer-Encoding=chunked]", `c1 data "a" of 1 raw "1;x\r\n"`, "c1 trailers [A=1] [B=2]", "c1 complete",
		`s1 200 "OK" 1.1 [Content-Length=0]`, "s1 complete"}},
	{"until close", []says{c("GET / HTTP/1.0\r\n\r\n"), s("HTTP/1.0 200 OK\r\n\r\nall of it")}, []string{
		"c1 GET http:// / 1.0", "c1 complete", `s1 200 "OK" 1.0`, `s1 data "all of it"`, "s1 complete"}},
	{"coded until close", []says{c(get), s("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nzip")}, []string{
		"c1 GET http://a / 1.1 [Host=a]", "c1 complete", `s1 200 "OK" 1.1 [Transfer-Encoding=gzip]`, `s1 data "zip"`, "s1 complete"}},
	{"interim", []says{c("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"), s("HTTP/1.1 100 Continue\r\n\r\n"), c("ok"),
		s("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")}, []string{
		"c1 PUT http://a / 1.1 [Host=a] [Expect=100-continue] [Content-Length=2]", `s1 100 "Continue" 1.1`, `c1 data "ok"`, "c1 complete",
		`s1 103 "Early Hints" 1.1 [Link=</a>]`, `s1 201 "Created" 1.1 [Content-Length=0]`, "s1 complete"}},
	{"answer before the request's end", []says{c("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na"), s("HTTP/1.1 413 Big\r\nContent-Length: 0\r\n\r\n"), c("b" + get), s("HTTP/1.1 204 \r\n\r\n")}, []string{
		"c1 PUT http://a / 1.1 [Host=a] [Content-Length=2]", `c1 data "ab"`, `s1 413 "Big" 1.1 [Content-Length=0]`, "s1 complete", "c1 complete",
		"c2 GET http://a / 1.1 [Host=a]", "c2 complete", `s2 204 "" 1.1`, "s2 complete"}},
	{"odd request", []says{c("\r\n\nget http://b/?q=\xff http/1.0\r\nHost:a \r\nX-Empty:\r\nX:\t 1  2\r\n\r\n"), s("HTTP/1.1 204 No Content\r\n\r\n")}, []string{
		"c1 get http://a http://b/?q=\xff 1.0 [Host=a] [X-Empty=] [X=1  2] raw", "c1 complete", `s1 204 "No Content" 1.1`, "s1 complete"}},
	{"odd response", []says{c(get), s("HTTP/1.1  200  Very  OK \nA:  1\n\t folded\nB C: 2\nD:\n\n"), s("x")}, []string{
		"c1 GET http://a / 1.1 [Host=a]", "c1 complete", `s1 200 " Very  OK " 1.1 [A=1 folded] [B C=2] [D=] raw`, `s1 data "x"`, "s1 complete"}},
	{"no reason", []says{c(get), s("HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n")}, []string{
		"c1 GET http://a / 1.1 [Host=a]", "c1 complete", `s1 404 "" 1.1 [Content-Length=0] raw`, "s1 complete"}},
	{"empty value", []says{c("GET / HTTP/1.1\r\nHost: \r\n\r\n"), s("HTTP/1.1 204 \r\n\r\n")}, []string{
		"c1 GET http:// / 1.1 [Host=]", "c1 complete", `s1 204 "" 1.1`, "s1 complete"}},
	{"chunked over length", []says{c(get), s("HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")}, []string{
		"c1 GET http://a / 1.1 [Host=a]", "c1 complete", `s1 200 "OK" 1.1 [Content-Length=9] [Transfer-Encoding=chunked]`, "s1 trailers", "s1 complete"}},
	{"upgrade", []says{c("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\n"), s("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nserver\r\n\r\n"), c("client\r\n\r\n")}, []string{
		"c1 GET http://a / 1.1 [Host=a] [Upgrade=x]", "c1 complete", `s1 101 "Switching Protocols" 1.1 [Upgrade=x]`, `s1 data "server\r\n\r\n"`, `c1 data "client\r\n\r\n"`, "s1 complete", "c1 complete"}},
	{"upgrade, early", []says{c("POST / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nContent-Length: 3\r\n\r\na"), s("HTTP/1.1 101 \r\n\r\n"), c("bcdata")}, []string{
		"c1 POST http://a / 1.1 [Host=a] [Upgrade=x] [Content-Length=3]", `c1 data "abc"`, `s1 101 "" 1.1`, "c1 complete", `c1 data "data"`, "s1 complete", "c1 complete"}},
	{"upgrade refused", []says{c("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n" + get), s("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 204 \r\n\r\n")}, []string{
		"c1 GET http://a / 1.1 [Host=a] [Upgrade=h2c]", "c1 complete", `s1 200 "OK" 1.1 [Content-Length=0]`,
		"c2 GET http://a / 1.1 [Host=a]", "c2 complete", "s1 complete", `s2 204 "" 1.1`, "s2 complete"}},
	{"connect", []says{c("CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n\x16\x03"), s("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nraw"), c("\x01")}, []string{
		"c1 CONNECT http://b:443 b:443 1.1 [Host=b:443]", "c1 complete", `s1 200 "OK" 1.0 [Content-Length=3]`, "c1 data \"\\x16\\x03\\x01\"", `s1 data "raw"`, "s1 complete", "c1 complete"}},
	{"connect refused", []says{c("CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n"), s("HTTP/1.1 407 Who\r\nContent-Length: 1\r\n\r\n?"), c("CONNECT b:443 HTTP/1.1\r\n\r\n"), s("HTTP/1.1 200 OK\r\n\r\n")}, []string{
		"c1 CONNECT http://b:443 b:443 1.1 [Host=b:443]", "c1 complete", `s1 407 "Who" 1.1 [Content-Length=1]`, `s1 data "?"`, "s1 complete",
		"c2 CONNECT http:// b:443 1.1", "c2 complete", `s2 200 "OK" 1.1`, "s2 complete", "c2 complete"}},
	{"cut length", []says{c(get), s("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")}, []string{
		"c1 GET http://a / 1.1 [Host=a]", "c1 complete", `s1 200 "OK" 1.1 [Content-Length=5]`, `s1 data "hel"`, "s1 truncated"}},
	{"cut head", []says{c(get), s("HTTP/1.1 200 OK\r\nConte")}, []string{
		"c1 GET http://a / 1.1 [Host=a]", "c1 complete", `s1 truncated raw "HTTP/1.1 200 OK\r\nConte"`}},
	{"cut chunk line", []says{c(get), s("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n5;")}, []string{
		"c1 GET http://a / 1.1 [Host=a]", "c1 complete", `s1 200 "OK" 1.1 [Transfer-Encoding=chunked]`, `s1 data "a" of 1`, `s1 truncated raw "5;"`}},
	{"cut before a chunk's data", []says{c(get), s("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n")}, []string{
		"c1 GET http://a / 1.1 [Host=a]", "c1 complete", `s1 200 "OK" 1.1 [Transfer-Encoding=chunked]`, `s1 truncated raw "5\r\n"`}},
	{"cut chunk", []says{c(get), s("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")}, []string{
		"c1 GET http://a / 1.1 [Host=a]", "c1 complete", `s1 200 "OK" 1.1 [Transfer-Encoding=chunked]`, `s1 data "ab" of 5`, "s1 truncated"}},
	{"cut trailers", []says{c(get), s("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: 1\r\n")}, []string{
		"c1 GET http://a / 1.1 [Host=a]", "c1 complete", `s1 200 "OK" 1.1 [Transfer-Encoding=chunked]`, `s1 truncated raw "0\r\nA: 1\r\n"`}},
	{"no answer", []says{c(get + get), s("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nx")}, []string{
		"c1 GET http://a / 1.1 [Host=a]", "c1 complete", "c2 GET http://a / 1.1 [Host=a]", "c2 complete",
		`s1 200 "OK" 1.1 [Connection=close]`, `s1 data "x"`, "s1 complete", "s2 truncated"}},
	{"cut request", []says{c("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na")}, []string{
		"c1 POST http://a / 1.1 [Host=a] [Content-Length=2]", `c1 data "a"`, "s1 truncated", "c1 truncated"}},
}

const (
	post    = "POST / HTTP/1.1\r\nHost: a\r\n"
	ok      = "HTTP/1.1 200 OK\r\n"
	chunked = post + "Transfer-Encoding: chunked\r\n\r\n"
)

// refused are talks that are not understood.
var refused = []struct {
	name string
	talk []says
	want error
}{
	{"length and chunks", []says{c(post + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n")}, errSyntax},
	{"two lengths", []says{c(post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n")}, errSyntax},
	{"length list", []says{c(post + "Content-Length: 1, 1\r\n\r\n")}, errSyntax},
	{"signed length", []says{c(post + "Content-Length: +1\r\n\r\n")}, errSyntax},
	{"no length", []says{c(post + "Content-Length:\r\n\r\n")}, errSyntax},
	{"huge length", []says{c(post + "Content-Length: 9223372036854775808\r\n\r\n")}, errSyntax},
	{"unknown coding", []says{c(post + "Transfer-Encoding: xchunked\r\n\r\n")}, errSyntax},
	{"coding list", []says{c(post + "Transfer-Encoding: gzip, chunked\r\n\r\n")}, errSyntax},
	{"two codings", []says{c(post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n")}, errSyntax},
	{"chunked twice", []says{c(get), s(ok + "Transfer-Encoding: chunked, chunked\r\n\r\n")}, errSyntax},
	{"chunked not last", []says{c(get), s(ok + "Transfer-Encoding: chunked, gzip\r\n\r\n")}, errSyntax},
	{"coding and length", []says{c(get), s(ok + "Transfer-Encoding: gzip\r\nContent-Length: 1\r\n\r\n")}, errSyntax},
	{"chunks in 1.0", []says{c("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n")}, errSyntax},
	{"chunked answer in 1.0", []says{c(get), s("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")}, errSyntax},
	{"two hosts", []says{c(post + "Host: b\r\n\r\n")}, errSyntax},
	{"folded", []says{c(post + "A: 1\r\n 2\r\n\r\n")}, errSyntax},
	{"folded length", []says{c(get), s(ok + "Content-Length: 1\r\n 2\r\n\r\n")}, errSyntax},
	{"fold first", []says{c(get), s(ok + " A: 1\r\n\r\n")}, errSyntax},
	{"space before colon", []says{c(post + "A : 1\r\n\r\n")}, errSyntax},
	{"space before colon, answer", []says{c(get), s(ok + "A : 1\r\n\r\n")}, errSyntax},
	{"no colon", []says{c(get), s(ok + "A\r\n\r\n")}, errSyntax},
	{"no name", []says{c(get), s(ok + ": A\r\n\r\n")}, errSyntax},
	{"control in name", []says{c(get), s(ok + "A\x01: A\r\n\r\n")}, errSyntax},
	{"NUL", []says{c(post + "A: \x00\r\n\r\n")}, errSyntax},
	{"NUL in trailers", []says{c(chunked + "0\r\nA: \x00\r\n\r\n")}, errSyntax},
	{"lone CR", []says{c(post + "A: 1\r2\r\n\r\n")}, errSyntax},
	{"lone CR in reason", []says{c(get), s("HTTP/1.1 200 O\rK\r\n\r\n")}, errSyntax},
	{"spaces in request line", []says{c("GET  / HTTP/1.1\r\n\r\n")}, errSyntax},
	{"space in target", []says{c("GET / / HTTP/1.1\r\n\r\n")}, errSyntax},
	{"HTTP/0.9", []says{c("GET /\r\n\r\n")}, errSyntax},
	{"HTTP/2 preface", []says{c("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")}, errSyntax},
	{"no method", []says{c(" / HTTP/1.1\r\n\r\n")}, errSyntax},
	{"not HTTP", []says{c(get), s("ICY 200 OK\r\n\r\n")}, errSyntax},
	{"short status", []says{c(get), s("HTTP/1.1 20\r\n\r\n")}, errSyntax},
	{"long status", []says{c(get), s("HTTP/1.1 2000 OK\r\n\r\n")}, errSyntax},
	{"no status", []says{c(get), s("HTTP/1.1 abc OK\r\n\r\n")}, errSyntax},
	{"low status", []says{c(get), s("HTTP/1.1 099 OK\r\n\r\n")}, errSyntax},
	{"empty line before an answer", []says{c(get), s("\r\nHTTP/1.1 200 OK\r\n\r\n")}, errSyntax},
	{"101 unasked", []says{c(get), s("HTTP/1.1 101 \r\n\r\n")}, errSyntax},
	{"unsolicited", []says{s("HTTP/1.1 408 Request Timeout\r\n\r\n")}, ErrUnsolicited},
	{"behind the answer", []says{c(get), s(ok + "Content-Length: 1\r\n\r\nab")}, ErrUnsolicited},
	{"chunk size", []says{c(chunked + "x\r\n")}, errSyntax},
	{"no chunk size", []says{c(chunked + ";a\r\n")}, errSyntax},
	{"signed chunk size", []says{c(chunked + "-1\r\n")}, errSyntax},
	{"0x chunk size", []says{c(chunked + "0x1\r\n")}, errSyntax},
	{"huge chunk size", []says{c(chunked + "1000000000000000\r\n")}, errSyntax},
	{"bare LF in chunk line", []says{c(chunked + "1\na\r\n")}, errSyntax},
	{"space in chunk line", []says{c(chunked + "1 \r\na\r\n")}, errSyntax},
	{"CR in extension", []says{c(get), s(ok + "Transfer-Encoding: chunked\r\n\r\n1;\rx\r\n")}, errSyntax},
	{"no CRLF behind chunk", []says{c(chunked + "1\r\nab")}, errSyntax},
	{"bare LF behind chunk", []says{c(chunked + "1\r\na\n")}, errSyntax},
	{"long head", []says{c(post + "A: " + strings.Repeat("x", MaxHead))}, ErrTooLong},
	{"long trailers", []says{c(chunked + "0\r\nA: " + strings.Repeat("x", MaxHead))}, ErrTooLong},
	{"long chunk line", []says{c(chunked + "1;" + strings.Repeat("x", MaxChunkLine))}, ErrTooLong},
	{"much behind CONNECT", []says{c("CONNECT a:1 HTTP/1.1\r\n\r\n" + strings.Repeat("x", MaxHead+1))}, ErrTooLong},
	{"too many requests", []says{c(strings.Repeat(get, MaxPending+1))}, ErrTooLong},
	{"cut request head", []says{c("GET / HTT")}, io.ErrUnexpectedEOF},
	{"behind a CONNECT without an answer", []says{c("CONNECT a:1 HTTP/1.1\r\n\r\nhello")}, io.ErrUnexpectedEOF},
	{"tunnel data that is no request", []says{c("CONNECT a:1 HTTP/1.1\r\n\r\n\x16\x03\n\n"), s("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")}, errSyntax},
}
