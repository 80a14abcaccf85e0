package http1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/exchange"
)

// message is what both readings are compared by: fields by canonical name,
// without those that net/http takes out.
type message struct {
	Method, Target string
	Status         int
	Fields         map[string][]string
	Body           string
	Trailers       map[string][]string
}

// reading is the first message of from, as our events tell it.
func reading(events []exchange.Event, from exchange.Side) (m message, done bool) {
	m.Fields, m.Trailers = map[string][]string{}, map[string][]string{}
	for _, e := range events {
		if e.From != from {
			continue
		}
		switch e.Kind {
		case exchange.KindHead:
			m.Method, m.Target, m.Status = e.Head.Method, e.Head.Target, e.Head.Status
			for _, f := range e.Head.Fields {
				name := textproto.CanonicalMIMEHeaderKey(f.Name)
				m.Fields[name] = append(m.Fields[name], f.Value)
			}
		case exchange.KindData:
			m.Body += string(e.Data)
		case exchange.KindTrailers:
			for _, f := range e.Fields {
				name := textproto.CanonicalMIMEHeaderKey(f.Name)
				m.Trailers[name] = append(m.Trailers[name], f.Value)
			}
		case exchange.KindEnd:
			return m, e.End.How == exchange.Complete
		}
	}
	return m, false
}

// strip takes out of ours what net/http moves elsewhere or drops.
func (m *message) strip() {
	for _, name := range []string{"Host", "Transfer-Encoding", "Content-Length", "Trailer", "Connection", "Pragma", "Cache-Control"} {
		delete(m.Fields, name)
		delete(m.Trailers, name)
	}
}

// theirs is net/http's reading of a whole message.
func theirs(h, trailer http.Header, body io.Reader) (message, error) {
	b, err := io.ReadAll(body)
	m := message{Fields: h, Body: string(b), Trailers: trailer}
	if m.Trailers == nil {
		m.Trailers = map[string][]string{}
	}
	return m, err
}

// differ tells how the readings differ, trailers aside if theirs has none:
// net/http reads those that Trailer announces only.
func differ(ours, them message) string {
	ours.strip()
	them.strip()
	if len(them.Trailers) == 0 {
		ours.Trailers = them.Trailers
	}
	return cmp.Diff(them, ours)
}

// FuzzRequest: what net/http reads as a request is, to us, the same or refused.
func FuzzRequest(f *testing.F) {
	for _, form := range forms {
		f.Add([]byte(form.talk[0].text))
	}
	for _, seed := range []string{
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\na",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n01;a\r\nb\r\n0\r\nX: 1\r\n\r\n",
		"GET / HTTP/1.1\r\nA:1\r\n B\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l, _, err := decode([]says{c(string(b))}, whole)
		ours, done := reading(l.events, exchange.Client)
		req, theirErr := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
		if theirErr != nil || !done {
			return
		}
		defer req.Body.Close()
		if ours.Method == "" {
			if !errors.Is(err, errSyntax) && !errors.Is(err, ErrTooLong) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("refused by %v", err)
			}
			return
		}
		them, theirErr := theirs(req.Header, nil, req.Body)
		if theirErr != nil {
			return
		}
		them.Method, them.Target, them.Trailers = req.Method, req.RequestURI, req.Trailer
		if them.Trailers == nil {
			them.Trailers = map[string][]string{}
		}
		if diff := differ(ours, them); diff != "" {
			t.Errorf("%q reads differently (-net/http +ours):\n%s", b, diff)
		}
	})
}

// FuzzResponse: the same of the answer to a GET.
func FuzzResponse(f *testing.F) {
	for _, form := range forms {
		for _, x := range form.talk {
			if x.from == exchange.Server {
				f.Add([]byte(x.text))
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l, _, _ := decode([]says{c(get), s(string(b))}, whole)
		ours, done := reading(l.events, exchange.Server)
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), nil)
		if err != nil || !done || resp.StatusCode < 200 {
			return
		}
		defer resp.Body.Close()
		them, err := theirs(resp.Header, nil, resp.Body)
		if err != nil {
			return
		}
		them.Status, them.Trailers = resp.StatusCode, resp.Trailer
		if them.Trailers == nil {
			them.Trailers = map[string][]string{}
		}
		if diff := differ(ours, them); diff != "" {
			t.Errorf("%q reads differently (-net/http +ours):\n%s", b, diff)
		}
	})
}

// FuzzRoundTrip: what is read prints as it was, however it was cut, and
// reads again as the same.
func FuzzRoundTrip(f *testing.F) {
	for _, form := range forms {
		var said [2]string
		for _, x := range form.talk {
			said[x.from] += x.text
		}
		f.Add([]byte(said[0]), []byte(said[1]), 5)
	}
	f.Fuzz(func(t *testing.T, client, server []byte, n int) {
		talk := []says{c(string(client)), s(string(server))}
		l, _, err := decode(talk, whole)
		one, _, oneErr := decode(talk, bytewise)
		cut, _, cutErr := decode(talk, at(n))
		if (err == nil) != (oneErr == nil) || (err == nil) != (cutErr == nil) {
			t.Fatalf("decode whole, bytewise, cut = %v, %v, %v; want all or none", err, oneErr, cutErr)
		}
		if err != nil {
			return
		}
		if diff := cmp.Diff(l.lines(), one.lines()); diff != "" {
			t.Errorf("whole and bytewise differ (-whole +bytewise):\n%s", diff)
		}
		if diff := cmp.Diff(l.lines(), cut.lines()); diff != "" {
			t.Errorf("whole and cut at %d differ (-whole +cut):\n%s", n, diff)
		}
		got, err := print(l.events)
		if err != nil {
			t.Fatalf("print: %v", err)
		}
		if betweenChunks(l.events, exchange.Client) || betweenChunks(l.events, exchange.Server) {
			return
		}
		if !strings.HasPrefix(string(client), got[0]) || !blank(client[len(got[0]):]) && got[0] != "" {
			t.Errorf("client printed %q; want %q", got[0], client)
		}
		if got[1] != string(server) {
			t.Errorf("server printed %q; want %q", got[1], server)
		}
	})
}

// betweenChunks reports whether from was cut behind a chunk's data: the one
// place where an Encoder prints what may not have been sent.
func betweenChunks(events []exchange.Event, from exchange.Side) bool {
	left, any := int64(0), false
	for _, e := range events {
		switch {
		case e.From != from:
		case e.Kind == exchange.KindData && (e.Chunk > 0 || left > 0):
			left += e.Chunk - int64(len(e.Data))
			any = left == 0
		case e.Kind == exchange.KindEnd && e.End.How != exchange.Complete && any && e.Raw == nil:
			return true
		default:
			any = false
		}
	}
	return false
}

func FuzzLooksLike(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\n"))
	f.Add([]byte("FOO x HTTP/1.1\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		ok, more := LooksLike(b)
		if ok && more || more && len(b) >= MaxSniff {
			t.Errorf("LooksLike(%q) = %v, %v", b, ok, more)
		}
		for n := range min(len(b), 64) { // a shorter beginning never tells otherwise
			if o, m := LooksLike(b[:n]); !m && (o != ok || more) {
				t.Errorf("LooksLike(%q) = %v, %v, but of %d bytes %v, %v", b, ok, more, n, o, m)
			}
		}
	})
}

const browserHead = "GET /static/app.js?v=1234567 HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n" +
	"Referer: https://www.example.com/\r\nConnection: keep-alive\r\nCookie: session=0123456789abcdef0123456789abcdef\r\nCache-Control: max-age=0\r\n\r\n"

func BenchmarkHeads(b *testing.B) {
	d := NewDecoder("http")
	req, resp := []byte(browserHead), []byte("HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 21:09:21 GMT\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nServer: x\r\n\r\nok")
	emit := func(exchange.Event) {}
	b.SetBytes(int64(len(req) + len(resp)))
	b.ReportAllocs()
	for b.Loop() {
		d.Feed(exchange.Client, 0, req, emit)
		if err := d.Feed(exchange.Server, 0, resp, emit); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkChunks(b *testing.B) {
	d := NewDecoder("http")
	emit := func(exchange.Event) {}
	d.Feed(exchange.Client, 0, []byte(get), emit)
	d.Feed(exchange.Server, 0, []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), emit)
	chunk := []byte("4000\r\n" + strings.Repeat("x", 0x4000) + "\r\n")
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Feed(exchange.Server, 0, chunk, emit); err != nil {
			b.Fatal(err)
		}
	}
}
