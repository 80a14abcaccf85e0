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
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// parentRole is a small serge-net run: it starts args in a diversion, closes
// what is diverted, and exits as the command did.
func parentRole(args []string) int {
	ctx := context.Background()
	d, err := Start(ctx, Target{Init: []string{asInit}, Agent: os.Getenv("SERGE_AGENT")}, laneUnderTest())
	if err != nil {
		fmt.Println("start:", err)
		if hint := new(HintError); errors.As(err, &hint) {
			fmt.Println("hint:", hint.Hint)
		}
		return 99
	}
	defer d.Close()
	go func() {
		for {
			c, err := d.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				c.Close()
			}
		}
	}()
	p, err := d.Run(ctx, Command{Argv: args, Signals: true})
	if err != nil {
		fmt.Println("run:", err)
		return 99
	}
	s, err := p.Wait()
	if err != nil {
		fmt.Println("wait:", err)
		return 98
	}
	return s.Code
}

// interruptsRole prints how many SIGINTs it got, a while after the first.
func interruptsRole([]string) int {
	c := make(chan os.Signal, 10)
	signal.Notify(c, unix.SIGINT)
	fmt.Println("ready", os.Getpid())
	<-c
	n := 1
	for quiet := time.After(10 * groupWindow); ; {
		select {
		case <-c:
			n++
		case <-quiet:
			fmt.Println("interrupts", n)
			return 7
		}
	}
}

// lingerRole has a daemon beside it, and dials once for every line it reads. It
// survives the SIGHUP that the kernel sends a process group which is orphaned
// while a member is stopped, as TestKillBoth does it: setpgid(2).
func lingerRole([]string) int {
	signal.Ignore(unix.SIGHUP)
	daemon := exec.Command("sleep", "1000")
	daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := daemon.Start(); err != nil {
		fmt.Println(err)
	}
	fmt.Println("ready", os.Getpid(), daemon.Process.Pid)
	for s := bufio.NewScanner(os.Stdin); s.Scan(); {
		c, err := net.Dial("tcp", "203.0.113.1:80")
		if err == nil {
			c.Close()
		}
		fmt.Println("refused", errors.Is(err, unix.ECONNREFUSED), err)
	}
	return 0
}

func TestExitStatus(t *testing.T) { eachLane(t, testExitStatus) }

func testExitStatus(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	os.WriteFile(plain, []byte("exit 5"), 0o600)
	bare := filepath.Join(dir, "bare")
	os.WriteFile(bare, []byte("exit 6"), 0o700)
	for _, c := range []struct {
		name string
		argv []string
		want ExitStatus
	}{
		{"success", []string{"true"}, ExitStatus{}},
		{"code", []string{"sh", "-c", "exit 42"}, ExitStatus{Code: 42}},
		{"killed", []string{"sh", "-c", "kill -KILL $$"}, ExitStatus{Code: 137, Signal: 9}},
		{"segv", []string{"sh", "-c", "kill -SEGV $$"}, ExitStatus{Code: 139, Signal: 11}},
		{"not found", []string{"no-such-command"}, ExitStatus{Code: 127, NotFound: true}},
		{"no such path", []string{"/no/such/command"}, ExitStatus{Code: 127, NotFound: true}},
		{"not executable", []string{plain}, ExitStatus{Code: 126, NotExecutable: true}},
		{"directory", []string{dir}, ExitStatus{Code: 126, NotExecutable: true}},
		{"script without #!", []string{bare}, ExitStatus{Code: 6}},
	} {
		t.Run(c.name, func(t *testing.T) {
			isolate(t)
			_, got := output(t, diverted(t, Target{}), c.argv...)
			if got.NotFound || got.NotExecutable {
				if got.Err == nil {
					t.Error("no cause")
				}
				got.Err = nil
			}
			if got != c.want {
				t.Errorf("Run(%q) = %+v; want %+v", c.argv, got, c.want)
			}
		})
	}
}

func TestStandardFiles(t *testing.T) { eachLane(t, testStandardFiles) }

func testStandardFiles(t *testing.T) {
	d := diverted(t, Target{})
	inR, inW, _ := os.Pipe()
	outR, outW, _ := os.Pipe()
	errR, errW, _ := os.Pipe()
	dir := t.TempDir()
	p, err := d.Run(t.Context(), Command{
		Argv: []string{"sh", "-c", `read x; echo "$x $A $(pwd)"; echo err >&2`},
		Env:  []string{"PATH=/usr/bin:/bin", "A=b"}, Dir: dir, Stdin: inR, Stdout: outW, Stderr: errW,
	})
	for _, f := range []*os.File{inR, outW, errW} {
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(inW, "line\n")
	inW.Close()
	out, _ := io.ReadAll(outR)
	errs, _ := io.ReadAll(errR)
	outR.Close()
	errR.Close()
	if want := "line b " + dir + "\n"; string(out) != want || string(errs) != "err\n" {
		t.Errorf("stdout %q, stderr %q; want %q, %q", out, errs, want, "err\n")
	}
	if s, err := p.Wait(); s.Code != 0 || err != nil {
		t.Errorf("Wait = %+v, %v", s, err)
	}
	if err := p.Signal(unix.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("Signal after the end = %v; want %v", err, os.ErrProcessDone)
	}
	if _, err := d.Run(t.Context(), Command{Argv: []string{"true"}}); err == nil {
		t.Error("a second Run succeeded")
	}
}

// A parentProcess is parentRole in a process of its own.
type parentProcess struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	pids
}

// pids are the processes of a parentProcess.
type pids struct{ init, command, daemon int }

// startParent starts parentRole with the role as its command, in a process
// group of its own, and waits for "ready".
func startParent(t *testing.T, argv ...string) *parentProcess {
	t.Helper()
	args := self(t, "parent", argv...)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = new(syscall.SysProcAttr)
	return beginParent(t, cmd)
}

// beginParent is startParent with cmd, which is one.
func beginParent(t *testing.T, cmd *exec.Cmd) *parentProcess {
	t.Helper()
	p := &parentProcess{Cmd: cmd}
	p.SysProcAttr.Setpgid = true
	p.in, _ = p.StdinPipe()
	out, _ := p.StdoutPipe()
	p.out = bufio.NewReader(out)
	p.Stderr = os.Stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	line := p.line(t)
	if n, _ := fmt.Sscanf(line, "ready %d %d", &p.command, &p.daemon); n == 0 {
		t.Fatalf("the command says %q; want ready", line)
	}
	p.init = parentOf(t, p.command)
	return p
}

// line reads one line of the command's output.
func (p *parentProcess) line(t *testing.T) string {
	t.Helper()
	l, err := p.out.ReadString('\n')
	if err != nil {
		t.Fatalf("read from the command: %v", err)
	}
	return strings.TrimSpace(l)
}

// parentOf is the parent of pid.
func parentOf(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	var state string
	var ppid int
	fmt.Sscan(string(b[strings.LastIndexByte(string(b), ')')+1:]), &state, &ppid)
	return ppid
}

func TestSignals(t *testing.T) { eachLane(t, testSignals) }

func testSignals(t *testing.T) {
	for _, c := range []struct {
		name  string
		whole bool // the process group
	}{{"to the parent alone", false}, {"to the group", true}} {
		t.Run(c.name, func(t *testing.T) {
			isolate(t)
			p := startParent(t, self(t, "interrupts")...)
			to := p.Process.Pid
			if c.whole {
				to = -to
			}
			unix.Kill(to, unix.SIGINT)
			if got := p.line(t); got != "interrupts 1" {
				t.Errorf("%q; want one interrupt", got)
			}
			p.Wait()
			if code := p.ProcessState.ExitCode(); code != 7 {
				t.Errorf("exit code %d; want 7", code)
			}
		})
	}
}
