package mitm

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/serge-net/serge-net/exchange"
)

// h2c is a client of HTTP/2 in clear text.
func h2c(t *testing.T) *http.Client {
	t.Helper()
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// TestMixedLeft: an origin that takes one exchange a connection and says so is
// asked by another for the next, and each is watched.
func TestMixedLeft(t *testing.T) {
	var mu sync.Mutex
	conns := 0
	origin := raw(t, func(c net.Conn) {
		defer c.Close()
		mu.Lock()
		conns++
		n := conns
		mu.Unlock()
		io.ReadFull(c, make([]byte, len(http2.ClientPreface)))
		var block bytes.Buffer
		hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
		f := http2.NewFramer(c, c)
		f.WriteSettings()
		for {
			h, err := f.ReadFrame()
			if err != nil {
				return
			}
			if id := h.Header().StreamID; h.Header().Type == http2.FrameHeaders {
				f.WriteGoAway(id, http2.ErrCodeNo, nil)
				f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true})
				f.WriteData(id, true, fmt.Appendf(nil, "by connection %d", n))
			}
		}
	})
	w, l := newWatcher(), new(told)
	m := &Mixed{Record: Record{Upstream: new(Upstream), Watcher: w, Tell: l.tell()}, Player: &player{}}
	addr, client := front(t, m, origin, ""), h2c(t)
	for n := range 3 {
		if _, body := get(t, client, "http://"+addr+"/x"); body != fmt.Sprintf("by connection %d", n+1) {
			t.Errorf("%d: %q; trouble %v", n, body, l.all())
		}
	}
	if heads, _, _ := w.seen(); len(heads) != 6 {
		t.Errorf("watched %v; want three exchanges", heads)
	}
}

// TestMixedMany has many exchanges go on at once, over one connection that takes
// fewer.
func TestMixedMany(t *testing.T) {
	const many = 500
	a, ours := newAuthority(t), newAuthority(t)
	origin := httptest.NewUnstartedServer(echo)
	origin.EnableHTTP2 = true
	origin.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 7}
	secured(t, a, origin, apiName)
	w, l := newWatcher(), new(told)
	m := &Mixed{
		Record: Record{Server: NewServer(ours.leaf, false), Upstream: &Upstream{Roots: a.pool}, Watcher: w, Tell: l.tell()},
		Player: &player{offer: exchange.Offer{Recorded: true, ALPN: []string{"h2"}}},
	}
	addr := front(t, m, origin.Listener.Addr().String(), "")
	client := through(t, addr, ours.pool, "h2")
	var asking sync.WaitGroup
	for n := range many {
		asking.Go(func() {
			body := strings.Repeat("x", n)
			res, err := client.Post(fmt.Sprintf("https://%s/%d", addr, n), "text/plain", strings.NewReader(body))
			if err != nil {
				t.Errorf("%d: %v; trouble %v", n, err, l.all())
				return
			}
			defer res.Body.Close()
			if b, err := io.ReadAll(res.Body); string(b) != fmt.Sprintf("HTTP/2.0 /%d %s", n, body) || err != nil {
				t.Errorf("%d: %q, %v", n, b, err)
			}
		})
	}
	asking.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.heads) != 2*many || w.ends != 2*many {
		t.Errorf("watched %d heads and %d ends; want %d of each", len(w.heads), w.ends, 2*many)
	}
}

// TestMixedBytes: what goes on by HTTP/1 is what the client sent, to the byte.
func TestMixedBytes(t *testing.T) {
	for _, request := range []string{
		"GET /b?c HTTP/1.1\r\nX-B: 1\r\nHOST:x\r\nx-a:  2 \r\nX-B: 3\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n",
		"POST / HTTP/1.1\nHost: x\ncontent-length: 3\n\nabc",
		"PUT /%7e HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n0003;ext=1\r\nabc\r\nA\r\n0123456789\r\n00\r\nT: 1\r\nU: 2\r\n\r\n",
	} {
		got := make(chan string, 1)
		origin := raw(t, func(c net.Conn) {
			defer c.Close()
			b := make([]byte, len(request))
			n, _ := io.ReadFull(c, b)
			got <- string(b[:n])
			io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
		})
		m := &Mixed{Record: Record{Upstream: new(Upstream)}, Player: &player{}}
		c, err := net.Dial("tcp", front(t, m, origin, ""))
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, request)
		if b := <-got; b != request {
			t.Errorf("the origin gets %q; want %q", b, request)
		}
		c.Close()
	}
}

// BenchmarkMixed has exchanges of one client go on to the origin, a hundred at once.
func BenchmarkMixed(b *testing.B) {
	a, ours := newAuthority(b), newAuthority(b)
	origin := httptest.NewUnstartedServer(echo)
	origin.EnableHTTP2 = true
	secured(b, a, origin, apiName)
	m := &Mixed{
		Record: Record{Server: NewServer(ours.leaf, false), Upstream: &Upstream{Roots: a.pool}},
		Player: &player{offer: exchange.Offer{Recorded: true, ALPN: []string{"h2"}}},
	}
	addr := front(b, m, origin.Listener.Addr().String(), "")
	client := through(b, addr, ours.pool, "h2")
	b.SetParallelism(100)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, body := get(b, client, "https://"+addr+"/x"); body != "HTTP/2.0 /x " {
				b.Errorf("%q", body)
			}
		}
	})
}
