package redirect

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A dweller is a process that runs before it is attached to, and after. It
// does as it is told, a line at a time.
type dweller struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// dwellerRole dials for each line that it reads: "dial" with a new socket, "old"
// with one that was made at the start, "child" in a new process. It prints what
// it got, or the error.
func dwellerRole([]string) int {
	old, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	to := &unix.SockaddrInet4{Port: 80, Addr: [4]byte{203, 0, 113, 1}}
	fmt.Println("ready")
	for s := bufio.NewScanner(os.Stdin); s.Scan(); {
		fd := old
		switch s.Text() {
		case "dial":
			if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0); err != nil {
				fmt.Println(err)
				continue
			}
		case "child":
			out, err := exec.Command("bash", "-c", "cat </dev/tcp/203.0.113.1/80").CombinedOutput()
			line, _, _ := strings.Cut(string(out), "\n")
			fmt.Println(line, err)
			continue
		}
		b := make([]byte, 100)
		n := 0
		err := unix.Connect(fd, to)
		if err == nil {
			n, err = unix.Read(fd, b)
			unix.Shutdown(fd, unix.SHUT_RDWR)
		}
		if fd != old {
			unix.Close(fd)
		}
		fmt.Println(strings.TrimSpace(string(b[:max(n, 0)])), err)
	}
	return 0
}

// startDweller starts dwellerRole in the cgroup dir, "" being the test's.
func startDweller(t *testing.T, dir string) *dweller {
	t.Helper()
	args := self(t, "dweller")
	cmd := exec.Command(args[0], args[1:]...)
	if dir != "" {
		f, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(f.Fd())}
	}
	return dwellerOf(t, cmd)
}

// dwellerOf starts cmd, which says that it is ready and does as it is told.
func dwellerOf(t *testing.T, cmd *exec.Cmd) *dweller {
	t.Helper()
	r := &dweller{Cmd: cmd}
	r.in, _ = r.StdinPipe()
	out, _ := r.StdoutPipe()
	r.out = bufio.NewReader(out)
	r.Stderr = os.Stderr
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.in.Close(); r.Process.Kill(); r.Wait() })
	if got := r.read(t); got != "ready" {
		t.Fatalf("the dweller says %q; want ready", got)
	}
	return r
}

// read reads one line of what it says.
func (r *dweller) read(t *testing.T) string {
	t.Helper()
	line, err := r.out.ReadString('\n')
	if err != nil {
		t.Fatalf("read from the dweller: %v", err)
	}
	return strings.TrimSpace(line)
}

// do has it do one thing, and returns what it says of it.
func (r *dweller) do(t *testing.T, what string) string {
	t.Helper()
	io.WriteString(r.in, what+"\n")
	return r.read(t)
}

// expect has it do what, and fails unless it was diverted, or not.
func (r *dweller) expect(t *testing.T, when, what string, diverted bool) {
	t.Helper()
	got := r.do(t, what)
	if diverted != strings.HasPrefix(got, "203.0.113.1:80 ") || !diverted && !strings.Contains(got, "unreachable") {
		t.Errorf("%s: %s: %q; want diverted: %v", when, what, got, diverted)
	}
}

// livesIn is the cgroup of a process.
func livesIn(t *testing.T, pid int) string {
	t.Helper()
	dir, err := cgroupDir(pid)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestAttachProcess attaches to a process and lets it go.
func TestAttachProcess(t *testing.T) {
	isolate(t)
	home := subtree(t, 0).Name()
	r := startDweller(t, home)
	r.expect(t, "before", "dial", false)
	d := diverted(t, Target{PID: r.Process.Pid})
	echo(t, d)
	if got := livesIn(t, r.Process.Pid); filepath.Dir(got) != home || !strings.HasPrefix(filepath.Base(got), attachedPrefix) {
		t.Errorf("it lives in %s; want one of ours below %s", got, home)
	}
	r.expect(t, "attached", "dial", true)
	r.expect(t, "attached", "child", true)
	r.expect(t, "attached", "old", false)
	u := d.Attached().Unseen()
	if len(u) != 1 || u[0].Protocol != "tcp" || u[0].Peer.IsValid() || u[0].PID != r.Process.Pid {
		t.Errorf("unseen %+v; want the one socket", u)
	}
	if err := d.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if got := livesIn(t, r.Process.Pid); got != home {
		t.Errorf("after Close it lives in %s; want %s", got, home)
	}
	r.expect(t, "after", "dial", false)
	if err := d.Attached().Wait(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Wait after Close: %v; want net.ErrClosed", err)
	}
}

// TestAttachCgroup attaches to a cgroup: nothing is moved, and sockets that were
// made before are seen when they connect.
func TestAttachCgroup(t *testing.T) {
	isolate(t)
	home := subtree(t, 0).Name()
	r := startDweller(t, home)
	d := diverted(t, Target{Cgroup: home})
	echo(t, d)
	if got := livesIn(t, r.Process.Pid); got != home {
		t.Errorf("it lives in %s; want %s", got, home)
	}
	if got, _ := filepath.Glob(home + "/*/"); len(got) > 0 {
		t.Errorf("%q were made in the target's cgroup", got)
	}
	r.expect(t, "attached", "dial", true)
	r.expect(t, "attached", "old", true)
	if u := d.Attached().Unseen(); len(u) != 0 {
		t.Errorf("unseen %+v; want none: sockets that connect anew are seen", u)
	}
	d.Close()
	r.expect(t, "after", "dial", false)
}

// TestAttachWait waits for the ends of targets.
func TestAttachWait(t *testing.T) {
	t.Run("process", func(t *testing.T) {
		isolate(t)
		r := startDweller(t, subtree(t, 0).Name())
		d := diverted(t, Target{PID: r.Process.Pid})
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := d.Attached().Wait(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait while it runs: %v", err)
		}
		r.Process.Kill()
		r.Wait()
		if err := d.Attached().Wait(t.Context()); err != nil {
			t.Errorf("Wait: %v", err)
		}
	})
	t.Run("cgroup", func(t *testing.T) {
		isolate(t)
		dir := subtree(t, 0).Name()
		d := diverted(t, Target{Cgroup: dir})
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		if err := d.Attached().Wait(t.Context()); err != nil {
			t.Errorf("Wait: %v", err)
		}
	})
}
