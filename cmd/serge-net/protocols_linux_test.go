package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// same records and replays argv, which is to print the same both times, without
// the origin being asked in the replay. It returns what was printed.
func (r *rig) same(argv ...string) string {
	r.t.Helper()
	recorded := r.record("c", argv...)
	var replayed outcome
	if hits := r.hitsIn(func() { replayed = r.well(append([]string{"replay", "c", "--shift-dates", "off", "--"}, argv...)...) }); len(hits) != 0 {
		r.t.Errorf("a replay asked the origin: %v", hits)
	}
	if d := cmp.Diff(recorded.stdout, replayed.stdout); d != "" {
		r.t.Errorf("replayed (-recorded +replayed):\n%s\n%s", d, replayed.stderr)
	}
	return recorded.stdout
}

// TestProtocols are what HTTP does beside a request and an answer.
func TestProtocols(t *testing.T) {
	r := newRig(t)
	www, h2, nginx := "://"+testnet.WWW, "://"+testnet.H2, "://"+testnet.Nginx
	curl := func(args ...string) []string { return append([]string{"curl", "-sS"}, args...) }
	for _, c := range []struct {
		name string
		argv []string
		want []string // in what is printed
	}{
		{"early hints", curl("-i", "--http1.1", "http"+www+"/early"), []string{"HTTP/1.1 103 Early Hints\r\nLink: </style.css>", "after the hints\n"}},
		{"early hints in HTTP/2", curl("-i", "--http2", "https"+h2+"/early"), []string{"HTTP/2 103 \r\n", "link: </style.css>", "after the hints\n"}},
		{"trailers", curl("--raw", "--http1.1", "http"+www+"/trailers"), []string{"a body with a trailer\n", "X-Checksum: sum-of-22-bytes\r\n"}},
		{"trailers in HTTP/2", []string{"sh", "-c", "nghttp -v https" + h2 + "/trailers | grep -a -o 'x-checksum: .*'"}, []string{"x-checksum: sum-of-22-bytes"}},
		{"gzip as it is", curl("-o", "-", "--http1.1", "http"+www+"/gzip"), []string{"\x1f\x8b\x08"}},
		{"gzip decoded", curl("--compressed", "--http2", "https"+h2+"/gzip"), []string{testnet.JSON}},
		{"redirect", curl("-L", "-w", "%{num_redirects} %{url_effective}\n", "https"+www+"/redirect?to=/hello"), []string{"hello from www", "1 https" + www + "/hello\n"}},
		{"redirect elsewhere", curl("-L", "https"+www+"/redirect?to=http"+h2+"/hello"), []string{"hello from h2"}},
		{"HTTP/1.1 where there is no HTTP/2", curl("--http2", "-w", "%{http_version}\n", "https"+www+"/protocol"), []string{"HTTP/1.1\n1.1\n"}},
		{"HTTP/2", curl("--http2", "-w", "%{http_version}\n", "https"+h2+"/protocol"), []string{"HTTP/2.0\n2\n"}},
		{"HTTP/2 in clear text", curl("--http2-prior-knowledge", "-w", "%{http_version}\n", "http"+h2+"/protocol"), []string{"HTTP/2.0\n2\n"}},
		{"a status without a body", curl("-i", "https"+h2+"/status?code=204"), []string{"HTTP/2 204"}},
		{"HEAD", curl("-I", "https"+h2+"/bytes?n=1000"), []string{"content-length: 1000"}},
		{"an answer that is cut", []string{"sh", "-c", "curl -sS --http1.1 http" + www + "/abort; echo = $?"}, []string{"half of a body= 18\n"}},
		{"a stream that is reset", []string{"sh", "-c", "curl -sS --http2 https" + h2 + "/abort; echo = $?"}, []string{"half of a body= 92\n"}},
		{"nginx", curl("--http2", "https"+nginx+"/"), nil},
		{"parallel streams", []string{"sh", "-c", "curl -sS --http2 --parallel $(seq -f 'https" + h2 + "/bytes?n=%g' 1000 1019) | wc -c"}, []string{fmt.Sprintln(20*1000 + 190)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &rig{t: t, net: r.net, dir: t.TempDir()}
			got := r.same(c.argv...)
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("it prints %q; want %q", got, want)
				}
			}
		})
	}
}

// TestOtherVersion replays what was recorded over one version of HTTP to a
// client of the other.
func TestOtherVersion(t *testing.T) {
	r := newRig(t)
	for _, versions := range [][]string{{"--http2", "--http1.1"}, {"--http1.1", "--http2"}} {
		argv := func(version string) []string {
			return []string{"curl", "-sS", version, "-d", "a=1", "https://" + testnet.H2 + "/echo", "https://" + testnet.H2 + "/trailers"}
		}
		recorded := r.record("c", argv(versions[0])...)
		replayed := r.replay("c", argv(versions[1])...)
		if d := cmp.Diff(recorded.stdout, replayed.stdout); d != "" {
			t.Errorf("recorded by %s, replayed by %s (-recorded +replayed):\n%s", versions[0], versions[1], d)
		}
	}
}

// TestUpload replays a request of 10 MiB, and knows it from another of the size.
func TestUpload(t *testing.T) {
	r := newRig(t)
	for i, name := range []string{"up", "other"} {
		f, err := os.Create(filepath.Join(r.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(f, io.LimitReader(testnet.Random(uint64(i)), 10<<20)); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	for _, version := range []string{"--http1.1", "--http2"} {
		script := "curl -sS " + version + " -H Content-Type:application/octet-stream --data-binary @$0 https://" + testnet.H2 + "/echo | sha256sum"
		want := r.run("sha256sum", "up").stdout[:64]
		if got := r.same("sh", "-c", script, "up"); got[:64] != want {
			t.Errorf("%s: what came back is %s; want %s", version, got, want)
		}
		o := r.serge("replay", "c", "--", "sh", "-c", script, "other")
		if o.code != exitMissed {
			t.Errorf("%s: another body: exit code %d; want %d\n%s", version, o.code, exitMissed, o.stderr)
		}
	}
}

// TestServerSentEvents has each event reach the client before the stream ends,
// while recording and when replayed.
func TestServerSentEvents(t *testing.T) {
	r := newRig(t)
	for _, argv := range [][]string{
		{"curl", "-sSN", "--http1.1", "http://" + testnet.WWW + "/sse?n=3&gap=400"},
		{"curl", "-sSN", "--http2", "https://" + testnet.H2 + "/sse?n=3&gap=400"},
	} {
		for _, mode := range []string{"record", "replay"} {
			cmd := r.net.Command(built.serge, append([]string{mode, "c", "--"}, argv...)...)
			cmd.Dir = r.dir
			cmd.Env = append(cmd.Env, "SERGE_UPSTREAM_CA="+r.net.CAFile, "CI=")
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			first, all := events(out)
			if err := cmd.Wait(); err != nil {
				t.Errorf("%s: %v", mode, err)
			}
			if all.n != 3 {
				t.Errorf("%s %v: %d events; want 3", mode, argv, all.n)
			}
			if mode == "record" && all.at.Sub(first.at) < 500*time.Millisecond {
				t.Errorf("%s %v: the first event came %v before the end", mode, argv, all.at.Sub(first.at))
			}
		}
	}
}

// An arrival is when how many events were there.
type arrival struct {
	n  int
	at time.Time
}

// events reads events until the end.
func events(from io.Reader) (first, last arrival) {
	for lines := bufio.NewScanner(from); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "data: ") {
			last.n++
			if last.n == 1 {
				first = arrival{1, time.Now()}
			}
		}
	}
	last.at = time.Now()
	return first, last
}

// TestRawTCP replays what is neither TLS nor HTTP; where it was not recorded it is reset,
// and a miss.
func TestRawTCP(t *testing.T) {
	r := newRig(t)
	r.record("c", "curl", "-sS", "http://"+testnet.WWW+"/hello")
	for _, c := range []struct {
		port, line, want string
	}{
		{"7", "hello there", "b'hello there\\n'\nb''\n"},
		{"25", "helo me", "b'220 tcp.test.example ESMTP testnet\\r\\n'\nb'250 HELO ME\\r\\n'\nb''\n"},
	} {
		argv := []string{"python3", r.source("rawtalk.py"), testnet.TCP, c.port, c.line}
		at := testnet.TCP + ":" + c.port
		o := r.record("raw"+c.port, argv...)
		if o.stdout != c.want || strings.Contains(o.stderr, "not recorded") {
			t.Errorf("%s: recorded %q; want %q\n%s", at, o.stdout, c.want, o.stderr)
		}
		if o := r.replay("raw"+c.port, argv...); o.stdout != c.want {
			t.Errorf("%s: replayed %q; want %q\n%s", at, o.stdout, c.want, o.stderr)
		}
		o = r.serge(append([]string{"replay", "c", "--"}, argv...)...)
		if o.stdout != "reset\n" || o.code != exitMissed || !strings.Contains(o.stderr, "miss: CONNECT tcp://"+at) {
			t.Errorf("%s: replayed %q, exit code %d; want a reset and a miss\n%s", at, o.stdout, o.code, o.stderr)
		}
		if !strings.Contains(o.stderr, "1 missed") || !strings.Contains(o.stderr, "isolated: no") {
			t.Errorf("%s: the report does not count it:\n%s", at, o.stderr)
		}
	}
}
