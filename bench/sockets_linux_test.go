package bench

import (
	"bytes"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/elazarl/goproxy"
	"github.com/gorilla/websocket"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// What has this test binary be another program: a client of the WebSocket that it
// holds, for so many seconds, and goproxy at the address that it holds.
const (
	socketEnv  = "SERGE_BENCH_SOCKET"
	secondsEnv = "SERGE_BENCH_SECONDS"
	goproxyEnv = "SERGE_BENCH_GOPROXY"
)

var mitmproxy = flag.String("mitmproxy", "", "the program mitmdump, to be measured beside us; empty: it is not")

const (
	socketClients = 16   // connections at once
	socketTalk    = 1000 // messages that each says, one after the other was answered, until it closes
)

// socketPort is where gorilla's server is on WWW.
const socketPort = "9443"

// A rival is one way of a message to the server and back.
type rival struct {
	name    string
	session *session
	env     string // before the client's command
	pid     int    // whose CPU time counts
	samples []sample
}

// errand does what another program is asked for by the environment, and ends the
// process, unless it is not asked for anything.
func errand() error {
	if at := os.Getenv(goproxyEnv); at != "" {
		return proxyAt(at)
	}
	url := os.Getenv(socketEnv)
	if url == "" {
		return nil
	}
	n, err := strconv.Atoi(os.Getenv(secondsEnv))
	if err != nil {
		return err
	}
	if err := talk(url, time.Duration(n)*time.Second); err != nil {
		return err
	}
	os.Exit(0)
	return nil
}

// talk says messages to the WebSocket at url, on so many connections, until the
// time is over, and prints what wrkScript does: messages that came back, bytes,
// microseconds, the median latency, and errors.
func talk(url string, last time.Duration) error {
	start := time.Now()
	all := make([]chat, socketClients)
	var talking sync.WaitGroup
	if last == 0 {
		all = all[:1]
	}
	for i := range all {
		talking.Go(func() { all[i].until(url, start.Add(last)) })
	}
	talking.Wait()
	var sum chat
	for _, c := range all {
		sum.took, sum.bytes, sum.errs = append(sum.took, c.took...), sum.bytes+c.bytes, append(sum.errs, c.errs...)
	}
	if len(sum.took) == 0 {
		return fmt.Errorf("nothing came back: %v", sum.errs)
	}
	fmt.Printf("wrk %d %d %d %d %d 0\n", len(sum.took), sum.bytes, time.Since(start).Microseconds(), median(sum.took).Microseconds(), len(sum.errs))
	return nil
}

// A chat is what one client of talk did.
type chat struct {
	took  []time.Duration
	bytes int
	errs  []error
}

// until talks, on one connection after the other, until end, and on one at least.
func (c *chat) until(url string, end time.Time) {
	for first := true; first || time.Now().Before(end); first = false {
		if err := c.once(url); err != nil {
			c.errs = append(c.errs, err)
			return
		}
	}
}

// once talks on one connection.
func (c *chat) once(url string) error {
	dialer := websocket.Dialer{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	w, _, err := dialer.Dial(url, nil)
	if err != nil {
		return err
	}
	defer w.Close()
	for n := range socketTalk {
		m := fmt.Appendf(nil, `{"op":"echo","n":%d,"text":"so much is said by a program in one go"}`, n)
		start := time.Now()
		if err := w.WriteMessage(websocket.TextMessage, m); err != nil {
			return err
		}
		_, back, err := w.ReadMessage()
		if err != nil || !bytes.Equal(back, m) {
			return fmt.Errorf("message %d came back as %q: %v", n, back, err)
		}
		c.took, c.bytes = append(c.took, time.Since(start)), c.bytes+len(back)
	}
	if err := w.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")); err != nil {
		return err
	}
	_, _, err = w.ReadMessage()
	if !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		return err
	}
	return nil
}

// proxyAt is goproxy at addr, which looks into TLS.
func proxyAt(addr string) error {
	p := goproxy.NewProxyHttpServer()
	p.OnRequest().HandleConnect(goproxy.AlwaysMitm)
	p.Tr = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	return http.ListenAndServe(addr, p)
}

// echoServer serves gorilla's WebSocket over TLS until the benchmark ends. Its CPU
// time is this process's, which does little else meanwhile.
func (l *lab) echoServer() {
	l.tb.Helper()
	cert, err := l.net.CA.Issue(testnet.Leaf{Names: []string{testnet.WWW}})
	if err != nil {
		l.tb.Fatal(err)
	}
	ln, err := l.net.Listen("tcp", net.JoinHostPort(testnet.Lookup(testnet.WWW).V4.String(), socketPort))
	if err != nil {
		l.tb.Fatal(err)
	}
	var open sync.WaitGroup
	up := websocket.Upgrader{}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		c, err := up.Upgrade(w, req, nil)
		if err != nil {
			return // it has answered
		}
		open.Go(func() {
			defer c.Close()
			for {
				t, m, err := c.ReadMessage()
				if err != nil || c.WriteMessage(t, m) != nil {
					return
				}
			}
		})
	})}
	open.Go(func() { _ = s.Serve(tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}})) }) // until it is closed
	l.tb.Cleanup(func() {
		s.Close()
		open.Wait()
	})
}

// sockets measures messages over a WebSocket: direct, recorded, replayed, and
// through other proxies that pass them.
func (l *lab) sockets() []*rival {
	l.tb.Helper()
	l.echoServer()
	once := l.open("record", "socket")
	once.run(l.talker("", 0))
	once.close()
	bare, recording, replaying := l.open(), l.open("record", "load-socket"), l.open("replay", "socket")
	all := []*rival{{name: "direct", session: bare, pid: os.Getpid()}, {name: "record", session: recording, pid: recording.pid}, {name: "replay", session: replaying, pid: replaying.pid}}
	goproxyAt, mitmAt := "127.0.0.1:9900", "127.0.0.1:9901"
	others := map[string][]string{"goproxy": {os.Args[0], goproxyAt}}
	if *mitmproxy != "" {
		host, port, _ := net.SplitHostPort(mitmAt)
		others["mitmproxy"] = []string{*mitmproxy, mitmAt, "-q", "--listen-host", host, "--listen-port", port, "--ssl-insecure", "--set", "confdir=" + l.dir}
	}
	for _, name := range []string{"goproxy", "mitmproxy"} {
		if argv := others[name]; argv != nil {
			all = append(all, &rival{name: name, session: bare, env: "HTTPS_PROXY=http://" + argv[1], pid: l.proxy(argv[0], argv[1], argv[2:]...)})
		}
	}
	for range *rounds {
		for _, r := range all {
			r.samples = append(r.samples, l.chatter(r))
		}
	}
	for _, s := range []*session{bare, recording, replaying} {
		s.close()
	}
	return all
}

// talker is the command of a client for so many seconds; 0: one connection's worth.
func (l *lab) talker(env string, seconds int) string {
	return fmt.Sprintf("env %s %s=wss://%s:%s/ %s=%d %s", env, socketEnv, testnet.WWW, socketPort, secondsEnv, seconds, os.Args[0])
}

// chatter has r talk once.
func (l *lab) chatter(r *rival) sample {
	l.tb.Helper()
	before := cpu(l.tb, r.pid)
	got, err := parseWrk(r.session.run(l.talker(r.env, *seconds)))
	used := cpu(l.tb, r.pid) - before
	if err != nil || got.errors > 0 {
		l.tb.Fatalf("%s: %d errors, %v", r.name, got.errors, err)
	}
	return sample{got.rate(), got.latency, used / time.Duration(got.requests), memory(l.tb, r.pid, "VmRSS")}
}

// proxy runs another proxy in the client's namespace until the benchmark ends, and
// returns its process id when it listens.
func (l *lab) proxy(program, addr string, args ...string) int {
	l.tb.Helper()
	cmd := l.net.Command(program, args...)
	cmd.Env = append(cmd.Env, goproxyEnv+"="+addr, "HOME="+l.dir)
	log, err := os.Create(filepath.Join(l.dir, "proxy.log"))
	if err != nil {
		l.tb.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		l.tb.Fatal(err)
	}
	l.tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // that it was killed
	})
	deadline := time.Now().Add(30 * time.Second)
	for {
		var c net.Conn
		l.net.Enter(func() { c, err = net.Dial("tcp", addr) })
		if err == nil {
			c.Close()
			return cmd.Process.Pid
		}
		if time.Now().After(deadline) {
			out, _ := os.ReadFile(log.Name())
			l.tb.Fatalf("%s does not listen: %v\n%s", program, err, out)
		}
		time.Sleep(50 * time.Millisecond) // it does not say when it does
	}
}

// printSockets writes what sockets measured.
func printSockets(w io.Writer, all []*rival) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(w, `
## WebSocket messages

%d clients over TLS, each says messages of some 70 bytes, the next when gorilla/websocket's server has said the last one again, and after
%d of them closes and connects anew. The proxies beside us are told of by HTTPS_PROXY, look into TLS, and write nothing down; recording
does. CPU time is of the server direct and in a replay, and of the proxy alone else.

| | messages/s | × direct | median latency | CPU µs/message |
|---|---|---|---|---|
`, socketClients, socketTalk)
	for _, r := range all {
		m := medianOf(r.samples)
		fmt.Fprintf(w, "| %s | %.0f | **%.2f** | %.2f ms | %.1f |\n", r.name, m.rate, times(slices.Clone(r.samples), all[0].samples), m.latency.Seconds()*1e3, m.cpu.Seconds()*1e6)
	}
	if *mitmproxy != "" {
		out, _ := exec.Command(*mitmproxy, "--version").Output()
		line, _, _ := strings.Cut(string(out), "\n")
		fmt.Fprintf(w, "\n%s, goproxy as in go.mod.\n", line)
	}
}
