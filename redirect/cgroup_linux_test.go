package redirect

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestCgroupMount(t *testing.T) {
	for _, c := range []struct {
		name, in, point, top string
		ok                   bool
	}{
		{"unified", "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n", "/sys/fs/cgroup", "/", true},
		{"hybrid", "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n38 31 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n", "/sys/fs/cgroup/unified", "/", true},
		{"bind of a part", `9 1 0:2 /a\040b /mnt/c\040d rw - cgroup2 none rw`, "/mnt/c d", "/a b", true},
		{"v1 only", "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n", "", "", false},
		{"cut off", "32 31 - cgroup2", "", "", false},
		{"empty", "", "", "", false},
	} {
		point, top, ok := cgroupMount([]byte(c.in))
		if point != c.point || top != c.top || ok != c.ok {
			t.Errorf("%s: cgroupMount = %q, %q, %v; want %q, %q, %v", c.name, point, top, ok, c.point, c.top, c.ok)
		}
	}
}

func FuzzCgroupMount(f *testing.F) {
	f.Add([]byte("29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"))
	f.Add([]byte("0 0 0 0 0 - cgroup2 "))
	f.Fuzz(func(t *testing.T, b []byte) {
		if point, _, ok := cgroupMount(b); !ok && point != "" {
			t.Errorf("cgroupMount(%q) = %q, false", b, point)
		}
	})
}

func TestCgroupPath(t *testing.T) {
	for in, want := range map[string]string{
		"9:name=systemd:/\n0::/user.slice/a b\n": "/user.slice/a b",
		"0::/\n":                                 "/",
		"8:pids:/\n":                             "",
	} {
		if got, ok := cgroupPath([]byte(in)); got != want || ok != (want != "") {
			t.Errorf("cgroupPath(%q) = %q, %v; want %q", in, got, ok, want)
		}
	}
}

func TestLookPath(t *testing.T) {
	dir := t.TempDir()
	os.MkdirAll(filepath.Join(dir, "bin", "folder"), 0o755)
	os.WriteFile(filepath.Join(dir, "bin", "tool"), nil, 0o755)
	os.WriteFile(filepath.Join(dir, "bin", "text"), nil, 0o644)
	for _, c := range []struct {
		name, path, want string
		err              error
	}{
		{"tool", "/nowhere:" + dir + "/bin", dir + "/bin/tool", nil},
		{"tool", "bin", "./bin/tool", nil},
		{"./any", "", "./any", nil},
		{"text", dir + "/bin", "", fs.ErrPermission},
		{"folder", dir + "/bin", "", fs.ErrNotExist},
		{"tool", "", "", fs.ErrNotExist},
	} {
		got, err := lookPath(c.name, dir, []string{"PATH=" + c.path})
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("lookPath(%q) in %q = %q, %v; want %q, %v", c.name, c.path, got, err, c.want, c.err)
		}
	}
}
