package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// TestBadOrigins has origins that a client would not trust: with us it fails
// too, and is told whom and why; with --upstream-insecure it does not.
func TestBadOrigins(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct{ host, why string }{
		{testnet.SelfSigned, "certificate of selfsigned.test.example is self-signed by CN=selfsigned.test.example"},
		{testnet.Expired, "certificate of expired.test.example is expired since 1999-01-01 00:00:00 UTC"},
		{testnet.WrongName, "certificate of wrongname.test.example is for other names: valid for elsewhere.test.example"},
	} {
		t.Run(c.host, func(t *testing.T) {
			r := &rig{t: t, net: r.net, dir: t.TempDir()}
			argv := []string{"--", "curl", "-sS", "https://" + c.host + "/hello"}
			hits := r.net.HitCount()
			o := r.serge(append([]string{"record", "c"}, argv...)...)
			if o.code != 35 { // curl's for a handshake that failed
				t.Errorf("exit code %d; want curl's 35\n%s", o.code, o.stderr)
			}
			for _, want := range []string{"serge-net: origin: " + c.host + ":443: " + c.why + "\n", "--upstream-ca FILE", "--upstream-insecure"} {
				if !strings.Contains(o.stderr, want) {
					t.Errorf("the report has no %q:\n%s", want, o.stderr)
				}
			}
			if n := r.net.HitCount() - hits; n != 0 {
				t.Errorf("the origin got %d requests", n)
			}
			want := "hello from " + c.host + "\n"
			for _, mode := range []string{"record", "replay"} {
				if o := r.well(append([]string{mode, "c", "--upstream-insecure"}, argv...)...); o.stdout != want {
					t.Errorf("%s: %q; want %q", mode, o.stdout, want)
				}
			}
		})
	}
}

// TestUnknownCA has an origin that is fine but for a CA that we were not told of.
func TestUnknownCA(t *testing.T) {
	r := newRig(t)
	o := r.run(built.serge, "record", "c", "--", "curl", "-sS", "https://"+testnet.WWW+"/hello")
	if want := "signed by an unknown authority: CN=testnet root"; o.code != 35 || !strings.Contains(o.stderr, want) {
		t.Errorf("exit code %d; want 35 and %q:\n%s", o.code, want, o.stderr)
	}
}

// TestOldTLS records an origin that has no TLS 1.3, for clients that have and
// that have not.
func TestOldTLS(t *testing.T) {
	r := newRig(t)
	for _, version := range []string{"1.2", "1.3"} {
		argv := []string{"curl", "-sS", "--tls-max", version, "https://" + testnet.TLS12 + "/hello"}
		name := "tls" + version
		recorded := r.record(name, argv...)
		replayed := r.replay(name, argv...)
		if want := "hello from tls12.test.example\n"; recorded.stdout != want || replayed.stdout != want {
			t.Errorf("TLS %s: recorded %q, replayed %q; want %q", version, recorded.stdout, replayed.stdout, want)
		}
	}
}

// TestPinningClient has a client with roots of its own, which we are not among.
func TestPinningClient(t *testing.T) {
	r := newRig(t)
	argv := []string{"curl", "-sS", "--cacert", r.net.CAFile, "--capath", r.dir, "https://" + testnet.WWW + "/hello"}
	r.record("c", "curl", "-sS", argv[len(argv)-1])
	for _, mode := range []string{"record", "replay"} {
		name := map[string]string{"record": "other", "replay": "c"}[mode]
		o := r.serge(append([]string{mode, name, "--"}, argv...)...)
		if o.code != 60 { // curl's for a certificate that it does not trust
			t.Errorf("%s: exit code %d; want curl's 60", mode, o.code)
		}
		for _, want := range []string{"rejected: curl (pid ", "www.test.example:443", "--bypass www.test.example"} {
			if !strings.Contains(o.stderr, want) {
				t.Errorf("%s: the report has no %q:\n%s", mode, want, o.stderr)
			}
		}
	}
	for _, mode := range []string{"record", "passthrough"} {
		o := r.well(append([]string{"run", "--mode", mode, "--cassette", "bypassed", "--bypass", testnet.WWW, "--"}, argv...)...)
		if want := "hello from www.test.example\n"; o.stdout != want {
			t.Errorf("%s with --bypass: %q; want %q\n%s", mode, o.stdout, want, o.stderr)
		}
	}
}

// TestUsersCA has the origins' CA in the user's environment only: we trust by it
// and so does the command, also where it passes us.
func TestUsersCA(t *testing.T) {
	r := newRig(t)
	url := "https://" + testnet.WWW + "/hello"
	for _, c := range []struct {
		variable string
		argv     []string
	}{
		{"SSL_CERT_FILE", []string{"curl", "-sS", url}},
		{"SSL_CERT_FILE", []string{built.goget, url}},
		{"CURL_CA_BUNDLE", []string{"curl", "-sS", url}},
		{"REQUESTS_CA_BUNDLE", []string{"python3", r.source("requests_client.py"), url}},
		{"NODE_EXTRA_CA_CERTS", []string{"node", r.source("fetch_client.mjs"), url}},
	} {
		t.Run(c.variable+" "+filepath.Base(c.argv[0]), func(t *testing.T) {
			r := &rig{t: t, net: r.net, dir: t.TempDir()}
			env := []string{c.variable + "=" + r.net.CAFile}
			for _, flags := range [][]string{{"record", "c"}, {"replay", "c"}, {"record", "other", "--bypass", testnet.WWW}} {
				argv := slices.Concat([]string{built.serge}, flags, []string{"--"}, c.argv)
				o := r.runWith(env, "", argv...)
				if o.code != 0 || !strings.Contains(o.stdout, "hello from www.test.example\n") {
					t.Errorf("%v: exit code %d\n%s\n%s", flags, o.code, o.stdout, o.stderr)
				}
			}
		})
	}
}

// A connectProxy is an HTTP proxy in the internet that tunnels, and tells what for.
type connectProxy struct {
	net *testnet.Net

	mu    sync.Mutex
	asked []string // "CONNECT host:port", and the credentials
}

// startProxy serves a proxy at addr until the test ends.
func startProxy(t *testing.T, n *testnet.Net, addr string) *connectProxy {
	t.Helper()
	l, err := n.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	p := &connectProxy{net: n}
	server := &http.Server{Handler: p}
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(l) })
	t.Cleanup(func() {
		server.Close()
		serving.Wait()
	})
	return p
}

// ServeHTTP tunnels.
func (p *connectProxy) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, strings.TrimSpace(req.Method+" "+req.Host+" "+req.Header.Get("Proxy-Authorization")))
	p.mu.Unlock()
	server, err := p.net.Dial(req.Context(), "tcp", req.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer server.Close()
	client, in, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	tunnelled(client, in.Reader, server)
}

// tunnelled copies both ways until both have ended.
func tunnelled(client net.Conn, in *bufio.Reader, server net.Conn) {
	var both sync.WaitGroup
	both.Go(func() {
		io.Copy(server, in)
		server.(*net.TCPConn).CloseWrite()
	})
	io.Copy(client, server)
	client.(*net.TCPConn).CloseWrite()
	both.Wait()
}

// seen is what p was asked for, and forgets it.
func (p *connectProxy) seen() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.asked
	p.asked = nil
	return all
}

// TestEnvironmentProxy has a user behind a proxy: our way to the origins goes
// through it, but for NO_PROXY, and the command knows of none.
func TestEnvironmentProxy(t *testing.T) {
	r := newRig(t)
	at := testnet.Lookup(testnet.Refused).V4.String() + ":3128"
	p := startProxy(t, r.net, at)
	const credentials = " Basic dXNlcjpzZWNyZXQ=" // user:secret
	env := []string{
		"SERGE_UPSTREAM_CA=" + r.net.CAFile, "NO_PROXY=" + testnet.Nginx,
		"http_proxy=http://user:secret@" + at, "HTTPS_PROXY=http://user:secret@" + at,
	}
	script := "env | grep -Ei ^https?_proxy; curl -sS https://www.test.example/hello http://v4only.test.example/hello https://v6only.test.example/hello https://nginx.test.example/ -o /dev/null -o /dev/null -o /dev/null -o /dev/null"
	for _, c := range []struct {
		mode string
		want []string
	}{
		{"record", []string{"CONNECT www.test.example:443" + credentials, "CONNECT v4only.test.example:80" + credentials, "CONNECT v6only.test.example:443" + credentials}},
		{"replay", nil},
	} {
		o := r.runWith(env, "", built.serge, c.mode, "c", "--", "sh", "-c", script)
		if o.code != 0 || o.stdout != "" {
			t.Errorf("%s: exit code %d, and the command knows %q\n%s", c.mode, o.code, o.stdout, o.stderr)
		}
		if d := cmp.Diff(c.want, p.seen()); d != "" {
			t.Errorf("%s: the proxy was asked (-want +got):\n%s", c.mode, d)
		}
		if strings.Contains(o.stderr, "secret") {
			t.Errorf("the report has the proxy's password:\n%s", o.stderr)
		}
	}
}

// TestProxyIsDown names the proxy that does not answer.
func TestProxyIsDown(t *testing.T) {
	r := newRig(t)
	at := testnet.Lookup(testnet.Refused).V4.String() + ":3128"
	o := r.runWith([]string{"HTTP_PROXY=http://" + at}, "", built.serge, "record", "c", "--", "curl", "-sS", "http://www.test.example/hello")
	if o.code == 0 || !strings.Contains(o.stderr, "origin: www.test.example:80: ") || !strings.Contains(o.stderr, at) {
		t.Errorf("exit code %d; want the proxy named:\n%s", o.code, o.stderr)
	}
}
