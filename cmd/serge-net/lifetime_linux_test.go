package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// A life is a run of serge-net whose end is tested, and what the kernel has of it.
type life struct {
	*rig
	cmd      *exec.Cmd
	stderr   string // the file that it says things in
	temp     string // its TMPDIR
	init     int    // pids
	command  int
	cgroups  []string
	programs []ebpf.ProgramID
	mounts   string
	alive    map[int]int // pidfds of all its processes, by pid
}

// lingering records, says so, and stays, as does a daemon of its own.
const lingering = "curl -sS http://" + testnet.WWW + "/hello && { setsid sleep 1000 >/dev/null 2>&1 & } && echo ready && exec sleep 1000"

// begin starts a recording that lingers, in a process group of its own, and
// looks at all that it made.
func (r *rig) begin() *life {
	r.t.Helper()
	l := &life{rig: r, temp: r.t.TempDir(), stderr: filepath.Join(r.dir, "stderr"), alive: map[int]int{}, mounts: mountsHere(r.t)}
	l.cmd = r.net.Command(built.serge, "record", "c", "--", "sh", "-c", lingering)
	l.cmd.Dir = r.dir
	l.cmd.Env = append(l.cmd.Env, "TMPDIR="+l.temp, "CI=")
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stderr, err := os.Create(l.stderr) // a pipe would last as long as the command
	if err != nil {
		r.t.Fatal(err)
	}
	defer stderr.Close()
	l.cmd.Stderr = stderr
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := l.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "ready" {
	}
	if lines.Text() != "ready" {
		l.cmd.Process.Kill()
		l.cmd.Wait()
		r.t.Fatalf("it did not begin:\n%s", l.said())
	}
	l.look()
	return l
}

// said is what the run and its command have written to stderr.
func (l *life) said() string {
	text, err := os.ReadFile(l.stderr)
	if err != nil {
		l.t.Error(err)
	}
	return string(text)
}

// look finds the processes, cgroups and programs of the run.
func (l *life) look() {
	l.t.Helper()
	l.cgroups = cgroupsOf(l.t, l.cmd.Process.Pid)
	if len(l.cgroups) < 2 {
		l.t.Fatalf("cgroups %q; want one and another in it", l.cgroups)
	}
	for _, dir := range l.cgroups {
		text, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		for _, pid := range strings.Fields(string(text)) {
			l.watch(pid)
		}
	}
	l.watch(strconv.Itoa(l.cmd.Process.Pid))
	l.init = childOf(l.t, l.cmd.Process.Pid)
	l.command = childOf(l.t, l.init)
	for _, dir := range l.cgroups {
		l.programs = append(l.programs, programsOf(l.t, dir)...)
	}
	if len(l.programs) == 0 || len(l.alive) < 4 {
		l.t.Fatalf("programs %v and processes %v; want some", l.programs, l.alive)
	}
}

// programsOf are the programs attached to the cgroup dir itself.
func programsOf(t *testing.T, dir string) []ebpf.ProgramID {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var ids []ebpf.ProgramID
	for _, at := range []ebpf.AttachType{ebpf.AttachCGroupInet4Connect, ebpf.AttachCGroupInet6Connect, ebpf.AttachCGroupInetEgress, ebpf.AttachCGroupSockOps} {
		q, err := link.QueryPrograms(link.QueryOptions{Target: int(f.Fd()), Attach: at})
		if err != nil {
			t.Fatalf("programs of %s: %v", dir, err)
		}
		for _, p := range q.Programs {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

// watch opens a pidfd.
func (l *life) watch(text string) {
	l.t.Helper()
	pid, err := strconv.Atoi(text)
	if err != nil {
		l.t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		l.t.Fatalf("pidfd of %d: %v", pid, err)
	}
	l.alive[pid] = fd
	l.t.Cleanup(func() { unix.Close(fd) })
}

// childOf is the first child of pid.
func childOf(t *testing.T, pid int) int {
	t.Helper()
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		text, _ := os.ReadFile(task)
		if f := strings.Fields(string(text)); len(f) > 0 {
			child, _ := strconv.Atoi(f[0])
			return child
		}
	}
	t.Fatalf("process %d has no children", pid)
	return 0
}

// cgroupMount is where the cgroup v2 is mounted.
func cgroupMount(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if before, after, ok := strings.Cut(line, " - "); ok && strings.HasPrefix(after, "cgroup2 ") {
			return strings.Fields(before)[4]
		}
	}
	t.Fatal("no cgroup v2 is mounted")
	return ""
}

// cgroupsOf are the cgroups that the run of pid has made, the outer before the inner.
func cgroupsOf(t *testing.T, pid int) []string {
	t.Helper()
	var found []string
	filepath.WalkDir(cgroupMount(t), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.Contains(path, fmt.Sprintf("/serge-%d-", pid)) {
			found = append(found, path)
		}
		return nil
	})
	return found
}

// mountsHere are the mounts outside.
func mountsHere(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// ends waits, 10 s at most, for the end of the process whose pidfd is fd.
func ends(fd int) bool {
	for late := time.Now().Add(10 * time.Second); time.Now().Before(late); {
		// It is interrupted now and then: by the runtime's signals.
		if n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 1000); n == 1 {
			return true
		}
	}
	return false
}

// nothingLeft fails the test unless all that look found is gone, within a time.
func (l *life) nothingLeft() {
	l.t.Helper()
	for pid, fd := range l.alive {
		if !ends(fd) {
			l.t.Errorf("process %d is left", pid)
		}
	}
	l.eventually("cgroups are left", func() bool { return len(cgroupsOf(l.t, l.cmd.Process.Pid)) == 0 })
	l.eventually("programs are left", func() bool {
		return !slices.ContainsFunc(l.programs, func(id ebpf.ProgramID) bool {
			p, err := ebpf.NewProgramFromID(id)
			if err == nil {
				p.Close()
			}
			return !errors.Is(err, os.ErrNotExist)
		})
	})
	if left, err := os.ReadDir(l.temp); err != nil || len(left) > 0 {
		l.t.Errorf("%v is left in TMPDIR (%v)", left, err)
	}
	if after := mountsHere(l.t); after != l.mounts {
		l.t.Errorf("the mounts were\n%s\nand are\n%s", l.mounts, after)
	}
}

// eventually waits for the kernel, which frees what has no file descriptor any
// more when it comes to it.
func (l *life) eventually(what string, done func() bool) {
	l.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); !done(); <-tick.C {
		if time.Now().After(deadline) {
			l.t.Errorf("after 10 s %s", what)
			return
		}
	}
}

// TestKills kills each of the processes that make up a run, and finds nothing
// of it: no process, cgroup, program, mount or temporary file.
func TestKills(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		name string
		who  func(*life) []int
		next bool // only the next start tidies up
	}{
		{"serge-net", func(l *life) []int { return []int{l.cmd.Process.Pid} }, false},
		{"init", func(l *life) []int { return []int{l.init} }, false},
		{"the command", func(l *life) []int { return []int{l.command} }, false},
		{"serge-net and init", func(l *life) []int { return []int{l.cmd.Process.Pid, l.init} }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := (&rig{t: t, net: r.net, dir: t.TempDir()}).begin()
			for _, s := range []unix.Signal{unix.SIGSTOP, unix.SIGKILL} { // stopped, none can see the other die
				for _, pid := range c.who(l) {
					unix.Kill(pid, s)
				}
			}
			l.cmd.Wait()
			if c.next {
				l.well("run", "--mode", "passthrough", "--", "true")
			}
			l.nothingLeft()
			if o := l.well("replay", "c", "--", "curl", "-sS", "http://"+testnet.WWW+"/hello"); o.stdout != "hello from www.test.example\n" {
				t.Errorf("what was recorded replays as %q\n%s\n%s", o.stdout, o.stderr, l.said())
			}
		})
	}
}

// TestSignals ends a run by Ctrl-C, and by SIGTERM to serge-net alone: the
// command gets the signal, what was recorded is kept, nothing else is left.
func TestSignals(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		name   string
		group  bool
		signal unix.Signal
	}{
		{"Ctrl-C", true, unix.SIGINT},
		{"SIGTERM", false, unix.SIGTERM},
		{"SIGHUP", true, unix.SIGHUP},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := (&rig{t: t, net: r.net, dir: t.TempDir()}).begin()
			to := l.cmd.Process.Pid
			if c.group {
				to = -to
			}
			unix.Kill(to, c.signal)
			l.cmd.Wait()
			if code := l.cmd.ProcessState.ExitCode(); code != 128+int(c.signal) {
				t.Errorf("exit code %d; want %d\n%s", code, 128+int(c.signal), l.said())
			}
			l.nothingLeft()
			if o := l.well("replay", "c", "--", "curl", "-sS", "http://"+testnet.WWW+"/hello"); o.stdout != "hello from www.test.example\n" {
				t.Errorf("what was recorded replays as %q\n%s\n%s", o.stdout, o.stderr, l.said())
			}
		})
	}
}
