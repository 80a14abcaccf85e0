package redirect

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// attachRole is a small serge-net attach: it diverts the process args[0], says
// so, and waits.
func attachRole(args []string) int {
	pid, err := strconv.Atoi(args[0])
	if err != nil {
		fmt.Println(err)
		return 1
	}
	d, err := Start(context.Background(), Target{PID: pid, Init: []string{asInit}})
	if err != nil {
		fmt.Println("start:", err)
		return 1
	}
	defer d.Close()
	if d.Attached().Place().Mounts {
		if err := d.Attached().Mount([]Mount{{Path: "/etc/hostname", Data: []byte("covered\n")}}); err != nil {
			fmt.Println("mount:", err)
			return 1
		}
	}
	fmt.Println("ready", children(os.Getpid())[0])
	for {
		c, err := d.Accept()
		if errors.Is(err, net.ErrClosed) {
			return 0
		}
		if err == nil {
			io.WriteString(c, c.Dst.String()+" "+c.Caller.Command+"\n")
			c.Close()
		}
	}
}

// An attacher is attachRole in a process of its own.
type attacher struct {
	*exec.Cmd
	keeper int
}

// startAttacher attaches to pid.
func startAttacher(t *testing.T, pid int) *attacher {
	t.Helper()
	args := self(t, "attach", strconv.Itoa(pid))
	a := &attacher{Cmd: exec.Command(args[0], args[1:]...)}
	out, _ := a.StdoutPipe()
	a.Stderr = os.Stderr
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	if n, _ := fmt.Sscanf(line, "ready %d", &a.keeper); n != 1 {
		a.Process.Kill()
		a.Wait()
		t.Fatalf("the attacher says %q; want ready", line)
	}
	return a
}

// TestAttachKills kills who attached, and finds the target as it was.
func TestAttachKills(t *testing.T) {
	for _, c := range []struct {
		name string
		who  func(a *attacher) []int
	}{
		{"parent", func(a *attacher) []int { return []int{a.Process.Pid} }},
		{"both", func(a *attacher) []int { return []int{a.Process.Pid, a.keeper} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			isolate(t)
			home := subtree(t, 0).Name()
			r := startDweller(t, home)
			a := startAttacher(t, r.Process.Pid)
			r.expect(t, "attached", "dial", true)
			keeper := deathOf(t, "keeper", a.keeper)
			killAtOnce(t, c.who(a)...)
			keeper()
			a.Wait()
			r.expect(t, "after the kill", "dial", false)
			if c.name == "both" {
				if livesIn(t, r.Process.Pid) == home {
					t.Error("it lives where it did, though nobody was left to move it")
				}
				diverted(t, Target{Cgroup: subtreeBeside(t)}) // reaps
			}
			if got := livesIn(t, r.Process.Pid); got != home {
				t.Errorf("it lives in %s; want %s", got, home)
			}
			if left, _ := filepath.Glob(home + "/*/"); len(left) > 0 {
				t.Errorf("%q are left", left)
			}
			r.expect(t, "in the end", "dial", false)
		})
	}
}

// subtreeBeside is a cgroup that is not subtree's, until the end of the test.
func subtreeBeside(t *testing.T) string {
	t.Helper()
	own, err := ownCgroup()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(own, fmt.Sprintf("redirect-test-%d-beside", os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Rmdir(dir) })
	return dir
}

// TestAttachKeeperKilled kills the keeper: Wait tells, and Close undoes all.
func TestAttachKeeperKilled(t *testing.T) {
	isolate(t)
	home := subtree(t, 0).Name()
	r := startDweller(t, home)
	d := diverted(t, Target{PID: r.Process.Pid})
	for _, pid := range children(os.Getpid()) {
		if pid != r.Process.Pid {
			unix.Kill(pid, unix.SIGKILL)
		}
	}
	if err := d.Attached().Wait(t.Context()); !errors.Is(err, errKeeperLost) {
		t.Errorf("Wait: %v; want %v", err, errKeeperLost)
	}
	if err := d.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if got := livesIn(t, r.Process.Pid); got != home {
		t.Errorf("it lives in %s; want %s", got, home)
	}
}

// TestAttachContainer attaches to a cgroup whose process has a network and a
// mount namespace of its own, and sees files of ours while that lasts.
func TestAttachContainer(t *testing.T) {
	isolate(t)
	home := subtree(t, 0)
	file := filepath.Join(t.TempDir(), "roots")
	os.WriteFile(file, []byte("old\n"), 0o600)
	cmd := exec.Command("bash", "-c", `ip link set lo up; echo ready; while read what; do
		case $what in
		cat) cat `+file+`;;
		dial) cat </dev/tcp/203.0.113.1/80 2>&1 | head -1;;
		esac; done`)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		UseCgroupFD: true, CgroupFD: int(home.Fd()),
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID,
	}
	r := dwellerOf(t, cmd)
	d := diverted(t, Target{Cgroup: home.Name()})
	echo(t, d)
	a := d.Attached()
	if p := a.Place(); !p.Network || !p.Mounts || p.PID != cmd.Process.Pid {
		t.Errorf("place %+v; want its own of both", p)
	}
	if got := r.do(t, "dial"); !strings.HasPrefix(got, "203.0.113.1:80 ") {
		t.Errorf("dial: %q; want it diverted", got)
	}
	for _, c := range []struct {
		mounts []Mount
		want   string
	}{{[]Mount{{Path: file, Append: true, Data: []byte("new\n")}}, "old new"}} {
		if err := a.Mount(c.mounts); err != nil {
			t.Fatal(err)
		}
		if got := r.do(t, "cat") + " " + r.read(t); got != c.want {
			t.Errorf("it sees %q; want %q", got, c.want)
		}
	}
	if b, _ := os.ReadFile(file); string(b) != "old\n" {
		t.Errorf("we see %q; want it unchanged", b)
	}
	if err := a.Mount(nil); err == nil {
		t.Error("a second Mount is no error")
	}
	if err := d.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if got := r.do(t, "cat"); got != "old" {
		t.Errorf("after Close it sees %q; want old", got)
	}
	if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", cmd.Process.Pid)); strings.Contains(string(b), "serge-net") {
		t.Errorf("mounts are left:\n%s", b)
	}
}

// TestAttachControl dials from the target's network namespace.
func TestAttachControl(t *testing.T) {
	isolate(t)
	home := subtree(t, 0)
	cmd := exec.Command("bash", "-c", "ip link set lo up; echo ready; read x")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(home.Fd()), Cloneflags: unix.CLONE_NEWNET}
	dwellerOf(t, cmd)
	d := diverted(t, Target{Cgroup: home.Name()})
	lc := net.ListenConfig{Control: d.Attached().Control()}
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialer := net.Dialer{Control: d.Attached().Control()}
	for _, host := range []string{"127.0.0.1", "::ffff:127.0.0.1"} {
		at := netip.AddrPortFrom(netip.MustParseAddr(host), uint16(l.Addr().(*net.TCPAddr).Port))
		c, err := dialer.DialContext(t.Context(), "tcp", at.String())
		if err != nil {
			t.Errorf("dial %s from inside: %v", at, err)
			continue
		}
		c.Close()
		if c, err := net.Dial("tcp", at.String()); err == nil {
			c.Close()
			t.Errorf("dial %s from outside: it is there too", at)
		}
	}
}

// TestAttachRefused asks for what must not be attached to.
func TestAttachRefused(t *testing.T) {
	isolate(t)
	own, err := ownCgroup()
	if err != nil {
		t.Fatal(err)
	}
	home := subtree(t, 0).Name()
	r := startDweller(t, home)
	thread := 0
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", r.Process.Pid))
	for _, e := range tasks {
		if n, _ := strconv.Atoi(e.Name()); n != r.Process.Pid {
			thread = n
		}
	}
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	zombie := exec.Command("true")
	if err := zombie.Start(); err != nil {
		t.Fatal(err)
	}
	defer zombie.Wait()
	unix.Waitid(unix.P_PID, zombie.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
	for _, c := range []struct {
		name   string
		target Target
		want   string
	}{
		{"init", Target{PID: 1}, "the system's first"},
		{"ourselves", Target{PID: os.Getpid()}, "runs inside"},
		{"our parent", Target{PID: os.Getppid()}, "runs inside"},
		{"a kernel thread", Target{PID: 2}, "kernel thread"},
		{"a thread", Target{PID: thread}, "is a thread of process"},
		{"nobody", Target{PID: 1 << 22}, "no such process"},
		{"one that ended", Target{PID: ended.Process.Pid}, "no such process"},
		{"a zombie", Target{PID: zombie.Process.Pid}, "no such process"},
		{"our own cgroup", Target{Cgroup: own}, "runs inside"},
		{"no cgroup", Target{Cgroup: "/proc"}, "no cgroup v2"},
		{"both", Target{Cgroup: home, PID: r.Process.Pid}, "at once"},
	} {
		c.target.Init = []string{asInit}
		d, err := Start(t.Context(), c.target, EBPF)
		if err == nil {
			d.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", c.name, err, c.want)
		}
		if hint := new(HintError); c.name != "both" && !errors.As(err, &hint) {
			t.Errorf("%s: %v has no hint", c.name, err)
		}
	}
	diverted(t, Target{Cgroup: home})
	for _, again := range []Target{{Cgroup: home, Init: []string{asInit}}, {PID: r.Process.Pid, Init: []string{asInit}}} {
		if _, err := Start(t.Context(), again, EBPF); err == nil || !strings.Contains(err.Error(), "already") {
			t.Errorf("a second attach to %+v: %v; want that there is one", again, err)
		}
	}
	if left, _ := filepath.Glob(home + "/*/"); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
	if got := livesIn(t, r.Process.Pid); got != home {
		t.Errorf("it lives in %s; want %s", got, home)
	}
}

// TestAttachDying attaches to processes that end meanwhile, sooner or later.
func TestAttachDying(t *testing.T) {
	isolate(t)
	home := subtree(t, 0)
	for n := range 12 {
		cmd := exec.Command("sleep", fmt.Sprintf("0.%03d", 3*n))
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(home.Fd())}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		d, err := Start(t.Context(), Target{PID: cmd.Process.Pid, Init: []string{asInit}}, EBPF)
		if err == nil {
			if err := d.Attached().Wait(t.Context()); err != nil {
				t.Errorf("Wait: %v", err)
			}
			err = d.Close()
		}
		if err != nil && !errors.Is(err, errNoProcess) {
			t.Errorf("after %d ms: %v; want %v or none", 3*n, err, errNoProcess)
		}
		cmd.Wait()
		if left, _ := filepath.Glob(home.Name() + "/*/"); len(left) > 0 {
			t.Errorf("%q are left", left)
		}
	}
}

// TestAttachFamily attaches to a process with descendants, in a cgroup of their
// own too, and one in another network namespace, which is left.
func TestAttachFamily(t *testing.T) {
	isolate(t)
	home := subtree(t, 0)
	nested := filepath.Join(home.Name(), "nested")
	if err := os.Mkdir(nested, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Rmdir(nested) })
	cmd := exec.Command("bash", "-c", `
		sh -c 'echo $$ >`+nested+`/cgroup.procs; echo $$; exec sleep 1000' &
		unshare --net sh -c 'echo $$; exec sleep 1000' &
		(sleep 1000 & wait) &
		sleep 0.2; echo ready; read x`)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(home.Fd()), Setpgid: true}
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		kill(home.Name())
		in.Close()
		cmd.Wait()
		awaitEmpty(home.Name())
	})
	var pids []int
	for s := bufio.NewScanner(out); s.Scan() && s.Text() != "ready"; {
		n, _ := strconv.Atoi(s.Text())
		pids = append(pids, n)
	}
	before := make(map[int]string)
	all := kin(cmd.Process.Pid)
	for _, pid := range all {
		before[pid] = livesIn(t, pid)
	}
	d := diverted(t, Target{PID: cmd.Process.Pid})
	left := d.Attached().Left()
	if len(pids) != 2 || len(all) != 5 || len(left) != 1 || left[0] != pids[1] && left[0] != pids[0] {
		t.Errorf("of %v (of which %v are in places of their own) %v are left; want one", all, pids, left)
	}
	for _, pid := range all {
		moved := strings.HasPrefix(filepath.Base(livesIn(t, pid)), attachedPrefix)
		if moved == slices.Contains(left, pid) {
			t.Errorf("%d, of %v, lives in %s", pid, left, livesIn(t, pid))
		}
	}
	if err := d.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	for _, pid := range all {
		if got := livesIn(t, pid); got != before[pid] {
			t.Errorf("%d lives in %s; want %s", pid, got, before[pid])
		}
	}
}
