package mitm

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/exchange"
)

const apiName = "api.test"

// through is an HTTP client that reaches any host by the front at addr.
func through(t testing.TB, addr string, roots *x509.CertPool, protocols ...string) *http.Client {
	t.Helper()
	tr := &http.Transport{
		DialTLSContext:  nil,
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: apiName, NextProtos: protocols},
	}
	tr.DialContext = (&net.Dialer{}).DialContext
	tr.Proxy = nil
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetHTTP2(slices.Contains(protocols, "h2"))
	tr.Protocols = p
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 10 * time.Second}
}

// get is the answer to GET url.
func get(t testing.TB, c *http.Client, url string) (proto, body string) {
	t.Helper()
	res, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.Proto, string(b)
}

// echo answers with the request's protocol and body.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %s", r.Proto, r.URL.Path, b)
})

func TestRecordPlain(t *testing.T) {
	origin := httptest.NewServer(echo)
	defer origin.Close()
	w, l := newWatcher(), new(told)
	addr := front(t, &Record{Upstream: new(Upstream), Watcher: w, Tell: l.tell()}, origin.Listener.Addr().String(), "")
	res, err := through(t, addr, nil).Post("http://"+addr+"/a", "text/plain", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(res.Body)
	res.Body.Close()
	heads, request, answer := w.seen()
	if d := cmp.Diff([]string{"POST /a", "1.1 2xx"}, heads); d != "" {
		t.Errorf("heads (-want +got):\n%s", d)
	}
	if request != "hello" || answer != string(b) || string(b) != "HTTP/1.1 /a hello" {
		t.Errorf("client saw %q; watched: request %q, answer %q", b, request, answer)
	}
	if c := l.causes(); len(c) != 0 {
		t.Errorf("trouble: %v", l.all())
	}
}

func TestRecordTLSMirrorsTheOrigin(t *testing.T) {
	a := newAuthority(t)
	for _, c := range []struct {
		name           string
		origin, client []string
		want           string
	}{
		{"HTTP/2 by both", []string{"h2", "http/1.1"}, []string{"h2", "http/1.1"}, "HTTP/2.0"},
		{"HTTP/1.1 by the origin's choice", []string{"http/1.1"}, []string{"h2", "http/1.1"}, "HTTP/1.1"},
		{"no ALPN by the client", []string{"h2", "http/1.1"}, nil, "HTTP/1.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			origin := httptest.NewUnstartedServer(echo)
			origin.EnableHTTP2 = slices.Contains(c.origin, "h2")
			secured(t, a, origin, apiName)
			w, l := newWatcher(), new(told)
			ours := newAuthority(t)
			addr := front(t, &Record{Server: NewServer(ours.leaf, false), Upstream: &Upstream{Roots: a.pool}, Watcher: w, Tell: l.tell()}, origin.Listener.Addr().String(), "")
			proto, body := get(t, through(t, addr, ours.pool, c.client...), "https://"+addr+"/x")
			if proto != c.want || body != c.want+" /x " {
				t.Errorf("got %s %q; want %s; trouble: %v", proto, body, c.want, l.all())
			}
			if heads, _, answer := w.seen(); len(heads) != 2 || answer != body {
				t.Errorf("watched %v %q", heads, answer)
			}
		})
	}
}

func TestRecordTellsWhatFails(t *testing.T) {
	a, ours, strangers := newAuthority(t), newAuthority(t), newAuthority(t)
	origin := httptest.NewUnstartedServer(echo)
	secured(t, a, origin, apiName)
	refusing, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refusing.Close()
	for _, c := range []struct {
		name         string
		origin       string
		trusts, sees *authority // upstream, and the client
		want         Cause
	}{
		{"an origin that refuses", refusing.Addr().String(), a, ours, Unreachable},
		{"an origin by an unknown CA", origin.Listener.Addr().String(), strangers, ours, Untrusted},
		{"a client that does not trust us", origin.Listener.Addr().String(), a, strangers, Rejected},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := new(told)
			addr := front(t, &Record{Server: NewServer(ours.leaf, false), Upstream: &Upstream{Roots: c.trusts.pool}, Watcher: newWatcher(), Tell: l.tell()}, c.origin, "")
			if res, err := through(t, addr, c.sees.pool).Get("https://" + addr + "/"); err == nil {
				res.Body.Close()
				t.Fatalf("the client got %s", res.Status)
			}
			waitFor(t, func() bool { return slices.Contains(l.causes(), c.want) }, "trouble %v; got %v", c.want, l.all())
		})
	}
}

// waitFor waits until what another goroutine does is done.
func waitFor(t *testing.T, done func() bool, format string, args ...any) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in 5 s: "+format, args...)
		}
	}
}

// raw is a server on loopback that handles each connection by f.
func raw(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f(c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// TestRecordRaw watches a connection that is neither TLS nor HTTP, or passes it on
// and says so if it is not to be recorded.
func TestRecordRaw(t *testing.T) {
	for _, c := range []struct {
		name    string
		records func(exchange.Origin) bool
		heads   []string
		causes  []Cause
	}{
		{"recorded", nil, []string{"CONNECT "}, nil},
		{"not recorded", func(exchange.Origin) bool { return false }, nil, []Cause{Opaque}},
	} {
		t.Run(c.name, func(t *testing.T) { testRecordRaw(t, c.records, c.heads, c.causes) })
	}
}

func testRecordRaw(t *testing.T, records func(exchange.Origin) bool, heads []string, causes []Cause) {
	origin := raw(t, func(c net.Conn) {
		io.WriteString(c, "220 hello\r\n")
		line, _ := bufio.NewReader(c).ReadString('\n')
		fmt.Fprintf(c, "250 %s", line)
	})
	l, w := new(told), newWatcher()
	addr := front(t, &Record{Upstream: new(Upstream), Watcher: w, TCP: records, Tell: l.tell()}, origin, "")
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	banner, _ := r.ReadString('\n')
	io.WriteString(c, "EHLO me\r\n")
	answer, _ := r.ReadString('\n')
	if banner != "220 hello\r\n" || answer != "250 EHLO me\r\n" {
		t.Errorf("banner %q, answer %q", banner, answer)
	}
	if got := l.causes(); !slices.Equal(got, causes) {
		t.Errorf("causes = %v; want %v", got, causes)
	}
	if got, _, _ := w.seen(); !slices.Equal(got, heads) {
		t.Errorf("watched %q; want %q", got, heads)
	}
}

// TestRecordHoldsNothingBack has a client wait for an answer to a byte that HTTP
// could begin with too, and one that sends HTTP byte by byte.
func TestRecordHoldsNothingBack(t *testing.T) {
	origin := raw(t, func(c net.Conn) { io.Copy(c, c) })
	l := new(told)
	addr := front(t, &Record{Upstream: new(Upstream), Watcher: newWatcher(), Tell: l.tell()}, origin, "")
	for _, first := range []string{"x", "P", "PING"} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(10 * time.Second))
		io.WriteString(c, first)
		b := make([]byte, len(first))
		if _, err := io.ReadFull(c, b); string(b) != first || err != nil {
			t.Errorf("of %q came back %q, %v", first, b, err)
		}
		c.Close()
	}
	if got := l.causes(); len(got) != 0 {
		t.Errorf("causes = %v; want none", got)
	}
}

func TestRecordHTTPInPieces(t *testing.T) {
	origin := httptest.NewServer(echo)
	defer origin.Close()
	for _, request := range []string{"GET /slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "CONTINUE / HTTP/1.0\r\n\r\n"} {
		w, l := newWatcher(), new(told)
		addr := front(t, &Record{Upstream: new(Upstream), Watcher: w, Tell: l.tell()}, origin.Listener.Addr().String(), "")
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range []byte(request) {
			c.Write([]byte{b})
		}
		if b, err := io.ReadAll(c); !strings.Contains(string(b), "200 OK") || err != nil {
			t.Errorf("%q was answered %q, %v", request, b, err)
		}
		c.Close()
		want := strings.Join(strings.Fields(request)[:2], " ")
		if heads, _, _ := w.seen(); len(heads) != 2 || heads[0] != want {
			t.Errorf("of %q was watched %q; troubles %v", request, heads, l.causes())
		}
	}
}

func TestRecordKeepsHalfCloseAndReset(t *testing.T) {
	t.Run("half-close", func(t *testing.T) {
		origin := raw(t, func(c net.Conn) {
			b, _ := io.ReadAll(c) // until the client's FIN
			fmt.Fprintf(c, "HTTP/1.0 200 OK\r\n\r\n%d bytes", len(b))
		})
		w, l := newWatcher(), new(told)
		addr := front(t, &Record{Upstream: new(Upstream), Watcher: w, Tell: l.tell()}, origin, "")
		c, _ := net.Dial("tcp", addr)
		defer c.Close()
		io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
		c.(*net.TCPConn).CloseWrite()
		b, err := io.ReadAll(c)
		if want := "HTTP/1.0 200 OK\r\n\r\n18 bytes"; string(b) != want || err != nil {
			t.Errorf("got %q, %v; want %q", b, err, want)
		}
	})
	t.Run("reset", func(t *testing.T) {
		origin := raw(t, func(c net.Conn) {
			bufio.NewReader(c).ReadString('\n')
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
			time.Sleep(50 * time.Millisecond) // the bytes are to come before the RST
			c.(*net.TCPConn).SetLinger(0)
		})
		w := newWatcher()
		addr := front(t, &Record{Upstream: new(Upstream), Watcher: w}, origin, "")
		c, _ := net.Dial("tcp", addr)
		defer c.Close()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		b, err := io.ReadAll(c)
		if !strings.HasSuffix(string(b), "abc") || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("got %q, %v; want …abc and a reset", b, err)
		}
	})
}

func TestRecordGoesOnWithoutAWatcher(t *testing.T) {
	origin := httptest.NewServer(echo)
	defer origin.Close()
	w, l := newWatcher(), new(told)
	w.fail = errors.New("no space left on device")
	addr := front(t, &Record{Upstream: new(Upstream), Watcher: w, Tell: l.tell()}, origin.Listener.Addr().String(), "")
	client := through(t, addr, nil)
	for range 2 {
		if _, body := get(t, client, "http://"+addr+"/y"); body != "HTTP/1.1 /y " {
			t.Errorf("body %q", body)
		}
	}
	if got := l.causes(); !slices.Equal(got, []Cause{Unrecorded}) {
		t.Errorf("causes = %v; want %v once", got, Unrecorded)
	}
}

func TestRecordResumesClients(t *testing.T) {
	a, ours := newAuthority(t), newAuthority(t)
	origin := httptest.NewUnstartedServer(echo)
	secured(t, a, origin, apiName)
	addr := front(t, &Record{Server: NewServer(ours.leaf, false), Upstream: &Upstream{Roots: a.pool}, Watcher: newWatcher()}, origin.Listener.Addr().String(), "")
	conf := &tls.Config{RootCAs: ours.pool, ServerName: apiName, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	for _, want := range []bool{false, true} {
		c, err := tls.Dial("tcp", addr, conf)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		io.ReadAll(c)
		if got := c.ConnectionState().DidResume; got != want {
			t.Errorf("DidResume = %v; want %v", got, want)
		}
		c.Close()
	}
}

func TestBypassPassesTLSUntouched(t *testing.T) {
	a := newAuthority(t)
	origin := httptest.NewUnstartedServer(echo)
	secured(t, a, origin, apiName)
	w := &Bypass{Match: func(exchange.Origin) bool { return true }, Upstream: &Upstream{}, Else: &Replay{}}
	addr := front(t, w, origin.Listener.Addr().String(), "")
	if _, body := get(t, through(t, addr, a.pool), "https://"+addr+"/z"); body != "HTTP/1.1 /z " {
		t.Errorf("body %q", body)
	}
}
