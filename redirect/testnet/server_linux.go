package testnet

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
)

// A Server is a program that serves in the internet's namespace.
type Server struct {
	cmd   *exec.Cmd
	ended sync.WaitGroup
}

// Serve runs a program in the internet's namespace, as a server of the test's own,
// and returns when it has written a line with ready in it: then it listens. It is
// killed when the test ends, if Stop was not called before.
func (n *Net) Serve(ready, name string, args ...string) *Server {
	n.tb.Helper()
	s := &Server{}
	up := make(chan error, 1)
	s.ended.Go(func() { s.keep(n, up, ready, append([]string{name}, args...)) })
	if err := <-up; err != nil {
		n.tb.Fatal(err)
	}
	n.tb.Cleanup(s.Stop)
	return s
}

// Stop kills the server and waits for its end. Twice is no error.
func (s *Server) Stop() {
	_ = s.cmd.Process.Kill() // it may have ended
	s.ended.Wait()
}

// keep starts the server, tells up how that went, and waits for its end. It keeps its
// thread: the server is killed with it if the test is.
func (s *Server) keep(n *Net, up chan<- error, ready string, argv []string) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s.cmd = exec.Command("nsenter", append([]string{fmt.Sprintf("--net=/proc/%d/fd/%d", os.Getpid(), int(n.link.internet)), "--"}, argv...)...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	r, w, err := os.Pipe()
	if err != nil {
		up <- fmt.Errorf("start %s: %w", argv[0], err)
		return
	}
	defer r.Close()
	s.cmd.Stdout, s.cmd.Stderr = w, w
	err = s.cmd.Start()
	w.Close()
	if err != nil {
		up <- fmt.Errorf("start %s: %w", argv[0], err)
		return
	}
	var said strings.Builder
	lines := bufio.NewScanner(r)
	listens := false
	for !listens && lines.Scan() {
		fmt.Fprintln(&said, lines.Text())
		listens = strings.Contains(lines.Text(), ready)
	}
	if listens {
		up <- nil
		_, _ = io.Copy(io.Discard, r) // so that it never waits to be read
	}
	if err := s.cmd.Wait(); !listens {
		up <- fmt.Errorf("start %s: %w\n%s", argv[0], err, said.String())
	}
}
