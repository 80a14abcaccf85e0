package mitm

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/proxy"

	"github.com/serge-net/serge-net/exchange"
)

// refusals collects what an Explicit refused.
type refusals struct {
	mu   sync.Mutex
	said []string
}

func (r *refusals) refused(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, err.Error())
}

func (r *refusals) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.said)
}

// explicit is a proxy whose clients go way.
func explicit(t *testing.T, way Way) (addr string, r *refusals) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r = new(refusals)
	x := &Explicit{Way: way, Refused: r.refused}
	ctx, cancel := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { x.Handle(ctx, c, exchange.Caller{}) })
		}
	})
	t.Cleanup(func() { l.Close(); cancel(); serving.Wait() })
	return l.Addr().String(), r
}

// bySocks is an HTTP client that reaches its origins by SOCKS5.
func bySocks(t *testing.T, addr string, a *authority) *http.Client {
	t.Helper()
	d, err := proxy.SOCKS5("tcp", addr, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{DialContext: d.(proxy.ContextDialer).DialContext, TLSClientConfig: &tls.Config{RootCAs: a.pool}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 10 * time.Second}
}

// TestExplicitRecord: the four ways in, each to a real origin, which is recorded.
func TestExplicitRecord(t *testing.T) {
	a, ours := newAuthority(t), newAuthority(t)
	secure := httptest.NewUnstartedServer(echo)
	secured(t, a, secure, "localhost")
	plain := httptest.NewServer(echo)
	defer plain.Close()
	local := func(s *httptest.Server) string {
		_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
		return "localhost:" + port
	}
	for _, c := range []struct {
		name   string
		client func(*testing.T, string, *authority) *http.Client
		url    string
	}{
		{"absolute form, name", byProxy, "http://" + local(plain) + "/in"},
		{"absolute form, address", byProxy, plain.URL + "/in"},
		{"CONNECT, name", byProxy, "https://" + local(secure) + "/in"},
		{"CONNECT, address", byProxy, secure.URL + "/in"},
		{"SOCKS5, name", bySocks, "https://" + local(secure) + "/in"},
		{"SOCKS5, address", bySocks, plain.URL + "/in"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, l := newWatcher(), new(told)
			addr, _ := explicit(t, &Record{Server: NewServer(ours.leaf, false), Upstream: &Upstream{Roots: a.pool}, Watcher: w, Tell: l.tell()})
			client := c.client(t, addr, ours)
			for range 2 {
				if _, body := get(t, client, c.url); body != "HTTP/1.1 /in " {
					t.Errorf("body %q; trouble %v", body, l.all())
				}
			}
			want := []string{"GET /in", "1.1 2xx", "GET /in", "1.1 2xx"}
			if heads, _, _ := w.seen(); !slices.Equal(heads, want) {
				t.Errorf("watched %v; want %v", heads, want)
			}
		})
	}
}

// TestExplicitReplay dials nothing: there is no origin.
func TestExplicitReplay(t *testing.T) {
	ours := newAuthority(t)
	l := new(told)
	addr, _ := explicit(t, &Replay{Server: NewServer(ours.leaf, false), Player: &player{offer: exchange.Offer{Recorded: true}, body: "hello"}, Tell: l.tell()})
	for name, c := range map[string]*http.Client{"HTTP": byProxy(t, addr, ours), "SOCKS5": bySocks(t, addr, ours)} {
		for _, scheme := range []string{"http", "https"} {
			if _, body := get(t, c, scheme+"://gone.test/known"); body != "hello" {
				t.Errorf("%s %s: body %q; trouble %v", name, scheme, body, l.all())
			}
		}
	}
}

// talk writes ask to the proxy at addr and returns all that comes back.
func talk(t *testing.T, addr, ask string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, ask)
	b, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("after %q: %v", b, err)
	}
	return string(b)
}

// nobody is an address that refuses connections.
func nobody(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestExplicitUnreachable: each protocol says in its own words that an origin
// is not there, and what is there no less.
func TestExplicitUnreachable(t *testing.T) {
	gone := nobody(t)
	_, port, _ := net.SplitHostPort(gone)
	var n int
	fmt.Sscan(port, &n)
	record := &Record{Upstream: new(Upstream)}
	for _, c := range []struct{ name, ask, want string }{
		{"absolute form", "GET http://" + gone + "/ HTTP/1.1\r\nHost: " + gone + "\r\n\r\n", "HTTP/1.1 502 Bad Gateway\r\n"},
		{"CONNECT", "CONNECT " + gone + " HTTP/1.1\r\nHost: " + gone + "\r\n\r\n", "HTTP/1.1 502 Bad Gateway\r\n"},
		{"SOCKS5", "\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01" + string([]byte{byte(n >> 8), byte(n)}), "\x05\x00\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00"},
		{"SOCKS5, no such name", "\x05\x01\x00\x05\x01\x00\x03\x0cgone.invalid\x00\x50", "\x05\x00\x05\x04\x00\x01\x00\x00\x00\x00\x00\x00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr, _ := explicit(t, record)
			got := talk(t, addr, c.ask)
			if !strings.HasPrefix(got, c.want) {
				t.Errorf("got %q; want %q", got, c.want)
			}
			if c.ask[0] != socksVersion && !strings.Contains(got, "serge-net: connect to "+gone) {
				t.Errorf("%q does not name the cause", got)
			}
		})
	}
	t.Run("Mixed", func(t *testing.T) {
		addr, _ := explicit(t, &Mixed{Record: *record, Player: &player{}})
		if got := talk(t, addr, "GET http://"+gone+"/ HTTP/1.1\r\nHost: x\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 502 ") {
			t.Errorf("got %q", got)
		}
	})
}

// TestExplicitRefuses what is not to be had, in the client's protocol where it
// has words, and says so.
func TestExplicitRefuses(t *testing.T) {
	for _, c := range []struct{ name, ask, answer, told string }{
		{"BIND", "\x05\x01\x00\x05\x02\x00\x01\x7f\x00\x00\x01\x00\x50", "\x05\x00\x05\x07\x00\x01\x00\x00\x00\x00\x00\x00", "BIND"},
		{"UDP ASSOCIATE", "\x05\x02\x02\x00\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00", "\x05\x00\x05\x07\x00\x01\x00\x00\x00\x00\x00\x00", "UDP"},
		{"address type", "\x05\x01\x00\x05\x01\x00\x02\x01\x00\x00", "\x05\x00\x05\x08\x00\x01\x00\x00\x00\x00\x00\x00", "address type 2"},
		{"empty name", "\x05\x01\x00\x05\x01\x00\x03\x00\x00\x50", "\x05\x00\x05\x01\x00\x01\x00\x00\x00\x00\x00\x00", `""`},
		{"only authenticated", "\x05\x01\x02", "\x05\xff", "authentication"},
		{"SOCKS4", "\x04\x01\x00\x50\x7f\x00\x00\x01\x00", "", "SOCKS4"},
		{"TLS", "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", "", "TLS to the proxy"},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "", "HTTP/2"},
		{"origin form", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n", "no web server"},
		{"https in clear text", "GET https://x/ HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n", "CONNECT"},
		{"another scheme", "GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n", `"ftp"`},
		{"CONNECT without a port", "CONNECT x HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n", "missing port"},
		{"malformed", "GET http://x/ HTTP/1.1\r\nHo st: x\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n", "malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr, r := explicit(t, &Record{Upstream: new(Upstream)})
			if got := talk(t, addr, c.ask); !strings.HasPrefix(got, c.answer) || c.answer == "" && got != "" {
				t.Errorf("got %q; want %q", got, c.answer)
			}
			waitFor(t, func() bool { return len(r.all()) == 1 && strings.Contains(r.all()[0], c.told) }, "%q told, got %q", c.told, r.all())
		})
	}
}

// TestForwardManyOrigins: one connection, requests in turn and pipelined to two
// origins; each origin gets its own, as a client would have sent them to it.
func TestForwardManyOrigins(t *testing.T) {
	mirror := func(name string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s: %s %s %s %v %s", name, r.Method, r.RequestURI, r.Host, r.Header, b)
		}))
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	one, two := mirror("one"), mirror("two")
	w := newWatcher()
	addr, _ := explicit(t, &Record{Upstream: new(Upstream), Watcher: w})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ask := func(method, host, path, body string) string {
		return fmt.Sprintf("%s http://%s%s HTTP/1.1\r\nHost: other.test\r\nProxy-Connection: keep-alive\r\nx-a: 1\r\nContent-Length: %d\r\n\r\n%s", method, host, path, len(body), body)
	}
	io.WriteString(c, ask("GET", one, "/1", "")+ask("POST", two, "/2?a=b", "body")+ask("GET", one, "", "")+ask("PUT", one, "/4", "more"))
	r := bufio.NewReader(c)
	var got []string
	for range 4 {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		b, _ := io.ReadAll(res.Body)
		got = append(got, string(b))
	}
	want := []string{
		"one: GET /1 " + one + " map[Content-Length:[0] X-A:[1]] ",
		"two: POST /2?a=b " + two + " map[Content-Length:[4] X-A:[1]] body",
		"one: GET / " + one + " map[Content-Length:[0] X-A:[1]] ",
		"one: PUT /4 " + one + " map[Content-Length:[4] X-A:[1]] more",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("answers (-want +got):\n%s", d)
	}
	if heads, _, _ := w.seen(); len(heads) != 8 {
		t.Errorf("watched %v; want four exchanges", heads)
	}
}
