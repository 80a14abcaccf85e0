package main

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// The ports of H2 at which h2ws_origin.cjs is reached.
const (
	overTLS   = "8443" // HTTP/2 and HTTP/1.1
	overClear = "8080" // HTTP/2 by prior knowledge
	overPlain = "8081" // HTTP/1.1
)

// h2wsOrigin runs h2ws_origin.cjs, and has it be reached at H2's ports until the
// test ends.
func (r *rig) h2wsOrigin() {
	r.t.Helper()
	dir := r.t.TempDir()
	leaf, err := r.net.CA.Issue(testnet.Leaf{Names: []string{testnet.H2}})
	if err != nil {
		r.t.Fatal(err)
	}
	key, cert := filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem")
	certPEM, keyPEM, err := testnet.PEM(leaf)
	if err = errors.Join(err, os.WriteFile(cert, certPEM, 0o644), os.WriteFile(key, keyPEM, 0o600)); err != nil {
		r.t.Fatal(err)
	}
	ports := strings.Fields(r.origin("node", r.source("h2ws_origin.cjs"), key, cert))
	for i, at := range []string{overTLS, overClear, overPlain} {
		r.bridge(net.JoinHostPort(testnet.Lookup(testnet.H2).V4.String(), at), "127.0.0.1:"+ports[i])
	}
}

// bridge passes what connects to addr in the internet on to a server of this host,
// until the test ends or stop is called.
func (r *rig) bridge(addr, to string) (stop func()) {
	r.t.Helper()
	l, err := r.net.Listen("tcp", addr)
	if err != nil {
		r.t.Fatal(err)
	}
	var passing sync.WaitGroup
	stop = sync.OnceFunc(func() {
		l.Close()
		passing.Wait()
	})
	r.t.Cleanup(stop)
	passing.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			passing.Go(func() { pass(c, to) })
		}
	})
	return stop
}

// pass copies both ways between c and the server at to, until either ends.
func pass(c net.Conn, to string) {
	defer c.Close()
	s, err := net.DialTimeout("tcp", to, 5*time.Second)
	if err != nil {
		return
	}
	defer s.Close()
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(c, s) // either side may leave as it likes
		c.Close()
	})
	_, _ = io.Copy(s, c)
	s.Close()
	back.Wait()
}

// TestWebSocketOverHTTP2 records WebSockets of Node over HTTP/2, and plays each of
// them to the same client over HTTP/2 and over HTTP/1.1.
func TestWebSocketOverHTTP2(t *testing.T) {
	r := newRig(t)
	r.h2wsOrigin()
	client := r.source("h2ws_client.cjs")
	url := func(scheme, port, path string) string {
		return scheme + "://" + net.JoinHostPort(testnet.H2, port) + path
	}
	const echoed = "open echo.test\nheard one\nheard {\"b\":1,\"a\":[1,2]}\nheard 300000\nclosed 1000 enough\n"
	for _, c := range []struct{ name, version, url, again, want string }{
		{"TLS", "2", url("wss", overTLS, "/echo"), "2", echoed},
		{"clear text", "2", url("ws", overClear, "/echo"), "2", echoed},
		{"much", "2", url("wss", overTLS, "/big"), "2", "open echo.test\nheard 3145728\nclosed 1000 enough\n"},
		{"the server closes", "2", url("wss", overTLS, "/bye"), "2", "open echo.test\nheard tick\nclosed 4001 no more\n"},
		{"the server resets", "2", url("wss", overTLS, "/reset"), "2", "open echo.test\nheard one\nclosed 1006 \n"},
		{"the server ends", "2", url("wss", overTLS, "/end"), "2", "open echo.test\nheard one\nclosed 1006 \n"},
		{"refused", "2", url("wss", overTLS, "/refused"), "2", "refused 403\n"},
		{"played to HTTP/1.1", "2", url("wss", overTLS, "/echo"), "1.1", echoed},
		{"played to HTTP/1.1: the server closes", "2", url("wss", overTLS, "/bye"), "1.1", "open echo.test\nheard tick\nclosed 4001 no more\n"},
		{"clear text played to HTTP/1.1", "2", url("ws", overClear, "/echo"), "1.1", echoed},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := r.in(t, "")
			first := r.record("c", "node", client, c.version, c.url)
			again := r.replay("c", "node", client, c.again, c.url)
			for _, o := range []outcome{first, again} {
				if diff := cmp.Diff(c.want, o.stdout); diff != "" {
					t.Errorf("(-want +got):\n%s\n%s", diff, o.stderr)
				}
			}
			text, err := os.ReadFile(filepath.Join(r.dir, "cassettes", "c.json"))
			if err != nil || c.name != "refused" && (!strings.Contains(string(text), `"kind": "websocket"`) || !strings.Contains(string(text), `"connect_protocol": true`)) {
				t.Errorf("no WebSocket over HTTP/2 in the cassette: %v\n%.3000s", err, text)
			}
			if c.name == "the server resets" && !strings.Contains(string(text), `"end_code": 2`) {
				t.Errorf("no code of the reset in the cassette:\n%s", text)
			}
		})
	}
}

// TestWebSocketOverHTTP2New goes on to the origin with a WebSocket over HTTP/2 that is
// not recorded, and plays the one that is.
func TestWebSocketOverHTTP2New(t *testing.T) {
	r := newRig(t)
	r.h2wsOrigin()
	client := r.source("h2ws_client.cjs")
	url := "wss://" + net.JoinHostPort(testnet.H2, overTLS)
	r.record("c", "node", client, "2", url+"/bye")
	for _, c := range []struct{ mode, path, want, says string }{
		{"new", "/version", "open echo.test\nheard 2\nclosed 1000 enough\n", "recorded 1 interaction"},
		{"new", "/bye", "open echo.test\nheard tick\nclosed 4001 no more\n", "nothing new to record"},
		{"replay", "/version", "open echo.test\nheard 2\nclosed 1000 enough\n", "1 served"},
	} {
		o := r.well("run", "--cassette", "c", "--mode", c.mode, "--", "node", client, "2", url+c.path)
		if o.stdout != c.want || !strings.Contains(o.stderr, c.says) {
			t.Errorf("%s %s: %q; want %q, and %q in\n%s", c.mode, c.path, o.stdout, c.want, c.says, o.stderr)
		}
	}
}

// TestWebSocketChromium is a page that talks to a WebSocket, which Chromium opens
// over the page's own HTTP/2 connection where that takes it. An image of it
// comes when the WebSocket has closed: until then Chromium does not print the page. It takes long
// to start: it is a case more with all tests.
func TestWebSocketChromium(t *testing.T) {
	const script = `d=$(mktemp -d) && chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir=$d \
--dump-dom $1; s=$?; rm -r $d; exit $s`
	pages := []string{"https://" + net.JoinHostPort(testnet.H2, overTLS) + "/"}
	if os.Getenv("SERGE_TEST_ALL") == "" {
		pages = nil
	}
	for _, page := range pages {
		r := newRig(t)
		r.h2wsOrigin()
		argv := []string{"sh", "-c", script, "page", page}
		first := r.record("c", argv...)
		again := r.serge(append([]string{"replay", "c", "--latency", "recorded", "--"}, argv...)...) // it may ask for an icon or not
		for _, o := range []outcome{first, again} {
			if want := "heard from a page; closed 1000 bye true; "; !strings.Contains(o.stdout, want) {
				t.Errorf("the page says %q; want %q\n%s", o.stdout, want, o.stderr)
			}
		}
	}
}
