package redirect

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNoIPv6 is a host without ::1: IPv4 is diverted, IPv6 refused.
func TestNoIPv6(t *testing.T) {
	isolate(t)
	run(t, "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6")
	d := diverted(t, Target{})
	echo(t, d)
	out, _ := output(t, d, "bash", "-c", "cat </dev/tcp/203.0.113.1/80; cat </dev/tcp/2001:db8::1/80")
	if !strings.HasPrefix(out, "203.0.113.1:80 ") || !strings.Contains(out, "Operation not permitted") {
		t.Errorf("%q; want one diverted, one refused", out)
	}
}

// TestExistingCgroup diverts sockets made in a cgroup that was there before.
func TestExistingCgroup(t *testing.T) {
	isolate(t)
	dir := subtree(t, 0)
	d := diverted(t, Target{Cgroup: dir.Name()})
	echo(t, d)
	cmd := exec.Command("bash", "-c", "cat </dev/tcp/203.0.113.1/80")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.HasPrefix(out, []byte("203.0.113.1:80 ")) {
		t.Errorf("%s, %v; want 203.0.113.1:80", out, err)
	}
	d.Close()
	cmd = exec.Command("bash", "-c", "cat </dev/tcp/203.0.113.1/80")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	if out, _ = cmd.CombinedOutput(); !bytes.Contains(out, []byte("unreachable")) {
		t.Errorf("after Close: %s; want unreachable", out)
	}
}

// TestStrangers connects to our listener from outside, and to it as a
// destination from inside: neither is accepted.
func TestStrangers(t *testing.T) { eachLane(t, testStrangers) }

func testStrangers(t *testing.T) {
	d := diverted(t, Target{})
	echo(t, d)
	// The listener's address is nobody's business; sock_diag tells it all the same.
	listening, err := exec.Command("sh", "-c", "ss -Hltn | awk '{print $4}'").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range strings.Fields(string(listening)) {
		c, err := net.Dial("tcp", addr)
		if errors.Is(err, unix.ECONNRESET) {
			continue // sent away before connect returned
		}
		if err != nil {
			t.Errorf("dial %s: %v", addr, err)
			continue
		}
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("%s talks to a stranger", addr)
		}
		c.Close()
	}
	out, _ := output(t, d, "bash", "-c", `a=$(ss -Hltn4 | awk 'NR==1 {print $4}'); cat </dev/tcp/${a%:*}/${a##*:}`)
	if !strings.Contains(out, "reset") {
		t.Errorf("from inside: %q; want a reset", out)
	}
}

func TestCaller(t *testing.T) { eachLane(t, testCaller) }

func testCaller(t *testing.T) {
	d := diverted(t, Target{})
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p, err := d.Run(t.Context(), Command{Argv: []string{"bash", "-c", "exec 3</dev/tcp/203.0.113.1/80; read <&3"}, Stdout: w})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if c.Caller.PID != p.PID() || c.Caller.UID != 0 || c.Caller.Command != "bash" {
		t.Errorf("caller %+v; want pid %d, uid 0, bash", c.Caller, p.PID())
	}
	var st unix.Stat_t
	if err := unix.Stat(cgroupOf(t, p.PID())+"/"+commandCgroup, &st); err != nil || st.Ino != c.Caller.Cgroup {
		t.Errorf("cgroup %d; want %d, %v", c.Caller.Cgroup, st.Ino, err)
	}
	c.CloseWrite()
	c.Close()
	p.Wait()
}
