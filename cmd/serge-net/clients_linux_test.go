package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// A client is a program that prints what each URL of its arguments answers.
type client struct {
	name string
	argv func(urls []string) []string
	// direct is the environment in which it trusts the internet's CA without us.
	direct func(r *rig) []string
}

// with is a client that is argv and then the URLs.
func with(argv ...string) func([]string) []string {
	return func(urls []string) []string { return append(slices.Clone(argv), urls...) }
}

// variable is the environment that names the CA in name.
func variable(name string) func(*rig) []string {
	return func(r *rig) []string { return []string{name + "=" + r.net.CAFile} }
}

// clients are those that the product promises to work with. Files are absolute,
// as they run in another directory.
func clients(t *testing.T) []client {
	file := func(name string) string {
		path, err := filepath.Abs(filepath.Join("testdata/clients", name))
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	return []client{
		{"curl-h1", with("curl", "-sS", "--http1.1"), variable("CURL_CA_BUNDLE")},
		{"curl-h2", with("curl", "-sS", "--http2"), variable("CURL_CA_BUNDLE")},
		{"wget", with("wget", "-q", "-O", "-"), wgetrc},
		{"python-urllib", with("python3", file("urllib_client.py")), variable("SSL_CERT_FILE")},
		{"python-requests", with("python3", file("requests_client.py")), variable("REQUESTS_CA_BUNDLE")},
		{"node-https", with("node", file("https_client.mjs")), variable("NODE_EXTRA_CA_CERTS")},
		{"node-fetch", with("node", file("fetch_client.mjs")), variable("NODE_EXTRA_CA_CERTS")},
		{"java", with("java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", built.java, "HttpClientGet"), truststore},
		{"go", with(built.goget), variable("SSL_CERT_FILE")},
	}
}

// wgetrc has wget trust the internet's CA.
func wgetrc(r *rig) []string {
	path := filepath.Join(r.t.TempDir(), "wgetrc")
	write(r.t, path, "ca_certificate="+r.net.CAFile+"\n")
	return []string{"WGETRC=" + path}
}

// truststore has a JVM trust the internet's CA.
func truststore(r *rig) []string {
	path := filepath.Join(r.t.TempDir(), "trust.jks")
	out, err := exec.CommandContext(r.t.Context(), "keytool", "-importcert", "-noprompt", "-alias", "testnet",
		"-file", r.net.CAFile, "-keystore", path, "-storepass", "changeit", "-storetype", "JKS").CombinedOutput()
	if err != nil {
		r.t.Fatalf("keytool: %v\n%s", err, out)
	}
	return []string{"JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=" + path}
}

// addresses is the URLs under which one path is asked for: over http and https,
// by name and by raw address, over IPv4 and IPv6.
func addresses(path string) []string {
	www, h2, six := testnet.Lookup(testnet.WWW), testnet.Lookup(testnet.H2), testnet.Lookup(testnet.V6Only)
	var urls []string
	for _, scheme := range []string{"http", "https"} {
		for _, host := range []string{www.Name, six.Name, www.V4.String(), "[" + www.V6.String() + "]"} {
			urls = append(urls, scheme+"://"+host+path)
		}
	}
	return append(urls, "https://"+h2.Name+path, "https://"+h2.V4.String()+path)
}

// TestClients is the promise: what a client prints is the same direct, recorded,
// replayed beside a living origin that is not asked, and replayed with no
// network at all.
func TestClients(t *testing.T) {
	r := newRig(t)
	for _, c := range clients(t) {
		t.Run(c.name, func(t *testing.T) { c.holds(r.in(t, "ebpf")) })
	}
}

// holds holds c to the promise in r.
func (c client) holds(r *rig) {
	t := r.t
	t.Helper()
	urls := addresses("/json")
	argv := c.argv(urls)
	direct := r.runWith(c.direct(r), "", argv...)
	if direct.code != 0 || strings.Count(direct.stdout, `"testnet"`) != len(urls) {
		t.Fatalf("direct: exit code %d\n%s\n%s", direct.code, direct.stdout, direct.stderr)
	}
	recorded := r.record("c", argv...)
	if d := cmp.Diff(direct.stdout, recorded.stdout); d != "" {
		t.Errorf("recorded prints other than direct (-direct +recorded):\n%s", d)
	}
	r.replayedTwice(t, direct.stdout, len(urls), argv)
}

// replayedTwice replays the cassette c beside the living origin, which must not
// notice, and then with every interface but lo down.
func (r *rig) replayedTwice(t *testing.T, want string, served int, argv []string) {
	t.Helper()
	hits, capture := r.net.HitCount(), r.net.Capture()
	alive := r.replay("c", argv...)
	if n := r.net.HitCount() - hits; n != 0 {
		t.Errorf("the origin was asked %d times in a replay", n)
	}
	if p := capture.Packets(); len(p) != 0 {
		t.Errorf("%d packets left in a replay, the first %v", len(p), p[0])
	}
	capture.Close()
	if d := cmp.Diff(want, alive.stdout); d != "" {
		t.Errorf("replayed prints other than direct (-direct +replayed):\n%s", d)
	}
	if line := fmt.Sprintf("%d served (%d exact, 0 assumed), 0 missed, 0 unused", served, served); !strings.Contains(alive.stderr, line) {
		t.Errorf("the report has no %q:\n%s", line, alive.stderr)
	}
	r.net.Gone()
	defer r.net.Back()
	gone := r.replay("c", argv...)
	if d := cmp.Diff(want, gone.stdout); d != "" {
		t.Errorf("replayed without a network prints other than direct (-direct +replayed):\n%s", d)
	}
}
