package redirect

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// nobody is the uid and gid that ordinary users are tested as.
const nobody = 65534

// public copies the test binary to where every user can execute it.
func public(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "redirect")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	from, err := os.Open(self(t, "")[0])
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	path := filepath.Join(dir, "redirect.test")
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(to, from)
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// subtree makes a cgroup that belongs to uid.
func subtree(t *testing.T, uid int) *os.File {
	t.Helper()
	own, err := ownCgroup()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(own, fmt.Sprintf("redirect-test-%d", os.Getpid()))
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Rmdir(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("rmdir %s: %v: %v left", path, err, processes(path))
		}
	})
	for _, name := range []string{"", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"} {
		if err := os.Chown(filepath.Join(path, name), uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestNobody(t *testing.T) {
	both := []uintptr{unix.CAP_BPF, unix.CAP_NET_ADMIN}
	script := `[ "$(readlink /proc/self/ns/mnt)" != "$OUTER" ] && echo private; exec 3</dev/tcp/203.0.113.1/80 && echo connected; id -u; grep -E 'Cap(Eff|Amb|Prm|Inh)' /proc/self/status`
	for _, c := range []struct {
		name  string
		owner int
		caps  []uintptr
		want  []string
	}{
		{"delegated", nobody, both, []string{"private\nconnected\n65534\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapAmb:\t0000000000000000\n"}},
		{"no capability", nobody, nil, []string{"missing CAP_BPF CAP_NET_ADMIN", "hint: start with sudo"}},
		{"one capability", nobody, both[:1], []string{"missing CAP_NET_ADMIN", "hint: start with sudo"}},
		{"not delegated", 0, both, []string{"is not delegated to user 65534", "systemd-run --user --scope -p Delegate=yes"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			isolate(t)
			dir := subtree(t, c.owner)
			cmd := exec.Command(public(t), "parent", "bash", "-c", script)
			cmd.Dir = "/"
			outer, _ := os.Readlink("/proc/self/ns/mnt")
			cmd.Env = append(os.Environ(), "OUTER="+outer)
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Credential:  &syscall.Credential{Uid: nobody, Gid: nobody},
				AmbientCaps: c.caps, UseCgroupFD: true, CgroupFD: int(dir.Fd()),
			}
			out, err := cmd.CombinedOutput()
			for _, w := range c.want {
				if !strings.Contains(string(out), w) {
					t.Errorf("%v, output %q; want %q", err, out, w)
				}
			}
		})
	}
}

func TestRootLosesCapabilities(t *testing.T) { eachLane(t, testRootLosesCapabilities) }

func testRootLosesCapabilities(t *testing.T) {
	d := diverted(t, Target{})
	out, _ := output(t, d, "sh", "-c", "grep CapEff /proc/self/status")
	var eff uint64
	if _, err := fmt.Sscanf(out, "CapEff: %x", &eff); err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	for _, c := range dropped() {
		if eff&(1<<c) != 0 {
			t.Errorf("the command has capability %d", c)
		}
	}
	if eff&(1<<unix.CAP_DAC_OVERRIDE) == 0 {
		t.Error("root lost CAP_DAC_OVERRIDE")
	}
}

func TestNoCgroup(t *testing.T) {
	requireRoot(t)
	for _, c := range []struct {
		name, script string
		want         []string
	}{
		{"none mounted", `umount -a -l -t cgroup2`, []string{"no cgroup v2 is mounted", "hint: mount one"}},
		{"read-only", `for m in $(awk '$3=="cgroup2"{print $2}' /proc/mounts); do mount -o remount,bind,ro $m; done`,
			[]string{"is mounted read-only", "hint: remount it"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			isolate(t)
			cmd := exec.Command("unshare", append([]string{"-m", "sh", "-c", c.script + ` && exec "$@"`, "sh"}, self(t, "parent", "true")...)...)
			out, _ := cmd.CombinedOutput()
			for _, w := range c.want {
				if !strings.Contains(string(out), w) {
					t.Errorf("output %q; want %q", out, w)
				}
			}
		})
	}
}
