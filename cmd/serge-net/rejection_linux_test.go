package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// TestRejections has programs that would not have our certificate, each for a
// reason of its runtime's: the report names host, process and runtime, and what
// to do about it.
func TestRejections(t *testing.T) {
	r := newRig(t)
	ownroots := filepath.Join(built.dir, "ownroots")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", ownroots, "./testdata/clients/ownroots").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	store := strings.TrimPrefix(truststore(r)[0], "JAVA_TOOL_OPTIONS=")
	url := "https://" + testnet.WWW + "/hello"
	for _, c := range []struct {
		name    string
		argv    []string
		who     string
		runtime string
		remedy  string
	}{
		{"Go", []string{ownroots, url}, "ownroots", "Go 1.", "its code sets RootCAs"},
		{"Python", []string{"/usr/bin/python3", "-c", "import requests, sys; requests.get(sys.argv[1], verify=sys.argv[2])", url, r.net.CAFile},
			"python3", "Python 3.", "verify=FILE"},
		{"Java", []string{"java", store, "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", built.java, "HttpClientGet", url},
			"java", "Java 17", "leave out " + store + " on its command line"},
		{"Node", []string{"env", "-u", "NODE_EXTRA_CA_CERTS", "-u", "SSL_CERT_FILE", "node", "-e", "fetch(process.argv[1])", url},
			"node", "Node.js", "NODE_EXTRA_CA_CERTS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := r.in(t, "").serge(append([]string{"record", "c", "--"}, c.argv...)...)
			if o.code == 0 {
				t.Errorf("exit code 0")
			}
			for _, want := range []string{
				"serge-net: rejected: " + c.who + " (pid ", ", " + c.runtime, "trust serge-net's certificate for www.test.example:443", c.remedy,
				"\n  to let it pass unrecorded: --bypass www.test.example; in every run: serge-net accept c --bypass www.test.example\n",
			} {
				if !strings.Contains(o.stderr, want) {
					t.Errorf("the report has no %q:\n%s", want, o.stderr)
				}
			}
		})
	}
}

// TestAccepted has a cassette remember a host that its program pins: it passes
// in every run, also when the cassette is recorded again, and such a replay is
// not isolated.
func TestAccepted(t *testing.T) {
	r := newRig(t)
	pinning := "https://" + testnet.TLS12 + "/hello"
	script := "curl -sS https://" + testnet.WWW + "/hello; curl -sS --capath / --cacert " + r.net.CAFile + " " + pinning
	argv := []string{"c", "--", "sh", "-c", script}
	o := r.serge(append([]string{"record"}, argv...)...)
	if want := "serge-net accept c --bypass " + testnet.TLS12; o.code == 0 || !strings.Contains(o.stderr, want) {
		t.Fatalf("exit code %d, no %q in\n%s", o.code, want, o.stderr)
	}
	o = r.well("accept", "c", "--bypass", testnet.TLS12)
	if want := testnet.TLS12 + " passes untouched and unrecorded from now on, by the rules of cassettes/c.json\n"; o.stdout != want {
		t.Errorf("accept says %q; want %q", o.stdout, want)
	}
	o = r.well("accept", "c", "--bypass", testnet.TLS12)
	if want := "untouched and unrecorded already"; !strings.Contains(o.stdout, want) {
		t.Errorf("accept says %q; want %q", o.stdout, want)
	}
	want := "hello from www.test.example\nhello from tls12.test.example\n"
	for _, mode := range []string{"record", "record", "replay"} {
		o := r.well(append([]string{mode}, argv...)...)
		if o.stdout != want || !strings.Contains(o.stderr, "serge-net: not recorded, by the rules of c: "+testnet.TLS12+"\n") {
			t.Errorf("%s: %q; want %q\n%s", mode, o.stdout, want, o.stderr)
		}
		if mode == "replay" && !strings.Contains(o.stderr, "isolated: no") {
			t.Errorf("a replay that let a host pass is isolated:\n%s", o.stderr)
		}
	}
	if o := r.well("show", "c"); !strings.Contains(o.stdout, "rule: "+testnet.TLS12+" passes untouched") || strings.Contains(o.stdout, pinning) {
		t.Errorf("show says\n%s", o.stdout)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"accept"}, "no cassette named"},
		{[]string{"accept", "c"}, "nothing to accept"},
		{[]string{"accept", "none", "--bypass", "a.example"}, "no cassette cassettes/none.json"},
		{[]string{"accept", "c", "--bypass", "http://a"}, "neither host, address, prefix nor port"},
	} {
		if o := r.serge(c.args...); o.code != 125 || !strings.Contains(o.stderr, c.want) || !strings.Contains(o.stderr, "hint: ") {
			t.Errorf("%v: exit code %d\n%s", c.args, o.code, o.stderr)
		}
	}
}
