package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// TestFileCapabilities records and replays as an ordinary user by a program that
// has the two capabilities itself, as setcap(8) gives them. Such a program is not
// dumpable, so its init gets no user namespace unless that is undone.
func TestFileCapabilities(t *testing.T) {
	r := newRig(t)
	r.dir = openTo(t, nobody)
	dir := openTo(t, 0)
	serge := filepath.Join(dir, "serge-net")
	b, err := os.ReadFile(built.serge)
	if err == nil {
		err = os.WriteFile(serge, b, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	if o := r.run("setcap", "cap_bpf,cap_net_admin+ep", serge); o.code != 0 {
		t.Fatal(o.stderr)
	}
	enter := []string{"sh", "-c", `echo $$ > "$1/cgroup.procs" && shift && exec "$@"`, "sh", delegated(t),
		"setpriv", "--reuid", strconv.Itoa(nobody), "--regid", strconv.Itoa(nobody), "--clear-groups"}
	script := "id -u; grep -E 'Cap(Prm|Eff|Amb)' /proc/self/status; curl -sS https://" + testnet.WWW + "/hello"
	want := "65534\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapAmb:\t0000000000000000\nhello from www.test.example\n"
	for _, c := range []struct{ mode, said string }{{"record", "record c by ebpf\n"}, {"replay", "isolated: yes"}} {
		o := r.runWith([]string{"SERGE_UPSTREAM_CA=" + r.net.CAFile, "HOME=" + r.dir}, "",
			append(slices.Clone(enter), serge, c.mode, "c", "--", "sh", "-c", script)...)
		if o.code != 0 || o.stdout != want || !strings.Contains(o.stderr, c.said) || strings.Contains(o.stderr, "by environment only") {
			t.Errorf("%s: exit code %d, %q; want %q\n%s", c.mode, o.code, o.stdout, want, o.stderr)
		}
	}
	// The cgroups are the user's, who may move about in them, but not the command.
	capture := r.net.Capture()
	o := r.runWith([]string{"HOME=" + r.dir}, "", append(append(slices.Clone(enter), serge, "replay", "c", "--"), r.hostile("leave")...)...)
	if p := capture.Packets(); len(p) != 0 {
		t.Errorf("%d packets left, the first %v", len(p), p[0])
	}
	if strings.Count(o.stdout, "leave by ") != 18 || strings.Contains(o.stdout, ": sent\n") || o.code != exitMissed {
		t.Errorf("exit code %d\n%s\n%s", o.code, o.stdout, o.stderr)
	}
}
