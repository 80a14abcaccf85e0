package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// A seat is where an ordinary user works: a directory, and a cgroup of root's, as
// a login's is.
type seat struct {
	*rig
	uid    int
	cgroup string
	agent  string // socket
}

// agent starts serge-net agent as systemd does: root, with two capabilities, no
// network, and nothing else. It ends with the test.
func (r *rig) agent() (socket string) {
	r.t.Helper()
	dir := openTo(r.t, 0)
	socket = filepath.Join(dir, "agent.sock")
	var log bytes.Buffer
	cmd := exec.Command("unshare", "--net", "setpriv", "--bounding-set", "-all,+bpf,+net_admin", "--inh-caps", "-all,+bpf,+net_admin",
		"--no-new-privs", built.serge, "agent", "--socket", socket)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil || r.t.Failed() {
			r.t.Errorf("agent: %v\n%s", err, log.String())
		}
	})
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); <-tick.C {
		if fi, err := os.Stat(socket); err == nil && fi.Mode().Perm() == 0o666 {
			return socket
		}
	}
	r.t.Fatal("the agent does not listen")
	return ""
}

// openTo makes a directory that is uid's and that everybody may look into.
func openTo(t *testing.T, uid int) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "serge-net-agent-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	if err := os.Chown(dir, uid, uid); err != nil {
		t.Fatal(err)
	}
	return dir
}

// seat gives uid one.
func (r *rig) seat(uid int, agent string) *seat {
	r.t.Helper()
	s := &seat{rig: &rig{t: r.t, net: r.net, dir: openTo(r.t, uid)}, uid: uid, agent: agent}
	var err error
	if s.cgroup, err = os.MkdirTemp(cgroupMount(r.t), "e2e-agent-*"); err != nil {
		r.t.Fatal(err)
	}
	os.Chmod(s.cgroup, 0o755)
	r.t.Cleanup(func() {
		left, _ := filepath.Glob(s.cgroup + "/*/")
		if err := unix.Rmdir(s.cgroup); err != nil {
			r.t.Errorf("rmdir %s: %v: %q left", s.cgroup, err, left)
		}
	})
	return s
}

// serge runs serge-net as the seat's user, without any capability.
func (s *seat) serge(args ...string) outcome {
	s.t.Helper()
	id := strconv.Itoa(s.uid)
	return s.runWith([]string{"SERGE_UPSTREAM_CA=" + s.net.CAFile, "SERGE_AGENT=" + s.agent, "HOME=" + s.dir}, "",
		append([]string{"sh", "-c", `echo $$ > "$1/cgroup.procs" && shift && exec "$@"`, "sh", s.cgroup,
			"setpriv", "--reuid", id, "--regid", id, "--clear-groups", built.serge}, args...)...)
}

// TestAgent records and replays as two ordinary users at once, without a
// capability, by an agent that has two.
func TestAgent(t *testing.T) {
	r := newRig(t)
	agent := r.agent()
	seats := []*seat{r.seat(nobody, agent), r.seat(1500, agent)}
	script := "id -u; grep -E 'Cap(Eff|Amb)' /proc/self/status; curl -sS https://" + testnet.WWW + "/hello"
	for _, c := range []struct {
		mode, said string
		hits       int
	}{
		{"record", "record c by ebpf (agent)\n", 2},
		{"replay", "isolated: yes", 0},
	} {
		hits := r.net.HitCount()
		var users sync.WaitGroup
		for _, s := range seats {
			users.Go(func() {
				want := fmt.Sprintf("%d\nCapEff:\t0000000000000000\nCapAmb:\t0000000000000000\nhello from www.test.example\n", s.uid)
				o := s.serge(c.mode, "c", "--", "sh", "-c", script)
				if o.code != 0 || o.stdout != want || !strings.Contains(o.stderr, c.said) {
					t.Errorf("%s as %d: exit code %d, %q; want %q\n%s", c.mode, s.uid, o.code, o.stdout, want, o.stderr)
				}
			})
		}
		users.Wait()
		if n := int(r.net.HitCount() - hits); n != c.hits {
			t.Errorf("%s: the origin was asked %d times; want %d", c.mode, n, c.hits)
		}
	}
}

// TestAgentIsHermetic has a command that tries to get out of a replay by every
// socket that there is.
func TestAgentIsHermetic(t *testing.T) {
	r := newRig(t)
	r.pingable()
	s := r.seat(nobody, r.agent())
	if o := s.serge("record", "c", "--", "curl", "-sS", hello); o.code != 0 {
		t.Fatal(o.stderr)
	}
	capture := r.net.Capture()
	o := s.serge(append([]string{"replay", "c", "--"}, r.hostile("")...)...)
	if p := capture.Packets(); len(p) != 0 {
		t.Errorf("%d packets left, the first %v", len(p), p[0])
	}
	if !strings.Contains(o.stderr, "escaped: UDP to 203.0.113.10:443 (QUIC) refused") || o.code != exitMissed {
		t.Errorf("exit code %d\n%s\n%s", o.code, o.stdout, o.stderr)
	}
}

// TestAgentMessages holds what a person sees of agents that are not there, and of
// two.
func TestAgentMessages(t *testing.T) {
	r := newRig(t)
	agent := r.agent()
	dead := filepath.Join(openTo(t, 0), "dead.sock")
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: dead, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	os.Chmod(dead, 0o666)
	for _, c := range []struct {
		agent string
		want  []string
	}{
		{"/nowhere/agent.sock", []string{"missing CAP_BPF CAP_NET_ADMIN", "hint: start with sudo, or once: sudo setcap", "serge-net help agent"}},
		{dead, []string{"connection refused", "missing CAP_BPF CAP_NET_ADMIN", "hint: sudo systemctl start serge-net-agent"}},
	} {
		s := r.seat(nobody, c.agent)
		o := s.serge("run", "--backend", "ebpf", "--mode", "passthrough", "--", "true")
		for _, want := range c.want {
			if o.code != exitStart || !strings.Contains(o.stderr, want) {
				t.Errorf("%s: exit code %d\n%s; want %q", c.agent, o.code, o.stderr, want)
			}
		}
	}
	o := r.serge("agent", "--socket", agent)
	if o.code != exitStart || !strings.Contains(o.stderr, agent+" is in use by process ") || !strings.Contains(o.stderr, "hint: one agent serves everybody") {
		t.Errorf("a second agent: exit code %d\n%s", o.code, o.stderr)
	}
	s := r.seat(nobody, agent)
	o = s.serge("agent", "--socket", filepath.Join(s.dir, "mine.sock"))
	if o.code != exitStart || !strings.Contains(o.stderr, "missing CAP_BPF CAP_NET_ADMIN") {
		t.Errorf("an agent without capabilities: exit code %d\n%s", o.code, o.stderr)
	}
}

// TestUnits has systemd read the units.
func TestUnits(t *testing.T) {
	if err := build(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var units []string
	for _, kind := range []string{"service", "socket"} {
		text, err := exec.Command(built.serge, "agent", "--print-unit", kind).Output()
		if err != nil {
			t.Fatal(err)
		}
		units = append(units, filepath.Join(dir, "serge-net-agent."+kind))
		write(t, units[len(units)-1], string(text))
		if kind == "service" && !strings.Contains(string(text), "\nExecStart="+built.serge+" agent\n") {
			t.Errorf("the service starts another program:\n%s", text)
		}
	}
	out, err := exec.Command("systemd-analyze", append([]string{"verify", "--man=no"}, units...)...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
