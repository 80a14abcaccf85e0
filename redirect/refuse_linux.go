package redirect

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// errNoProcess is wrapped where a process to attach to is not there.
var errNoProcess = errors.New("no such process")

// noProcess says that pid is not there.
func noProcess(pid int) error {
	return &HintError{
		Err:  fmt.Errorf("attach to process %d: %w", pid, errNoProcess),
		Hint: "it has ended, or lives in another pid namespace: ps -e lists those of this one",
	}
}

// admissible says what forbids to attach to t.
func admissible(t Target) error {
	if t.PID != 0 && t.Cgroup != "" {
		return errors.New("attach to a process and to a cgroup at once")
	}
	if t.PID != 0 {
		return admissibleProcess(t.PID)
	}
	return admissibleCgroup(t.Cgroup)
}

// admissibleProcess says why pid cannot be attached to.
func admissibleProcess(pid int) error {
	s, err := statOf(pid)
	if err != nil || s.ended() {
		return noProcess(pid)
	}
	refuse := func(hint, why string, args ...any) error {
		return &HintError{Err: fmt.Errorf("attach to process %d: "+why, append([]any{pid}, args...)...), Hint: hint}
	}
	if s.flags&kernelThread != 0 {
		return refuse("its sockets are the kernel's own: no lane diverts them", "it is a kernel thread")
	}
	if group := threadGroup(pid); group != pid {
		return refuse(fmt.Sprintf("attach to the process: --pid %d", group), "it is a thread of process %d", group)
	}
	if pid == 1 {
		return refuse("attach to what it started: --unit NAME, --pid", "it is the system's first, and its descendants are every process, ours too")
	}
	for p := os.Getpid(); p > 1; {
		if p == pid {
			return refuse("start serge-net from elsewhere: another terminal, a service", "serge-net runs inside of it, and would divert itself")
		}
		up, err := statOf(p)
		if err != nil {
			return fmt.Errorf("who started us: %w", err)
		}
		p = up.parent
	}
	var st unix.Stat_t
	if err := unix.Stat(fmt.Sprintf("/proc/%d", pid), &st); err != nil {
		return noProcess(pid)
	}
	if us := os.Geteuid(); us != 0 && int(st.Uid) != us {
		return refuse("start with sudo", "it is user %d's, and we are user %d", st.Uid, us)
	}
	return nil
}

// threadGroup is the process that the thread tid belongs to; tid itself where
// that cannot be told.
func threadGroup(tid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
	if err != nil {
		return tid
	}
	for line := range bytes.Lines(b) {
		if v, ok := bytes.CutPrefix(line, []byte("Tgid:")); ok {
			if n, err := strconv.Atoi(string(bytes.TrimSpace(v))); err == nil {
				return n
			}
		}
	}
	return tid
}

// admissibleCgroup says why the cgroup dir cannot be attached to.
func admissibleCgroup(dir string) error {
	if !isCgroup(dir) {
		return &HintError{Err: fmt.Errorf("attach to %s: no cgroup v2", dir), Hint: "systemd-cgls lists them"}
	}
	own, err := ownCgroup()
	if err != nil {
		return err
	}
	for up := own; up != filepath.Dir(up); up = filepath.Dir(up) {
		if sameFile(up, dir) {
			return &HintError{
				Err:  fmt.Errorf("attach to %s: serge-net runs inside of it, and would divert itself", dir),
				Hint: "attach to a cgroup further down, or to a process: --pid; or start serge-net from another cgroup: systemd-run --scope serge-net …",
			}
		}
	}
	return nil
}

// isCgroup says whether path is a directory of a cgroup v2.
func isCgroup(path string) bool {
	var fs unix.Statfs_t
	info, err := os.Stat(path)
	return err == nil && info.IsDir() && unix.Statfs(path, &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC
}
