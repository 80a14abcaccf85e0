package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestDoctorRuntimes has doctor find, on a path of the test's: one that trusts by
// what is mounted, one that takes a variable, one that does not trust, and one
// that does not ask. Nothing is left.
func TestDoctorRuntimes(t *testing.T) {
	r := newRig(t)
	r.dir = "/"
	bin := t.TempDir()
	for _, name := range []string{"curl", "node", "sh"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"wget": "shift 5; exec curl -sS --capath / --cacert " + r.net.CAFile + ` "$1"`,
		"php":  "echo no such option >&2; exit 3",
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"env", "PATH=" + bin}
	for _, name := range []string{"SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE"} {
		env = append(env, name+"=")
	}
	o := r.run(append(env, built.serge, "doctor", "--json")...)
	var d diagnosis
	if err := json.Unmarshal([]byte(o.stdout), &d); err != nil || o.code != 0 {
		t.Fatalf("exit code %d, %v\n%s\n%s", o.code, err, o.stdout, o.stderr)
	}
	var got []string
	for _, f := range d.Runtimes {
		if f.Path != filepath.Join(bin, filepath.Base(f.Path)) || !f.Tried || f.MS == 0 {
			t.Errorf("%+v", f)
		}
		got = append(got, fmt.Sprintf("%s: %v, by %q; %s; %s", f.Name, f.Trusts, f.By, f.Why, f.Hint))
	}
	want := []string{
		`curl: true, by "mount"; ; `,
		`wget: false, by ""; it does not trust the run's certificate; leave out pinnedpubkey in its .wgetrc`,
		`Node fetch: true, by "NODE_EXTRA_CA_CERTS"; ; `,
		`Node https: true, by "NODE_EXTRA_CA_CERTS"; ; `,
		`PHP streams: false, by ""; it did not ask: exit code 3: no such option; `,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, dir := range []string{memoryDir(), os.TempDir()} {
		if left, err := filepath.Glob(filepath.Join(dir, "serge-net-doctor-*")); len(left) > 0 || err != nil {
			t.Errorf("left %v, %v", left, err)
		}
	}
}
