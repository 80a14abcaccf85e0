package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// A userClient has the origins' CA from a file of its user's.
type userClient struct {
	name string
	file string // in the home directory
	text string // "%s" is the CA's file
	argv []string
	says string // when it trusts
}

// userClients are those to try, npm among them where it is and all is to be
// tested. Most find nothing at the origin, and say so: over TLS.
func userClients() []userClient {
	url := "https://" + testnet.WWW
	clients := []userClient{
		{"curl", ".curlrc", "cacert = %s\n", []string{"curl", "-sS", url + "/hello"}, "hello from"},
		{"wget", ".wgetrc", "ca_certificate = %s\n", []string{"wget", "-q", "-O", "-", url + "/hello"}, "hello from"},
		{"git", ".gitconfig", "[http]\n\tsslCAInfo = %s\n", []string{"git", "ls-remote", url + "/none.git"}, "not found"},
		{"pip", ".config/pip/pip.conf", "[global]\ncert = %s\n",
			[]string{"/usr/bin/python3", "-m", "pip", "download", "--no-cache-dir", "--retries=0", "--no-deps", "-i", url + "/simple", "none"}, "No matching distribution found"},
	}
	if _, err := exec.LookPath("npm"); err == nil && os.Getenv("SERGE_TEST_ALL") != "" {
		clients = append(clients, userClient{
			"npm", ".npmrc", "cafile=%s\nupdate-notifier=false\n",
			[]string{"npm", "view", "--fetch-retries=0", "--registry", url + "/", "none"}, "E404",
		})
	}
	return clients
}

// TestUsersSettings has the origins' CA in programs' own configuration only:
// we trust by it, they trust us, and also the origin where it passes us.
func TestUsersSettings(t *testing.T) {
	r := newRig(t)
	for _, c := range userClients() {
		t.Run(c.name, func(t *testing.T) {
			if _, err := exec.LookPath(c.argv[0]); err != nil {
				t.Fatalf("%v; make test installs it", err)
			}
			r := &rig{t: t, net: r.net, dir: t.TempDir()}
			home := t.TempDir()
			file := filepath.Join(home, c.file)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, file, fmt.Sprintf(c.text, r.net.CAFile))
			env := []string{"HOME=" + home, "XDG_CONFIG_HOME=", "XDG_CACHE_HOME=", "GIT_TERMINAL_PROMPT=0", "PIP_NO_INPUT=1"}
			for _, flags := range [][]string{nil, {"record", "c"}, {"replay", "c"}, {"record", "other", "--bypass", testnet.WWW}} {
				argv := c.argv
				if flags != nil {
					argv = append(append([]string{built.serge}, flags...), append([]string{"--"}, c.argv...)...)
				}
				o := r.runWith(env, "", argv...)
				if all := o.stdout + o.stderr; !strings.Contains(all, c.says) || strings.Contains(all, "rejected: ") {
					t.Errorf("%v: exit code %d, no %q in\n%s", flags, o.code, c.says, all)
				}
			}
		})
	}
}

// TestUsersTruststore has the origins' CA in a truststore under a password that
// a JVM's options name: PKCS #12, as keytool writes it.
func TestUsersTruststore(t *testing.T) {
	r := newRig(t)
	store := filepath.Join(t.TempDir(), "trust.p12")
	out, err := exec.CommandContext(t.Context(), "keytool", "-importcert", "-noprompt", "-alias", "testnet",
		"-file", r.net.CAFile, "-keystore", store, "-storepass", "secret99", "-storetype", "PKCS12").CombinedOutput()
	if err != nil {
		t.Fatalf("keytool: %v\n%s", err, out)
	}
	env := []string{"JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=" + store + " -Djavax.net.ssl.trustStorePassword=secret99"}
	argv := []string{"java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", built.java, "HttpClientGet", "https://" + testnet.WWW + "/hello"}
	for _, flags := range [][]string{{"record", "c"}, {"replay", "c"}, {"record", "other", "--bypass", testnet.WWW}} {
		o := r.runWith(env, "", append(append([]string{built.serge}, flags...), append([]string{"--"}, argv...)...)...)
		if o.code != 0 || !strings.Contains(o.stdout, "hello from") {
			t.Errorf("%v: exit code %d\n%s\n%s", flags, o.code, o.stdout, o.stderr)
		}
	}
}

// TestVenvOfTheRun has a virtual environment that is made during the run, with a
// pip of its own.
func TestVenvOfTheRun(t *testing.T) {
	r := newRig(t)
	script := `set -e; python3 -m venv v; v/bin/pip download --no-cache-dir --retries=0 --no-deps -i https://www.test.example/simple none || true
v/bin/python -c 'import urllib.request as u; print(u.urlopen("https://www.test.example/hello").read().decode(), end="")'`
	modes := []string{"record"}
	if os.Getenv("SERGE_TEST_ALL") != "" { // it is the slowest of clients
		modes = append(modes, "replay")
	}
	for _, mode := range modes {
		o := r.serge(mode, "c", "--", "sh", "-c", script)
		if all := o.stdout + o.stderr; o.code != 0 || !strings.Contains(all, "No matching distribution found") || !strings.Contains(all, "hello from") {
			t.Errorf("%s: exit code %d\n%s", mode, o.code, all)
		}
		if err := os.RemoveAll(filepath.Join(r.dir, "v")); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNoTrace runs clients that read each kind of truststore, with a home that
// has an NSS database and policies beside. The command finds our CA in all;
// nothing of the host's and the user's has changed afterwards, but for the cache.
func TestNoTrace(t *testing.T) {
	r := newRig(t)
	home := t.TempDir()
	db := filepath.Join(home, ".pki/nssdb")
	if err := os.MkdirAll(db, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "certutil", "-N", "--empty-password", "-d", "sql:"+db).CombinedOutput(); err != nil {
		t.Fatalf("certutil: %v\n%s", err, out)
	}
	write(t, filepath.Join(home, "corp.pem"), string(mustRead(t, r.net.CAFile)))
	write(t, filepath.Join(home, ".npmrc"), "cafile=${HOME}/corp.pem\n")
	jdk, err := filepath.EvalSymlinks("/usr/lib/jvm/default-java")
	if err != nil {
		t.Fatalf("%v; make test installs a JDK", err)
	}
	trees := []string{home, "/etc/ssl", filepath.Join(jdk, "lib/security"), "/etc/chromium", "/usr/share/firefox-esr", "/dev/shm"}
	before := checksums(t, trees)
	java := strings.Join([]string{"java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", built.java, "HttpClientGet"}, " ")
	script := `set -e; certutil -L -d sql:$HOME/.pki/nssdb; touch $HOME/.pki/nssdb/written; cat $HOME/corp.pem; for c in 'curl -sS' ` +
		`'wget -q -O -' '` + java + `'; do $c https://www.test.example/hello; done`
	for _, mode := range []string{"record", "replay"} {
		o := r.runWith([]string{"HOME=" + home, "XDG_CACHE_HOME=", "XDG_DATA_HOME=", "SERGE_UPSTREAM_CA=" + r.net.CAFile}, "",
			built.serge, mode, "c", "--", "sh", "-c", script)
		if o.code != 0 || strings.Count(o.stdout, "hello from www.test.example") != 3 || !strings.Contains(o.stdout, "serge-net ") || strings.Count(o.stdout, "BEGIN CERT") != 2 {
			t.Errorf("%s: exit code %d\n%s\n%s", mode, o.code, o.stdout, o.stderr)
		}
	}
	if d := cmp.Diff(before, checksums(t, trees)); d != "" {
		t.Errorf("changed (-before +after):\n%s", d)
	}
}

// checksums is what each file below trees has, by path, but for our cache.
func checksums(t *testing.T, trees []string) map[string]string {
	t.Helper()
	sums := make(map[string]string)
	for _, tree := range trees {
		err := filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				if path == tree {
					return nil // not on this host
				}
				return err
			}
			if strings.HasSuffix(path, "/.cache/serge-net") {
				return fs.SkipDir
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			what := info.Mode().String()
			if info.Mode().IsRegular() {
				b, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				what += fmt.Sprintf(" %s %x", info.ModTime(), sha256.Sum256(b))
			}
			if !strings.HasSuffix(path, "/.cache") {
				sums[path] = what
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return sums
}

// mustRead is the content of the file at path.
func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestCacheDir: what a run keeps has nothing of that run in it, and a home that
// cannot be written to is no trouble.
func TestCacheDir(t *testing.T) {
	r := newRig(t)
	home := t.TempDir()
	jdk := filepath.Join(home, ".jdks/a/lib/security")
	if err := os.MkdirAll(jdk, 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "keytool", "-importcert", "-noprompt", "-alias", "a", "-file", r.net.CAFile,
		"-keystore", filepath.Join(jdk, "cacerts"), "-storepass", "changeit", "-storetype", "PKCS12").CombinedOutput()
	if err != nil {
		t.Fatalf("keytool: %v\n%s", err, out)
	}
	list := []string{"sh", "-c", "keytool -list -v -storepass changeit -keystore $HOME/.jdks/a/lib/security/cacerts | grep Owner; cat $NODE_EXTRA_CA_CERTS"}
	for range 2 {
		o := r.runWith([]string{"HOME=" + home, "XDG_CACHE_HOME="}, "", append([]string{built.serge, "run", "--mode", "passthrough", "--"}, list...)...)
		if o.code != 0 || strings.Count(o.stdout, "Owner: ") != 2 || !strings.Contains(o.stdout, "CN=serge-net run ") {
			t.Errorf("exit code %d\n%s\n%s", o.code, o.stdout, o.stderr)
		}
		kept, err := filepath.Glob(filepath.Join(home, ".cache/serge-net/*"))
		if err != nil || len(kept) != 1 {
			t.Fatalf("kept %q, %v; want one file", kept, err)
		}
		_, text, _ := strings.Cut(o.stdout, "-----BEGIN CERTIFICATE-----")
		text, _, _ = strings.Cut(text, "-----END")
		der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
		if err != nil || len(der) == 0 || bytes.Contains(mustRead(t, kept[0]), der) {
			t.Errorf("%v: the run's CA is in the cache", err)
		}
	}
	o := r.runWith([]string{"HOME=/proc", "XDG_CACHE_HOME="}, "", built.serge, "run", "--mode", "passthrough", "--", "true")
	if o.code != 0 || strings.Contains(o.stderr, "trust: ") {
		t.Errorf("with a home that is read-only: exit code %d\n%s", o.code, o.stderr)
	}
}
