package main

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// compiled are the clients that single tests build for themselves, by name.
var compiled struct {
	mu   sync.Mutex
	done map[string]error
}

// client builds the client called name once, by argv with its path appended to
// the flag -o, and returns its path.
func (r *rig) client(name string, argv ...string) string {
	r.t.Helper()
	path := filepath.Join(built.dir, name)
	compiled.mu.Lock()
	defer compiled.mu.Unlock()
	err, ok := compiled.done[name]
	if !ok {
		if compiled.done == nil {
			compiled.done = map[string]error{}
		}
		if len(argv) == 0 {
			argv = []string{"go", "build", "-o", path, "./testdata/clients/" + name}
		} else {
			argv = append(slices.Clone(argv), "-o", path)
		}
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		var out []byte
		if out, err = cmd.CombinedOutput(); err != nil {
			err = fmt.Errorf("%v: %w\n%s", argv, err, out)
		}
		compiled.done[name] = err
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return path
}

// source is the absolute path of a client that is run from its source.
func (r *rig) source(name string) string {
	r.t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata/clients", name))
	if err != nil {
		r.t.Fatal(err)
	}
	return path
}

// families is what the addresses of a line "NAME ADDR…" are: "4" and "6" if
// there are pins of these families, "-" if there is none, and the addresses
// themselves if one is no pin.
func families(line string) string {
	_, rest, _ := strings.Cut(line, " ")
	if rest == "" || strings.HasPrefix(rest, "error: ") {
		return "-"
	}
	seen := map[string]bool{}
	for _, text := range strings.Fields(rest) {
		a, err := netip.ParseAddr(text)
		switch {
		case err == nil && netip.MustParsePrefix("198.18.0.0/15").Contains(a):
			seen["4"] = true
		case err == nil && netip.MustParsePrefix("fd5e:7267::/64").Contains(a):
			seen["6"] = true
		default:
			return rest
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(seen)), "")
}

// wantFamilies is what every resolver is to find when names are pinned: AAAA
// only where the origin has one, A also where it has AAAA alone.
var wantFamilies = []struct{ name, want string }{
	{testnet.WWW, "46"},
	{testnet.V4Only, "4"},
	{testnet.V6Only, "46"},
	{testnet.Alias, "46"},
	{testnet.Many, "4"},
	{"intranet", "46"},
	{testnet.Missing, "-"},
	{"caa." + testnet.Domain, "-"}, // it exists, and has no address
}

// TestResolvers asks by every resolver that programs bring. What a replay says
// is what was said while recording, and nobody outside is asked.
func TestResolvers(t *testing.T) {
	r := newRig(t)
	gai := r.client("gai", "gcc", "testdata/clients/gai.c")
	musl := r.client("gai-musl", "musl-gcc", "-static", "testdata/clients/gai.c")
	var names []string
	for _, w := range wantFamilies {
		names = append(names, w.name)
	}
	for _, c := range []struct {
		name string
		env  []string
		argv []string
	}{
		{"glibc over UDP", nil, []string{gai}},
		{"glibc over TCP", []string{"RES_OPTIONS=use-vc"}, []string{gai}},
		{"glibc with EDNS", []string{"RES_OPTIONS=edns0 trust-ad"}, []string{gai}},
		{"glibc one by one", []string{"RES_OPTIONS=single-request-reopen"}, []string{gai}},
		{"musl", nil, []string{musl}},
		{"go", nil, []string{r.client("golookup")}},
		{"java", nil, []string{"java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", built.java, "Lookup"}},
		{"node", nil, []string{"node", r.source("lookup_client.mjs")}},
		{"python", nil, []string{"python3", "-c", pythonLookup}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &rig{t: t, net: r.net, dir: t.TempDir()}
			argv := append(append([]string{"env"}, c.env...), append(c.argv, names...)...)
			recorded := r.record("names", argv...)
			lines := strings.Split(strings.TrimSpace(recorded.stdout), "\n")
			for i, w := range wantFamilies {
				if i >= len(lines) || families(lines[i]) != w.want {
					t.Errorf("%s: want %s\n%s", w.name, w.want, recorded.stdout)
				}
			}
			r.replaysNames(recorded.stdout, argv...)
		})
	}
}

// pythonLookup prints what Python's getaddrinfo has.
const pythonLookup = `import socket, sys
for name in sys.argv[1:]:
    try:
        print(name, *sorted({a[4][0] for a in socket.getaddrinfo(name, 80, proto=socket.IPPROTO_TCP)}))
    except socket.gaierror as e:
        print(name, "error:", e)`

// replaysNames replays the cassette names to argv, which is to print want, and
// fails if the name server outside was asked.
func (r *rig) replaysNames(want string, argv ...string) {
	r.t.Helper()
	before, capture := r.net.Queries(), r.net.Capture()
	replayed := r.replay("names", argv...)
	if d := cmp.Diff(want, replayed.stdout); d != "" {
		r.t.Errorf("replayed (-recorded +replayed):\n%s\n%s", d, replayed.stderr)
	}
	if d := cmp.Diff(before, r.net.Queries()); d != "" {
		r.t.Errorf("a replay asked the name server (-before +after):\n%s", d)
	}
	if p := capture.Packets(); len(p) != 0 {
		r.t.Errorf("%d packets left in a replay, the first %v", len(p), p[0])
	}
	capture.Close()
}

// TestRecords asks for what is not an address, by dig, which prints all that a
// reply holds, and by c-ares.
func TestRecords(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		name string
		argv []string
		want []string // in what is printed, but for "!", which must not be
	}{
		{"TXT", dig(testnet.Domain, "TXT"), []string{`"v=spf1 -all" "second string"`}},
		{"TXT with escapes", dig("text."+testnet.Domain, "TXT"), []string{`"semi;colon \"quoted\" back\\slash" "\001\200\255"`}},
		{"TXT over TCP", dig("+tcp", testnet.Domain, "TXT"), []string{`"v=spf1 -all" "second string"`}},
		{"TXT of 6 kB", dig(testnet.BigText, "TXT"), []string{"ANSWER: 24,", `"00 xxx`, `"23 xxx`, ";; SERVER: 203.0.113.53#53(203.0.113.53) (TCP)"}},
		{"MX", dig(testnet.Domain, "MX"), []string{"10 tcp.test.example.", "20 www.test.example.", "A\t198.1", "AAAA\tfd5e:7267::", "!203.0.113.18"}},
		{"SRV", dig(testnet.Service, "SRV"), []string{"10 60 80 www.test.example.", "20 40 80 h2.test.example.", "A\t198.1", "!203.0.113.10\n"}},
		{"HTTPS", dig(testnet.H3, "HTTPS"), []string{`HTTPS	1 . alpn="h2"`, "!h3\"", "!ech", "!hint"}},
		{"HTTPS, an alias", dig(testnet.WWW, "HTTPS"), []string{"HTTPS\t0 h2.test.example."}},
		{"SVCB", dig("_dns.ns."+testnet.Domain, "SVCB"), []string{`SVCB	1 ns.test.example. alpn="dot" port=853`, "!hint"}},
		{"CAA", dig("caa."+testnet.Domain, "CAA"), []string{`CAA	0 issue "ca.test.example"`}},
		{"CNAME", dig(testnet.Alias, "CNAME"), []string{"CNAME\tmiddle.test.example."}},
		{"NODATA", dig("caa."+testnet.Domain, "A"), []string{"status: NOERROR", "ANSWER: 0", "SOA\tns.test.example."}},
		{"NXDOMAIN", dig(testnet.Missing, "A"), []string{"status: NXDOMAIN", "SOA\tns.test.example."}},
		{"a dangling CNAME", dig("dangling."+testnet.Domain, "A"), []string{"status: NXDOMAIN"}},
		{"SERVFAIL", dig(testnet.ServFail, "A"), []string{"status: SERVFAIL"}},
		{"121 addresses, one pin", dig(testnet.Many, "A"), []string{"ANSWER: 1,", "A\t198.1"}},
		{"PTR of the origin", dig("-x", "203.0.113.10"), []string{"PTR\twww.test.example."}},
		{"a name with a capital", dig("wWw."+testnet.Domain, "A"), []string{"wWw.test.example."}},
		{"c-ares", cares("A:"+testnet.WWW, "AAAA:"+testnet.WWW, "TXT:"+testnet.Domain, "SRV:"+testnet.Service, "MX:"+testnet.Domain, "A:"+testnet.Missing, "AAAA:"+testnet.V4Only),
			[]string{`["198.1`, `["fd5e:7267::`, `[["v=spf1 -all","second string"]]`, `"name":"h2.test.example"`, `"exchange":"tcp.test.example","priority":10`, "error: ENOTFOUND", "error: ENODATA"}},
		{"the pin's PTR", []string{"sh", "-c", "dig +short -x $(dig +short www.test.example A); dig +short -x $(dig +short www.test.example AAAA)"},
			[]string{"www.test.example.\nwww.test.example.\n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &rig{t: t, net: r.net, dir: t.TempDir()}
			if c.argv[0] == "node" {
				c.argv[1] = r.source(c.argv[1])
			}
			recorded := r.record("names", c.argv...)
			for _, w := range c.want {
				w, not := strings.CutPrefix(w, "!")
				if strings.Contains(recorded.stdout, w) == not {
					t.Errorf("%q in the output: %v\n%s", w, !not, recorded.stdout)
				}
			}
			r.replaysNames(recorded.stdout, c.argv...)
		})
	}
}

// dig is dig without what varies: the id, times and cookie.
func dig(args ...string) []string {
	script := `dig +nocookie +multiline +noall +comments +answer +authority +additional +stats +tries=1 +time=5 "$@" |
		sed -E 's/, id: [0-9]+//; /^;; (Query time|WHEN)/d; s/[ \t]+/ /g; s/^([^;]*[^ ]) [0-9]+ IN ([A-Z0-9]+) /\1 \2\t/'`
	return append([]string{"sh", "-c", script, "dig"}, args...)
}

// cares is Node's c-ares.
func cares(questions ...string) []string {
	return append([]string{"node", "cares_client.mjs"}, questions...)
}

// TestUnknownNames replays names that no cassette has: each resolves, so that
// the request is a miss with its URL, and no name server hears of it.
func TestUnknownNames(t *testing.T) {
	r := newRig(t)
	r.record("c", "curl", "-sS", "http://"+testnet.WWW+"/hello")
	before, capture := r.net.Queries(), r.net.Capture()
	o := r.serge("replay", "c", "--", "curl", "-sS", "http://never."+testnet.Domain+"/path?q=1")
	if o.code != exitMissed || !strings.Contains(o.stderr, "miss: GET http://never.test.example/path?q=1") {
		t.Errorf("exit code %d; want %d and the URL:\n%s", o.code, exitMissed, o.stderr)
	}
	if d := cmp.Diff(before, r.net.Queries()); d != "" {
		t.Errorf("the name server was asked (-before +after):\n%s", d)
	}
	if p := capture.Packets(); len(p) != 0 {
		t.Errorf("%d packets left, the first %v", len(p), p[0])
	}
}

// TestRealDNS passes the origin's addresses on: what is recorded by them is
// replayed by them.
func TestRealDNS(t *testing.T) {
	r := newRig(t)
	argv := []string{"--dns", "real", "--", "sh", "-c",
		"dig +short www.test.example A; curl -sS https://www.test.example/hello; curl -sS -6 http://v6only.test.example/hello"}
	want := "203.0.113.10\nhello from www.test.example\nhello from v6only.test.example\n"
	for _, mode := range []string{"record", "replay"} {
		before := r.net.Queries()
		if o := r.well(append([]string{mode, "c"}, argv...)...); o.stdout != want {
			t.Errorf("%s: %q; want %q\n%s", mode, o.stdout, want, o.stderr)
		}
		if d := cmp.Diff(before, r.net.Queries()); mode == "replay" && d != "" {
			t.Errorf("a replay asked the name server (-before +after):\n%s", d)
		}
	}
}

// TestSilentNameServer waits a bounded time for a server that says nothing, and
// names it.
func TestSilentNameServer(t *testing.T) {
	r := newRig(t)
	silent := testnet.Lookup(testnet.Silent).V4.String()
	conf := filepath.Join(r.dir, "resolv.conf")
	write(t, conf, "nameserver "+silent+"\noptions timeout:1 attempts:2\n")
	start := time.Now()
	o := r.run("unshare", "-m", "sh", "-c", `mount --bind "$1" /etc/resolv.conf && shift && exec "$@"`, "sh", conf,
		built.serge, "record", "c", "--", "curl", "-sS", "http://"+testnet.WWW+"/hello")
	if o.code != 6 { // curl's for a name that does not resolve
		t.Errorf("exit code %d; want curl's 6\n%s", o.code, o.stderr)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	for _, want := range []string{"serge-net: dns: www.test.example: ", silent + ":53"} {
		if !strings.Contains(o.stderr, want) {
			t.Errorf("the report has no %q:\n%s", want, o.stderr)
		}
	}
}

// TestResolverSockets has daemons that would resolve names for the command, and
// which must hear nothing: nscd, and systemd-resolved behind nss-resolve.
func TestResolverSockets(t *testing.T) {
	r := newRig(t)
	gai := r.client("gai", "gcc", "testdata/clients/gai.c")
	for _, path := range []string{"/run/nscd/socket", "/run/systemd/resolve/io.systemd.Resolve"} {
		dir := t.TempDir()
		heard := daemon(t, filepath.Join(dir, filepath.Base(path)))
		under := func(argv ...string) outcome {
			script := `mount -t tmpfs none /run && mkdir -p "$2" && mount --bind "$1" "$2" && shift 2 && exec "$@"`
			return r.runWith(nil, "", append([]string{"unshare", "-m", "sh", "-c", script, "sh", dir, filepath.Dir(path)}, argv...)...)
		}
		knock := []string{"python3", "-c", "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ntry:\n  s.connect(sys.argv[1])\nexcept OSError as e:\n  print('refused')", path}
		if under(knock...); heard.Swap(0) == 0 {
			t.Fatalf("%s: the daemon does not hear without us", path)
		}
		if o := under(append([]string{built.serge, "record", "c", "--"}, knock...)...); o.stdout != "refused\n" {
			t.Errorf("%s: %q; want refused\n%s", path, o.stdout, o.stderr)
		}
		if o := under(built.serge, "record", "c", "--", gai, testnet.WWW); families(strings.TrimSpace(o.stdout)) != "46" {
			t.Errorf("%s: %q\n%s", path, o.stdout, o.stderr)
		}
		if n := heard.Load(); n != 0 {
			t.Errorf("%s heard the command %d times", path, n)
		}
	}
}

// daemon listens at path and counts who comes.
func daemon(t *testing.T, path string) *atomic.Int32 {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	heard := new(atomic.Int32)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			heard.Add(1)
			c.Close()
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return heard
}
