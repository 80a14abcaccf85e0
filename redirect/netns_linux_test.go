package redirect

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// inNetns starts a diversion of the netns lane in one way.
func inNetns(t *testing.T, target Target, way netWay) *Diversion {
	t.Helper()
	target.Init, target.HostPorts, target.Publish = []string{asInit}, []uint16{}, []Publish{}
	d := &Diversion{lane: Netns, conns: make(chan accepted), closed: make(chan struct{})}
	d.packets = newPackets(d.closed)
	n := newNetnsLane(d, way)
	d.escapes, d.local, d.run, d.undo = n.escapes, n.local, n.run, n.close
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	if err := n.start(t.Context(), target); err != nil {
		t.Fatalf("start by %v: %v", way, err)
	}
	if n.way != way {
		t.Errorf("diverts by %v; want %v", n.way, way)
	}
	return d
}

// eachNetWay runs f for each way to divert, from a namespace of its own.
func eachNetWay(t *testing.T, f func(*testing.T, netWay)) {
	for _, way := range netWays() {
		t.Run(way.TCP+"_"+way.DNS, func(t *testing.T) {
			isolate(t)
			f(t, way)
		})
	}
}

// TestNetnsSockets holds each way to divert to the same.
func TestNetnsSockets(t *testing.T) {
	eachNetWay(t, func(t *testing.T, way netWay) {
		cases := append(socketKinds(),
			socketCase{Name: "nobody listens", Family: unix.AF_INET, Dst: "127.0.0.1:99", Errno: unix.ECONNREFUSED},
			socketCase{Name: "nobody listens at its own address", Family: unix.AF_INET, Dst: "10.199.0.2:99", Errno: unix.ECONNREFUSED},
			socketCase{Name: "no such device", Family: unix.AF_INET, Device: "dev0", Dst: "203.0.113.4:80", Errno: unix.ENODEV})
		connected(t, inNetns(t, socketTarget(), way), netip.AddrPort{}, cases)
	})
}

// TestNetnsQuestions holds each way to the same for DNS questions.
func TestNetnsQuestions(t *testing.T) {
	eachNetWay(t, func(t *testing.T, way netWay) {
		everyQuestion(t, inNetns(t, questionTarget(), way))
	})
}

// TestNetnsUntracked holds that conntrack, where it is there for questions, is
// there for nothing else.
func TestNetnsUntracked(t *testing.T) {
	isolate(t)
	d := inNetns(t, Target{}, netWay{byTProxy, byNAT})
	echo(t, d)
	script := `for i in 1 2 3; do read </dev/tcp/203.0.113.1/80; done; echo >/dev/udp/203.0.113.1/53
		cat /proc/sys/net/netfilter/nf_conntrack_count`
	if out, _ := output(t, d, "bash", "-ec", script); out != "1\n" {
		t.Errorf("three connections and a question: tracked %q; want 1", out)
	}
}

// TestNetnsOwnNameServer holds that the command can be a name server itself, and
// ask others from port 53.
func TestNetnsOwnNameServer(t *testing.T) {
	eachNetWay(t, func(t *testing.T, way netWay) {
		d := inNetns(t, Target{}, way)
		nameServer(t, d)
		want := "127.0.0.1:53 mine\n203.0.113.1:53 203.0.113.1:53\n203.0.113.2:53 203.0.113.2:53\n"
		if out, _ := output(t, d, self(t, "name-server")...); out != want {
			t.Errorf("answers: %q; want %q", out, want)
		}
	})
}

// TestNetnsRefused holds that what is neither TCP nor DNS is refused at once,
// and told.
func TestNetnsRefused(t *testing.T) {
	udp443, udp123, tcp80 := netip.MustParseAddrPort("192.0.2.2:443"), netip.MustParseAddrPort("192.0.2.2:123"), netip.MustParseAddrPort("192.0.2.2:80")
	for _, c := range []struct {
		name     string
		hermetic bool
		out      string
		escapes  []Escape
	}{
		{"not hermetic", false, "true\ntrue\ntrue\ntrue\nfalse\n", []Escape{escape("udp", udp123, "datagram", 1), escape("udp", udp443, "quic", 3)}},
		{"hermetic", true, "true\ntrue\ntrue\ntrue\nfalse\n", // TCP is refused by a reset
			[]Escape{escape("tcp", tcp80, "hermetic", 1), escape("udp", udp123, "hermetic", 1), escape("udp", udp443, "hermetic", 3)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachNetWay(t, func(t *testing.T, way netWay) {
				target := Target{Hermetic: c.hermetic, Pass: []Pass{}}
				if c.hermetic {
					target.Except = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
				}
				d := inNetns(t, target, way)
				echo(t, d)
				if out, _ := output(t, d, self(t, "packets")...); out != c.out {
					t.Errorf("refused: %q; want %q", out, c.out)
				}
				got, err := d.Escapes()
				if diff := cmp.Diff(c.escapes, got, byDestination()...); diff != "" || err != nil {
					t.Errorf("Escapes (-want +got): %v\n%s", err, diff)
				}
			})
		})
	}
}

// TestNetnsNobody runs in the lane as an ordinary user: with no capability, with
// no new privileges, and where a cgroup can be made.
func TestNetnsNobody(t *testing.T) {
	script := `exec 3</dev/tcp/203.0.113.1/80 && echo connected; id -u; id -g; grep -E 'Cap(Eff|Amb|Prm|Inh|Bnd)' /proc/self/status; umask; ulimit -n`
	want := "connected\n65534\n65534\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n"
	for _, c := range []struct {
		name  string
		owner int // of the cgroup
		argv  []string
	}{
		{"no cgroup", 0, nil},
		{"delegated cgroup", nobody, nil},
		{"no new privileges", 0, []string{"setpriv", "--no-new-privs"}},
		{"in a container of its own", 0, []string{"unshare", "-Urpf", "--mount-proc", "--propagation", "private", "setpriv", "--reuid", "0"}},
		{"nested", 0, []string{"NESTED"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			isolate(t)
			dir := subtree(t, c.owner)
			binary, want := public(t), want
			argv := append(c.argv, binary, "parent", "bash", "-c", script)
			switch {
			case len(c.argv) == 1:
				argv = append([]string{binary, "parent"}, argv[1:]...)
			case len(c.argv) > 2:
				want = "connected\n0\n0\n"
			}
			cmd := exec.Command(argv[0], argv[1:]...)
			cmd.Dir = "/"
			cmd.Env = append(os.Environ(), laneVariable+"=netns")
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Credential:  &syscall.Credential{Uid: nobody, Gid: nobody},
				UseCgroupFD: true, CgroupFD: int(dir.Fd()),
			}
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.HasPrefix(string(out), want) {
				t.Errorf("%v, output %q; want %q", err, out, want)
			}
		})
	}
}

// TestNetnsKill kills the target when it forks without end and has no cgroup,
// through init and without it.
func TestNetnsKill(t *testing.T) {
	for _, who := range []string{"nobody", "init", "parent"} {
		t.Run(who, func(t *testing.T) {
			isolate(t)
			binary := public(t)
			cmd := exec.Command(binary, "parent", binary, "forks")
			cmd.Dir = "/"
			cmd.Env = append(os.Environ(), laneVariable+"=netns")
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			var command, daemon int
			if _, err := fmt.Fscanf(out, "ready %d %d\n", &command, &daemon); err != nil {
				t.Fatal(err)
			}
			init := parentOf(t, command)
			var left []func()
			for _, pid := range append(descendants(cmd.Process.Pid, nil), cmd.Process.Pid) {
				if pid == command || pid == daemon || pid == init {
					left = append(left, deathOf(t, "process", pid))
				}
			}
			unix.Kill(map[string]int{"nobody": command, "init": init, "parent": cmd.Process.Pid}[who], unix.SIGKILL)
			// Whoever is left holds the pipe.
			io.Copy(io.Discard, out)
			for _, gone := range left {
				gone()
			}
			cmd.Wait()
		})
	}
}

func TestObstacle(t *testing.T) {
	set := func(name, value string) func(string) string {
		return func(s string) string {
			if s == name {
				return value
			}
			return ""
		}
	}
	for _, c := range []struct {
		err     error
		setting func(string) string
		why     string
	}{
		{unix.ENOSPC, set("user.max_user_namespaces", "0"), "user.max_user_namespaces is 0"},
		{unix.ENOSPC, set("user.max_net_namespaces", "0"), "user.max_net_namespaces is 0"},
		{unix.EUSERS, set("", ""), "there are too many namespaces"},
		{unix.EINVAL, set("", ""), "this kernel has no user namespaces"},
		{unix.EPERM, set("kernel.unprivileged_userns_clone", "0"), "kernel.unprivileged_userns_clone is 0"},
		{fmt.Errorf("%w: x", errDenied), set("kernel.apparmor_restrict_unprivileged_userns", "1"), "AppArmor restricts user namespaces"},
		{unix.EPERM, set("seccomp", "2"), "a seccomp profile forbids namespaces"},
		{unix.EPERM, set("", ""), "namespaces are not allowed here, as in a chroot"},
		{fmt.Errorf("%w: make rules by nftables: operation not permitted", errDenied), set("seccomp", "2"),
			"this kernel lets nobody in a user namespace make such rules"},
		{errors.New("init: net: make rules by nftables: no such file or directory"), set("", ""), "this kernel has no nftables"},
		{net.ErrClosed, set("", ""), ""},
	} {
		if why, hint := obstacle(c.err, c.setting); why != c.why || (hint == "") != (why == "") {
			t.Errorf("obstacle(%v) = %q, %q; want %q", c.err, why, hint, c.why)
		}
	}
}
