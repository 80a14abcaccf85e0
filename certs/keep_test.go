package certs

import (
	"bytes"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestKeep makes a CA once, for its owner alone, and gives it again.
func TestKeep(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "share", "serge-net")
	if _, err := Kept(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Kept() of nothing: %v; want fs.ErrNotExist", err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	seen, news := map[string]bool{}, 0
	for range 8 {
		all.Go(func() {
			ca, made, err := Keep(dir)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			seen[ca.Fingerprint()] = true
			if made {
				news++
			}
		})
	}
	all.Wait()
	if len(seen) != 1 || news != 1 {
		t.Errorf("8 at once keep %d CAs, and %d made one; want one", len(seen), news)
	}
	ca, err := Kept(dir)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(CertPath(dir)); err != nil || !bytes.Equal(b, ca.PEM()) {
		t.Errorf("%s holds %q, %v", CertPath(dir), b, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("%v, %v; want the key's file and the certificate's", entries, err)
	}
	for path, want := range map[string]fs.FileMode{dir: 0o700, KeptPaths(dir)[0]: 0o600, CertPath(dir): 0o644} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want && runtime.GOOS != "windows" {
			t.Errorf("%s: %v, %v; want mode %v", path, info.Mode(), err, want)
		}
	}
}

// TestKeptLeaves are valid for less than their CA, and replaced before their end.
func TestKeptLeaves(t *testing.T) {
	ca, _, err := Keep(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	leaf := func() *x509.Certificate {
		t.Helper()
		cert, err := ca.Leaf("a.test", nil)
		if err != nil {
			t.Fatal(err)
		}
		return cert.Leaf
	}
	first := leaf()
	if got := time.Until(first.NotAfter).Round(time.Hour); got != KeptLeafLife {
		t.Errorf("a leaf is valid for %v; want %v", got, KeptLeafLife)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca.Cert())
	if _, err := first.Verify(x509.VerifyOptions{DNSName: "a.test", Roots: pool}); err != nil {
		t.Error(err)
	}
	if leaf() != first {
		t.Error("a leaf is made anew though it is fresh")
	}
	first.NotAfter = time.Now().Add(KeptLeafLife / 4)
	if leaf() == first {
		t.Error("a leaf near its end is given again")
	}
}

// TestKeptRefuses what is no CA, or is to be trusted no more.
func TestKeptRefuses(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := Keep(dir); err != nil {
		t.Fatal(err)
	}
	path := KeptPaths(dir)[0]
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	key, cert, _ := bytes.Cut(good, []byte("-----BEGIN CERTIFICATE"))
	cert = append([]byte("-----BEGIN CERTIFICATE"), cert...)
	for name, text := range map[string][]byte{
		"empty": nil, "key alone": key, "certificate alone": cert,
		"another's key": append(bytes.Clone(key), newCA(t).PEM()...),
		"mangled":       bytes.Replace(good, []byte("MI"), []byte("mi"), 1),
	} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Kept(dir); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v; want an error that names the file", name, err)
		}
	}
	if runtime.GOOS == "windows" {
		return
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Kept(dir); !errors.Is(err, ErrExposed) {
		t.Errorf("a key that the group may read: %v; want ErrExposed", err)
	}
}

// FuzzParseKept: what is taken for a CA is one.
func FuzzParseKept(f *testing.F) {
	dir := f.TempDir()
	if _, _, err := Keep(dir); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(KeptPaths(dir)[0])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		ca, err := parseKept(text)
		if err != nil {
			return
		}
		if _, err := ca.Leaf("a.test", nil); err != nil || !ca.Cert().IsCA {
			t.Errorf("%q: %v", text, err)
		}
	})
}

// TestSystemStore has each system's own commands.
func TestSystemStore(t *testing.T) {
	ca := newCA(t)
	file := "serge-net-" + ca.Fingerprint()[:16]
	for _, c := range []struct {
		system, dir    string
		anchor         string
		trust, forget  string
		root, override bool
	}{
		{"darwin", "", "", "security add-trusted-cert -r trustRoot /ca.pem", "security delete-certificate -t -Z ", false, false},
		{"windows", "", "", "certutil -user -addstore Root /ca.pem", "certutil -user -delstore Root ", false, false},
		{"linux", "/usr/local/share/ca-certificates", ".crt", "update-ca-certificates", "update-ca-certificates", true, true},
		{"linux", "/etc/pki/ca-trust/source/anchors", ".pem", "update-ca-trust extract", "update-ca-trust extract", true, false},
	} {
		s, err := SystemStore(c.system, ca, "/ca.pem", func(dir string) bool { return dir == c.dir })
		if err != nil {
			t.Fatal(err)
		}
		want := ""
		if c.dir != "" {
			want = filepath.Join(c.dir, file+c.anchor)
		}
		trust, forget := strings.Join(s.Trust, " "), strings.Join(s.Forget, " ")
		if s.Anchor != want || trust != c.trust || !strings.HasPrefix(forget, c.forget) || s.Root != c.root || (s.Overrides != "") != c.override {
			t.Errorf("%s %s: %+v", c.system, c.dir, s)
		}
	}
	for _, system := range []string{"linux", "plan9"} {
		if _, err := SystemStore(system, ca, "", func(string) bool { return false }); !errors.Is(err, ErrNoStore) {
			t.Errorf("%s without a known directory: %v; want ErrNoStore", system, err)
		}
	}
}

// TestStore installs a CA and uninstalls it: the anchor, and what is run.
func TestStore(t *testing.T) {
	ca, dir := newCA(t), t.TempDir()
	conf := filepath.Join(dir, "conf")
	if err := os.WriteFile(conf, []byte("mozilla/a.crt"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := Store{
		Anchor: filepath.Join(dir, "a.crt"), Trust: []string{"trust"}, Forget: []string{"forget"},
		Conf: conf, Line: "!a.crt", Overrides: "--conf",
	}
	var ran [][]string
	run := func(argv []string) error {
		if len(argv) == 3 {
			b, err := os.ReadFile(argv[2])
			if err != nil {
				t.Error(err)
			}
			argv[2] = string(b)
		}
		ran = append(ran, argv)
		return nil
	}
	if err := s.Install(ca, run); err != nil || !s.Holds(ca) || s.Holds(newCA(t)) {
		t.Errorf("after Install() = %v it holds ours: %t", err, s.Holds(ca))
	}
	for range 2 {
		if err := s.Uninstall(run); err != nil || s.Holds(ca) {
			t.Errorf("after Uninstall() = %v it holds ours: %t", err, s.Holds(ca))
		}
	}
	gone := []string{"forget", "--conf", "mozilla/a.crt\n!a.crt\n"}
	if d := cmp.Diff([][]string{{"trust"}, gone, gone}, ran); d != "" {
		t.Errorf("ran (-want +got):\n%s", d)
	}
	failed := errors.New("it failed")
	if err := s.Install(ca, func([]string) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("Install() whose command fails: %v", err)
	}
}
