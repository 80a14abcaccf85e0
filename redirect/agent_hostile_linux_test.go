package redirect

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/serge-net/serge-net/bpf"
)

// hostileRole is a client of the agent at args[0] that says what the others tell:
//
//	open      a good open
//	place WHO a place of WHO: see victim
//	raw TEXT  a packet with that text
//	big N     a packet of N bytes
//	files N   an open with N descriptors of /dev/null
//	many N    N look-ups
//	storm N   N more connections, each asking for nothing
//
// For each it prints "ok", or what the agent answered.
func hostileRole(args []string) int {
	a, err := dialAgent(args[0])
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer a.conn.Close()
	for _, line := range args[1:] {
		verb, rest, _ := strings.Cut(line, " ")
		if err := hostileAct(a, verb, rest); err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println("ok")
	}
	return 0
}

// hostileAct does one line of a hostile client.
func hostileAct(a *agentClient, verb, rest string) error {
	n := 0
	fmt.Sscan(rest, &n)
	switch verb {
	case "open":
		l4, l6, err := listen(context.Background())
		if err != nil {
			return err
		}
		sockets, err := openPackets(context.Background(), nil)
		if err != nil {
			return err
		}
		e := &agentLane{ebpfLane: ebpfLane{door: door{listeners: []*net.TCPListener{l4, l6}}, sockets: sockets}}
		return a.open(bpf.Config{Probe: probe.Addr()}, e.descriptors())
	case "place":
		return hostilePlace(a, rest)
	case "raw":
		return hostileRaw(a, []byte(rest))
	case "big":
		return hostileRaw(a, []byte(strings.Repeat(" ", n)))
	case "files":
		null, err := os.Open(os.DevNull)
		if err != nil {
			return err
		}
		fds := make([]int, n)
		for i := range fds {
			fds[i] = int(null.Fd())
		}
		_, got, err := a.ask(request{Ask: askOpen, Target: &agentTarget{Probe: probe.Addr()}}, fds...)
		closeAll(got)
		return err
	case "many":
		for i := range n {
			r, _, err := a.ask(request{Ask: askQueried, At: netip.AddrPortFrom(probe.Addr(), uint16(i))})
			if err != nil || r.Found {
				return fmt.Errorf("query %d: %v, %v", i, r.Found, err)
			}
		}
		return nil
	}
	if verb == "storm" {
		return hostileStorm(a.path, n)
	}
	return errors.New("no such act")
}

// hostileStorm makes n connections at once, of which half stay silent, and
// returns why one of the others is refused for their number.
func hostileStorm(path string, n int) error {
	var all []*agentClient
	for range n {
		a, err := dialAgent(path)
		if err != nil {
			return err
		}
		defer a.conn.Close()
		all = append(all, a)
	}
	for _, a := range all[n/2:] {
		if _, _, err := a.ask(request{Ask: askEnd}); err != nil && strings.Contains(err.Error(), "as many runs") {
			return err
		}
	}
	return nil
}

// hostilePlace asks for a place of who.
func hostilePlace(a *agentClient, who string) error {
	fd, end, err := victim(who)
	if err != nil {
		return err
	}
	defer end()
	defer unix.Close(fd)
	_, fds, err := a.ask(request{Ask: askPlace}, fd)
	closeAll(fds)
	return err
}

// victim is a descriptor of a process, and what ends that:
//
//	confined   a child with no_new_privs: a good one
//	child      a child without
//	half       a child of which one thread has it
//	setuid     a child that is root's by now
//	grandchild what its child started, with no_new_privs
//	self       the client
//	gone       a child that has ended
//	none       no process
//	PID        that process
func victim(who string) (fd int, end func(), err error) {
	cmd, run := exec.Command("sleep", "1000"), func(f func() error) error { return f() }
	switch who {
	case "confined":
		run = confined
	case "child", "gone":
	case "half":
		cmd = exec.Command("/proc/self/exe", "half")
	case "setuid":
		cmd = exec.Command(filepath.Join(filepath.Dir(os.Args[0]), "setuid"), "1000")
	case "grandchild":
		cmd, run = exec.Command("sh", "-c", "sleep 1000 & echo $!; wait"), confined
	case "self":
		fd, err = unix.PidfdOpen(os.Getpid(), 0)
		return fd, func() {}, err
	case "none":
		fd, err = unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return fd, func() {}, err
	default:
		pid, err := strconv.Atoi(who)
		if err != nil {
			return 0, nil, err
		}
		fd, err = unix.PidfdOpen(pid, 0)
		return fd, func() {}, err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, nil, err
	}
	if err := run(cmd.Start); err != nil {
		return 0, nil, err
	}
	end = func() {
		unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		cmd.Wait()
	}
	pid := cmd.Process.Pid
	if who == "half" || who == "grandchild" {
		line, _ := bufio.NewReader(out).ReadString('\n')
		fmt.Sscan(line, &pid)
	}
	fd, err = unix.PidfdOpen(pid, 0)
	if who == "gone" {
		end()
	}
	return fd, end, err
}

// halfRole has no_new_privs on one of its threads, and says its pid.
func halfRole([]string) int {
	runtime.LockOSThread()
	unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	fmt.Println(os.Getpid())
	bufio.NewReader(os.Stdin).ReadString('\n')
	var never chan int
	<-never
	return 0
}

// A hostileCase is what a hostile client does, and a part of what is said to each act.
type hostileCase struct {
	name string
	acts []string
	want []string
}

// hostileCases are all of them, and a good one.
func hostileCases() []hostileCase {
	return []hostileCase{
		{"a good one", []string{"open", "place confined", "many 5000"}, []string{"ok", "ok", "ok"}},
		{"two opens", []string{"open", "open"}, []string{"ok", "a second open"}},
		{"two places", []string{"open", "place confined", "place confined"}, []string{"ok", "ok", "a second place"}},
		{"place first", []string{"place confined"}, []string{"place before open"}},
		{"kill nothing", []string{"open", `raw {"version":3,"ask":"kill"}`}, []string{"ok", "kill before place"}},
		{"child that may become root", []string{"open", "place child"}, []string{"ok", "no_new_privs"}},
		{"thread that may become root", []string{"open", "place half"}, []string{"ok", "no_new_privs"}},
		{"child that is root", []string{"open", "place setuid"}, []string{"ok", "is not user 65534's"}},
		{"grandchild", []string{"open", "place grandchild"}, []string{"ok", "is no child of its client"}},
		{"itself", []string{"open", "place self"}, []string{"ok", "is no child of its client"}},
		{"root's process", []string{"open", "place 1"}, []string{"ok", "is no child of its client"}},
		{"dead child", []string{"open", "place gone"}, []string{"ok", "is no process that lives"}},
		{"no process", []string{"open", "place none"}, []string{"ok", "is no process that lives"}},
		{"no sockets", []string{"files 10"}, []string{"no socket"}},
		{"no descriptors", []string{"files 0"}, []string{"open without sockets"}},
		{"many descriptors", []string{"files 250"}, []string{"too many descriptors"}},
		{"huge", []string{"big 180000"}, []string{"more than 131072 bytes"}},
		{"empty", []string{"raw "}, []string{"EOF"}},
		{"garbage", []string{"raw \xff{"}, []string{"not a request"}},
		{"later version", []string{`raw {"version":99,"ask":"dance","with":"me"}`}, []string{"version 99"}},
		{"other ask", []string{`raw {"version":3,"ask":"dance"}`}, []string{`ask "dance"`}},
		{"storm", []string{"storm 64"}, []string{"user 65534 has as many runs as are served, 32"}},
	}
}

// TestAgentHostile is what nobody may ask of an agent. Afterwards it is as it was.
func TestAgentHostile(t *testing.T) {
	isolate(t)
	a := startAgent(t, twoCaps()...)
	dir := subtree(t, 0)
	program := public(t)
	setuid(t, filepath.Join(filepath.Dir(program), "setuid"))
	open := func() int {
		all, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", a.Process.Pid))
		return len(all)
	}
	before := 0
	for _, c := range hostileCases() {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command(program, append([]string{"hostile", a.socket}, c.acts...)...)
			cmd.Dir = "/"
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, UseCgroupFD: true, CgroupFD: int(dir.Fd()),
			}
			out, _ := cmd.CombinedOutput()
			got := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
			if len(got) != len(c.want) {
				t.Fatalf("it says %q; want %q", got, c.want)
			}
			for i, want := range c.want {
				if !strings.Contains(got[i], want) {
					t.Errorf("%s: %q; want %q", c.acts[i], got[i], want)
				}
			}
			eventually(t, "a cgroup is left", func() bool { return len(agentCgroups(dir)) == 0 })
			if before == 0 {
				before = open()
			}
			eventually(t, "the agent holds descriptors", func() bool { return open() <= before })
		})
	}
	out, err := a.client(t, nobody, dir, "bash", "-c", "exec 3</dev/tcp/203.0.113.1/80 && echo connected").CombinedOutput()
	if err != nil || string(out) != "connected\n" {
		t.Errorf("an honest client after all: %v, %q", err, out)
	}
}

// setuid makes path a copy of sleep that runs as root.
func setuid(t *testing.T, path string) {
	t.Helper()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(sleep)
	if err == nil {
		err = os.WriteFile(path, b, 0o755)
	}
	if err == nil {
		err = os.Chmod(path, 0o755|os.ModeSetuid)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until done, or fails the test.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for late := time.Now().Add(10 * time.Second); !done(); <-tick.C {
		if time.Now().After(late) {
			t.Errorf("after 10 s %s", what)
			return
		}
	}
}

// hostileRaw sends b as it is, and reads the reply.
func hostileRaw(a *agentClient, b []byte) error {
	a.conn.SetDeadline(time.Now().Add(askPatience))
	a.conn.Write(b)
	got, _, err := readPacket(a.conn, make([]byte, maxReply))
	if err != nil {
		return err
	}
	var r reply
	if err := json.Unmarshal(got, &r); err != nil {
		return err
	}
	if r.Err != "" {
		return errors.New(r.Err)
	}
	return nil
}
