package main

import (
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// write writes a file of a test.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// An exception is a form that a replay does not give back byte for byte, and why.
type exception struct {
	want string // what the client prints instead
	code int
	why  string
}

// exceptions are all there are.
var exceptions = map[string]exception{
	"chunk-lf": {"", exitMissed, "a chunk that ends in a bare LF is not understood: it passes, is named in the report, and misses"},
	"surplus":  {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello\n(open)\n", 0, "bytes behind a message belong to no exchange (RFC 9112 section 9.2)"},
}

// cookie is the value in a Set-Cookie field, which a replay gives a stand-in.
var cookie = regexp.MustCompile(`(?im)^(set-cookie: \w+=)[^;\r\n]*`)

// TestOddForms holds the raw stream: what a client receives of each unusual form
// is the same direct, recorded and replayed, byte for byte, and so is how the
// connection ends.
func TestOddForms(t *testing.T) {
	r := newRig(t)
	for _, how := range []string{"plain", "tls"} {
		t.Run(how, func(t *testing.T) {
			for _, form := range testnet.OddForms() {
				t.Run(form.Name, func(t *testing.T) {
					t.Parallel()
					r := &rig{t: t, net: r.net, dir: t.TempDir()}
					r.odd(how, form)
				})
			}
		})
	}
}

// odd runs one form.
func (r *rig) odd(how string, form testnet.Odd) {
	r.t.Helper()
	port := map[string]string{"plain": "80", "tls": "443"}[how]
	argv := []string{built.rawget, how, testnet.OddHost + ":" + port, strconv.Itoa(len(form.Request)), strconv.Quote(form.Interim)}
	stdin := form.Request + form.Body
	direct := r.runWith([]string{"SSL_CERT_FILE=" + r.net.CAFile}, stdin, argv...)
	ask := func(mode string) outcome {
		args := append([]string{built.serge, mode, "odd", "--shift-dates", "off", "--"}, argv...)
		return r.runWith([]string{"SERGE_UPSTREAM_CA=" + r.net.CAFile}, stdin, args...)
	}
	recorded := ask("record")
	if d := cmp.Diff(direct.stdout, recorded.stdout); d != "" || recorded.code != 0 {
		r.t.Errorf("recorded, exit code %d (-direct +recorded):\n%s\n%s", recorded.code, d, recorded.stderr)
	}
	want := exception{want: direct.stdout}
	if x, ok := exceptions[form.Name]; ok {
		want = x
	}
	hits := r.net.Hits()
	replayed := ask("replay")
	got := cookie.ReplaceAllString(replayed.stdout, "$1")
	if want.code == exitMissed {
		got = ""
	}
	if d := cmp.Diff(cookie.ReplaceAllString(want.want, "$1"), got); d != "" || replayed.code != want.code {
		r.t.Errorf("replayed, exit code %d; want %d (-want +replayed):\n%s\n%s", replayed.code, want.code, d, replayed.stderr)
	}
	route := testnet.OddHost + testnet.OddPath(form.Name)
	if n := r.net.Hits()[route] - hits[route]; n != 0 {
		r.t.Errorf("the origin was asked %d times in a replay", n)
	}
}
