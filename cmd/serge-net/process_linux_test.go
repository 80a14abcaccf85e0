package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/serge-net/serge-net/exchange"
)

// TestKindOf tells runtimes by the names of their executables, and by those alone.
func TestKindOf(t *testing.T) {
	for _, c := range []struct{ name, kind, version string }{
		{"node", "Node.js", ""}, {"nodejs", "Node.js", ""}, {"node-18", "Node.js", "18"},
		{"python3.11", "Python", "3.11"}, {"python", "Python", ""}, {"python3", "Python", "3"},
		{"java", "Java", ""}, {"ruby3.1", "Ruby", "3.1"}, {"php8.2", "PHP", "8.2"}, {"perl", "Perl", ""},
		{"curl", "curl", ""}, {"git-remote-https", "git", ""}, {"git-remote-http", "git", ""}, {"wget", "wget", ""},
		{"firefox-esr", "Firefox", ""}, {"chrome", "Chromium", ""}, {"dotnet", ".NET", ""},
		{"pythonista", "", ""}, {"curly", "", ""}, {"", "", ""}, {".", "", ""}, {"javac", "", ""},
	} {
		if kind, version := kindOf(c.name); kind != c.kind || version != c.version {
			t.Errorf("kindOf(%q) = %q, %q; want %q, %q", c.name, kind, version, c.kind, c.version)
		}
	}
}

// TestProcessOf looks at this process, and at one that is gone.
func TestProcessOf(t *testing.T) {
	p := processOf(exchange.Caller{PID: os.Getpid(), Command: "serge-net.test"}).identified()
	if p.kind != "Go" || !strings.HasPrefix(runtime.Version(), "go"+p.version) || len(p.argv) != len(os.Args) || len(p.env) == 0 {
		t.Errorf("this process is %+v", p)
	}
	if p := processOf(exchange.Caller{PID: noPID, Command: "node"}); p.kind != "Node.js" || p.path != "" {
		t.Errorf("a process that is gone is %+v", p)
	}
	if p := processOf(exchange.Caller{}); p.kind != "" {
		t.Errorf("an unknown process is %+v", p)
	}
}

// TestRust finds what rustc leaves, also where a read ends in the middle of it.
func TestRust(t *testing.T) {
	const library, rustls = "/rustc/90b35a623/library/core/src/fmt/mod.rs", "/index.crates.io-6f17d22bba15001f/rustls-0.23.5/src/lib.rs"
	for _, c := range []struct {
		name          string
		parts         []string
		kind, version string
	}{
		{"C", []string{"glibc"}, "", ""},
		{"Rust", []string{library}, "Rust", ""},
		{"rustls", []string{library, rustls}, "Rust", "with rustls"},
	} {
		for _, at := range []int{0, 1 << 20, 1<<20 + 40, 1<<21 + 50} {
			b := bytes.Repeat([]byte{0}, 3<<20)
			for n, p := range c.parts {
				copy(b[at+n*100:], p)
			}
			if kind, version := rust(bytes.NewReader(b)); kind != c.kind || version != c.version {
				t.Errorf("rust(%s at %d) = %q, %q; want %q, %q", c.name, at, kind, version, c.kind, c.version)
			}
		}
	}
}

// TestJavaVersion reads it where a JDK has it.
func TestJavaVersion(t *testing.T) {
	home := t.TempDir()
	write(t, filepath.Join(home, "release"), "IMPLEMENTOR=\"Debian\"\nJAVA_VERSION=\"17.0.15\"\n")
	for _, c := range []struct{ exe, want string }{{"bin/java", "17.0.15"}, {"jre/bin/java", "17.0.15"}, {"a/b/c/java", ""}} {
		if got := javaVersion(filepath.Join(home, c.exe)); got != c.want {
			t.Errorf("javaVersion(%s) = %q; want %q", c.exe, got, c.want)
		}
	}
}

// TestRemedy says what keeps a program from it: an option, an environment that
// it did not get, or its own code.
func TestRemedy(t *testing.T) {
	ours := []string{"SSL_CERT_FILE=/run/m.pem", "REQUESTS_CA_BUNDLE=/run/m.pem", "NODE_EXTRA_CA_CERTS=/run/c.pem"}
	for _, c := range []struct {
		name string
		p    process
		ours []string
		want string // part of it
	}{
		{"unknown", process{}, ours, "it carries its own roots or pins a certificate, which cannot be changed from outside"},
		{"option", process{kind: "curl", argv: []string{"curl", "-sS", "--cacert", "/a"}, env: ours}, ours, "leave out --cacert on its command line"},
		{"option with a value", process{kind: "Java", argv: []string{"java", "-Djavax.net.ssl.trustStore=/a"}, env: ours}, ours, "leave out -Djavax.net.ssl.trustStore=/a "},
		{"an option's password", process{kind: "Java", argv: []string{"java", "-Djavax.net.ssl.trustStorePassword=x"}, env: ours}, ours, "its code loads a truststore"},
		{"behind --", process{kind: "curl", argv: []string{"curl", "--", "--cacert"}, env: ours}, ours, ".curlrc"},
		{"without", process{kind: "Node.js", env: ours[:2]}, ours, "pass NODE_EXTRA_CA_CERTS on to it"},
		{"other", process{kind: "Python", env: []string{ours[0], "REQUESTS_CA_BUNDLE=/etc/corp.pem"}}, ours, "leave REQUESTS_CA_BUNDLE as a run sets it: it was started with /etc/corp.pem"},
		{"with", process{kind: "Node.js", env: ours}, ours, "its code sets ca:"},
		{"environment unreadable", process{kind: "Node.js"}, ours, "its code sets ca:"},
		{"not from us", process{kind: "Node.js", env: []string{"HOME=/"}}, nil, "its code sets ca:"},
		{"snap", process{kind: "curl", path: "/snap/curl/1/usr/bin/curl", env: ours}, ours, "other means than snap"},
		{"Go", process{kind: "Go", env: ours}, ours, "its code sets RootCAs"},
		{"Rust", process{kind: "Rust", env: ours}, ours, "webpki-roots"},
	} {
		if got := c.p.remedy(c.ours); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q; want %q in it", c.name, got, c.want)
		}
	}
	for _, s := range stances() {
		if got := (process{kind: s.kind}).remedy(nil); got == "" {
			t.Errorf("%s: nothing is said", s.kind)
		}
	}
}
