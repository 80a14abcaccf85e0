package mitm

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http/httpproxy"

	"github.com/serge-net/serge-net/exchange"
)

// connectProxy is a proxy that knows only CONNECT, and one origin whatever is
// asked for.
func connectProxy(t *testing.T, origin string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || strings.HasPrefix(r.Host, "forbidden") {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		server, err := net.Dial("tcp", origin)
		if err != nil {
			t.Error(err)
			return
		}
		defer server.Close()
		w.WriteHeader(http.StatusOK)
		client, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer client.Close()
		done := make(chan struct{})
		go func() { defer close(done); io.Copy(server, buf); server.(*net.TCPConn).CloseWrite() }()
		io.Copy(client, server)
		client.(*net.TCPConn).CloseWrite()
		<-done
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// byProxy is a client with a proxy setting of its own.
func byProxy(t *testing.T, proxy string, a *authority) *http.Client {
	t.Helper()
	tr := &http.Transport{
		Proxy:           http.ProxyURL(&url.URL{Scheme: "http", Host: proxy}),
		TLSClientConfig: &tls.Config{RootCAs: a.pool},
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 10 * time.Second}
}

func TestConnectIsUnderstood(t *testing.T) {
	a, ours := newAuthority(t), newAuthority(t)
	origin := httptest.NewUnstartedServer(echo)
	secured(t, a, origin, apiName)
	proxy := connectProxy(t, origin.Listener.Addr().String())
	t.Run("record", func(t *testing.T) {
		w, l := newWatcher(), new(told)
		addr := front(t, &Record{Server: NewServer(ours.leaf, false), Upstream: &Upstream{Roots: a.pool}, Watcher: w, Tell: l.tell()}, proxy, "")
		if _, body := get(t, byProxy(t, addr, ours), "https://"+apiName+"/in"); body != "HTTP/1.1 /in " {
			t.Errorf("body %q; trouble %v", body, l.all())
		}
		if heads, _, _ := w.seen(); len(heads) != 2 || heads[0] != "GET /in" {
			t.Errorf("watched %v; want what is inside the tunnel", heads)
		}
		if res, err := byProxy(t, addr, ours).Get("https://forbidden.test/"); err == nil || !strings.Contains(err.Error(), "Forbidden") {
			t.Errorf("a refused tunnel: %v, %v; want the proxy's refusal", res, err)
		}
	})
	t.Run("replay", func(t *testing.T) {
		l := new(told)
		addr := front(t, &Replay{Server: NewServer(ours.leaf, false), Player: &player{offer: exchange.Offer{Recorded: true}, body: "hello"}, Tell: l.tell()}, "192.0.2.9:3128", "")
		if _, body := get(t, byProxy(t, addr, ours), "https://"+apiName+"/known"); body != "hello" {
			t.Errorf("body %q", body)
		}
	})
	t.Run("mixed", func(t *testing.T) {
		m := &Mixed{Record: Record{Server: NewServer(ours.leaf, false)}, Player: &player{offer: exchange.Offer{Recorded: true}, body: "hello"}}
		addr := front(t, m, "192.0.2.9:3128", "")
		if _, body := get(t, byProxy(t, addr, ours), "https://"+apiName+"/known"); body != "hello" {
			t.Errorf("body %q", body)
		}
	})
}

// TestDialThroughAProxy: our own way to an origin leads through the proxy that
// the environment named.
func TestDialThroughAProxy(t *testing.T) {
	origin := httptest.NewServer(echo)
	defer origin.Close()
	proxy := connectProxy(t, origin.Listener.Addr().String())
	p := new(Upstream)
	p.Proxy = proxied("http://user:pass@" + proxy)
	w := newWatcher()
	addr := front(t, &Record{Upstream: p, Watcher: w}, "192.0.2.1:80", "far.test")
	if _, body := get(t, through(t, addr, nil), "http://"+addr+"/p"); body != "HTTP/1.1 /p " {
		t.Errorf("body %q", body)
	}
	l := new(told)
	addr = front(t, &Record{Upstream: p, Watcher: w, Tell: l.tell()}, "192.0.2.1:80", "forbidden.test")
	if res, err := through(t, addr, nil).Get("http://" + addr + "/"); err == nil {
		t.Errorf("through a proxy that refuses: %s", res.Status)
	}
	waitFor(t, func() bool { return len(l.causes()) == 1 && strings.Contains(l.all()[0].Err.Error(), "403") }, "the refusal, got %v", l.all())
}

// proxied is the setting that names proxy for everything.
func proxied(proxy string) *httpproxy.Config {
	return &httpproxy.Config{HTTPProxy: proxy, HTTPSProxy: proxy}
}
