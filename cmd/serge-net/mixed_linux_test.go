package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// hitsIn is what f adds to the origins' hits.
func (r *rig) hitsIn(f func()) map[string]int {
	before := r.net.Hits()
	f()
	after := r.net.Hits()
	for k, n := range before {
		if after[k] -= n; after[k] == 0 {
			delete(after, k)
		}
	}
	return after
}

// A mixture is a client that asks for what is recorded and for what is not, on
// one connection where the client can.
type mixture struct {
	name string
	curl []string
	host string
	base string // scheme and host
}

// mixtures are the protocols that go on to the origin.
func mixtures() []mixture {
	return []mixture{
		{"http", []string{"--http1.1"}, testnet.WWW, "http://" + testnet.WWW},
		{"https", []string{"--http1.1"}, testnet.WWW, "https://" + testnet.WWW},
		{"h2", []string{"--http2"}, testnet.H2, "https://" + testnet.H2},
		{"h2c", []string{"--http2-prior-knowledge"}, testnet.H2, "http://" + testnet.H2},
	}
}

// argv is curl asking for paths; one that has a body "PATH BODY" is a POST. A
// connection of HTTP/2 in clear text is not used again: curl 7.88 cannot do that.
func (m mixture) argv(paths ...string) []string {
	argv, next := []string{"curl"}, []string{"--next"}
	if m.name == "h2c" {
		argv, next = []string{"bash", "-c", eachCurl, "bash"}, []string{"next"}
	}
	for i, p := range paths {
		if i > 0 {
			argv = append(argv, next...)
		}
		argv = append(append(argv, "-sS", "-L"), m.curl...)
		path, body, isPost := strings.Cut(p, " ")
		argv = append(argv, m.base+path)
		if isPost {
			argv = append(argv, "--data-binary", body, "-H", "Content-Type: text/plain")
		}
	}
	return argv
}

// eachCurl runs curl for each group of its arguments between which "next"
// stands.
const eachCurl = `args=(); failed=0
for a in "$@" next; do
	if [ "$a" != next ]; then args+=("$a"); continue; fi
	curl "${args[@]}" || failed=$?
	args=()
done
exit $failed`

// known is what of m's exchanges is recorded, unknown what is not. A redirect is
// followed, so it is two exchanges, and a connection used again.
func (m mixture) known() []string {
	return m.able("/hello", "/echo first\n", "/gzip", "/redirect?to=/protocol")
}

func (m mixture) unknown() []string {
	return m.able("/json", "/echo second\n", "/trailers", "/redirect?to=/method")
}

// able is paths without what m's client cannot do.
func (m mixture) able(paths ...string) []string {
	if m.name == "h2c" {
		return paths[:3]
	}
	return paths
}

// turns is known and unknown in turns.
func (m mixture) turns() []string {
	var all []string
	for i, p := range m.known() {
		all = append(all, p, m.unknown()[i])
	}
	return all
}

// wantHits is what one round of unknown does to the origin.
func (m mixture) wantHits() map[string]int {
	hits := map[string]int{m.host + "/json": 1, m.host + "/echo": 1, m.host + "/trailers": 1}
	if m.name != "h2c" {
		hits[m.host+"/redirect"], hits[m.host+"/method"] = 1, 1
	}
	return hits
}

// TestMixed asks for what is recorded and what is not in turns: the former is
// served without the origin, the latter goes there, once, and where it is
// recorded a replay has both.
func TestMixed(t *testing.T) {
	r := newRig(t)
	for _, m := range mixtures() {
		for _, c := range []struct {
			name   string
			flags  []string
			record bool
		}{
			{"new", []string{"--mode", "new"}, true},
			{"on-miss record", []string{"--mode", "replay", "--on-miss", "record"}, true},
			{"on-miss passthrough", []string{"--mode", "replay", "--on-miss", "passthrough"}, false},
		} {
			t.Run(m.name+"/"+c.name, func(t *testing.T) {
				r := &rig{t: t, net: r.net, dir: t.TempDir()}
				direct := r.runWith([]string{"CURL_CA_BUNDLE=" + r.net.CAFile}, "", m.argv(m.turns()...)...)
				if direct.code != 0 {
					t.Fatalf("direct: exit code %d\n%s", direct.code, direct.stderr)
				}
				r.record("default", m.argv(m.known()...)...)
				var mixed outcome
				hits := r.hitsIn(func() {
					mixed = r.well(slices.Concat([]string{"run"}, c.flags, []string{"--"}, m.argv(m.turns()...))...)
				})
				if d := cmp.Diff(direct.stdout, mixed.stdout); d != "" {
					t.Errorf("it prints other than direct (-direct +mixed):\n%s", d)
				}
				if d := cmp.Diff(m.wantHits(), hits); d != "" {
					t.Errorf("the origin was asked (-want +got):\n%s\n%s", d, mixed.stderr)
				}
				r.afterMixed(direct.stdout, c.record, m)
			})
		}
	}
}

// afterMixed replays turns: all of it if the misses were recorded, else each of
// them misses again.
func (r *rig) afterMixed(want string, recorded bool, m mixture) {
	r.t.Helper()
	var o outcome
	hits := r.hitsIn(func() { o = r.serge(append([]string{"replay", "default", "--"}, m.argv(m.turns()...)...)...) })
	if len(hits) != 0 {
		r.t.Errorf("a replay asked the origin: %v", hits)
	}
	if !recorded {
		if o.code != exitMissed || !strings.Contains(o.stderr, fmt.Sprintf("%d missed", len(m.unknown()))) {
			r.t.Errorf("exit code %d; want %d and %d missed:\n%s", o.code, exitMissed, len(m.unknown()), o.stderr)
		}
		return
	}
	if d := cmp.Diff(want, o.stdout); d != "" || o.code != 0 {
		r.t.Errorf("exit code %d, replayed (-direct +replayed):\n%s\n%s", o.code, d, o.stderr)
	}
}

// TestMixedUnknownHost goes on to a host of which nothing is recorded, and mode
// new makes a cassette where there is none.
func TestMixedUnknownHost(t *testing.T) {
	r := newRig(t)
	for _, m := range mixtures() {
		t.Run(m.name, func(t *testing.T) {
			r := &rig{t: t, net: r.net, dir: t.TempDir()}
			var first, second outcome
			asked := r.hitsIn(func() {
				first = r.well(append([]string{"run", "--mode", "new", "--"}, m.argv("/hello")...)...)
			})
			again := r.hitsIn(func() {
				second = r.well(append([]string{"run", "--mode", "new", "--"}, m.argv("/hello")...)...)
			})
			want := "hello from " + m.host + "\n"
			if first.stdout != want || second.stdout != want || !maps.Equal(asked, map[string]int{m.host + "/hello": 1}) || len(again) != 0 {
				t.Errorf("%q and %q with hits %v and %v\n%s\n%s", first.stdout, second.stdout, asked, again, first.stderr, second.stderr)
			}
		})
	}
}

// TestMixedOriginDown has an origin that does not answer what misses: the client
// fails, what is recorded is served, and the report names it.
func TestMixedOriginDown(t *testing.T) {
	r := newRig(t)
	for _, m := range mixtures() {
		t.Run(m.name, func(t *testing.T) {
			r := &rig{t: t, net: r.net, dir: t.TempDir()}
			r.record("default", m.argv("/hello")...)
			r.net.Gone()
			defer r.net.Back()
			o := r.serge(append([]string{"run", "--mode", "new", "--"}, m.argv("/hello", "/json")...)...)
			if o.stdout != "hello from "+m.host+"\n" || o.code == 0 {
				t.Errorf("exit code %d, %q; want what is recorded and a failure\n%s", o.code, o.stdout, o.stderr)
			}
			if !strings.Contains(o.stderr, "origin: "+m.host+":") {
				t.Errorf("the report does not name %s:\n%s", m.host, o.stderr)
			}
		})
	}
}

// TestMixedOpaque passes on what is neither TLS nor HTTP and not recorded, and records it.
func TestMixedOpaque(t *testing.T) {
	r := newRig(t)
	r.record("default", "curl", "-sS", "http://"+testnet.WWW+"/hello")
	o := r.well("run", "--mode", "new", "--", "bash", "-c", "exec 3<>/dev/tcp/tcp.test.example/25; read -r line <&3; echo $line; echo quit >&3; cat <&3")
	if want := testnet.Banner[:len(testnet.Banner)-2] + "\r\n221 bye\r\n"; o.stdout != want {
		t.Errorf("%q; want %q", o.stdout, want)
	}
	if !strings.Contains(o.stderr, "recorded 1 interaction to") {
		t.Errorf("it is not recorded:\n%s", o.stderr)
	}
}

// TestMixedEarly goes on with requests that miss before their end: one that
// waits for leave to send its body, and a WebSocket, whose key is new each time.
func TestMixedEarly(t *testing.T) {
	r := newRig(t)
	ws := r.client("wsclient")
	for _, m := range mixtures()[:3] {
		t.Run(m.name, func(t *testing.T) {
			r := &rig{t: t, net: r.net, dir: t.TempDir()}
			argv := append(append([]string{"curl", "-sS"}, m.curl...), "-H", "Expect: 100-continue", "-d", "body", m.base+"/echo")
			r.record("default", m.argv("/hello")...)
			if o := r.well(append([]string{"run", "--mode", "new", "--"}, argv...)...); o.stdout != "body" {
				t.Errorf("expecting: %q; want body\n%s", o.stdout, o.stderr)
			}
			if o := r.replay("default", argv...); o.stdout != "body" {
				t.Errorf("replayed: %q; want body\n%s", o.stdout, o.stderr)
			}
			if m.name == "h2" {
				return
			}
			talk := []string{ws, "ws" + strings.TrimPrefix(m.base, "http") + "/ws", "one"}
			r.record("default", talk...)
			o := r.well(append([]string{"run", "--mode", "new", "--"}, talk...)...)
			if want := "101 Switching Protocols echo.test\none\n70000 true <nil>\nwebsocket: close 1000 (normal)\n"; o.stdout != want {
				t.Errorf("WebSocket: %q; want %q\n%s", o.stdout, want, o.stderr)
			}
		})
	}
}
