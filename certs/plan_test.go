package certs

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// plan makes a plan for the file system f and the environment env.
func plan(t *testing.T, mounts bool, f files, env ...string) (*Plan, *CA) {
	t.Helper()
	if mounts && runtime.GOOS != "linux" {
		t.Skip("mount namespaces are Linux's")
	}
	ca := newCA(t)
	p, err := NewPlan(PlanConfig{
		CA: ca.PEM(), Env: env, Root: makeTree(t, f), Workdir: "/src", Mounts: mounts,
		Dir: filepath.Join(t.TempDir(), "certs"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p, ca
}

// at is the mount of path in p.
func at(t *testing.T, p *Plan, path string) Mount {
	t.Helper()
	i := slices.IndexFunc(p.Mounts, func(m Mount) bool { return m.Path == path })
	if i < 0 {
		t.Errorf("no mount at %s", path)
		return Mount{}
	}
	return p.Mounts[i]
}

// readBy is what the command reads from the file that a variable of p names.
func readBy(t *testing.T, p *Plan, name string) string {
	t.Helper()
	path := environ(p.Env).value(name)
	for _, m := range p.Mounts {
		if m.Path == path {
			return string(m.Data)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return string(data)
}

// covers is the directories that p covers, and binds the files it binds.
func covers(p *Plan) (dirs, binds []string) {
	for _, m := range p.Mounts {
		switch {
		case m.Dir:
			dirs = append(dirs, m.Path)
		case !slices.ContainsFunc(dirs, func(d string) bool { return within(m.Path, d) }):
			binds = append(binds, m.Path)
		}
	}
	return dirs, binds
}

func TestPlanLayouts(t *testing.T) {
	der, text := root(t)
	for _, tt := range layouts(der, text) {
		t.Run(tt.name, func(t *testing.T) {
			p, ca := plan(t, true, tt.files, "PATH=/opt/py/bin:/home/.pyenv/shims:bin", "HOME=/home")
			dirs, binds := covers(p)
			if d := cmp.Diff(tt.dirs, dirs); d != "" {
				t.Errorf("covered (-want +got):\n%s", d)
			}
			if d := cmp.Diff(tt.binds, binds); d != "" {
				t.Errorf("bound (-want +got):\n%s", d)
			}
			hash, _ := subjectHash(ca.Cert().RawSubject)
			if m := at(t, p, tt.hashed+"/"+hash+".0"); m.Link != caFile {
				t.Errorf("the hash leads to %q; want %q", m.Link, caFile)
			}
			if m := at(t, p, tt.hashed+"/"+caFile); string(m.Data) != string(ca.PEM()) {
				t.Errorf("%s = %q", caFile, m.Data)
			}
			for path, want := range tt.links {
				if m := at(t, p, path); m.Link != want {
					t.Errorf("%s leads to %q; want %q", path, m.Link, want)
				}
			}
			for _, path := range tt.pems {
				got, want := string(at(t, p, path).Data), text+string(ca.PEM())
				if !strings.HasSuffix(want, got) || !strings.HasSuffix(got, string(ca.PEM())) {
					t.Errorf("%s = %q; want our CA at its end", path, got)
				}
			}
			for _, path := range tt.jks {
				got, err := trustedIn(at(t, p, path).Data)
				if d := cmp.Diff([][]byte{der, ca.Cert().Raw}, got); err != nil || d != "" {
					t.Errorf("%s: %v (-want +got):\n%s", path, err, d)
				}
			}
			if got := readBy(t, p, "SSL_CERT_FILE"); got != text+string(ca.PEM()) {
				t.Errorf("SSL_CERT_FILE = %q", got)
			}
			if len(p.Notes) > 0 || len(p.Extra) > 0 || p.dir != "" {
				t.Errorf("notes %q, extra %q, wrote %q; want none", p.Notes, p.Extra, p.dir)
			}
		})
	}
}

func TestPlanVariables(t *testing.T) {
	_, system := root(t)
	corpDER, corp := root(t)
	_, extra := root(t)
	jks := string(newJKS([][]byte{corpDER}).encode("their password"))
	fs := files{
		"/etc/ssl/certs/ca-certificates.crt": system,
		"/corp.pem":                          corp,
		"/src/rel.pem":                       corp,
		"/extra.pem":                         extra,
		"/corp.jks":                          jks,
		"/dir/0123abcd.0":                    corp,
		"/home/.wgetrc":                      "quiet = on\nca_certificate = /corp.pem",
		"/bad.pem":                           "\n-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
		"/empty.pem":                         "",
	}
	for _, tt := range []struct {
		env    string
		change []string // variables, besides those that are always set
		roots  string   // what SSL_CERT_FILE has, but for our CA
		notes  []string
	}{
		{env: "X=y", roots: system},
		{env: "SSL_CERT_FILE=/corp.pem", roots: system + corp},
		{env: "SSL_CERT_FILE=", roots: system},
		{env: "REQUESTS_CA_BUNDLE=rel.pem", roots: system + corp},
		{env: "REQUESTS_CA_BUNDLE=/dir", roots: system + corp},
		{env: "CURL_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt", change: []string{"CURL_CA_BUNDLE"}, roots: system},
		{env: "npm_config_cafile=/corp.pem", change: []string{"npm_config_cafile"}, roots: system + corp},
		{env: "SSL_CERT_DIR=/dir", change: []string{"SSL_CERT_DIR"}, roots: system + corp},
		{env: "HOME=/home", roots: system + corp},
		{env: "JAVA_TOOL_OPTIONS=-Xmx1g -Djavax.net.ssl.trustStore=/corp.jks", change: []string{"JAVA_TOOL_OPTIONS"}, roots: system + corp},
		{env: "JAVA_TOOL_OPTIONS=-Xmx1g", roots: system},
		{env: "DENO_CERT=/extra.pem", change: []string{"DENO_CERT"}, roots: system},
		{env: "NODE_EXTRA_CA_CERTS=/extra.pem", roots: system},
		{env: "PIP_CERT=/none.pem", change: []string{"PIP_CERT"}, roots: system, notes: []string{"PIP_CERT=/none.pem: no such file or directory"}},
		{env: "PIP_CERT=/empty.pem", change: []string{"PIP_CERT"}, roots: system, notes: []string{"PIP_CERT=/empty.pem: holds no certificate"}},
		{env: "SSL_CERT_FILE=/bad.pem", roots: system, notes: []string{
			"SSL_CERT_FILE=/bad.pem:2: certificate illegal base64 data at input byte 0", "SSL_CERT_FILE=/bad.pem: holds no certificate"}},
		{env: "NODE_EXTRA_CA_CERTS=/none.pem", roots: system, notes: []string{"NODE_EXTRA_CA_CERTS=/none.pem: no such file or directory"}},
		{env: "WGETRC=/none", roots: system}, // wget itself says so
		{env: "JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=/corp.pem", change: []string{"JAVA_TOOL_OPTIONS"}, roots: system,
			notes: []string{"JAVA_TOOL_OPTIONS: /corp.pem: is neither a Java keystore nor PKCS #12: its roots are left out"}},
	} {
		t.Run(tt.env, func(t *testing.T) {
			name, was, _ := strings.Cut(tt.env, "=")
			p, ca := plan(t, true, fs, "A=b", tt.env, "C=d")
			if got := readBy(t, p, "SSL_CERT_FILE"); got != tt.roots+string(ca.PEM()) {
				t.Errorf("SSL_CERT_FILE has %q; want %q and our CA", got, tt.roots)
			}
			want := strings.TrimPrefix(tt.roots, system)
			if name == "NODE_EXTRA_CA_CERTS" || name == "DENO_CERT" {
				want += fs[was]
			}
			if string(p.Extra) != want {
				t.Errorf("Extra = %q; want %q", p.Extra, want)
			}
			if d := cmp.Diff(tt.notes, p.Notes); d != "" {
				t.Errorf("notes (-want +got):\n%s", d)
			}
			always := append([]string{"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "NODE_EXTRA_CA_CERTS"}, tt.change...)
			for _, kv := range p.Env {
				k, v, _ := strings.Cut(kv, "=")
				ours := strings.Contains(v, "/serge-net/")
				if ours != slices.Contains(always, k) {
					t.Errorf("%s: ours is %t", kv, ours)
				}
			}
			switch name {
			case "NODE_EXTRA_CA_CERTS", "DENO_CERT":
				theirs := fs[was]
				if got := readBy(t, p, name); got != theirs+string(ca.PEM()) {
					t.Errorf("%s has %q; want theirs and ours", name, got)
				}
			case "HOME":
				if m := at(t, p, "/corp.pem"); !m.Append || !strings.HasSuffix(string(m.Data), string(ca.PEM())) {
					t.Errorf("what .wgetrc names gets %q", m.Data)
				}
			}
		})
	}
}

func TestPlanWithoutMounts(t *testing.T) {
	systemDER, system := root(t)
	jdkDER, _ := root(t)
	fs := files{
		"/etc/ssl/cert.pem":                    system,
		"/jdk/lib/security/cacerts":            string(newJKS([][]byte{jdkDER}).encode(jksPassword)),
		"/usr/java/x/jre/lib/security/cacerts": "corrupt",
	}
	p, ca := plan(t, false, fs, "JAVA_HOME=/jdk", "JAVA_TOOL_OPTIONS=-Xmx1g", "PHP_INI_SCAN_DIR=/mine", "HOME=/home")
	if len(p.Mounts) != 0 {
		t.Errorf("%d mounts; want none", len(p.Mounts))
	}
	for _, v := range append(replacing(), variable{name: "GIT_SSL_CAINFO", need: always}) {
		if v.need == kept {
			continue
		}
		if got := readBy(t, p, v.name); got != system+string(ca.PEM()) {
			t.Errorf("%s has %q; want the system's root and ours", v.name, got)
		}
	}
	for _, v := range adding() {
		if got := readBy(t, p, v.name); got != string(ca.PEM()) {
			t.Errorf("%s has %q; want our CA alone", v.name, got)
		}
	}
	env := environ(p.Env)
	for name, want := range map[string]string{
		"WGETRC":     "ca_certificate = " + env.value("SSL_CERT_FILE") + "\n",
		"APT_CONFIG": "Acquire::https::CaInfo \"" + env.value("SSL_CERT_FILE") + "\";\n",
	} {
		if got := readBy(t, p, name); got != want {
			t.Errorf("%s has %q; want %q", name, got, want)
		}
	}
	php := strings.Split(env.value("PHP_INI_SCAN_DIR"), ":")
	if len(php) != 2 || php[0] != "/mine" {
		t.Errorf("PHP_INI_SCAN_DIR = %q; want theirs and ours", php)
	}
	store, rest := truststoreOption(env.value("JAVA_TOOL_OPTIONS"))
	data, err := os.ReadFile(store.path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := trustedIn(data)
	if d := cmp.Diff([][]byte{systemDER, jdkDER, ca.Cert().Raw}, got); err != nil || d != "" || !cmp.Equal(rest, []string{"-Xmx1g"}) {
		t.Errorf("JAVA_TOOL_OPTIONS keeps %q, trusts (-want +got): %v\n%s", rest, err, d)
	}
	if len(p.Notes) != 1 || !strings.HasPrefix(p.Notes[0], "/usr/java/x/jre/lib/security/cacerts: is neither a Java keystore nor PKCS #12") {
		t.Errorf("notes = %q; want one about the corrupt truststore", p.Notes)
	}
	dir := filepath.Dir(store.path)
	if fi, err := os.Stat(store.path); err != nil || fi.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v; want 0644", fi, err)
	}
	for range 2 {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("after Close: %v; want %s gone", err, dir)
	}
}

func TestPlanBadTruststore(t *testing.T) {
	der, text := root(t)
	p, ca := plan(t, true, files{
		"/etc/ssl/certs/ca-certificates.crt":  text,
		"/usr/lib/jvm/a/lib/security/cacerts": "corrupt",
		"/usr/lib/jvm/b/lib/security/cacerts": string(pkcs12(der)),
	})
	for _, jdk := range []string{"a", "b"} {
		got, err := trustedIn(at(t, p, "/usr/lib/jvm/"+jdk+"/lib/security/cacerts").Data)
		if d := cmp.Diff([][]byte{der, ca.Cert().Raw}, got); err != nil || d != "" {
			t.Errorf("JDK %s: %v (-want +got):\n%s", jdk, err, d)
		}
	}
	if len(p.Notes) != 1 || !strings.Contains(p.Notes[0], "the command finds the system's roots in it") {
		t.Errorf("notes = %q; want one about a", p.Notes)
	}
}

func TestPlanNoStore(t *testing.T) {
	ca := newCA(t)
	for _, cfg := range []PlanConfig{
		{CA: ca.PEM(), Root: t.TempDir(), Mounts: true},
		{CA: ca.PEM(), Root: t.TempDir()},
		{CA: []byte("no PEM"), Dir: t.TempDir()},
		{CA: append(ca.PEM(), ca.PEM()...), Dir: t.TempDir()},
		{CA: encode([]byte{0x30, 0}), Dir: t.TempDir()},
		{CA: ca.PEM(), Root: t.TempDir(), Dir: "/dev/null/x"},
	} {
		if p, err := NewPlan(cfg); err == nil || !strings.HasPrefix(err.Error(), "plan the command's trust: ") {
			t.Errorf("NewPlan(%v) = %v, %v; want an error", cfg, p, err)
		}
	}
	p, ca := plan(t, true, files{"/x": ""})
	if got := readBy(t, p, "SSL_CERT_FILE"); got != string(ca.PEM()) || p.dir == "" || len(p.Notes) != 1 {
		t.Errorf("without any roots: %q, notes %q; want our CA in a file, and a note", got, p.Notes)
	}
}

func TestPlanHashTaken(t *testing.T) {
	ca := newCA(t)
	hash, _ := subjectHash(ca.Cert().RawSubject)
	fs := files{"/etc/ssl/certs/" + hash + ".0": string(ca.PEM())}
	for i := range maxEntries / 4000 {
		fs[fmt.Sprintf("/etc/ssl/certs/%d.txt", i)] = "text"
	}
	p, err := NewPlan(PlanConfig{CA: ca.PEM(), Root: makeTree(t, fs), Mounts: true})
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "linux" && at(t, p, "/etc/ssl/certs/"+hash+".1").Link != caFile {
		t.Error("our CA has not the next free number")
	}
}
