package redirect

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// directories makes directories below one of the test's own.
func directories(t *testing.T, dirs ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, d := range dirs {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestFindContainer(t *testing.T) {
	a, b, c, d, e := strings.Repeat("a1", 32), strings.Repeat("b2", 32), strings.Repeat("c3", 32), strings.Repeat("d4", 32), strings.Repeat("e5", 32)
	root := directories(t,
		"system.slice/docker-"+a+".scope/init/docker-"+a+".scope", // one that runs systemd in it
		"docker/"+b,
		"machine.slice/libpod-conmon-"+c+".scope",
		"machine.slice/libpod-"+c+".scope/container",
		"kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod12345678_aaaa_bbbb_cccc_ddddeeeeffff.slice/cri-containerd-"+d+".scope",
		"kubepods/besteffort/poda1b2/"+e,
		"kubepods/besteffort/pod0000/e5"+strings.Repeat("0", 62),
		"system.slice/docker.service",
	)
	for _, w := range []struct {
		id   string
		want []string
	}{
		{a[:12], []string{"system.slice/docker-" + a + ".scope"}},
		{b, []string{"docker/" + b}},
		{c[:12], []string{"machine.slice/libpod-" + c + ".scope"}},
		{d[:20], []string{"kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod12345678_aaaa_bbbb_cccc_ddddeeeeffff.slice/cri-containerd-" + d + ".scope"}},
		{e[:12], []string{"kubepods/besteffort/poda1b2/" + e}},
		{"e5", []string{"kubepods/besteffort/pod0000/e5" + strings.Repeat("0", 62), "kubepods/besteffort/poda1b2/" + e}},
		{"ffffffffffff", nil},
	} {
		got, err := containersIn(root, w.id)
		for i := range got {
			got[i], _ = filepath.Rel(root, got[i])
		}
		if diff := cmp.Diff(w.want, got); diff != "" || err != nil {
			t.Errorf("containersIn(%s): %v\n%s", w.id, err, diff)
		}
	}
}

func TestFindUnit(t *testing.T) {
	root := directories(t, "system.slice/nginx.service/worker", "user.slice/user-0.slice/session-2.scope", "system.slice/x.service", "user.slice/x.service")
	for _, c := range []struct {
		name, want, err string
	}{
		{"nginx", "system.slice/nginx.service", ""},
		{"nginx.service", "system.slice/nginx.service", ""},
		{"session-2", "user.slice/user-0.slice/session-2.scope", ""},
		{"user.slice", "user.slice", ""},
		{"worker", "system.slice/nginx.service/worker", ""},
		{"apache", "", "no cgroup of unit apache"},
		{"x", "", "fits 2 cgroups"},
		{"../x", "", "no name of a unit"},
	} {
		found, err := unitsIn(root, c.name)
		got := ""
		if err == nil {
			got, err = only(found, "unit "+c.name, "")
		}
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v; want %s", c.name, err, c.err)
			}
			continue
		}
		if rel, _ := filepath.Rel(root, got); rel != c.want || err != nil {
			t.Errorf("%s: %s, %v; want %s", c.name, rel, err, c.want)
		}
	}
}

func TestFindCgroup(t *testing.T) {
	requireRoot(t)
	dir := subtree(t, 0).Name()
	root, err := cgroupRoot()
	if err != nil {
		t.Fatal(err)
	}
	rel, _ := filepath.Rel(root, dir)
	for _, in := range []string{dir, rel, "/" + rel, dir + "/."} {
		if got, err := FindCgroup(in); got != dir || err != nil {
			t.Errorf("FindCgroup(%s) = %s, %v; want %s", in, got, err, dir)
		}
	}
	for _, in := range []string{"/proc", "no-such-cgroup", "../proc"} {
		if got, err := FindCgroup(in); err == nil {
			t.Errorf("FindCgroup(%s) = %s; want an error", in, got)
		}
	}
}

// The rows are of a little-endian machine, as all are that the product is built for.
const someSockets = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 101 1 0 100 0 0 10 0
   1: 020200C0:C350 017100CB:01BB 01 00000000:00000000 00:00000000 00000000     0        0 102 1 0 20 4 30 10 -1
   2: B80D0120000000000000000002000000:C350 B80D01200000130100000000010000000:01BB 01 0:0 0:0 0 0 0 103
   3: B80D0120000000000000000002000000:C350 B80D0120000013010000000001000000:01BB 02 0:0 0:0 0 0 0 104
   4: 0000000000000000FFFF000002020000:C350 0000000000000000FFFF0000017100CB:0050 01 0:0 0:0 0 0 0 105
`

func TestParseSockets(t *testing.T) {
	want := []row{
		{netip.MustParseAddrPort("0.0.0.0:0"), 10, 101},
		{netip.MustParseAddrPort("203.0.113.1:443"), tcpEstablished, 102},
		{netip.MustParseAddrPort("[2001:db8:113:0:0:0:0:1]:443"), tcpSynSent, 104},
		{netip.MustParseAddrPort("203.0.113.1:80"), tcpEstablished, 105},
	}
	got := parseSockets([]byte(someSockets))
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(row{}), cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Errorf("parseSockets (-want +got):\n%s", diff)
	}
}

func FuzzParseSockets(f *testing.F) {
	f.Add([]byte(someSockets))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, r := range parseSockets(b) {
			if !r.peer.Addr().IsValid() {
				t.Errorf("parseSockets(%q) has a row without an address", b)
			}
		}
	})
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("12 (a ) b) S 7 12 12 0 -1 4194560 1 2"))
	f.Add([]byte(")"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parseStat(b); err == nil && !unicode.IsLetter(rune(s.state)) {
			t.Errorf("parseStat(%q) has the state %q", b, s.state)
		}
	})
}

func TestParseStat(t *testing.T) {
	got, err := parseStat([]byte("12 (a ) b) Z 7 12 12 0 -1 2097216 1 2"))
	if err != nil || got.parent != 7 || !got.ended() || got.flags&kernelThread == 0 {
		t.Errorf("parseStat = %+v, %v; want a kernel thread that ended, of 7", got, err)
	}
}
