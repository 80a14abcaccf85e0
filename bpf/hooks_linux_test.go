package bpf

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// TestAttachForLife holds that hooks outlive Close, and go with the cgroup.
func TestAttachForLife(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	h, err := Load(Config{Listener4: 1})
	if err != nil {
		t.Fatal(err)
	}
	path := testCgroup(t)
	dir, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := h.AttachForLife(dir); err != nil {
		t.Fatal(err)
	}
	attached := func() int {
		t.Helper()
		q, err := link.QueryPrograms(link.QueryOptions{Target: int(dir.Fd()), Attach: ebpf.AttachCGroupInet4Connect})
		if err != nil {
			t.Fatal(err)
		}
		return len(q.Programs)
	}
	if n := attached(); n != 1 {
		t.Errorf("%d programs on connect4; want 1", n)
	}
	if err := h.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if n := attached(); n != 1 {
		t.Errorf("%d programs on connect4 after Close; want 1", n)
	}
}

// testCgroup makes a cgroup until the test ends.
func testCgroup(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 3 || f[2] != "cgroup2" {
			continue
		}
		path, err := os.MkdirTemp(f[1], "bpf-test-*")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Remove(path) })
		return path
	}
	t.Fatal("no cgroup v2")
	return ""
}

// TestOpenMaps looks at maps through descriptors of its own.
func TestOpenMaps(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	h, err := Load(Config{Listener4: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	fds := make([]int, len(h.FDs()))
	for i, fd := range h.FDs() {
		if fds[i], err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3); err != nil {
			t.Fatal(err)
		}
	}
	m, err := OpenMaps(fds)
	if err != nil {
		t.Fatal(err)
	}
	want := Origin{Dst: netip.MustParseAddrPort("192.0.2.1:443"), PID: 7, UID: 8, Cgroup: 9}
	client, listener := netip.MustParseAddrPort("127.0.0.1:5000"), netip.MustParseAddrPort("127.0.0.1:6000")
	key := divertTuple{Client: words(client.Addr()), ClientPort: 5000, Listener: 6000}
	value := divertOrigin{Dst: divertDestination{Addr: words(want.Dst.Addr()), Port: 0xbb01}, Pid: 7, Uid: 8, Cgroup: 9}
	if err := h.objects.ByTuple.Put(&key, &value); err != nil {
		t.Fatal(err)
	}
	if got, ok, err := m.Original(client, listener); got != want || !ok || err != nil {
		t.Errorf("Original = %+v, %v, %v; want %+v", got, ok, err, want)
	}
	if _, ok, err := m.Original(client, listener); ok || err != nil {
		t.Errorf("a second Original: %v, %v; want it taken out", ok, err)
	}
	if all, err := m.Escapes(); len(all) != 0 || err != nil {
		t.Errorf("Escapes = %v, %v; want none", all, err)
	}
	if all, err := m.Talks(); len(all) != 0 || err != nil {
		t.Errorf("Talks = %v, %v; want none", all, err)
	}
	if err := m.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if _, err := OpenMaps([]int{1 << 20}); err == nil {
		t.Error("OpenMaps of one: no error")
	}
}
