package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// quicRun records argv with QUIC to the cassette c, then replays it, and holds
// both to print the same. It returns what was printed.
func (r *rig) quicRun(argv ...string) string {
	r.t.Helper()
	args := func(mode string) []string {
		return append([]string{mode, "c", "--quic", "record", "--shift-dates", "off", "--"}, argv...)
	}
	recorded := r.well(args("record")...)
	var replayed outcome
	if hits := r.hitsIn(func() { replayed = r.well(args("replay")...) }); len(hits) != 0 {
		r.t.Errorf("a replay asked the origin: %v", hits)
	}
	if d := cmp.Diff(recorded.stdout, replayed.stdout); d != "" {
		r.t.Errorf("replayed (-recorded +replayed):\n%s\n%s", d, replayed.stderr)
	}
	return recorded.stdout
}

// connections are the http_version and ALPN of what the cassette c has.
func (r *rig) connections() []string {
	r.t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, "cassettes", "c.json"))
	if err != nil {
		r.t.Fatal(err)
	}
	var c struct {
		Connections map[string]struct {
			Scheme      string
			HTTPVersion string `json:"http_version"`
			TLS         struct{ ALPN string }
		}
	}
	if err := json.Unmarshal(b, &c); err != nil {
		r.t.Fatal(err)
	}
	var all []string
	for _, n := range c.Connections {
		all = append(all, n.Scheme+" "+n.HTTPVersion+" "+n.TLS.ALPN)
	}
	return all
}

// TestHTTP3 records and replays HTTP/3 in the lanes that carry QUIC; with
// SERGE_TEST_ALL also Chromium's, which takes long to start.
func TestHTTP3(t *testing.T) {
	r := newRig(t)
	h3 := "https://" + testnet.QUIC
	for _, lane := range []string{"ebpf", "netns"} {
		for _, c := range []struct {
			name string
			argv []string
			want []string
		}{
			{"at once", []string{h3 + "/protocol", h3 + "/trailers", h3 + "/abort", h3 + "/status?code=204", h3 + "/bytes?n=1000", h3 + "/bytes?n=300000"},
				[]string{"HTTP/3.0 200 " + h3 + "/protocol\nHTTP/3.0\n", "trailer X-Checksum: [sum-of-22-bytes]\n", "H3_INTERNAL_ERROR", "HTTP/3.0 204"}},
			{"IPv6", []string{"-6", h3 + "/hello"}, []string{"hello from quic"}},
			{"a body, connected", []string{"-dial", "-d", "a=1", h3 + "/echo"}, []string{"a=1"}},
			{"IPv6, connected", []string{"-6", "-dial", h3 + "/hello"}, []string{"hello from quic"}},
		} {
			t.Run(lane+"/"+c.name, func(t *testing.T) {
				r := r.in(t, lane)
				argv := append([]string{built.h3get}, c.argv...)
				got := r.quicRun(argv...)
				if direct := r.runWith([]string{"SSL_CERT_FILE=" + r.net.CAFile}, "", argv...).stdout; got != direct {
					t.Errorf("recorded it prints %q; want, as direct, %q", got, direct)
				}
				for _, want := range c.want {
					if !strings.Contains(got, want) {
						t.Errorf("it prints %q; want %q", got, want)
					}
				}
				if d := cmp.Diff([]string{"https 3 h3"}, r.connections()); d != "" {
					t.Errorf("the cassette's connections (-want +got):\n%s", d)
				}
			})
		}
		if os.Getenv("SERGE_TEST_ALL") != "" {
			t.Run(lane+"/Chromium", func(t *testing.T) { r.chromium(t, lane) })
		}
	}
}

// TestHTTP3OtherVersion replays what was recorded over HTTP/3 to clients of
// other versions, and the other way round.
func TestHTTP3OtherVersion(t *testing.T) {
	r := newRig(t)
	url := "https://" + testnet.QUIC + "/hello"
	clients := map[string][]string{
		"3":   {built.h3get, url},
		"2":   {"curl", "-sS", "--http2", "-A", "quic-go HTTP/3", "-w", "%{http_version}", url},
		"1.1": {"curl", "-sS", "--http1.1", "-A", "quic-go HTTP/3", "-w", "%{http_version}", url},
	}
	for _, v := range [][2]string{{"3", "2"}, {"3", "1.1"}, {"2", "3"}, {"1.1", "3"}} {
		t.Run(v[0]+" to "+v[1], func(t *testing.T) {
			r := r.in(t, "ebpf")
			r.well(append([]string{"record", "c", "--quic", "record", "--"}, clients[v[0]]...)...)
			o := r.well(append([]string{"replay", "c", "--quic", "record", "--"}, clients[v[1]]...)...)
			if !strings.Contains(o.stdout, "hello from quic") || !strings.Contains(o.stdout, v[1]) {
				t.Errorf("it prints %q; want hello, by version %s\n%s", o.stdout, v[1], o.stderr)
			}
		})
	}
}

// chromium has the browser print what it is shown. It is told which origin to use
// QUIC with: it trusts no other CA than the public ones there else.
func (r *rig) chromium(t *testing.T, lane string) {
	const script = `d=$(mktemp -d) && chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir=$d \
--origin-to-force-quic-on=$1:443 --dump-dom https://$1/protocol; s=$?; rm -r $d; exit $s`
	r = r.in(t, lane)
	argv := []string{"c", "--quic", "record", "--", "sh", "-c", script, "get", testnet.QUIC}
	recorded := r.well(append([]string{"record"}, argv...)...)
	// Whether it asks for an icon before it ends is chance: that may miss.
	replayed := r.serge(append([]string{"replay"}, argv...)...)
	if replayed.stdout != recorded.stdout || !strings.Contains(replayed.stdout, "HTTP/3.0") {
		t.Errorf("it prints %q, replayed %q; want HTTP/3.0\n%s", recorded.stdout, replayed.stdout, replayed.stderr)
	}
}

// TestQUICFlag is what --quic changes beside QUIC: the offer of HTTP/3 in DNS, and
// the lanes there are.
func TestQUICFlag(t *testing.T) {
	r := newRig(t)
	for flag, want := range map[string]string{"refuse": `1 . alpn="h2"`, "record": `1 . alpn="h3,h2"`} {
		o := r.in(t, "").well("record", "c", "--quic", flag, "--", "dig", "+short", testnet.QUIC, "HTTPS")
		if got := strings.TrimSpace(o.stdout); got != want {
			t.Errorf("--quic %s: an HTTPS record %s; want %s", flag, got, want)
		}
	}
	o := r.in(t, "").serge("record", "c", "--", built.h3get, "https://"+testnet.QUIC+"/hello")
	if !strings.Contains(o.stdout, "error: ") || !strings.Contains(o.stderr, "QUIC is not recorded") {
		t.Errorf("without --quic: %q, %q; want an error, and that QUIC is not recorded", o.stdout, o.stderr)
	}
	o = r.in(t, "iptables").serge("record", "c", "--quic", "record", "--", "true")
	if o.code != exitStart || !strings.Contains(o.stderr, "does not divert QUIC") || !strings.Contains(o.stderr, "hint: use --backend ebpf or netns") {
		t.Errorf("in the iptables lane: %d, %q; want %d, and what to do", o.code, o.stderr, exitStart)
	}
}
