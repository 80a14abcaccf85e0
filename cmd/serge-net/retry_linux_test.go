package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// A flaky is an origin whose connections meet one thing each, in turn.
type flaky struct {
	turns []func(net.Conn)

	mu   sync.Mutex
	next int
}

// serve gives c what is due. The last turn is everybody's who comes after it.
func (f *flaky) serve(c net.Conn) {
	f.mu.Lock()
	turn := f.turns[min(f.next, len(f.turns)-1)]
	f.next++
	f.mu.Unlock()
	turn(c)
}

// TestRetries has a client retry, over the kinds of errors that it retries after,
// and holds the replay to let it fail as often, and then succeed.
func TestRetries(t *testing.T) {
	answer := func(status, body string) func(net.Conn) {
		return answers(fmt.Sprintf("HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", status, len(body), body), fin)
	}
	const handshakeFailure = "\x15\x03\x03\x00\x02\x02\x28"
	r := newRig(t)
	origin := &flaky{turns: []func(net.Conn){
		answers("", cut), answer("503 Service Unavailable", "later"), answers("", fin), answer("200 OK", "now\n"),
	}}
	secure := &flaky{turns: []func(net.Conn){answers(handshakeFailure, fin), answers("", cut), answers("", fin)}}
	r.fail([]failing{{port: 9101, origin: origin.serve}, {port: 9102, origin: secure.serve}})
	retry := []string{"curl", "-sS", "--retry", "5", "--retry-delay", "1", "--retry-all-errors"}
	plain, handshake := append(retry, at("http", 9101)), []string{"sh", "-c", `for n in 1 2 3 4; do curl -sS "$1" 2>&1; done; true`, "sh", at("https", 9102)}
	for _, argv := range [][]string{plain, handshake} {
		name := filepath.Base(argv[0])
		recorded := r.record(name, argv...)
		r.net.Gone()
		replayed := r.replay(name, argv...)
		r.net.Back()
		if recorded.stdout != replayed.stdout || curlSays(recorded.stderr) != curlSays(replayed.stderr) {
			t.Errorf("%v: recorded %q and %q, replayed %q and %q",
				argv, recorded.stdout, curlSays(recorded.stderr), replayed.stdout, curlSays(replayed.stderr))
		}
		if !strings.Contains(replayed.stderr, "0 missed, 0 unused") {
			t.Errorf("%v: the replay says\n%s", argv, replayed.stderr)
		}
	}
}

// curlSays is curl's part of a standard error.
func curlSays(stderr string) string {
	var out strings.Builder
	for line := range strings.Lines(stderr) {
		if strings.HasPrefix(line, "curl:") {
			out.WriteString(line)
		}
	}
	return out.String()
}

// TestRefusedThenThere has an origin refuse a client, and listen when it comes
// again: it was there in the end, and yet the replay refuses first.
func TestRefusedThenThere(t *testing.T) {
	r := newRig(t)
	cert, err := r.net.CA.Issue(testnet.Leaf{Names: []string{testnet.V4Only}})
	if err != nil {
		t.Fatal(err)
	}
	secure := func(c net.Conn) {
		answers("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnow\n", fin)(tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}}))
	}
	gate := filepath.Join(r.dir, "gate")
	if err := unix.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	argv := []string{"sh", "-c", `curl -sS "$1" 2>&1; echo >gate; read line <gate; curl -sS "$1"`, "sh", at("https", 9104)}
	pass := func(between func()) {
		if _, err := os.ReadFile(gate); err != nil { // until the client has been refused
			t.Error(err)
		}
		between()
		if err := os.WriteFile(gate, []byte("go on\n"), 0); err != nil {
			t.Error(err)
		}
	}
	var passing sync.WaitGroup
	passing.Go(func() { pass(func() { r.fail([]failing{{port: 9104, origin: secure}}) }) })
	recorded := r.record("x", argv...)
	passing.Wait()
	r.net.Gone()
	passing.Go(func() { pass(func() {}) })
	replayed := r.replay("x", argv...)
	passing.Wait()
	const want = "curl: (35) Recv failure: Connection reset by peer\nnow\n"
	if recorded.stdout != want || replayed.stdout != want || !strings.Contains(replayed.stderr, "2 served (2 exact, 0 assumed), 0 missed, 0 unused") {
		t.Errorf("recorded %q, replayed %q; want %q twice\n%s", recorded.stdout, replayed.stdout, want, replayed.stderr)
	}
}

// TestNewRecordsRefusal has mode new record an origin that refuses, as what is
// missing, and replays that.
func TestNewRecordsRefusal(t *testing.T) {
	r := newRig(t)
	url := at("http", 9103)
	argv := []string{"curl", "-sS", url}
	if o := r.serge(append([]string{"run", "--mode", "new", "--cassette", "x", "--"}, argv...)...); o.code != 56 {
		t.Fatalf("of an origin that refuses, mode new: exit code %d; want curl's 56\n%s", o.code, o.stderr)
	}
	if o := r.serge(append([]string{"replay", "x", "--"}, argv...)...); o.code != 56 || !strings.Contains(o.stderr, "1 served (1 exact, 0 assumed), 0 missed") {
		t.Errorf("its replay: exit code %d; want curl's 56\n%s", o.code, o.stderr)
	}
	if o := r.run(built.serge, "show", "x"); !strings.Contains(o.stdout, "GET "+url+" -> connection_refused") {
		t.Errorf("show says %q", o.stdout)
	}
}
