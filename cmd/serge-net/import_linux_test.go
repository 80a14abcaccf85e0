package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tools is where recordings lie that the tools themselves wrote.
const tools = "../../cassette/foreign/testdata/tools"

// askFirst has the first of askAll's requests carry a token.
const askFirst = "first=(-H 'Authorization: Bearer mine')"

// askAll asks what gen/origin.py was asked, and shows status, a header and body.
const askAll = `
u=http://api.example.com:8123
c() { curl -s -S --globoff --compressed -w '\n%{http_code}_%header{x-two}%{content_type}\n' "${every[@]}" "$@"; }
c "${first[@]}" "$u/json?q=1&r=a%20b"
c $u/count; c $u/count; c $u/text; c $u/nope
c $u/bin | od -An -v -tx1 | head -17
`

// TestImportedIsReplayed imports what each tool wrote and has curl ask again.
func TestImportedIsReplayed(t *testing.T) {
	net := newRig(t)
	files := []string{"vcrpy.yaml", "vcr.yml", "govcr4.yaml", "polly5.har", "playwright.har", "wiremock", "nock14.json", "mitmproxy.flows"}
	if os.Getenv("SERGE_TEST_ALL") != "" {
		files = append(files, "vcrpy.decoded.yaml", "govcr1.yaml", "govcr3.yaml", "polly.har", "playwright/attach.har", "wiremock/admin.json", "nock.json")
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			r := net.in(t, "")
			path, err := filepath.Abs(filepath.Join(tools, file))
			if err != nil {
				t.Fatal(err)
			}
			o := r.well("import", path, "--cassette", "it")
			if !strings.Contains(o.stderr, "interactions carried") {
				t.Errorf("import says %q", o.stderr)
			}
			b, err := os.ReadFile(filepath.Join(r.dir, "cassettes/it.json"))
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(b), "s3cr3t") {
				t.Error("a secret of the recording is in the cassette")
			}
			ask := askFirst + askAll
			if strings.HasPrefix(file, "playwright") {
				ask = askAll // it sent none
			}
			if !tokenOnce(file) { // asked with it each time
				ask = "every=(-H 'Authorization: Bearer mine')" + askAll
			}
			o = r.replay("it", "bash", "-c", ask)
			if diff := cmp.Diff(answered(file), numbered(o.stdout)); diff != "" {
				t.Errorf("curl's answers (-want +got):\n%s\n%s", diff, o.stderr)
			}
		})
	}
}

// answered is what curl shows of origin.py's answers, as far as file's tool kept
// them.
func answered(file string) string {
	two, nope := "a", `{"error": "none"}`
	switch file {
	case "polly.har", "polly5.har":
		two = "a, b"
	case "nock14.json":
		two, nope = "a, b", `{"error":"none"}`
	case "nock.json":
		nope = `{"error":"none"}`
	}
	all := ""
	for i := range 256 {
		all += fmt.Sprintf(" %02x", i)
		if i%16 == 15 {
			all += "\n"
		}
	}
	return "{\"name\": \"ada\", \"city\": \"Z\\u00fcrich\"}\n200_" + two + "application/json\n" +
		"call N\n200_text/plain\ncall M\n200_text/plain\n" +
		"grüezi\nwohl: \"yes\"\n\n200_text/plain; charset=utf-8\n" + nope + "\n404_application/json\n" + all +
		" 0a 32 30 30 5f 61 70 70 6c 69 63 61 74 69 6f 6e\n"
}

// tokenOnce says whether the token was only sent at first by what wrote file.
func tokenOnce(file string) bool { return !strings.HasPrefix(file, "govcr") && file != "vcr.yml" }

// numbered is s with the numbers of two calls in a row as N and M.
func numbered(s string) string {
	var n int
	at := strings.Index(s, "call ")
	if at < 0 {
		return s
	}
	fmt.Sscanf(s[at:], "call %d", &n)
	s = strings.Replace(s, fmt.Sprintf("call %d\n", n), "call N\n", 1)
	return strings.Replace(s, fmt.Sprintf("call %d\n", n+1), "call M\n", 1)
}

// TestImportedOddly replays what is no plain answer: HTTP/2 with trailers, a
// refused connection and a cut answer of mitmproxy's, and patterns.
func TestImportedOddly(t *testing.T) {
	r := newRig(t)
	hand := "../../cassette/foreign/testdata/hand/"
	for _, file := range []string{tools + "/mitmproxy.flows", hand + "hoverfly.json", hand + "wiremock"} {
		path, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		r.well("import", path)
	}
	for _, tt := range []struct{ cassette, script, want string }{
		{"mitmproxy", "curl -sS -i --http2 https://api.example.com:8443/h2 | tr -d '\\r' | grep -v '^date\\|^$'", "HTTP/2 200 \ncontent-type: text/plain\ntrailer: x-sum\nin h2x-sum: 5\n"},
		{"mitmproxy", "curl -s http://api.example.com:1/refused; echo $?; curl -s http://api.example.com:8123/cut; echo $?", "56\n18\n"}, // refused once it is accepted: a reset
		{"hoverfly", "curl -s http://api.example.com/any/thing; curl -s 'http://api.example.com:8123/count?q=1'", "xcall 1"},
		{"wiremock", "curl -s -o /dev/null -w '%{http_code}' http://elsewhere.example.com/any/thing; curl -s 'http://api.example.com:8123/count?q=1'", "200call 1"},
	} {
		if o := r.replay(tt.cassette, "bash", "-c", tt.script); o.stdout != tt.want {
			t.Errorf("of %s, %s says %q; want %q\n%s", tt.cassette, tt.script, o.stdout, tt.want, o.stderr)
		}
	}
}

// TestImportAndExport: what import refuses, and each form that export writes is
// written and, where it can be read, replayed.
func TestImportAndExport(t *testing.T) {
	r := newRig(t)
	path, err := filepath.Abs(filepath.Join(tools, "mitmproxy.flows"))
	if err != nil {
		t.Fatal(err)
	}
	r.well("import", path, "--cassette", "it")
	if o := r.serge("import", path, "--cassette", "it"); o.code != exitStart || !strings.Contains(o.stderr, "is there already\nserge-net: hint: --replace or --append") {
		t.Errorf("a second import: exit code %d\n%s", o.code, o.stderr)
	}
	if o := r.well("import", path, "--cassette", "it", "--replace"); !strings.Contains(o.stderr, "says the same already: not touched") {
		t.Errorf("the same import again says:\n%s", o.stderr)
	}
	want := r.replay("it", "bash", "-c", askFirst+askAll).stdout
	for _, format := range []string{"har", "wiremock"} {
		r.well("export", "it", "--format", format, "-o", format+".json")
		r.well("import", format+".json", "--cassette", format)
		got := r.well("replay", format, "--", "bash", "-c", askFirst+askAll)
		if diff := cmp.Diff(want, got.stdout); diff != "" {
			t.Errorf("by way of %s (-want +got):\n%s", format, diff)
		}
	}
	r.well("export", "it", "--format", "curl", "-o", "ask.sh")
	// One of its requests was refused and one cut off; curl tells so. The WebSocket
	// is not asked for.
	o := r.replay("it", "bash", "-c", "AUTH_1=mine sh ask.sh")
	if !strings.Contains(o.stderr, "11 served") || !strings.Contains(o.stderr, "1 unused") {
		t.Errorf("the curl script leaves something unasked:\n%s\n%s", o.stdout, o.stderr)
	}
	for _, tt := range []struct{ args, want string }{
		{"import nothing.har", "no such file"},
		{"export it", "no format named"},
		{"export it --format hor", "did you mean har?"},
		{"export none --format har", "no cassette"},
	} {
		if o := r.serge(strings.Fields(tt.args)...); o.code != exitStart || !strings.Contains(o.stderr, tt.want) {
			t.Errorf("serge-net %s: exit code %d, want %d and %q\n%s", tt.args, o.code, exitStart, tt.want, o.stderr)
		}
	}
}
