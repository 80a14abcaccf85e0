package mitm

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/serge-net/serge-net/exchange"
)

// A player answers GET /known and POST /known by what is in it.
type player struct {
	offer exchange.Offer
	body  string
	end   exchange.End
}

func (p *player) Offer(exchange.Origin) exchange.Offer { return p.offer }

func (p *player) Fail(exchange.Origin) (exchange.End, bool) { return exchange.End{}, false }

func (p *player) Open(o exchange.Origin) (exchange.Play, error) {
	return &play{p: p, o: o, heads: map[uint64]exchange.Head{}}, nil
}

type play struct {
	p *player
	o exchange.Origin

	mu    sync.Mutex
	heads map[uint64]exchange.Head
}

func (p *play) Close() {}

func (p *play) Event(e exchange.Event, answer func(exchange.Event) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e.Kind {
	case exchange.KindHead:
		if e.Head.Method == "CONNECT" && e.Head.Target == "" {
			return &exchange.Miss{Cassette: "test", Method: e.Head.Method, URL: p.o.URL(e.Head)}
		}
		p.heads[e.Stream] = *e.Head
	case exchange.KindEnd:
		h := p.heads[e.Stream]
		if h.Target != "/known" {
			return &exchange.Miss{Cassette: "test", Method: h.Method, URL: p.o.URL(&h)}
		}
		head := &exchange.Head{Status: 200, Reason: "OK", Version: "1.1", Fields: []exchange.Field{{Name: "Content-Length", Value: "5"}}}
		for _, r := range []exchange.Event{
			{Kind: exchange.KindHead, Head: head},
			{Kind: exchange.KindData, Data: []byte(p.p.body)},
			{Kind: exchange.KindEnd, End: &p.p.end},
		} {
			r.Stream, r.From = e.Stream, exchange.Server
			if err := answer(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func TestReplay(t *testing.T) {
	ours := newAuthority(t)
	for _, c := range []struct {
		name   string
		offer  exchange.Offer
		client []string
		scheme string
		want   string
	}{
		{"plain", exchange.Offer{Recorded: true}, nil, "http", "HTTP/1.1"},
		{"TLS without ALPN", exchange.Offer{Recorded: true}, []string{"h2", "http/1.1"}, "https", "HTTP/1.1"},
		{"HTTP/2", exchange.Offer{Recorded: true, ALPN: []string{"h2"}}, []string{"h2", "http/1.1"}, "https", "HTTP/2.0"},
		{"HTTP/2 to a client of HTTP/1.1", exchange.Offer{Recorded: true, ALPN: []string{"h2"}}, []string{"http/1.1"}, "https", "HTTP/1.1"},
		{"a host that is not recorded", exchange.Offer{}, []string{"h2", "http/1.1"}, "https", "HTTP/2.0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := new(told)
			w := &Replay{Server: NewServer(ours.leaf, false), Player: &player{offer: c.offer, body: "hello"}, Tell: l.tell()}
			addr := front(t, w, "192.0.2.1:443", apiName)
			client := through(t, addr, ours.pool, c.client...)
			for range 2 {
				proto, body := get(t, client, c.scheme+"://"+addr+"/known")
				if proto != c.want || body != "hello" {
					t.Errorf("got %s %q; want %s hello", proto, body, c.want)
				}
			}
			res, err := client.Get(c.scheme + "://" + addr + "/unknown")
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if res.StatusCode != http.StatusNotImplemented || res.Header.Get("Serge-Net-Miss") != "1" || !strings.Contains(string(b), "miss: GET") {
				t.Errorf("a miss got %s %v %q", res.Status, res.Header, b)
			}
			if l.missed() != 1 {
				t.Errorf("%d misses were told; want 1", l.missed())
			}
		})
	}
}

func TestReplayPipelined(t *testing.T) {
	addr := front(t, &Replay{Player: &player{body: "hello"}}, "192.0.2.1:80", apiName)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, strings.Repeat("GET /known HTTP/1.1\r\nHost: x\r\n\r\n", 9)+"GET /known HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	b, err := io.ReadAll(c)
	if n := strings.Count(string(b), "hello"); n != 10 || err != nil {
		t.Errorf("%d answers, %v; want 10 and the end", n, err)
	}
}

func TestReplayCutsWhatWasCut(t *testing.T) {
	for _, c := range []struct {
		how  exchange.How
		want error
	}{{exchange.Truncated, io.ErrUnexpectedEOF}, {exchange.Reset, syscall.ECONNRESET}} {
		t.Run(c.how.String(), func(t *testing.T) {
			addr := front(t, &Replay{Player: &player{body: "hel", end: exchange.End{How: c.how}}}, "192.0.2.1:80", apiName)
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			io.WriteString(conn, "GET /known HTTP/1.1\r\nHost: x\r\n\r\n")
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil && errors.Is(err, c.want) {
				return // RST may overtake the bytes
			}
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(res.Body); string(b) != "hel" || !errors.Is(err, c.want) {
				t.Errorf("body %q, %v; want hel, %v", b, err, c.want)
			}
			res.Body.Close()
		})
	}
}

func TestReplayResetsWhatItCannotPlay(t *testing.T) {
	l := new(told)
	addr := front(t, &Replay{Player: &player{}, Tell: l.tell()}, "192.0.2.1:6379", "redis.test")
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "*1\r\n$4\r\nPING\r\n")
	if _, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read = %v; want %v", err, syscall.ECONNRESET)
	}
	waitFor(t, func() bool { return l.missed() == 1 }, "a miss")
}

func TestReplayTellsARejection(t *testing.T) {
	ours, l := newAuthority(t), new(told)
	addr := front(t, &Replay{Server: NewServer(ours.leaf, true), Player: &player{}, Tell: l.tell()}, "192.0.2.1:443", apiName)
	if c, err := tls.Dial("tcp", addr, &tls.Config{ServerName: apiName, RootCAs: newAuthority(t).pool}); err == nil {
		c.Close()
		t.Fatal("a client of another CA trusts us")
	}
	waitFor(t, func() bool { return slices.Equal(l.causes(), []Cause{Rejected}) }, "a rejection, got %v", l.causes())
}

// TestMixed: what is recorded is played, what is not goes on, to one origin
// connection that is used again.
func TestMixed(t *testing.T) {
	a, ours := newAuthority(t), newAuthority(t)
	for _, c := range []struct {
		name   string
		h2     bool
		scheme string
		client []string
		want   string
	}{
		{"plain", false, "http", nil, "HTTP/1.1"},
		{"TLS", false, "https", []string{"http/1.1"}, "HTTP/1.1"},
		{"HTTP/2", true, "https", []string{"h2"}, "HTTP/2.0"},
	} {
		for _, recorded := range []bool{true, false} {
			t.Run(c.name+map[bool]string{true: ", host recorded", false: ", host not recorded"}[recorded], func(t *testing.T) {
				origin := httptest.NewUnstartedServer(echo)
				origin.EnableHTTP2 = c.h2
				if c.scheme == "https" {
					secured(t, a, origin, apiName)
				} else {
					origin.Start()
					defer origin.Close()
				}
				offer := exchange.Offer{Recorded: recorded}
				if c.h2 {
					offer.ALPN = []string{"h2"}
				}
				w, l := newWatcher(), new(told)
				m := &Mixed{
					Record: Record{Server: NewServer(ours.leaf, false), Upstream: &Upstream{Roots: a.pool}, Watcher: w, Tell: l.tell()},
					Player: &player{offer: offer, body: "hello"},
				}
				addr := front(t, m, origin.Listener.Addr().String(), "")
				client := through(t, addr, ours.pool, c.client...)
				for _, path := range []string{"/known", "/one", "/known", "/two"} {
					proto, body := get(t, client, c.scheme+"://"+addr+path)
					want := c.want + " " + path + " "
					if path == "/known" {
						want = "hello"
					}
					if proto != c.want || body != want {
						t.Errorf("%s: got %s %q; want %s %q; trouble %v", path, proto, body, c.want, want, l.all())
					}
				}
				big := strings.Repeat("x", 3*spoolMemory)
				if n := postedBig(t, client, c.scheme+"://"+addr+"/big", big); n != len(c.want+" /big ")+len(big) {
					t.Errorf("a large request came back as %d bytes", n)
				}
				heads, request, _ := w.seen()
				if len(heads) != 6 || len(request) != len(big) {
					t.Errorf("watched %v and %d bytes of requests; want three exchanges and %d", heads, len(request), len(big))
				}
			})
		}
	}
}

// postedBig is how many bytes come back for body.
func postedBig(t *testing.T, client *http.Client, url, body string) int {
	t.Helper()
	res, err := client.Post(url, "text/plain", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return len(b)
}

func TestMixedUpgrade(t *testing.T) {
	origin := raw(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		req.Body.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		io.Copy(c, r)
	})
	w := newWatcher()
	m := &Mixed{Record: Record{Upstream: new(Upstream), Watcher: w}, Player: &player{}}
	addr := front(t, m, origin, "")
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET /up HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != 101 {
		t.Fatalf("got %v, %v", res, err)
	}
	for _, s := range []string{"one\n", "two\n"} {
		io.WriteString(c, s)
		if got, err := r.ReadString('\n'); got != s || err != nil {
			t.Fatalf("echo of %q = %q, %v", s, got, err)
		}
	}
	c.(*net.TCPConn).CloseWrite()
	if _, err := io.ReadAll(r); err != nil {
		t.Errorf("the end: %v", err)
	}
	if _, request, answer := w.seen(); request != "one\ntwo\n" || answer != request {
		t.Errorf("watched %q and %q", request, answer)
	}
}
