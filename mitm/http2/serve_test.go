package http2

//lint:file-ignore SA1019 what net/http has instead takes a listener or dials; here the connection is made

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"

	"github.com/serge-net/serge-net/exchange"
)

// Events of the server, in short.
func head(status int, pairs ...string) exchange.Event {
	h := &exchange.Head{Status: status, Version: "2"}
	for i := 0; i < len(pairs); i += 2 {
		h.Fields = append(h.Fields, exchange.Field{Name: pairs[i], Value: pairs[i+1]})
	}
	return exchange.Event{From: exchange.Server, Kind: exchange.KindHead, Head: h}
}
func data(s string) exchange.Event {
	return exchange.Event{From: exchange.Server, Kind: exchange.KindData, Data: []byte(s)}
}
func trailers(pairs ...string) exchange.Event {
	return exchange.Event{From: exchange.Server, Kind: exchange.KindTrailers, Fields: head(200, pairs...).Head.Fields}
}
func ended(how exchange.How) exchange.Event {
	return exchange.Event{From: exchange.Server, Kind: exchange.KindEnd, End: &exchange.End{How: how}}
}

// script answers each request's End with the events of its path, and notes
// what the client did.
func script(l *listener, answers map[string][]exchange.Event) Play {
	var mu sync.Mutex
	paths := map[uint64]string{}
	return func(e exchange.Event, answer func(exchange.Event) error) error {
		mu.Lock()
		if l.emit(e); e.Kind == exchange.KindHead {
			paths[e.Stream] = e.Head.Target
		}
		path := paths[e.Stream]
		mu.Unlock()
		if e.Kind != exchange.KindEnd {
			return nil
		}
		events, ok := answers[path]
		if !ok {
			return errors.New("no such path")
		}
		for _, a := range events {
			if err := answer(a); err != nil {
				return err
			}
		}
		return nil
	}
}

// Serve serves the client at conn by play alone.
func Serve(ctx context.Context, conn net.Conn, scheme string, play Play) {
	(&Server{Scheme: scheme, Play: play}).Serve(ctx, conn)
}

// serve serves play on one end of a pipe for as long as the test runs, and
// returns the other, its server's bytes decoded to the listener.
func serve(t *testing.T, play Play) (net.Conn, *listener) {
	near, far := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { Serve(ctx, far, "https", play) })
	t.Cleanup(func() { cancel(); wg.Wait(); near.Close() })
	l := &listener{}
	return tap{near, &sync.Mutex{}, NewDecoder(), l, t}, l
}

// replies are what a played server answers, by path.
var replies = map[string][]exchange.Event{
	"/plain":    {head(200, "server", "x", "a", "1", "a", "2"), data("hello"), data(" again"), ended(exchange.Complete)},
	"/empty":    {head(302, "location", "/"), ended(exchange.Complete)},
	"/204":      {head(204), ended(exchange.Complete)},
	"/304":      {head(304, "etag", "e"), ended(exchange.Complete)},
	"/length":   {head(200, "content-length", "2", "content-type", "t", "date", "d"), data("ab"), ended(exchange.Complete)},
	"/zero":     {head(200, "content-length", "0"), ended(exchange.Complete)},
	"/trailers": {head(200, "trailer", "announced"), data("x"), trailers("announced", "1", "other", "2", "other", "3"), ended(exchange.Complete)},
	"/grpc":     {head(200, "content-type", "application/grpc", "grpc-status", "5"), ended(exchange.Complete)},
	"/hints":    {head(100), head(103, "link", "</a>"), head(200), data("x"), ended(exchange.Complete)},
	"/http1":    {head(200, "Connection", "close", "Transfer-Encoding", "chunked", "X-Y", "z"), data("x"), ended(exchange.Complete)},
	"/reset":    {head(200), data("part"), ended(exchange.Reset)},
	"/cut":      {head(200), ended(exchange.Truncated)},
	"/none":     {ended(exchange.Reset)},
	"/bad":      {data("x")},
	"/worse":    {ended(exchange.Complete)},
	"/twice":    {head(200), head(200)},
	"/body204":  {head(204), data("x")},
}

func TestServe(t *testing.T) {
	for _, tt := range []struct {
		method, path string
		want         []string
	}{
		{"GET", "/plain", []string{"s1 200 [server=x] [a=1] [a=2]", "s1 data hello again", "s1 complete"}},
		{"GET", "/empty", []string{"s1 302 [location=/]", "s1 complete"}},
		{"GET", "/204", []string{"s1 204", "s1 complete"}},
		{"GET", "/304", []string{"s1 304 [etag=e]", "s1 complete"}},
		{"GET", "/length", []string{"s1 200 [content-length=2] [content-type=t] [date=d]", "s1 data ab", "s1 complete"}},
		{"HEAD", "/length", []string{"s1 200 [content-length=2] [content-type=t] [date=d]", "s1 complete"}},
		{"GET", "/zero", []string{"s1 200 [content-length=0]", "s1 complete"}},
		{"GET", "/trailers", []string{"s1 200 [trailer=announced]", "s1 data x", "s1 trailers [announced=1] [other=2] [other=3]", "s1 complete"}},
		{"GET", "/grpc", []string{"s1 200 [content-type=application/grpc] [grpc-status=5]", "s1 complete"}},
		{"GET", "/hints", []string{"s1 100", "s1 103 [link=</a>]", "s1 200", "s1 data x", "s1 complete"}},
		{"GET", "/http1", []string{"s1 200 [x-y=z]", "s1 data x", "s1 complete"}},
		{"GET", "/reset", []string{"s1 200", "s1 data part", "s1 reset 2"}},
		{"GET", "/cut", []string{"s1 200", "s1 reset 2"}},
		{"GET", "/none", []string{"s1 reset 2"}},
		{"GET", "/nowhere", []string{"s1 reset 2"}},
		{"GET", "/bad", []string{"s1 reset 2"}},
		{"GET", "/worse", []string{"s1 reset 2"}},
		{"GET", "/twice", []string{"s1 200", "s1 reset 2"}},
		{"GET", "/body204", []string{"s1 reset 2"}},
	} {
		t.Run(tt.method+tt.path, func(t *testing.T) {
			conn, l := serve(t, script(&listener{}, replies))
			cc, err := (&http2.Transport{DisableCompression: true}).NewClientConn(conn)
			if err != nil {
				t.Fatal(err)
			}
			defer cc.Close()
			req, _ := http.NewRequest(tt.method, "https://h"+tt.path, nil)
			if resp, err := cc.RoundTrip(req); err == nil {
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			c := conn.(tap)
			c.mu.Lock()
			defer c.mu.Unlock()
			var got []string
			for _, line := range l.lines {
				if line[0] == 's' {
					got = append(got, line)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("the client got (-want +got):\n%s", diff)
			}
		})
	}
}

func TestServeRequest(t *testing.T) {
	l := &listener{sorted: true}
	conn, _ := serve(t, script(l, map[string][]exchange.Event{"/a%2Fb?c": {head(200), ended(exchange.Complete)}}))
	cc, err := (&http2.Transport{DisableCompression: true}).NewClientConn(conn)
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	req, _ := http.NewRequest("POST", "https://h:1/a%2Fb?c", io.MultiReader(strings.NewReader("hel"), strings.NewReader("lo")))
	req.Header = http.Header{"User-Agent": {"u"}, "X-B": {"1", "2"}, "Cookie": {"a=1; b=2"}}
	req.Trailer = http.Header{"Sum": {"7"}}
	resp, err := cc.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	want := []string{"c1 POST https://h:1 /a%2Fb?c [cookie=a=1] [cookie=b=2] [trailer=Sum] [user-agent=u] [x-b=1] [x-b=2]", "c1 data hello", "c1 trailers [sum=7]", "c1 complete"}
	if diff := cmp.Diff(want, l.lines); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestServeLeft: a client that resets its request is told as reset.
func TestServeLeft(t *testing.T) {
	told := make(chan exchange.End, 1)
	begun := make(chan struct{})
	conn, _ := serve(t, func(e exchange.Event, _ func(exchange.Event) error) error {
		switch e.Kind {
		case exchange.KindHead:
			close(begun)
		case exchange.KindEnd:
			told <- *e.End
		}
		return nil
	})
	c := newWire(Preface)
	c.headers(1, false, ":method", "PUT", ":scheme", "https", ":authority", "a", ":path", "/")
	var wg sync.WaitGroup
	wg.Go(func() { io.Copy(io.Discard, conn) })
	conn.Write(c.Bytes())
	<-begun
	c.Reset()
	c.WriteRSTStream(1, http2.ErrCodeCancel)
	conn.Write(c.Bytes())
	if end := <-told; end.How == exchange.Complete {
		t.Errorf("End = %+v; want one that is not complete", end)
	}
	conn.Close()
	wg.Wait()
}

// TestServeDone: when ctx is done, Serve returns, and answers fail.
func TestServeDone(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var failed error
	var wg sync.WaitGroup
	wg.Go(func() {
		Serve(ctx, far, "http", func(e exchange.Event, answer func(exchange.Event) error) error {
			if e.Kind != exchange.KindEnd {
				return nil
			}
			failed = answer(head(200))
			for failed == nil {
				failed = answer(data(strings.Repeat("x", 1<<16)))
			}
			return failed
		})
	})
	wg.Go(func() { io.Copy(io.Discard, near) })
	c := newWire(Preface)
	c.get(1)
	near.Write(c.Bytes())
	cancel()
	wg.Wait()
	if !errors.Is(failed, errGone) {
		t.Errorf("answer after the end = %v; want one that wraps %v", failed, errGone)
	}
}

// TestPrograms lets curl and nghttp talk to Serve, in clear text and in TLS.
func TestPrograms(t *testing.T) {
	programs(t, "http", nil, [][]string{
		{"curl", "-sS", "--http2-prior-knowledge", "-i"},
		{"curl", "-sS", "--http2-prior-knowledge", "-i", "-d", "body"},
		{"nghttp", "-v"},
	})
	lent := httptest.NewTLSServer(nil)
	defer lent.Close()
	programs(t, "https", &tls.Config{Certificates: lent.TLS.Certificates, NextProtos: []string{"h2"}}, [][]string{
		{"curl", "-sSk", "--http2", "-i", "--tls-max", "1.2"},
		{"curl", "-sSk", "--http2", "-i", "-d", "body"},
		{"nghttp", "-v"},
	})
}

// programs runs each of argvs with the URL of a played server.
func programs(t *testing.T, scheme string, conf *tls.Config, argvs [][]string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if conf != nil {
		ln = tls.NewListener(ln, conf)
	}
	play := script(&listener{}, map[string][]exchange.Event{
		"/a": {head(200, "x-y", "z"), data("one "), data("two"), ended(exchange.Complete)},
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				if c, ok := conn.(*tls.Conn); ok {
					if err := c.HandshakeContext(t.Context()); err != nil {
						t.Error(err)
					}
				}
				Serve(t.Context(), conn, scheme, play)
			})
		}
	})
	defer wg.Wait()
	defer ln.Close()
	at := scheme + "://" + ln.Addr().String() + "/a"
	for _, argv := range argvs {
		argv = append(argv, at)
		if _, err := exec.LookPath(argv[0]); err != nil {
			if os.Geteuid() == 0 {
				t.Errorf("%s is not on the path; make test installs it", argv[0])
			}
			continue
		}
		out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "x-y: z") || !strings.Contains(string(out), "one ") || strings.Contains(string(out), "date:") {
			t.Errorf("%v = %v\n%s", argv, err, out)
		}
	}
}

// TestStreams plays 100 exchanges at once.
func TestStreams(t *testing.T) {
	conn, _ := serve(t, func(e exchange.Event, answer func(exchange.Event) error) error {
		if e.Kind != exchange.KindEnd {
			return nil
		}
		for _, a := range []exchange.Event{head(200), data(fmt.Sprint(e.Stream)), ended(exchange.Complete)} {
			if err := answer(a); err != nil {
				return err
			}
		}
		return nil
	})
	cc, err := (&http2.Transport{}).NewClientConn(conn)
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]bool{}
	for range 100 {
		wg.Go(func() {
			req, _ := http.NewRequest("GET", "https://h/", nil)
			trace := &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error { return nil }}
			resp, err := cc.RoundTrip(req.WithContext(httptrace.WithClientTrace(t.Context(), trace)))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			b, _ := io.ReadAll(resp.Body)
			mu.Lock()
			defer mu.Unlock()
			seen[string(b)] = true
		})
	}
	wg.Wait()
	if len(seen) != 100 {
		t.Errorf("%d different streams; want 100", len(seen))
	}
}
