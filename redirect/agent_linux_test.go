package redirect

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// agentRole is an agent at the socket args[0]. It says when it listens.
func agentRole(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM)
	defer stop()
	l, err := ListenAgent(args[0])
	if err == nil {
		fmt.Println("ready")
		a := Agent{Listener: l, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
		err = a.Serve(ctx)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// twoCaps starts a program as uid 0 with two capabilities, and no more to be had.
func twoCaps() []string {
	return []string{"setpriv", "--bounding-set", "-all,+bpf,+net_admin", "--inh-caps", "-all,+bpf,+net_admin", "--no-new-privs"}
}

// An agentProcess is an agent of a test.
type agentProcess struct {
	*exec.Cmd
	socket string
	log    string // file
}

// startAgent starts an agent, by the program before, that ends with the test.
func startAgent(t *testing.T, before ...string) *agentProcess {
	t.Helper()
	dir, err := os.MkdirTemp("", "redirect-agent")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	return startAgentAt(t, filepath.Join(dir, "agent.sock"), before...)
}

// startAgentAt is startAgent with a socket.
func startAgentAt(t *testing.T, socket string, before ...string) *agentProcess {
	t.Helper()
	argv := append(before, self(t, "agent", socket)...)
	a := &agentProcess{Cmd: exec.Command(argv[0], argv[1:]...), socket: socket, log: filepath.Join(t.TempDir(), "log")}
	log, err := os.Create(a.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	a.Stderr = log
	out, err := a.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.stop(t) })
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("agent: %q", line)
	}
	return a
}

// stop ends a.
func (a *agentProcess) stop(t *testing.T) {
	if a.ProcessState != nil {
		return
	}
	a.Process.Signal(unix.SIGTERM)
	if err := a.Wait(); err != nil {
		t.Errorf("agent: %v\n%s", err, a.said(t))
	}
	if t.Failed() {
		t.Logf("agent:\n%s", a.said(t))
	}
}

// said is what a has logged.
func (a *agentProcess) said(t *testing.T) string {
	b, err := os.ReadFile(a.log)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

// client is the command line argv in a diversion of a, as uid, in the cgroup dir.
func (a *agentProcess) client(t *testing.T, uid uint32, dir *os.File, argv ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(public(t), append([]string{"parent"}, argv...)...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "SERGE_AGENT="+a.socket)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: uid, Gid: uid}, UseCgroupFD: true, CgroupFD: int(dir.Fd()),
	}
	return cmd
}

// agentCgroups are those that agents made below dir.
func agentCgroups(dir *os.File) []string {
	all, _ := filepath.Glob(filepath.Join(dir.Name(), agentPrefix+"*"))
	return all
}

func TestAgent(t *testing.T) {
	outer, _ := os.Readlink("/proc/self/ns/mnt")
	script := `[ "$(readlink /proc/self/ns/mnt)" != "` + outer + `" ] && echo private
exec 3</dev/tcp/203.0.113.1/80 && echo connected; id -u; grep -E '(CapEff|CapAmb|NoNewPrivs)' /proc/self/status`
	want := "private\nconnected\n65534\nCapEff:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\n"
	for _, c := range []struct {
		name   string
		before []string
		owner  int // of the client's cgroup
	}{
		{"root", nil, 0},
		{"two capabilities", twoCaps(), 0},
		{"two capabilities, delegated cgroup", twoCaps(), nobody},
	} {
		t.Run(c.name, func(t *testing.T) {
			isolate(t)
			a := startAgent(t, c.before...)
			if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.Process.Pid)); c.before != nil && field(b, "CapEff") != "0000008000001000" {
				t.Fatalf("the agent has capabilities %s", field(b, "CapEff"))
			}
			dir := subtree(t, 0)
			in := delegate(t, dir, c.owner)
			out, err := a.client(t, nobody, in, "bash", "-c", script).CombinedOutput()
			if err != nil || string(out) != want {
				t.Errorf("%v, %q; want %q", err, out, want)
			}
			if left := agentCgroups(dir); len(left) > 0 {
				t.Errorf("%q left", left)
			}
		})
	}
}

// delegate makes a cgroup in dir that belongs to uid.
func delegate(t *testing.T, dir *os.File, uid int) *os.File {
	t.Helper()
	path := filepath.Join(dir.Name(), "delegated")
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Rmdir(path) })
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
