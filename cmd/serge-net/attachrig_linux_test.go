package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/redirect/testnet"
)

// looping makes a request every 100 ms, over a new connection, and prints a line
// of each: whether serge-net answered its TLS, and the status. It reads its
// roots anew each time, as Python does.
const looping = `
import http.client, ssl, sys, time
host, extra = sys.argv[1], sys.argv[2:]
while True:
    try:
        c = ssl.create_default_context()
        for f in extra: c.load_verify_locations(f)
        h = http.client.HTTPSConnection(host, context=c, timeout=10)
        h.connect()
        issuer = str(h.sock.getpeercert()["issuer"])
        h.request("GET", "/hello")
        r = h.getresponse()
        r.read()
        h.close()
        print("ours" if "serge-net" in issuer else "direct", r.status, flush=True)
    except Exception as e:
        print("failed", repr(e), flush=True)
    time.sleep(0.1)
`

// A dweller is a process that runs before an attach, and after it.
type dweller struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string // what it prints
}

// dwell starts cmd, in a cgroup if there is one, until the end of the test.
func dwell(t *testing.T, cmd *exec.Cmd, cgroup string) *dweller {
	t.Helper()
	d := &dweller{t: t, cmd: cmd, lines: make(chan string, 1000)}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if cgroup != "" {
		dir, err := os.Open(cgroup)
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close()
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(d.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			d.lines <- s.Text()
		}
	})
	t.Cleanup(func() {
		d.cmd.Process.Kill()
		for range d.lines {
		}
		reading.Wait()
		d.cmd.Wait()
	})
	return d
}

// until reads what it prints until a line begins with want, and fails the test
// if one of the lines before begins with never, or none comes for 20 s.
func (d *dweller) until(want, never string) {
	d.t.Helper()
	late := time.After(20 * time.Second)
	var seen []string
	for {
		select {
		case line, ok := <-d.lines:
			seen = append(seen, line)
			switch {
			case !ok:
				d.t.Fatalf("it ended: %q", seen)
			case strings.HasPrefix(line, want):
				return
			case never != "" && strings.HasPrefix(line, never):
				d.t.Errorf("it says %q; want %s", line, want)
			}
		case <-late:
			d.t.Fatalf("no %q in 20 s, but %q", want, seen)
		}
	}
}

// An attacher is serge-net attach at work.
type attacher struct {
	*rig
	cmd  *exec.Cmd
	said *bytes.Buffer // after Wait
	done chan struct{}
}

// attach starts serge-net attach with args, and waits for its start line.
func (r *rig) attach(args ...string) *attacher {
	r.t.Helper()
	cmd := r.net.Command(built.serge, append([]string{"attach", "--cassette", "c", "--ca-dir", filepath.Join(r.dir, "ca"), "--upstream-ca", r.net.CAFile}, args...)...)
	cmd.Env = append(cmd.Env, "CI=")
	return r.attachBy(cmd)
}

// attachBy waits for the start line of cmd.
func (r *rig) attachBy(cmd *exec.Cmd) *attacher {
	r.t.Helper()
	a := &attacher{rig: r, cmd: cmd, said: new(bytes.Buffer), done: make(chan struct{})}
	cmd.Dir = r.dir
	read, write, err := os.Pipe()
	if err != nil {
		r.t.Fatal(err)
	}
	cmd.Stderr = write
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	write.Close()
	started := make(chan struct{})
	go func() {
		defer close(a.done)
		defer read.Close()
		for s := bufio.NewScanner(read); s.Scan(); {
			fmt.Fprintln(a.said, s.Text())
			if strings.Contains(s.Text(), "by ebpf, attached to") {
				close(started)
			}
		}
	}()
	select {
	case <-started:
	case <-a.done:
		cmd.Wait()
		r.t.Fatalf("attach did not start: %v\n%s", cmd.ProcessState, a.said)
	}
	r.t.Cleanup(func() { cmd.Process.Kill(); <-a.done })
	return a
}

// end sends it s and returns what it said, having exited with code.
func (a *attacher) end(s unix.Signal, code int) string {
	a.t.Helper()
	unix.Kill(a.cmd.Process.Pid, s)
	return a.ended(code)
}

// ended waits for its end.
func (a *attacher) ended(code int) string {
	a.t.Helper()
	<-a.done
	a.cmd.Wait()
	if got := a.cmd.ProcessState.ExitCode(); got != code {
		a.t.Errorf("attach exits with %d; want %d\n%s", got, code, a.said)
	}
	return a.said.String()
}

// tells fails unless text holds every one of parts.
func tells(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("it does not say %q:\n%s", p, text)
		}
	}
}

// recorded is how many interactions the cassette c holds.
func (r *rig) recorded() int {
	r.t.Helper()
	store, err := cassette.Open(filepath.Join(r.dir, "cassettes"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer store.Close()
	c, err := store.Load("c")
	if err != nil {
		r.t.Fatal(err)
	}
	return len(c.Interactions)
}

// loop starts looping in the client's namespace.
func (r *rig) loop(cgroup string) *dweller {
	r.t.Helper()
	d := dwell(r.t, r.net.Command("python3", "-c", looping, testnet.WWW, r.net.CAFile), cgroup)
	d.until("direct 200", "ours")
	return d
}

// testCgroup makes a cgroup with a name of its own, path below the root.
func testCgroup(t *testing.T, path string) string {
	t.Helper()
	dir := filepath.Join(cgroupMount(t), fmt.Sprintf("attach-test-%d", os.Getpid()))
	full := filepath.Join(dir, path)
	if err := os.MkdirAll(full, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0)
		for end := time.Now().Add(5 * time.Second); populated(dir) && time.Now().Before(end); {
			runtime.Gosched()
		}
		for d := full; len(d) >= len(dir); d = filepath.Dir(d) {
			if err := unix.Rmdir(d); err != nil {
				t.Errorf("rmdir %s: %v", d, err)
			}
		}
	})
	return full
}

// populated tells whether a process lives in the cgroup dir or below.
func populated(dir string) bool {
	b, _ := os.ReadFile(filepath.Join(dir, "cgroup.events"))
	return bytes.Contains(b, []byte("populated 1"))
}

// livesIn is the cgroup of pid, as /proc has it.
func livesIn(t *testing.T, pid int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, path, _ := strings.Cut("\n"+string(b), "\n0::")
	return strings.TrimSpace(path)
}
