package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// A proxied is a serge-net proxy that serves inside the client's namespace.
type proxied struct {
	t    *testing.T
	cmd  *exec.Cmd
	addr string // where it listens
	said bytes.Buffer
	done chan struct{} // all it says is in said
}

// proxyAt is the end of the start line.
var proxyAt = regexp.MustCompile(`by proxy on (\S+)\n`)

// proxy starts serge-net proxy on a port of its own choice, unless args name one,
// and waits until it serves.
func (r *rig) proxy(args ...string) *proxied {
	r.t.Helper()
	p := &proxied{t: r.t, done: make(chan struct{})}
	p.cmd = r.net.Command(built.serge, append([]string{"proxy", "--listen", "127.0.0.1:0", "--ca-dir", r.caDir()}, args...)...)
	p.cmd.Dir = r.dir
	p.cmd.Env = append(p.cmd.Env, "CI=", "SERGE_UPSTREAM_CA="+r.net.CAFile)
	out, err := p.cmd.StderrPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	for p.addr == "" {
		line, err := lines.ReadString('\n')
		p.said.WriteString(line)
		if m := proxyAt.FindStringSubmatch(line); m != nil {
			p.addr = m[1]
		} else if err != nil {
			p.cmd.Wait()
			r.t.Fatalf("it does not serve:\n%s", p.said.String())
		}
	}
	go func() { defer close(p.done); io.Copy(&p.said, lines) }()
	return p
}

// end has the proxy end by signal, and returns what it said and its exit code.
func (p *proxied) end(signal syscall.Signal) outcome {
	p.t.Helper()
	p.cmd.Process.Signal(signal)
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		p.cmd.Process.Kill()
		p.t.Errorf("it goes on 20 s after %v", signal)
		<-p.done
	}
	p.cmd.Wait()
	return outcome{"", p.said.String(), p.cmd.ProcessState.ExitCode()}
}

// caDir is where the proxies of r keep their CA.
func (r *rig) caDir() string { return filepath.Join(r.dir, "ca") }

// A proxyClient is a program with a proxy setting of its own.
type proxyClient struct {
	kind string
	client
	// by is how it is told of the proxy at addr, and of the CA in the file ca.
	by   func(r *rig, addr, ca string) (argv, env []string)
	urls []string
}

// proxyClients are those that go through a proxy in each of its protocols.
func proxyClients(t *testing.T) []proxyClient {
	all := map[string]client{}
	for _, c := range clients(t) {
		all[c.name] = c
	}
	curl := func(flags ...string) func(*rig, string, string) ([]string, []string) {
		return func(_ *rig, addr, ca string) ([]string, []string) {
			return append([]string{"--cacert", ca}, append(flags, addr)...), nil
		}
	}
	variables := func(trust string) func(*rig, string, string) ([]string, []string) {
		return func(_ *rig, addr, ca string) ([]string, []string) {
			return nil, []string{"HTTP_PROXY=http://" + addr, "http_proxy=http://" + addr, "HTTPS_PROXY=http://" + addr, trust + "=" + ca}
		}
	}
	names, literals := addresses("/json"), []string{}
	for _, u := range names {
		if strings.Contains(u, "203.0.113.") || strings.Contains(u, "[") {
			literals = append(literals, u)
		}
	}
	return []proxyClient{
		{"curl -x, HTTP/1.1", all["curl-h1"], curl("-x"), names},
		{"curl -x, HTTP/2", all["curl-h2"], curl("-x"), names},
		{"curl --socks5-hostname", all["curl-h2"], curl("--socks5-hostname"), names},
		{"curl --socks5", all["curl-h1"], curl("--socks5"), literals}, // it looks names up itself
		{"Python requests", all["python-requests"], variables("REQUESTS_CA_BUNDLE"), names},
		{"Go", all["go"], variables("SSL_CERT_FILE"), names},
		{"Java HttpClient", all["java"], java, slices.DeleteFunc(slices.Clone(names), func(u string) bool {
			return strings.HasPrefix(u, "https://[") // which it cannot ask a proxy for: SNIHostName has no brackets
		})},
	}
}

// java has a JVM use the proxy at addr, for which its default ProxySelector reads
// properties.
func java(r *rig, addr, ca string) (argv, env []string) {
	host, port, _ := net.SplitHostPort(addr)
	trusting := &rig{t: r.t, net: &testnet.Net{CAFile: ca}}
	options := truststore(trusting)[0] + " -Dhttp.nonProxyHosts="
	for _, scheme := range []string{"http", "https"} {
		options += " -D" + scheme + ".proxyHost=" + host + " -D" + scheme + ".proxyPort=" + port
	}
	return nil, []string{options}
}

// through runs c through the proxy p.
func (r *rig) through(c proxyClient, p *proxied) outcome {
	r.t.Helper()
	flags, env := c.by(r, p.addr, filepath.Join(r.caDir(), "ca.pem"))
	argv := c.argv(c.urls)
	return r.runWith(env, "", append(argv[:1:1], append(flags, argv[1:]...)...)...)
}

// TestProxyClients is the promise of TestClients, for programs that are told of
// us: what they print is the same direct, recorded, and replayed with the network
// gone.
func TestProxyClients(t *testing.T) {
	r := newRig(t)
	for _, c := range proxyClients(t) {
		t.Run(c.kind, func(t *testing.T) {
			r := &rig{t: t, net: r.net, dir: t.TempDir()}
			direct := r.runWith(c.direct(r), "", c.argv(c.urls)...)
			p := r.proxy("--cassette", "c")
			recorded := r.through(c, p)
			if o := p.end(syscall.SIGINT); o.code != 0 || !strings.Contains(o.stderr, "recorded ") {
				t.Errorf("recording: exit code %d\n%s", o.code, o.stderr)
			}
			if d := cmp.Diff(direct.stdout, recorded.stdout); d != "" {
				t.Fatalf("recorded prints other than direct (-direct +recorded):\n%s%s\n%s", d, recorded.stderr, p.said.String())
			}
			r.net.Gone()
			defer r.net.Back()
			hits := r.net.HitCount()
			p = r.proxy("--cassette", "c")
			replayed := r.through(c, p)
			if o := p.end(syscall.SIGTERM); o.code != 0 || !strings.Contains(o.stderr, " 0 missed, 0 unused; ") || r.net.HitCount() != hits {
				t.Errorf("replaying: exit code %d, %d hits\n%s", o.code, r.net.HitCount()-hits, o.stderr)
			}
			if d := cmp.Diff(direct.stdout, replayed.stdout); d != "" {
				t.Errorf("replayed prints other than direct (-direct +replayed):\n%s%s", d, replayed.stderr)
			}
		})
	}
}

// TestProxyAndRun: what the one records the other replays.
func TestProxyAndRun(t *testing.T) {
	r := newRig(t)
	urls := []string{"http://" + testnet.WWW + "/hello", "https://" + testnet.H2 + "/hello"}
	curl := append([]string{"curl", "-sS"}, urls...)
	want := "hello from " + testnet.WWW + "\nhello from " + testnet.H2 + "\n"
	through := func(p *proxied) outcome {
		return r.run(append(curl, "--cacert", filepath.Join(r.caDir(), "ca.pem"), "-x", p.addr)...)
	}
	p := r.proxy("--mode", "record", "--cassette", "proxied")
	through(p)
	p.end(syscall.SIGINT)
	if o := r.replay("proxied", curl...); o.stdout != want {
		t.Errorf("run replays what proxy recorded as %q\n%s", o.stdout, o.stderr)
	}
	r.record("run", curl...)
	p = r.proxy("--mode", "replay", "--cassette", "run")
	if o := through(p); o.stdout != want {
		t.Errorf("proxy replays what run recorded as %q\n%s", o.stdout, o.stderr)
	}
	if o := p.end(syscall.SIGINT); o.code != 0 {
		t.Errorf("exit code %d\n%s", o.code, o.stderr)
	}
	if o := r.well("list"); !strings.Contains(o.stdout, "proxied  2 ") {
		t.Errorf("list:\n%s", o.stdout)
	}
	if o := r.well("show", "proxied"); !strings.Contains(o.stdout, "GET "+urls[0]+" -> 200") || !strings.Contains(o.stdout, "GET "+urls[1]+" -> 200") {
		t.Errorf("show:\n%s", o.stdout)
	}
}

// TestProxyTroubles: what a client is told, and what a person is, when something
// is amiss.
func TestProxyTroubles(t *testing.T) {
	r := newRig(t)
	curl := func(p *proxied, args ...string) outcome {
		return r.run(append([]string{"curl", "-sS", "--cacert", filepath.Join(r.caDir(), "ca.pem"), "-x", p.addr}, args...)...)
	}
	p := r.proxy("--mode", "record", "--cassette", "c")
	curl(p, "http://"+testnet.WWW+"/hello")
	var told []string
	for _, c := range []struct {
		args []string
		want string // in what curl says
		told string // in what the proxy says
	}{
		{[]string{"http://" + testnet.Refused + "/"}, "serge-net: connect to " + testnet.Refused + ":80: ", "origin: " + testnet.Refused + ":80: connect to "},
		{[]string{"https://" + testnet.Refused + "/"}, "CONNECT tunnel failed, response 502", "origin: " + testnet.Refused + ":443: connect to "},
		{[]string{"http://" + testnet.Missing + "/"}, "no such host", "origin: " + testnet.Missing + ":80: "},
		{[]string{"-x", "socks5h://" + p.addr, "http://" + testnet.Refused + "/"}, "(5)", "origin: " + testnet.Refused},
		{[]string{"-x", "socks5h://" + p.addr, "http://" + testnet.Missing + "/"}, "(4)", "origin: " + testnet.Missing},
		{[]string{"http://" + p.addr + "/"}, "this is the proxy itself", "this is the proxy itself"},
		{[]string{"--cacert", r.net.CAFile, "https://" + testnet.WWW + "/"}, "certificate", "to have it trust us: serge-net ca install, or give it "},
		{[]string{"--noproxy", "*", "http://" + p.addr + "/"}, "this is serge-net's proxy, and no web server", "refused: a client's request"},
	} {
		if o := curl(p, c.args...); !strings.Contains(o.stdout+o.stderr, c.want) {
			t.Errorf("curl %v says\n%s%s; want %q", c.args, o.stdout, o.stderr, c.want)
		}
		told = append(told, c.told)
	}
	busy := r.serge("proxy", "--listen", p.addr, "--ca-dir", r.caDir())
	if want := "listen on " + p.addr + ": the port is in use by serge-net (pid "; busy.code != exitStart || !strings.Contains(busy.stderr, want) || !strings.Contains(busy.stderr, "hint: take another: --listen ") {
		t.Errorf("on a port in use: exit code %d\n%s", busy.code, busy.stderr)
	}
	o := p.end(syscall.SIGINT)
	for _, want := range told {
		if !strings.Contains(o.stderr, want) {
			t.Errorf("the report has no %q:\n%s", want, o.stderr)
		}
	}
	p = r.proxy("--listen", "0.0.0.0:0", "--mode", "replay", "--cassette", "c")
	miss := r.run("curl", "-sS", "-x", "127.0.0.1"+p.addr[strings.LastIndex(p.addr, ":"):], "http://"+testnet.WWW+"/json")
	if o := p.end(syscall.SIGINT); o.code != exitMissed || !strings.Contains(miss.stdout, "serge-net: miss: GET http://"+testnet.WWW+"/json") || !strings.Contains(o.stderr, "WARNING: whoever reaches ") {
		t.Errorf("a miss: exit code %d, %q\n%s", o.code, miss.stdout, o.stderr)
	}
	p = r.proxy("--mode", "replay", "--cassette", "c")
	if o := p.end(syscall.SIGINT); o.code != exitUnserved || !strings.Contains(o.stderr, "did the client reach the proxy at all?") {
		t.Errorf("nothing served: exit code %d\n%s", o.code, o.stderr)
	}
}
