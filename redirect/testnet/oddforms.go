package testnet

import "strings"

// After is what a server does when it has answered.
type After uint8

// What may come after an answer.
const (
	KeepOpen    After = iota // the next request
	CloseAfter               // FIN, and close_notify in TLS
	ResetAfter               // RST
	UpgradeEcho              // echoes what comes, until FIN
)

// Odd is an exchange in an unusual form, byte by byte. OddHost serves it.
type Odd struct {
	Name    string // the request's path is "/odd/" + Name
	Request string // the request's head
	Body    string // sent by the client after Interim
	Interim string // sent by the server when it has read the head
	Answer  string // sent by the server when it has read the body too
	Dribble bool   // Answer comes byte by byte, each in a segment of its own
	After   After
}

// OddPath is the path of the form called name.
func OddPath(name string) string { return "/odd/" + name }

// MirrorPath is a path on OddHost where the answer's body is the request as it
// was read, to the byte.
const MirrorPath = "/odd/mirror"

// OddForms returns all forms that OddHost knows. Their order is fixed.
func OddForms() []Odd {
	var all []Odd
	for _, group := range [][]Odd{headForms(), chunkForms(), interimForms(), bodyForms(), brokenForms()} {
		for _, o := range group {
			if o.Request == "" {
				o.Request = "GET " + OddPath(o.Name) + " HTTP/1.1\r\nHost: " + OddHost + "\r\n\r\n"
			}
			all = append(all, o)
		}
	}
	return all
}

// headForms are unusual response heads (RFC 9112 sections 4 and 5).
func headForms() []Odd {
	const five = "Content-Length: 5\r\n\r\nhello"
	return []Odd{
		{Name: "plain", Answer: "HTTP/1.1 200 OK\r\n" + five},
		{Name: "order", Answer: "HTTP/1.1 200 OK\r\nzeta: 1\r\nAlpha: 2\r\nX-Dup: a\r\nx-dup: b\r\nbeta: 3\r\nX-DUP: a\r\ncOnTeNt-LeNgTh: 5\r\n\r\nhello"},
		{Name: "spacing", Answer: "HTTP/1.1 200 OK\r\nX-Tight:none\r\nX-Wide:  \t inner  space \t \r\nX-Empty:\r\nX-Blank: \r\nContent-Length:5\r\n\r\nhello"},
		{Name: "folded", Answer: "HTTP/1.1 200 OK\r\nX-Folded: one\r\n two\r\n\tthree\r\n" + five},
		{Name: "bare-lf", Answer: "HTTP/1.1 200 OK\nX-Line: end\nContent-Length: 5\n\nhello"},
		{Name: "mixed-lf", Answer: "HTTP/1.1 200 OK\r\nX-One: lf\nX-Two: crlf\r\nContent-Length: 5\n\r\nhello"},
		{Name: "reason", Answer: "HTTP/1.1 299 Tr\xe8s \"dr\xf4le\",  n'est-ce pas?\r\n" + five},
		{Name: "reason-empty", Answer: "HTTP/1.1 200 \r\n" + five},
		{Name: "reason-none", Answer: "HTTP/1.1 200\r\n" + five},
		{Name: "status-odd", Answer: "HTTP/1.1 799 Unheard Of\r\n" + five},
		{Name: "obs-text", Answer: "HTTP/1.1 200 OK\r\nX-Latin: caf\xe9\r\nX-Utf8: caf\u00e9\r\n" + five},
		{Name: "long-field", Answer: "HTTP/1.1 200 OK\r\nX-Long: " + strings.Repeat("0123456789abcdef", 1<<11) + "\r\n" + five},
		{Name: "many-fields", Answer: "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-Many: again\r\n", 150) + five},
		{Name: "length-twice", Answer: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + five},
		{Name: "cookies", Answer: "HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/\r\nset-cookie: b=\"2\"; Expires=Wed, 09 Jun 2032 10:18:14 GMT\r\nSET-COOKIE: a=3\r\n" + five},
		{Name: "dribble", Dribble: true, Answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\nX-End: 1\r\n\r\n"},
	}
}

// chunkForms are unusual chunked bodies (RFC 9112 section 7.1).
func chunkForms() []Odd {
	const head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	return []Odd{
		{Name: "chunk-plain", Answer: head + "5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n"},
		{Name: "chunk-ext", Answer: head + "5;name=value;quoted=\"a;b\"\r\nhello\r\n1;flag\r\n!\r\n0;last\r\n\r\n"},
		{Name: "chunk-upper", Answer: head + "1A\r\nabcdefghijklmnopqrstuvwxyz\r\nA\r\n0123456789\r\n0\r\n\r\n"},
		{Name: "chunk-zeros", Answer: head + "0005\r\nhello\r\n000\r\n\r\n"},
		{Name: "chunk-space", Answer: head + "5  \r\nhello\r\n0 \r\n\r\n"},
		{Name: "chunk-lf", Answer: head + "5\nhello\n0\n\n"},
		{Name: "chunk-empty", Answer: head + "0\r\n\r\n"},
		{Name: "chunk-bytes", Answer: head + strings.Repeat("1\r\nx\r\n", 300) + "0\r\n\r\n"},
		{Name: "chunk-case", Answer: "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
		{Name: "trailers", Answer: "HTTP/1.1 200 OK\r\nTrailer: X-Sum, x-other\r\nTransfer-Encoding: chunked\r\n\r\n" +
			"5\r\nhello\r\n0\r\nX-Sum: 1\r\nx-other:2\r\nX-Sum:  3 \r\n\r\n"},
	}
}

// interimForms have more than one head in an answer (RFC 9110 sections 10.1.1, 15.2).
func interimForms() []Odd {
	const five = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
	post := func(name string) string {
		return "POST " + OddPath(name) + " HTTP/1.1\r\nHost: " + OddHost + "\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n"
	}
	return []Odd{
		{Name: "continue", Answer: "HTTP/1.1 100 Continue\r\n\r\n" + five},
		{Name: "early-hints", Answer: "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n" +
			"HTTP/1.1 103 Early Hints\r\nLink: </b.js>; rel=preload\r\n\r\n" + five},
		{Name: "processing", Answer: "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Go on\r\nX-A: b\r\n\r\n" + five},
		{Name: "expect", Request: post("expect"), Interim: "HTTP/1.1 100 Continue\r\n\r\n", Body: "hello world", Answer: five},
		{Name: "expect-silent", Request: post("expect-silent"), Body: "hello world", Answer: five},
		{Name: "expect-refused", Request: post("expect-refused"), After: CloseAfter,
			Interim: "HTTP/1.1 417 Expectation Failed\r\nConnection: close\r\nContent-Length: 3\r\n\r\nno\n"},
		{Name: "upgrade", Request: "GET /odd/upgrade HTTP/1.1\r\nHost: " + OddHost + "\r\nConnection: Upgrade\r\nUpgrade: echo.test/1\r\n\r\n",
			Answer: "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo.test/1\r\n\r\nready\n", After: UpgradeEcho},
		{Name: "upgrade-refused", Request: "GET /odd/upgrade-refused HTTP/1.1\r\nHost: " + OddHost + "\r\nConnection: Upgrade\r\nUpgrade: echo.test/1\r\n\r\n", Answer: five},
	}
}

// bodyForms end their bodies in unusual ways (RFC 9112 section 6.3).
func bodyForms() []Odd {
	return []Odd{
		{Name: "head", Request: "HEAD /odd/head HTTP/1.1\r\nHost: " + OddHost + "\r\n\r\n", Answer: "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"},
		{Name: "head-chunked", Request: "HEAD /odd/head-chunked HTTP/1.1\r\nHost: " + OddHost + "\r\n\r\n", Answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{Name: "204", Answer: "HTTP/1.1 204 No Content\r\nX-Body: none\r\n\r\n"},
		{Name: "304", Answer: "HTTP/1.1 304 Not Modified\r\nETag: \"abc\"\r\nContent-Length: 5\r\n\r\n"},
		{Name: "zero", Answer: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
		{Name: "http10", Answer: "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the connection closes\n", After: CloseAfter},
		{Name: "http10-empty", Answer: "HTTP/1.0 200 OK\r\n\r\n", After: CloseAfter},
		{Name: "http10-keep", Request: "GET /odd/http10-keep HTTP/1.0\r\nHost: " + OddHost + "\r\nConnection: keep-alive\r\n\r\n",
			Answer: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello"},
		{Name: "close", Answer: "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the connection closes\n", After: CloseAfter},
		{Name: "close-length", Answer: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", After: CloseAfter},
		{Name: "surplus", Answer: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more than announced", After: CloseAfter},
	}
}

// brokenForms end before they should.
func brokenForms() []Odd {
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	return []Odd{
		{Name: "cut-length", Answer: "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nnot a hundred", After: CloseAfter},
		{Name: "cut-chunk", Answer: chunked + "5\r\nhello\r\na\r\n01234", After: CloseAfter},
		{Name: "cut-last", Answer: chunked + "5\r\nhello\r\n", After: CloseAfter},
		{Name: "cut-trailer", Answer: chunked + "5\r\nhello\r\n0\r\nX-Su", After: CloseAfter},
		{Name: "cut-head", Answer: "HTTP/1.1 200 OK\r\nContent-Le", After: CloseAfter},
		{Name: "cut-all", After: CloseAfter},
		{Name: "reset-length", Answer: "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nnot a hundred", After: ResetAfter},
		{Name: "reset-chunk", Answer: chunked + "5\r\nhello\r\na\r\n01234", After: ResetAfter},
		{Name: "reset-all", After: ResetAfter},
		{Name: "not-http", Answer: "SSH-2.0-testnet\r\n", After: CloseAfter},
	}
}
