package redirect

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// deathOf returns what waits for the end of pid, or fails the test if it does
// not end.
func deathOf(t *testing.T, name string, pid int) func() {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatalf("%s, %d: %v", name, pid, err)
	}
	return func() {
		t.Helper()
		defer unix.Close(fd)
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		deadline := time.Now().Add(10 * time.Second)
		for time.Now().Before(deadline) {
			if n, _ := unix.Poll(fds, 1000); n > 0 {
				return
			}
		}
		t.Errorf("%s, %d, is alive", name, pid)
	}
}

// cgroupOf is the directory of the serge cgroup that pid is in.
func cgroupOf(t *testing.T, pid int) string {
	t.Helper()
	own, err := ownCgroup()
	if err != nil {
		t.Fatal(err)
	}
	found, _ := filepath.Glob(own + "/" + cgroupPrefix + "*")
	for _, dir := range found {
		for _, p := range processes(dir) {
			if p == pid {
				return dir
			}
		}
	}
	t.Fatalf("process %d is in none of %q", pid, found)
	return ""
}

func TestKill(t *testing.T) { eachLane(t, testKill) }

func testKill(t *testing.T) {
	for _, c := range []struct {
		name string
		who  func(p *parentProcess) []int
	}{
		{"parent", func(p *parentProcess) []int { return []int{p.Process.Pid} }},
		{"init", func(p *parentProcess) []int { return []int{p.init} }},
		{"command", func(p *parentProcess) []int { return []int{p.command} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			isolate(t)
			p := startParent(t, self(t, "linger")...)
			dir := cgroupOf(t, p.command)
			waits := []func(){deathOf(t, "init", p.init), deathOf(t, "command", p.command), deathOf(t, "daemon", p.daemon)}
			for _, pid := range c.who(p) {
				unix.Kill(pid, unix.SIGKILL)
			}
			for _, wait := range waits {
				wait()
			}
			p.Wait()
			if _, err := os.Stat(dir); err == nil {
				t.Errorf("%s is left", dir)
			}
		})
	}
}

func TestKillBoth(t *testing.T) {
	isolate(t)
	p := startParent(t, self(t, "linger")...)
	dir := cgroupOf(t, p.command)
	p.in.Write([]byte("\n"))
	if got := p.line(t); !strings.HasPrefix(got, "refused false <nil>") {
		t.Fatalf("dial before the kill: %q; want success", got)
	}
	commandDeath := deathOf(t, "command", p.command)
	killAtOnce(t, p.Process.Pid, p.init)
	p.in.Write([]byte("\n"))
	if got := p.line(t); !strings.HasPrefix(got, "refused true") {
		t.Errorf("dial with both dead: %q; want a refusal", got)
	}
	p.Wait() // its standard files are pipes of the command still
	diverted(t, Target{})
	commandDeath()
	if _, err := os.Stat(dir); err == nil {
		t.Errorf("%s is left after the next start", dir)
	}
}

// killAtOnce kills processes so that none of them sees another die, and waits
// until they are dead.
func killAtOnce(t *testing.T, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		stop(t, pid)
	}
	// Children first: a process group that is orphaned by the death of a parent
	// with a stopped process in it is continued by the kernel (setpgid(2)).
	slices.Sort(pids)
	for _, pid := range slices.Backward(pids) {
		defer deathOf(t, "who was killed", pid)()
		unix.Kill(pid, unix.SIGKILL)
	}
}

// stop stops every thread of a process. A signal only asks for it: those that
// run on another CPU go on for a while.
func stop(t *testing.T, pid int) {
	t.Helper()
	unix.Kill(pid, unix.SIGSTOP)
	for end := time.Now().Add(10 * time.Second); !stopped(t, pid); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("process %d does not stop", pid)
		}
	}
}

// stopped says whether every thread of a process is stopped: state T in its
// stat (proc_pid_stat(5)), after the command in parentheses.
func stopped(t *testing.T, pid int) bool {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(threads) == 0 {
		t.Fatalf("threads of %d: %v, %v", pid, threads, err)
	}
	return !slices.ContainsFunc(threads, func(name string) bool {
		stat, err := os.ReadFile(name)
		_, state, _ := strings.Cut(string(stat), ") ")
		return err != nil || !strings.HasPrefix(state, "T")
	})
}

func TestCloseKills(t *testing.T) { eachLane(t, testCloseKills) }

func testCloseKills(t *testing.T) {
	d := diverted(t, Target{})
	p, err := d.Run(t.Context(), Command{Argv: []string{"sleep", "1000"}})
	if err != nil {
		t.Fatal(err)
	}
	death := deathOf(t, "command", p.PID())
	if err := d.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	death()
	if err := d.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestLeftoversAreKilled(t *testing.T) { eachLane(t, testLeftoversAreKilled) }

func testLeftoversAreKilled(t *testing.T) {
	d := diverted(t, Target{})
	out, _ := output(t, d, "sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!")
	if err := exec.Command("kill", "-0", strings.TrimSpace(out)).Run(); err == nil {
		t.Errorf("process %s outlived the command", out)
	}
}
