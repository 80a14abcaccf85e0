package http1

import (
	"errors"
	"testing"

	"github.com/serge-net/serge-net/exchange"
)

// Events of the server, in short.
func head(h exchange.Head) exchange.Event {
	return exchange.Event{From: exchange.Server, Kind: exchange.KindHead, Head: &h}
}
func data(s string, chunk int64) exchange.Event {
	return exchange.Event{From: exchange.Server, Kind: exchange.KindData, Data: []byte(s), Chunk: chunk}
}
func trailers(f ...exchange.Field) exchange.Event {
	return exchange.Event{From: exchange.Server, Kind: exchange.KindTrailers, Fields: f}
}
func ended(how exchange.How) exchange.Event {
	return exchange.Event{From: exchange.Server, Kind: exchange.KindEnd, End: &exchange.End{How: how}}
}

var (
	chunkedField = exchange.Field{Name: "Transfer-Encoding", Value: "chunked"}
	twoBytes     = exchange.Field{Name: "Content-Length", Value: "2"}
	closing      = exchange.Field{Name: "Connection", Value: "x, Close"}
	staying      = exchange.Field{Name: "Connection", Value: "keep-alive"}
)

func TestEncoder(t *testing.T) {
	get11, head11 := &exchange.Head{Method: "GET", Version: "1.1"}, &exchange.Head{Method: "HEAD", Version: "1.1"}
	for _, tt := range []struct {
		name string
		req  *exchange.Head
		in   []exchange.Event
		want string
		last bool
	}{
		{"own chunks", get11, []exchange.Event{head(exchange.Head{Status: 200, Version: "1.1", Fields: []exchange.Field{chunkedField}}),
			data("", 0), data("ab", 0), data("c", 0), ended(exchange.Complete)},
			"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", false},
		{"chunk in pieces", get11, []exchange.Event{head(exchange.Head{Status: 200, Version: "1.1", Fields: []exchange.Field{chunkedField}}),
			data("ab", 26), data("", 0), data("cdefghijklmnopqrstuvwxyz", 0), trailers(exchange.Field{Name: "A", Value: "b"}), ended(exchange.Complete)},
			"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nA: b\r\n\r\n", false},
		{"HTTP/2", get11, []exchange.Event{head(exchange.Head{Status: 103, Version: "2"}), head(exchange.Head{Status: 200, Version: "2"}),
			data("ab", 0), trailers(exchange.Field{Name: "a", Value: "b"}), ended(exchange.Complete)},
			"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\na: b\r\n\r\n", false},
		{"HTTP/2 with length", get11, []exchange.Event{head(exchange.Head{Status: 200, Version: "2", Fields: []exchange.Field{twoBytes}}),
			data("ab", 0), trailers(exchange.Field{Name: "a", Value: "b"}), ended(exchange.Complete)},
			"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", false},
		{"HTTP/2 to 1.0", &exchange.Head{Method: "GET", Version: "1.0"}, []exchange.Event{head(exchange.Head{Status: 200, Version: "2"}), data("ab", 0), ended(exchange.Complete)},
			"HTTP/1.1 200 OK\r\n\r\nab", true},
		{"HEAD", head11, []exchange.Event{head(exchange.Head{Status: 200, Version: "1.1", Fields: []exchange.Field{chunkedField}}), data("", 0), trailers(), ended(exchange.Complete)},
			"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n", false},
		{"until close", get11, []exchange.Event{head(exchange.Head{Status: 200, Version: "1.1"}), data("ab", 0), ended(exchange.Complete)},
			"HTTP/1.1 200 \r\n\r\nab", true},
		{"reset before the head", get11, []exchange.Event{ended(exchange.Reset)}, "", true},
		{"truncated", get11, []exchange.Event{head(exchange.Head{Status: 200, Version: "1.1", Fields: []exchange.Field{twoBytes}}), data("a", 0), ended(exchange.Truncated)},
			"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\na", true},
		{"close", get11, []exchange.Event{head(exchange.Head{Status: 204, Version: "1.1", Fields: []exchange.Field{closing}}), ended(exchange.Complete)},
			"HTTP/1.1 204 \r\nConnection: x, Close\r\n\r\n", true},
		{"client closes", &exchange.Head{Method: "GET", Version: "1.1", Fields: []exchange.Field{closing}}, []exchange.Event{head(exchange.Head{Status: 204, Version: "1.1"}), ended(exchange.Complete)},
			"HTTP/1.1 204 \r\n\r\n", true},
		{"1.0", get11, []exchange.Event{head(exchange.Head{Status: 204, Version: "1.0", Reason: "No"}), ended(exchange.Complete)}, "HTTP/1.0 204 No\r\n\r\n", true},
		{"1.0 stays", get11, []exchange.Event{head(exchange.Head{Status: 204, Version: "1.0", Fields: []exchange.Field{staying}}), ended(exchange.Complete)},
			"HTTP/1.0 204 \r\nConnection: keep-alive\r\n\r\n", false},
		{"CONNECT", &exchange.Head{Method: "CONNECT", Version: "1.1"}, []exchange.Event{head(exchange.Head{Status: 200, Version: "1.1"}), data("raw", 0), ended(exchange.Complete)},
			"HTTP/1.1 200 \r\n\r\nraw", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			enc := NewEncoder(tt.req)
			var dst []byte
			for _, e := range tt.in {
				var err error
				if dst, err = enc.Encode(dst, e); err != nil {
					t.Fatalf("Encode(%+v) = %v", e, err)
				}
			}
			if string(dst) != tt.want || enc.Last() != tt.last {
				t.Errorf("Encode = %q, last %v; want %q, %v", dst, enc.Last(), tt.want, tt.last)
			}
		})
	}
}

func TestEncoderRefuses(t *testing.T) {
	ok := head(exchange.Head{Status: 200, Version: "1.1", Fields: []exchange.Field{chunkedField}})
	two := head(exchange.Head{Status: 200, Version: "1.1", Fields: []exchange.Field{twoBytes}})
	none := head(exchange.Head{Status: 204, Version: "1.1"})
	for _, tt := range []struct {
		name string
		in   []exchange.Event // the last is refused
	}{
		{"data first", []exchange.Event{data("a", 0)}},
		{"end first", []exchange.Event{ended(exchange.Complete)}},
		{"two heads", []exchange.Event{ok, ok}},
		{"chunk in a chunk", []exchange.Event{ok, data("a", 2), data("b", 1)}},
		{"more than the chunk", []exchange.Event{ok, data("abc", 2)}},
		{"trailers in a chunk", []exchange.Event{ok, data("a", 2), trailers()}},
		{"end in a chunk", []exchange.Event{ok, data("a", 2), ended(exchange.Complete)}},
		{"data behind trailers", []exchange.Event{ok, trailers(), data("a", 0)}},
		{"more than the length", []exchange.Event{two, data("abc", 0)}},
		{"less than the length", []exchange.Event{two, data("a", 0), ended(exchange.Complete)}},
		{"body of a 204", []exchange.Event{none, data("a", 0)}},
		{"bad length", []exchange.Event{head(exchange.Head{Status: 200, Fields: []exchange.Field{{Name: "Content-Length", Value: "x"}}})}},
		{"no kind", []exchange.Event{ok, {}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			enc := NewEncoder(&exchange.Head{Method: "GET", Version: "1.1"})
			for i, e := range tt.in {
				_, err := enc.Encode(nil, e)
				if last := i == len(tt.in)-1; last != (err != nil) {
					t.Fatalf("Encode(%d) = %v; want an error of the last only", i, err)
				} else if last && !errors.Is(err, errFraming) && !errors.Is(err, errSyntax) {
					t.Errorf("Encode(%d) = %v; want it to wrap %v", i, err, errFraming)
				}
			}
		})
	}
}

func TestAppendHead(t *testing.T) {
	for _, tt := range []struct {
		in   exchange.Head
		want string
	}{
		{exchange.Head{Method: "GET", Target: "/a", Version: "1.0"}, "GET /a HTTP/1.0\r\n\r\n"},
		{exchange.Head{Method: "GET", Target: "/a", Authority: "h", Version: "2", Fields: []exchange.Field{{Name: "a", Value: "b"}}}, "GET /a HTTP/1.1\r\nHost: h\r\na: b\r\n\r\n"},
		{exchange.Head{Method: "GET", Target: "/a", Authority: "h", Version: "2", Fields: []exchange.Field{{Name: "host", Value: "i"}}}, "GET /a HTTP/1.1\r\nhost: i\r\n\r\n"},
		{exchange.Head{Status: 404, Version: "3"}, "HTTP/1.1 404 Not Found\r\n\r\n"},
		{exchange.Head{Status: 404, Version: "1.1", Raw: []byte("HTTP/1.1 404\n\n")}, "HTTP/1.1 404\n\n"},
	} {
		if got := string(AppendHead(nil, &tt.in)); got != tt.want {
			t.Errorf("AppendHead(%+v) = %q; want %q", tt.in, got, tt.want)
		}
	}
}

func TestLooksLike(t *testing.T) {
	for _, tt := range []struct {
		in       string
		ok, more bool
	}{
		{"", false, true},
		{"G", false, true},
		{"GET", false, true},
		{"GET ", false, true},
		{"GET /", true, false},
		{"\r\nGET /", true, false},
		{"get / HTTP/1.1\r\n", true, false},
		{"FOO * http/1.0", true, false},
		{"FOO * HT", false, true},
		{"GET http://a/", false, true},
		{"GET http://a/ HTTP/1.1", true, false},
		{"CONNECT a:443 HTTP/1.1\r\n", true, false},
		{"PRI * HTTP/2.0\r\n", false, false},
		{"GET key\r\n", false, false},
		{"EHLO example.com\r\n", false, false},
		{"INVITE sip:a SIP/2.0\r\n", false, false},
		{"OPTIONS rtsp://a RTSP/1.0\r\n", false, false},
		{"SSH-2.0-OpenSSH_9.2\r\n", false, false},
		{"\x16\x03\x01", false, false},
		{"*1\r\n$4\r\nPING\r\n", false, false},
		{"ABCDEFGHIJKLMNOPQRSTUVWXY", false, false},
		{"FOO  HTTP/1.1", false, false},
		{"FOO \x00", false, false},
	} {
		if ok, more := LooksLike([]byte(tt.in)); ok != tt.ok || more != tt.more {
			t.Errorf("LooksLike(%q) = %v, %v; want %v, %v", tt.in, ok, more, tt.ok, tt.more)
		}
	}
}
