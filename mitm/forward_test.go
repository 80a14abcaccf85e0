package mitm

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// asking is a connection to a proxy of its own, whose clients go to real origins.
func asking(t *testing.T, way Way) (net.Conn, *bufio.Reader) {
	t.Helper()
	addr, _ := explicit(t, way)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return c, bufio.NewReader(c)
}

// answer is the next answer's body.
func answer(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestForwardEnds: how an origin ends an answer is how the client's ends.
func TestForwardEnds(t *testing.T) {
	for _, c := range []struct {
		name, answer string
		reset        bool
	}{
		{"by its length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", false},
		{"by the connection", "HTTP/1.0 200 OK\r\n\r\nto the end", false},
		{"cut", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", false},
		{"not understood", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", false},
		{"reset", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", true},
		{"without a word", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			origin := raw(t, func(conn net.Conn) {
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					io.WriteString(conn, c.answer)
				}
				if c.reset {
					conn.(*net.TCPConn).SetLinger(0)
				}
				conn.Close()
			})
			conn, r := asking(t, &Record{Upstream: new(Upstream), Watcher: newWatcher()})
			fmt.Fprintf(conn, "GET http://%s/ HTTP/1.1\r\nHost: %s\r\n\r\n", origin, origin)
			b, err := io.ReadAll(r)
			if c.reset != (err != nil) {
				t.Errorf("ends by %v; want a reset: %t", err, c.reset)
			}
			if got := string(b); !c.reset && got != c.answer {
				t.Errorf("got %q; want %q", got, c.answer)
			}
		})
	}
}

// TestForwardDialsAnew where the origin has closed an idle connection, with a last
// word that is not the client's.
func TestForwardDialsAnew(t *testing.T) {
	closed := make(chan struct{}, 2)
	origin := raw(t, func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
		c.Close()
		closed <- struct{}{}
	})
	w := newWatcher()
	conn, r := asking(t, &Record{Upstream: new(Upstream), Watcher: w})
	for i := range 2 {
		fmt.Fprintf(conn, "POST http://%s/ HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\n\r\n", origin, origin)
		if got := answer(t, r); got != "ok" {
			t.Errorf("got %q", got)
		}
		<-closed
		waitFor(t, func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.open == 0 }, "the end of connection %d", i+1)
	}
}

// TestForwardUpgrades: what an answer makes a tunnel is one, both ways.
func TestForwardUpgrades(t *testing.T) {
	origin := raw(t, func(c net.Conn) {
		defer c.Close()
		r := bufio.NewReader(c)
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		io.Copy(c, r)
	})
	for _, early := range []string{"", "early "} {
		conn, r := asking(t, &Record{Upstream: new(Upstream), Watcher: newWatcher()})
		fmt.Fprintf(conn, "GET http://%s/ HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n%s", origin, origin, early)
		if res, err := http.ReadResponse(r, nil); err != nil || res.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("%v, %v", res, err)
		}
		io.WriteString(conn, "late")
		conn.(*net.TCPConn).CloseWrite()
		if b, err := io.ReadAll(r); string(b) != early+"late" || err != nil {
			t.Errorf("echoed %q, %v; want %q", b, err, early+"late")
		}
	}
}

// TestForwardThenConnect: a client may ask for a tunnel on a connection that has
// carried requests.
func TestForwardThenConnect(t *testing.T) {
	a, ours := newAuthority(t), newAuthority(t)
	secure, plain := httptest.NewUnstartedServer(echo), httptest.NewServer(echo)
	defer plain.Close()
	secured(t, a, secure, apiName)
	conn, r := asking(t, &Record{Server: NewServer(ours.leaf, false), Upstream: &Upstream{Roots: a.pool}, Watcher: newWatcher()})
	fmt.Fprintf(conn, "GET %s/one HTTP/1.1\r\nHost: x\r\n\r\nCONNECT %s HTTP/1.1\r\nHost: x\r\n\r\n", plain.URL, secure.Listener.Addr())
	if got := answer(t, r); got != "HTTP/1.1 /one " {
		t.Errorf("got %q", got)
	}
	if res, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect}); err != nil || res.StatusCode != 200 {
		t.Fatalf("%v, %v", res, err)
	}
	inner := tls.Client(conn, &tls.Config{RootCAs: ours.pool, ServerName: apiName})
	io.WriteString(inner, "GET /two HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if b, err := io.ReadAll(inner); !strings.HasSuffix(string(b), "HTTP/1.1 /two ") || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

// TestForwardClientLeaves: the origin is told at once that nobody waits any more.
func TestForwardClientLeaves(t *testing.T) {
	left := make(chan error, 1)
	origin := raw(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		http.ReadRequest(r)
		_, err := r.ReadByte()
		left <- err
		c.Close()
	})
	conn, _ := asking(t, &Record{Upstream: new(Upstream), Watcher: newWatcher()})
	fmt.Fprintf(conn, "GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", origin)
	conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
	select {
	case err := <-left:
		if err == nil {
			t.Error("the origin reads on")
		}
	case <-time.After(5 * time.Second):
		t.Fatal("after 5 s the origin was told nothing")
	}
}

// TestForwardExpects: a body that waits for 100 gets there.
func TestForwardExpects(t *testing.T) {
	origin := httptest.NewServer(echo)
	defer origin.Close()
	conn, r := asking(t, &Record{Upstream: new(Upstream), Watcher: newWatcher()})
	fmt.Fprintf(conn, "PUT %s/x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n", origin.URL)
	if line, err := r.ReadString('\n'); !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Fatalf("%q, %v; want 100", line, err)
	}
	r.ReadString('\n')
	io.WriteString(conn, "4;ext=1\r\nbody\r\n0\r\n\r\n")
	if got := answer(t, r); got != "HTTP/1.1 /x body" {
		t.Errorf("got %q", got)
	}
}
