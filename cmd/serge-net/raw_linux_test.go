package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// rawClient opens a connection to host:port, inside TLS if tls is set, does what script says
// with it as c, and prints what it reads.
func rawClient(port int, tls bool, script string) []string {
	open := fmt.Sprintf("import socket, ssl, struct, sys, time\nc = socket.create_connection((%q, %d), 20)\n", testnet.TCP, port)
	if tls {
		open += fmt.Sprintf("c = ssl.create_default_context().wrap_socket(c, server_hostname=%q)\n", testnet.TCP)
	}
	return []string{"python3", "-c", open + `
def read():
    b = b""
    try:
        while True:
            x = c.recv(65536)
            if not x: return b
            b += x
    except ConnectionError as e:
        return b + b" " + type(e).__name__.encode()
` + script}
}

// TestRaw plays connections of no protocol: who speaks first, how they end, and what is inside TLS.
func TestRaw(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		name string
		argv []string
	}{
		{"the server speaks first", rawClient(25, false, `print(c.recv(99)); c.sendall(b"one\r\nquit\r\n"); print(read())`)},
		{"the client's half ends first", rawClient(7, false, `c.sendall(b"x" * 100000); c.shutdown(socket.SHUT_WR); print(len(read()))`)},
		{"inside TLS", rawClient(992, true, `c.sendall(b"hello \x00\xff"); print(c.recv(99))`)},
		{"two at once", rawClient(7, false, fmt.Sprintf(`
d = socket.create_connection((%q, 7), 20)
c.sendall(b"first"); d.sendall(b"second"); print(c.recv(99), d.recv(99))`, testnet.TCP))},
		{"nothing is said", rawClient(25, false, `print(c.recv(99))`)},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := r.in(t, "")
			said := r.record("raw", c.argv...)
			if said.stdout == "" || strings.Contains(said.stderr, "not recorded") {
				t.Fatalf("said %q\n%s", said.stdout, said.stderr)
			}
			r.net.Gone()
			defer r.net.Back()
			if o := r.replay("raw", c.argv...); o.stdout != said.stdout || !strings.Contains(o.stderr, "0 missed, 0 unused") {
				t.Errorf("replayed %q; recorded %q\n%s", o.stdout, said.stdout, o.stderr)
			}
		})
	}
}

// TestRawModes has what is no HTTP go the way that each mode says.
func TestRawModes(t *testing.T) {
	r := newRig(t)
	echo := func(words string) []string {
		return rawClient(7, false, fmt.Sprintf(`c.sendall(b%q); print(c.recv(99))`, words))
	}
	quiet := func(o outcome, want string) {
		t.Helper()
		if o.stdout != want || strings.Contains(o.stderr, "not recorded") {
			t.Errorf("said %q; want %q\n%s", o.stdout, want, o.stderr)
		}
	}
	r.record("m", echo("one")...)
	before := r.net.Hits()[testnet.TCP+":7"]
	quiet(r.well(append([]string{"run", "--cassette", "m", "--mode", "new", "--"}, echo("one")...)...), "b'one'\n")
	if n := r.net.Hits()[testnet.TCP+":7"] - before; n != 0 {
		t.Errorf("new asked the origin %d times for what is recorded", n)
	}
	quiet(r.well(append([]string{"run", "--cassette", "m", "--mode", "new", "--"}, echo("two")...)...), "b'two'\n")
	quiet(r.replay("m", echo("two")...), "b'two'\n")
	quiet(r.well(append([]string{"run", "--cassette", "m", "--mode", "append", "--"}, echo("three")...)...), "b'three'\n")
	quiet(r.well(append([]string{"run", "--cassette", "m", "--mode", "refresh", "--"}, echo("one")...)...), "b'one'\n")
	quiet(r.replay("m", echo("three")...), "b'three'\n")
	r.record("v", echo("one")...)
	quiet(r.well(append([]string{"run", "--cassette", "v", "--mode", "verify", "--"}, echo("one")...)...), "b'one'\n")
	if o := r.serge(append([]string{"run", "--cassette", "v", "--mode", "verify", "--"}, echo("other")...)...); o.code != 98 {
		t.Errorf("verify of something else: exit code %d; want 98\n%s", o.code, o.stderr)
	}
	o := r.serge(append([]string{"replay", "v", "--"}, echo("other")...)...)
	if want := `recorded 6f 6e 65 "one", said 6f 74 68 65 72 "other"`; o.code == 0 || !strings.Contains(o.stderr, want) {
		t.Errorf("exit code %d; want a miss that says %s\n%s", o.code, want, o.stderr)
	}
	o = r.serge(append([]string{"record", "none", "--record-tcp", "25,443", "--"}, echo("one")...)...)
	if o.stdout != "b'one'\n" || !strings.Contains(o.stderr, "not recorded: "+testnet.TCP+":7") {
		t.Errorf("with --record-tcp of other ports: %q\n%s", o.stdout, o.stderr)
	}
}
