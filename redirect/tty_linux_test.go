package redirect

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A terminal is the far end of a pty that a shell with job control runs on.
type terminal struct {
	*os.File
	cmd *exec.Cmd
}

// openTerminal starts an interactive bash on a new pty.
func openTerminal(t *testing.T) *terminal {
	t.Helper()
	far, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(far.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(far.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	// Nonblocking again, for deadlines: Fd undid it.
	unix.SetNonblock(int(far.Fd()), true)
	fd, _ := unix.FcntlInt(far.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	unix.SetNonblock(fd, true)
	far.Close()
	far = os.NewFile(uintptr(fd), "ptmx")
	near, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	term := &terminal{File: far, cmd: exec.Command("bash", "--norc", "-i")}
	term.cmd.Env = append(os.Environ(), "PS1=$ ", "TERM=dumb")
	term.cmd.Stdin, term.cmd.Stdout, term.cmd.Stderr = near, near, near
	term.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := term.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		term.cmd.Process.Kill()
		term.cmd.Wait()
		far.Close()
	})
	return term
}

// expect reads until the terminal shows want, and returns what came before.
func (f *terminal) expect(t *testing.T, want string) string {
	t.Helper()
	f.SetReadDeadline(time.Now().Add(10 * time.Second))
	var seen strings.Builder
	b := make([]byte, 1)
	for !strings.HasSuffix(seen.String(), want) {
		if _, err := f.Read(b); err != nil {
			t.Fatalf("terminal shows %q; want %q: %v", seen.String(), want, err)
		}
		seen.Write(b)
	}
	return seen.String()
}

// enter types a line.
func (f *terminal) enter(line string) { f.WriteString(line + "\n") }

func TestTerminal(t *testing.T) { eachLane(t, testTerminal) }

func testTerminal(t *testing.T) {
	f := openTerminal(t)
	binary := self(t, "")[0]

	// Ctrl-C reaches the command once; its exit code is ours.
	f.expect(t, "$ ")
	f.enter(binary + " parent " + binary + " interrupts")
	f.expect(t, "ready")
	f.WriteString("\x03")
	f.expect(t, "interrupts 1")
	f.expect(t, "$ ") // what is typed while bash takes the terminal back may be lost
	f.enter("echo code=$?")
	f.expect(t, "code=7\r\n$ ")

	// The default action of Ctrl-C.
	f.enter(binary + " parent sh -c 'echo rea''dy; exec sleep 1000'")
	f.expect(t, "ready")
	f.WriteString("\x03")
	f.expect(t, "$ ")
	f.enter("echo code=$?")
	f.expect(t, "code=130\r\n$ ")

	// Ctrl-Z stops all of us, fg goes on, stdin is the command's.
	f.enter(binary + " parent sh -c 'echo rea''dy; exec sed -u s/^/got-/'")
	f.expect(t, "ready")
	f.WriteString("\x1a")
	f.expect(t, "Stopped")
	f.expect(t, "$ ")
	f.enter("echo shell-$((6*7))")
	f.expect(t, "shell-42\r\n$ ")
	f.enter("fg")
	f.enter("typed")
	f.expect(t, "got-typed\r\n")
	f.WriteString("\x04")
	f.expect(t, "$ ")

	// A shell inside has job control of its own.
	f.enter(binary + " parent env PS1=in''ner: bash --norc -i")
	f.expect(t, "inner:")
	f.enter("sh -c 'echo rea''dy; exec sed -u s/^/got-/'")
	f.expect(t, "ready")
	f.WriteString("\x1a")
	f.expect(t, "Stopped")
	f.expect(t, "inner:")
	f.enter("fg")
	f.enter("again")
	f.expect(t, "got-again\r\n")
	f.WriteString("\x03")
	f.expect(t, "inner:")
	f.enter("exit 3")
	f.expect(t, "exit\r\n$ ")
	f.enter("echo code=$?")
	f.expect(t, "code=3\r\n")
}
