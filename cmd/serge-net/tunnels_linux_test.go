package main

import (
	"strings"
	"testing"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// TestHTTP3Tunnels has webtransport-go open a tunnel, and quic-go ask for a WebSocket
// over HTTP/3, in the lanes that carry QUIC. WebTransport passes while it is
// recorded, and the report says so; a replay offers none of it, and refuses at once
// who asks for it all the same.
func TestHTTP3Tunnels(t *testing.T) {
	r := newRig(t)
	client := r.client("h3connect", "go", "build", "-C", "testdata/clients/h3connect")
	transport := []string{client, "https://" + testnet.QUIC + ":443/transport"}
	forced := []string{client, "-websocket", "-force", "https://" + testnet.QUIC + ":443/chat"}
	const echoed = "status 200\na datagram\n"
	if o := r.runWith([]string{"SSL_CERT_FILE=" + r.net.CAFile}, "", transport...); o.stdout != echoed {
		t.Fatalf("direct it prints %q; want %q", o.stdout, echoed)
	}
	for _, lane := range []string{"ebpf", "netns"} {
		for _, c := range []struct {
			name, mode string
			argv       []string
			want, said string // of what it prints, and of the report
		}{
			{"WebTransport", "record", transport, echoed, "not recorded: quic.test.example:443 by h3connect (pid "},
			{"WebTransport", "replay", transport, "error: server didn't enable Extended CONNECT\n", "0 missed"},
			{"WebSocket", "replay", forced, "not offered\nstatus 501\n", "miss: CONNECT https://quic.test.example/chat\n  WebSocket over HTTP/3 is not recorded"},
		} {
			t.Run(lane+"/"+c.name+", "+c.mode, func(t *testing.T) {
				r := r.in(t, lane)
				r.cassette("c")
				o := r.serge(append([]string{c.mode, "c", "--quic", "record", "--"}, c.argv...)...)
				if o.stdout != c.want || !strings.Contains(o.stderr, c.said) {
					t.Errorf("it prints %q, and the report is\n%s\nwant %q and %q", o.stdout, o.stderr, c.want, c.said)
				}
			})
		}
	}
}
