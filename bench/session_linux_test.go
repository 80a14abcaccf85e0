package bench

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// endOfCommand is what a session's shell says behind a command's output, with
// its exit code.
const endOfCommand = "-- bench: exit "

// shellLoop runs each line of its standard input as a command.
const shellLoop = `while IFS= read -r line; do eval "$line" </dev/null 2>&1; echo; echo "` + endOfCommand + `$?"; done`

// A lab is the small internet, the program to measure and where it works.
type lab struct {
	tb    testing.TB
	net   *testnet.Net
	dir   string
	serge string
}

// newLab builds serge-net as it is shipped, and lays nginx's files of 1 kB
// (below its gzip types) and of 100 MiB.
func newLab(tb testing.TB) *lab {
	tb.Helper()
	dir := tb.TempDir()
	l := &lab{tb: tb, dir: dir, serge: filepath.Join(dir, "serge-net")}
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", l.serge, "../cmd/serge-net")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("build serge-net: %v\n%s", err, out)
	}
	l.net = testnet.New(tb)
	root := filepath.Join(filepath.Dir(l.net.CAFile), "root")
	l.lay(filepath.Join(root, "small"), smallSize)
	l.lay(filepath.Join(root, "bulk"), bulkSize)
	if err := os.WriteFile(filepath.Join(dir, "wrk.lua"), []byte(wrkScript), 0o644); err != nil {
		tb.Fatal(err)
	}
	return l
}

// lay writes a file of n random bytes.
func (l *lab) lay(path string, n int64) {
	l.tb.Helper()
	f, err := os.Create(path)
	if err != nil {
		l.tb.Fatal(err)
	}
	defer f.Close()
	if _, err := io.CopyN(f, testnet.Random(uint64(n)), n); err != nil {
		l.tb.Fatal(err)
	}
}

// A session is a shell in the client's namespace: a bare one, or the command of
// a running serge-net. Its pid is that of the shell or of serge-net.
type session struct {
	tb    testing.TB
	pid   int
	stdin io.WriteCloser
	out   *bufio.Reader
	wait  func() error
}

// open starts a session. args come before "-- sh": none is a bare shell.
func (l *lab) open(args ...string) *session {
	l.tb.Helper()
	argv := []string{"sh", "-c", shellLoop}
	if len(args) > 0 {
		argv = append(append([]string{l.serge}, args...), append([]string{"--"}, argv...)...)
	}
	cmd := l.net.Command(argv[0], argv[1:]...)
	cmd.Dir = l.dir
	cmd.Env = append(cmd.Env, "SERGE_UPSTREAM_CA="+l.net.CAFile, "CI=")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		l.tb.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		l.tb.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		l.tb.Fatal(err)
	}
	s := &session{tb: l.tb, pid: cmd.Process.Pid, stdin: stdin, out: bufio.NewReader(stdout)}
	s.wait = func() error {
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("%v: %w\n%s", argv, err, stderr.String())
		}
		return nil
	}
	s.run("true") // it is up when this is answered
	return s
}

// close ends the session and fails unless it ended well.
func (s *session) close() {
	s.tb.Helper()
	s.stdin.Close()
	if err := s.wait(); err != nil {
		s.tb.Fatal(err)
	}
}

// run runs one line of shell and returns what it wrote.
func (s *session) run(line string) string {
	s.tb.Helper()
	if _, err := fmt.Fprintln(s.stdin, line); err != nil {
		s.tb.Fatalf("%s: %v (%v)", line, err, s.wait())
	}
	var out strings.Builder
	for {
		got, err := s.out.ReadString('\n')
		if err != nil {
			s.tb.Fatalf("%s: %v (%v)\n%s", line, err, s.wait(), out.String())
		}
		if code, ended := strings.CutPrefix(got, endOfCommand); ended {
			if code != "0\n" {
				s.tb.Fatalf("%s: exit code %s\n%s", line, strings.TrimSpace(code), out.String())
			}
			return out.String()
		}
		out.WriteString(got)
	}
}

// cpu is the CPU time that process pid has used so far, its children's left out.
func cpu(tb testing.TB, pid int) time.Duration {
	tb.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		tb.Fatal(err)
	}
	d, err := parseStat(string(b))
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// memory is the field called name of the status of process pid, in bytes.
func memory(tb testing.TB, pid int, name string) int64 {
	tb.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		tb.Fatal(err)
	}
	n, err := parseMemory(string(b), name)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}
