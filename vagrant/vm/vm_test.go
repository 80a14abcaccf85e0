//go:build linux

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDebianMirrors(t *testing.T) {
	in := "http://a.test/debian/ Debian\nhttp://a.test/debian/ Debian\nhttp://b.test/apt Other\nhttp://a.test/debian-security/ Debian\n\n"
	want := []string{"http://a.test/debian/", "http://a.test/debian-security/"}
	if diff := cmp.Diff(want, debianMirrors(in)); diff != "" {
		t.Errorf("debianMirrors (-want +got):\n%s", diff)
	}
}

func TestChoose(t *testing.T) {
	images := stanzas(`Package: linux-image-6.1.0-9-cloud-amd64
Version: 6.1.27-1
Depends: kmod, linux-base (>= 4.3~)

Package: linux-image-6.1.0-10-cloud-amd64
Version: 6.1.140-1

Package: linux-image-7.3.4+deb13-cloud-amd64
Version: 7.3.4-1~bpo13+1
Depends: dracut | initramfs-tools, linux-binary-7.3.4+deb13-cloud-amd64 (= 7.3.4-1~bpo13+1), linux-modules-7.3.4+deb13-cloud-amd64 (= 7.3.4-1~bpo13+1)

Package: linux-binary-7.3.4+deb13-cloud-amd64
Version: 7.3.4-1~bpo13+1

Package: linux-modules-7.3.4+deb13-cloud-amd64
Version: 7.3.4-1~bpo13+1

Package: linux-image-7.3.5+deb13-cloud-amd64
Version: 7.3.5-1~bpo13+1
Depends: linux-binary-7.3.5+deb13-cloud-amd64 (= 7.3.5-1~bpo13+1)

Package: linux-image-6.12-cloud-amd64
Version: 6.12.95-1
Depends: linux-image-6.12.95-cloud-amd64

Package: linux-image-6.19.1-cloud-amd64
Version: 6.19.1-1
`)
	metas := []stanza{{Package: meta, Version: "7.3.4-1~bpo13+1"}, {Package: meta, Version: "6.1.140-1"}}
	for _, c := range []struct {
		series string
		want   []string
	}{
		{"all", []string{"6.1.0-10-cloud-amd64", "6.19.1-cloud-amd64", "7.3.4+deb13-cloud-amd64"}},
		{"releases", []string{"6.1.0-10-cloud-amd64", "7.3.4+deb13-cloud-amd64"}},
		{"6.19,6.1", []string{"6.1.0-10-cloud-amd64", "6.19.1-cloud-amd64"}},
	} {
		kernels, err := choose(images, metas, c.series)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, k := range kernels {
			got = append(got, k.Release)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("choose(%s) (-want +got):\n%s", c.series, diff)
		}
	}
	kernels, _ := choose(images, metas, "7.3")
	want := []string{
		"linux-image-7.3.4+deb13-cloud-amd64=7.3.4-1~bpo13+1",
		"linux-binary-7.3.4+deb13-cloud-amd64=7.3.4-1~bpo13+1", "linux-modules-7.3.4+deb13-cloud-amd64=7.3.4-1~bpo13+1",
	}
	if diff := cmp.Diff(want, kernels[0].packages); diff != "" {
		t.Errorf("packages (-want +got):\n%s", diff)
	}
	if _, err := choose(images, metas, "2.4"); err == nil {
		t.Error("choose(2.4) found a kernel")
	}
}

func TestCompareVersions(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"6.1.9-1", "6.1.10-1", -1},
		{"6.12.95-1~bpo12+1", "6.12.95-1", 0},
		{"7.0.1-1", "6.19.14-1", 1},
		{"5.10.262-1", oldest, -1},
		{"6.1.192-2", oldest, 1},
	} {
		if got := compareVersions(c.a, c.b); got != c.want {
			t.Errorf("compareVersions(%s, %s) = %d; want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestClosure(t *testing.T) {
	needs := parseDep("kernel/net/netfilter/nft_tproxy.ko: kernel/net/netfilter/nf_tables.ko kernel/lib/crc32c.ko\n" +
		"kernel/net/netfilter/nf_tables.ko: kernel/lib/crc32c.ko\nkernel/lib/crc32c.ko:\n" +
		"kernel/drivers/net/veth.ko.xz:\nkernel/drivers/gpu/big.ko: kernel/drivers/gpu/drm.ko\nkernel/drivers/gpu/drm.ko:\n")
	want := []string{
		"kernel/drivers/net/veth.ko.xz", "kernel/lib/crc32c.ko", "kernel/net/netfilter/nf_tables.ko", "kernel/net/netfilter/nft_tproxy.ko",
	}
	if diff := cmp.Diff(want, closure(needs, wantedModule)); diff != "" {
		t.Errorf("closure (-want +got):\n%s", diff)
	}
}

// TestCpio has cpio(1) unpack what writeCpio wrote.
func TestCpio(t *testing.T) {
	host := filepath.Join(t.TempDir(), "host")
	if err := os.WriteFile(host, []byte("from this machine"), 0o600); err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	err := writeCpio(&archive, []file{
		text("etc/one", "1"), symlink("bin", "usr/bin"), fromHost("usr/bin/tool", host), text("etc/one", "not this"),
		{path: "proc", mode: typeDir | 0o755},
	})
	if err != nil {
		t.Fatal(err)
	}
	if archive.Len()%4 != 0 {
		t.Errorf("%d bytes; want a multiple of four", archive.Len())
	}
	dir := t.TempDir()
	cmd := exec.Command("cpio", "-idm", "--quiet")
	cmd.Dir, cmd.Stdin = dir, &archive
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cpio: %v: %s", err, out)
	}
	for name, want := range map[string]string{"etc/one": "1", "usr/bin/tool": "from this machine", "bin/tool": "from this machine"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v; want %q", name, got, err, want)
		}
	}
	if s, err := os.Stat(filepath.Join(dir, "usr/bin/tool")); err != nil || s.Mode().Perm() != 0o755 {
		t.Errorf("tool: %v, %v; want mode 0755", s, err)
	}
	if err := writeCpio(new(bytes.Buffer), []file{fromHost("gone", filepath.Join(dir, "nowhere"))}); err == nil {
		t.Error("a file that does not exist was added")
	}
}

func TestHostPrograms(t *testing.T) {
	seen := make(map[string]bool)
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	if err := addLibraries(sh, seen); err != nil {
		t.Fatal(err)
	}
	var names []string
	for lib := range seen {
		names = append(names, filepath.Base(lib))
	}
	if all := strings.Join(names, " "); !strings.Contains(all, "libc.so.6") || !strings.Contains(all, "ld-linux") {
		t.Errorf("sh loads %s; want libc.so.6 and the dynamic linker", all)
	}
}

func TestParseLanes(t *testing.T) {
	got, err := parseLanes("auto\nebpf\thooks a cgroup\nnetns\n:4\n")
	if diff := cmp.Diff([]string{"ebpf", "netns"}, got); diff != "" || err != nil {
		t.Errorf("parseLanes: %v (-want +got):\n%s", err, diff)
	}
	if _, err := parseLanes(":4\n"); err == nil {
		t.Error("no lanes are not an error")
	}
	if diff := cmp.Diff([]string{"ebpf", "netns", "iptables", "new"}, allLanes([]string{"new", "ebpf"})); diff != "" {
		t.Errorf("allLanes (-want +got):\n%s", diff)
	}
}

func TestReason(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"serge-net: trust: x\nserge-net: error: bind: in use\nserge-net: hint: wait\n", "record: bind: in use"},
		{"serge-net: error: ebpf lane: no cgroup v2\n", "no cgroup v2"},
		{"serge-net: recording\nGet \"http://a.test\": refused\nserge-net: hint: wait\n", "record: exit status 9: Get \"http://a.test\": refused"},
		{"", "record: exit status 9"},
	} {
		err := exec.Command("sh", "-c", "exit 9").Run()
		if got := reason("record", c.in, err); got != c.want {
			t.Errorf("reason(%q) = %q; want %q", c.in, got, c.want)
		}
	}
}

func TestUnfinished(t *testing.T) {
	done := []event{{Done: true}}
	for _, c := range []struct {
		name, console, want string
		events              []event
	}{
		{"in order", "reboot: Power down\n", "", done},
		{"warned", "[ 1.0] WARNING: CPU: 0 at net/x.c\nreboot: Power down\n", "the kernel says: WARNING: CPU: 0 at net/x.c", done},
		{"panic", "[ 1.0] Kernel panic - not syncing: Attempted to kill init!\nmore\n", "Kernel panic - not syncing: Attempted to kill init!", nil},
		{"gave up", "", "mount x: no such device", []event{{Failed: "mount x: no such device"}}},
		{"cut off", "booting\n\n", "stopped before its end, after: booting", nil},
	} {
		r := bootRun{Events: c.events}
		if got := r.unfinished([]byte(c.console)); got != c.want {
			t.Errorf("%s: %q; want %q", c.name, got, c.want)
		}
	}
}

func TestParseTests(t *testing.T) {
	out := "=== RUN   TestA\n--- PASS: TestA (0.00s)\n    --- FAIL: TestB/sub (0.00s)\n--- FAIL: TestB (1.00s)\n--- SKIP: TestC (0.00s)\nFAIL\n"
	want := &testResult{Passed: 1, Skipped: 1, Failed: []string{"TestB"}}
	if diff := cmp.Diff(want, parseTests([]byte(out))); diff != "" {
		t.Errorf("parseTests (-want +got):\n%s", diff)
	}
}

// TestTable is what is printed of three kernels: one in order, one too old, one
// that hung.
func TestTable(t *testing.T) {
	results := strings.NewReader(`{"booted":{"release":"6.1.0","lanes":["ebpf"]}}
{"cell":{"lane":"ebpf","as":"root","works":true}}
{"cell":{"lane":"ebpf","as":"user with CAP_BPF, CAP_NET_ADMIN and a cgroup","works":false,"why":"refused | by the kernel"}}
{"cell":{"lane":"ebpf","as":"user","works":false,"why":"missing CAP_BPF"}}
{"cell":{"lane":"netns","as":"root","works":false,"why":"not in this build"}}
{"tests":{"package":"bpf","passed":4,"skipped":0,"failed":["TestLoad"]}}
{"tests":{"package":"redirect","pas`)
	events := readEvents(results)
	if len(events) != 6 {
		t.Fatalf("%d events; want 6, the last line is cut off", len(events))
	}
	tab := table{which: ".", runs: []bootRun{
		{Kernel: kernel{Release: "5.10.0-cloud", Version: "5.10.262-1"}, Events: events},
		{Kernel: kernel{Release: "6.1.0-cloud", Version: "6.1.192-2"}, Events: events},
		{Kernel: kernel{Release: "7.3.4-cloud", Version: "7.3.4-1"}, Trouble: "did not end within 8m0s, after: x"},
	}}
	for _, want := range []string{
		"| 6.1.0-cloud | ebpf | works | refused / by the kernel | missing CAP_BPF |\n",
		"| 6.1.0-cloud | netns | not in this build | not reached | not reached |\n",
		"| 7.3.4-cloud | | did not end within 8m0s, after: x | | |\n",
		"| 6.1.0-cloud | 6.1.192-2 | 0 s | bpf: 4 passed, 1 failed: TestLoad |\n",
	} {
		if !strings.Contains(tab.document(), want) {
			t.Errorf("the document lacks %q:\n%s", want, tab.document())
		}
	}
	var got []string
	for _, err := range tab.broken() {
		got = append(got, err.Error())
	}
	want := []string{
		"6.1.0-cloud: ebpf as user with CAP_BPF, CAP_NET_ADMIN and a cgroup: refused | by the kernel",
		"6.1.0-cloud: bpf: 4 passed, 1 failed: TestLoad",
		"7.3.4-cloud: did not end within 8m0s, after: x",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("broken (-want +got):\n%s", diff)
	}
}

func FuzzStanzas(f *testing.F) {
	f.Add("Package: a\nVersion: 1.2-3\nDepends: b (= 1), c | d\n\n")
	f.Add("Version: ~\n\nPackage: \n")
	f.Fuzz(func(t *testing.T, text string) {
		all := stanzas(text)
		choose(all, all, "all")
	})
}
