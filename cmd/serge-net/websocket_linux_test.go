package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// debianPython is the Python that Debian's packages are for.
const debianPython = "/usr/bin/python3"

// TestWebSocketClients records what real clients see over WebSockets, and has them
// see the same in a replay, without a network.
func TestWebSocketClients(t *testing.T) {
	r := newRig(t)
	py, js := r.source("websockets_client.py"), r.source("ws_client.cjs")
	at := func(path string) string { return "wss://" + testnet.WWW + path }
	for _, c := range []struct {
		name         string
		argv, replay []string // replay is nil where it is the same
		want         string   // the last of what both print
	}{
		{"gorilla", []string{r.client("wsclient"), at("/ws"), "one", "two"}, nil, "websocket: close 1000 (normal)\n"},
		{"websockets", []string{debianPython, py, at("/ws"), "echo"}, nil, "pong\n1\nclosed 1000 \n"},
		{"ws", []string{"node", js, at("/ws")}, nil, "70000\n4000 \n"},
		{"ws, compressed no more", []string{"node", js, at("/ws")}, []string{"node", js, at("/ws"), "plain"}, "70000\n4000 \n"},
		{"aiohttp", []string{debianPython, r.source("aiohttp_client.py"), at("/ws")}, nil, "{'b': 1, 'a': [1, 2]}\n4000\n"},
		{"Java", []string{"java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", built.java, "SocketTalk", at("/ws")}, nil, "70000 bytes\npong of 4\n4000 \n"},
		{"Node's own", []string{"node", "--experimental-websocket", "--no-warnings", r.source("websocket_client.mjs"), at("/ws")}, nil, "echo.test 5,70000,3000 4000  true\n"},
		{"JSON-RPC in another order", []string{debianPython, py, at("/ws/rpc"), "rpc"}, []string{debianPython, py, at("/ws/rpc"), "rpc", "other"},
			"True ['did a', 'did b']\nclosed 1000 \n"},
		{"GraphQL", []string{debianPython, py, at("/ws/graphql"), "graphql"}, nil, "True complete None\nclosed 1000 \n"},
		{"closed by the server", []string{debianPython, py, at("/ws/ticks"), "ticks"}, nil, "tick 2\n4001 no more\nclosed 4001 no more\n"},
		{"left by the server", []string{debianPython, py, at("/ws/leave"), "leave"}, nil, "hello\nleft None\nclosed 1006 \n"},
		{"much", []string{debianPython, py, at("/ws/big?size=9000000"), "big"}, nil, "9000000\nclosed 1000 \n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := r.in(t, "")
			if c.replay == nil {
				c.replay = c.argv
			}
			first := r.record("c", c.argv...)
			if !strings.HasSuffix(first.stdout, c.want) {
				t.Errorf("recorded: %q; want …%q\n%s", first.stdout, c.want, first.stderr)
			}
			again := r.replay("c", c.replay...)
			if diff := cmp.Diff(first.stdout, again.stdout); diff != "" && c.name != "ws, compressed no more" || !strings.HasSuffix(again.stdout, c.want) {
				t.Errorf("replayed otherwise (-recorded +replayed):\n%s\n%s", diff, again.stderr)
			}
			text, err := os.ReadFile(filepath.Join(r.dir, "cassettes", "c.json"))
			if err != nil || !strings.Contains(string(text), `"kind": "websocket"`) {
				t.Errorf("no WebSocket in the cassette: %v\n%.3000s", err, text)
			}
			if c.name == "much" {
				t.Logf("%.3000s", text)
			}
			t.Logf("%s", again.stderr)
		})
	}
}

// TestWebSocketHuge sends a message of 64 MiB and hears one, recorded and replayed,
// in bounded memory.
func TestWebSocketHuge(t *testing.T) {
	r := newRig(t)
	const size = 64 << 20
	client := r.client("wsbig")
	argv := func(n int) []string {
		return []string{client, fmt.Sprintf("ws://%s/ws/huge?size=%d", testnet.WWW, n), fmt.Sprint(n)}
	}
	want := func(n int64) [sha256.Size]byte {
		said := sha256.Sum256(make([]byte, n))
		return sha256.Sum256(fmt.Appendf(nil, "%x\n%d %x\nwebsocket: close 1000 (normal)\n", said, n, randomSum(t, n)))
	}
	r = r.in(t, "")
	for _, mode := range []string{"record", "replay"} {
		_, was := r.fetch(t, mode, "small", argv(128<<10))
		sum, is := r.fetch(t, mode, "huge", argv(size))
		if sum != want(size) {
			t.Errorf("%s: the client prints something else", mode)
		}
		t.Logf("%s: %d KiB at most for 128 KiB each way, %d KiB for %d MiB", mode, was, is, size>>20)
		if is-was > bigMemory {
			t.Errorf("%s: %d KiB of memory for %d MiB, %d KiB for 128 KiB; want at most %d KiB more", mode, is, size>>20, was, bigMemory)
		}
	}
}

// TestSocketRules has rules say what of a message does not count, and write patterns
// for it, as for requests.
func TestSocketRules(t *testing.T) {
	r := newRig(t)
	url := "wss://" + testnet.WWW + "/ws"
	order := func(what, count string) []string {
		return []string{debianPython, r.source("websockets_client.py"), url, "order", what, count}
	}
	r.record("c", order("tea", "3")...)
	replay := func(code int, flag, value string, argv []string) outcome {
		t.Helper()
		o := r.serge(append([]string{"replay", "c", flag, value, "--"}, argv...)...)
		if o.code != code || strings.Contains(o.stdout, "sold tea") != (code == 0) {
			t.Errorf("%s %s, %v: exit code %d; want %d\n%s\n%s", flag, value, argv[4:], o.code, code, o.stdout, o.stderr)
		}
		return o
	}
	if o := replay(1, "--match", "smart", order("tea", "4")); !strings.Contains(o.stderr, "body $.count: 3 -> 4") {
		t.Errorf("the miss does not say what differs:\n%s", o.stderr)
	}
	replay(0, "--ignore-body", "$.count", order("tea", "4"))
	replay(1, "--ignore-body", "$.count", order("coffee", "4"))
	replay(0, "--match-body", "none MESSAGE "+url, order("coffee", "4"))

	path := filepath.Join(r.dir, "cassettes", "c.json")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	said, pattern := `{\"op\": \"buy\", \"what\": \"tea\", \"count\": 3}`, `\\{\"op\": \"buy\", \"what\": \"(tea|coffee)\", \"count\": [0-9]+\\}`
	write(t, path, strings.Replace(string(b), said, pattern, 1)) // what was heard stays
	replay(0, "--match-body", "regex MESSAGE "+url, order("coffee", "12"))
	replay(1, "--match-body", "regex MESSAGE "+url, order("milk", "12"))
}
