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
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The descriptors of stepsRole beside the standard three.
const (
	goOnFD   = 3 + iota // ends when it may go on
	reportFD            // where it says that it is at its step
)

// stepsRole is a small serge-net run that stands still at the step args[0], and
// prints all steps at its end if that is none. Its command is steppedRole.
func stepsRole(args []string) int {
	goOn, report := os.NewFile(goOnFD, "go on"), os.NewFile(reportFD, "report")
	unix.CloseOnExec(goOnFD)
	unix.CloseOnExec(reportFD)
	reached := func(s Step, init, command int) {
		if args[0] == "all" {
			fmt.Fprintln(report, s)
		}
		if s == Step(args[0]) {
			fmt.Fprintln(report, init, command)
			io.Copy(io.Discard, goOn)
		}
	}
	d, err := Start(context.Background(), Target{Init: []string{asInit}, HostPorts: []uint16{}, Publish: []Publish{}, Reached: reached}, laneUnderTest())
	if err != nil {
		fmt.Fprintln(os.Stderr, "start:", err)
		return 99
	}
	defer d.Close()
	go acceptAll(d)
	exe, err := os.Executable()
	if err != nil {
		return 99
	}
	p, err := d.Run(context.Background(), Command{Argv: append([]string{exe, "stepped"}, args[1:]...), Signals: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 99
	}
	s, err := p.Wait()
	if err != nil {
		return 98
	}
	return s.Code
}

// acceptAll closes what is diverted, until d is closed.
func acceptAll(d *Diversion) {
	for {
		c, err := d.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			c.Close()
		}
	}
}

// steppedRole leaves a daemon behind which dials for every line it reads. It
// ends at once if it is told to, else never.
func steppedRole(args []string) int {
	signal.Ignore(unix.SIGHUP) // see lingerRole
	exe, err := os.Executable()
	if err != nil {
		return 1
	}
	daemon := exec.Command(exe, "stepping")
	daemon.Stdin, daemon.Stdout = os.Stdin, os.Stdout
	daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := daemon.Start(); err != nil {
		return 1
	}
	if args[0] == "stays" {
		daemon.Wait()
	}
	return 0
}

// steppingRole is that daemon.
func steppingRole([]string) int {
	for s := bufio.NewScanner(os.Stdin); s.Scan(); {
		c, err := net.DialTimeout("tcp", "203.0.113.1:80", time.Second)
		if err == nil {
			c.Close()
		}
		fmt.Println("connected", err == nil)
	}
	<-make(chan int) // its standard input ends when all who could tell of it are dead
	return 0
}

// pipe returns both ends of a pipe, closed at the end of the test.
func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		w.Close()
	})
	return r, w
}
