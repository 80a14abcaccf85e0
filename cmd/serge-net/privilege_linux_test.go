package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// nobody is the uid and gid of an ordinary user.
const nobody = 65534

// delegated makes a cgroup that belongs to nobody, until the test ends.
func delegated(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(cgroupMount(t), fmt.Sprintf("e2e-test-%d", os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Rmdir(dir); err != nil {
			t.Errorf("rmdir %s: %v", dir, err)
		}
	})
	for _, name := range []string{"", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"} {
		if err := os.Chown(filepath.Join(dir, name), nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestNobody records and replays as an ordinary user with two ambient
// capabilities, of which the command has none.
func TestNobody(t *testing.T) {
	r := newRig(t)
	var err error
	if r.dir, err = os.MkdirTemp("", "serge-net-nobody-*"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(r.dir) })
	if err := os.Chown(r.dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	enter := []string{"sh", "-c", `echo $$ > "$1/cgroup.procs" && shift && exec "$@"`, "sh", delegated(t),
		"setpriv", "--reuid", strconv.Itoa(nobody), "--regid", strconv.Itoa(nobody), "--clear-groups",
		"--inh-caps", "+bpf,+net_admin", "--ambient-caps", "+bpf,+net_admin"}
	script := "id -u; grep -E 'Cap(Eff|Amb)' /proc/self/status; curl -sS https://" + testnet.WWW + "/hello"
	want := "65534\nCapEff:\t0000000000000000\nCapAmb:\t0000000000000000\nhello from www.test.example\n"
	for _, mode := range []string{"record", "replay"} {
		var o outcome
		hits := r.hitsIn(func() {
			o = r.runWith([]string{"SERGE_UPSTREAM_CA=" + r.net.CAFile, "HOME=" + r.dir}, "",
				append(slices.Clone(enter), built.serge, mode, "c", "--", "sh", "-c", script)...)
		})
		if o.code != 0 || o.stdout != want {
			t.Errorf("%s: exit code %d, %q; want %q\n%s", mode, o.code, o.stdout, want, o.stderr)
		}
		if mode == "replay" && len(hits) > 0 {
			t.Errorf("a replay asked the origin: %v", hits)
		}
	}
}

// TestTrustByEnvironment: in a chroot the kernel lets nobody have a user
// namespace, so there is no private mount namespace: the variables alone have to
// do, and their files are gone afterwards.
func TestTrustByEnvironment(t *testing.T) {
	r := newRig(t)
	var err error
	if r.dir, err = os.MkdirTemp("", "serge-net-chroot-*"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(filepath.Join(r.dir, "root")); err != nil { // never what may be a mount of everything
			t.Error(err)
			return
		}
		os.RemoveAll(r.dir)
	})
	for _, d := range []string{"", "root", "tmp"} {
		d = filepath.Join(r.dir, d)
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(d, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	enter := []string{"sh", "-ec", `mount --rbind / root; echo $$ > "$1/cgroup.procs"; shift; exec chroot root "$@"`, "sh", delegated(t),
		"setpriv", "--reuid", strconv.Itoa(nobody), "--regid", strconv.Itoa(nobody), "--clear-groups",
		"--inh-caps", "+bpf,+net_admin", "--ambient-caps", "+bpf,+net_admin"}
	script := "curl -sS $0; /usr/bin/python3 -c 'import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode(), end=\"\")' $0; " +
		"wget -q -O - $0; java -Xshare:auto -XX:TieredStopAtLevel=1 -cp " + built.java + " HttpClientGet $0 | grep hello.from; " +
		"/usr/bin/python3 -c 'import sys, requests as r; print(r.get(sys.argv[1]).text, end=\"\")' $0; " +
		"node -e 'fetch(process.argv[1]).then(r => r.text()).then(s => process.stdout.write(s))' $0"
	for _, mode := range []string{"record", "replay"} {
		o := r.runWith([]string{"SERGE_UPSTREAM_CA=" + r.net.CAFile, "SERGE_CASSETTE_DIR=" + r.dir, "HOME=" + r.dir, "TMPDIR=" + filepath.Join(r.dir, "tmp")}, "",
			append(slices.Clone(enter), built.serge, mode, "c", "--", "sh", "-c", script, "https://"+testnet.WWW+"/hello")...)
		if o.code != 0 || o.stdout != strings.Repeat("hello from "+testnet.WWW+"\n", 6) || !strings.Contains(o.stderr, "trust is by environment only") {
			t.Errorf("%s: exit code %d, %q\n%s", mode, o.code, o.stdout, o.stderr)
		}
		if left, err := os.ReadDir(filepath.Join(r.dir, "tmp")); err != nil || len(left) > 0 {
			t.Errorf("%s: in TMPDIR is left %v, %v", mode, left, err)
		}
	}
}
