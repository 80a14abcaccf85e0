package redirect

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// forksRole has a daemon, and processes that do nothing but fork and exit: each
// lives for some 50 µs, and so do its children. They give up after a while.
func forksRole([]string) int {
	daemon := exec.Command("sh", "-c", "trap '' HUP TERM; setsid sleep 1000 & sleep 1000")
	daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := daemon.Start(); err != nil {
		fmt.Println(err)
		return 1
	}
	for range 3 {
		forkOn(200_000)
	}
	fmt.Println("ready", os.Getpid(), daemon.Process.Pid)
	daemon.Wait()
	return 0
}

// forkOn forks a process that becomes its own child so many times.
func forkOn(times int) {
	// No Go runtime is left in a forked child: system calls only.
	if pid, _, _ := unix.RawSyscall(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0); pid != 0 {
		return
	}
	for range times {
		if pid, _, _ := unix.RawSyscall(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0); pid != 0 {
			break
		}
	}
	unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
}

// fellRole kills forksRole as if that were an init that somebody killed, beside
// a child of its own, and prints its children from before and after.
func fellRole([]string) int {
	own := exec.Command("sleep", "1000")
	if err := own.Start(); err != nil {
		fmt.Println(err)
		return 1
	}
	left, err := plant()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	path, _ := os.Executable()
	forks := exec.Command(path, "forks")
	out, _ := forks.StdoutPipe()
	if err := forks.Start(); err != nil {
		fmt.Println(err)
		return 1
	}
	bufio.NewReader(out).ReadString('\n')
	before := len(descendants(os.Getpid(), left.spared))
	left.fell(forks.Process)
	fmt.Println(before > 3, len(children(os.Getpid())), slices.Contains(children(os.Getpid()), own.Process.Pid))
	own.Process.Kill()
	own.Wait()
	return 0
}

func TestFell(t *testing.T) {
	argv := self(t, "fell")
	for range 5 {
		out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
		if got := strings.TrimSpace(string(out)); got != "true 1 true" || err != nil {
			t.Errorf("%q, %v; want some before, and after only its own child", got, err)
		}
	}
}

func TestChildren(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	for name, f := range map[string]func(int) []int{"children": children, "childrenByStat": childrenByStat} {
		if got := f(os.Getpid()); !slices.Contains(got, cmd.Process.Pid) {
			t.Errorf("%s = %v; want %d among them", name, got, cmd.Process.Pid)
		}
		if got := f(cmd.Process.Pid); len(got) > 0 {
			t.Errorf("%s of sleep = %v; want none", name, got)
		}
	}
}
