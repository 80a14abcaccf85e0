package redirect

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// cgroupPrefix begins the name of every cgroup that is ours:
	// serge-<pid>-<start time>, of the process that made it, so that the next
	// start can tell one whose owner is gone.
	cgroupPrefix = "serge-"
	// commandCgroup is the child that the command lives in; init lives above
	// it, so that it can kill the command and stay.
	commandCgroup = "command"
	// killPatience is how long killed processes may take to go. One in
	// uninterruptible sleep can take longer; its cgroup then stays for the next start.
	killPatience = 10 * time.Second
)

// mountedCgroup returns where a cgroup v2 is mounted, and which of its
// directories that is.
func mountedCgroup() (point, top string, err error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", "", fmt.Errorf("find the cgroup v2 mount: %w", err)
	}
	point, top, ok := cgroupMount(mounts)
	if !ok {
		return "", "", &HintError{
			Err:  fmt.Errorf("%w: no cgroup v2 is mounted", ErrUnsupported),
			Hint: "mount one: mount -t cgroup2 none /sys/fs/cgroup",
		}
	}
	return point, top, nil
}

// cgroupRoot is where the cgroup v2 is mounted.
func cgroupRoot() (string, error) {
	root, _, err := mountedCgroup()
	return root, err
}

// ownCgroup is the directory of the cgroup v2 that this process lives in.
func ownCgroup() (string, error) {
	root, top, err := mountedCgroup()
	if err != nil {
		return "", err
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", fmt.Errorf("find our cgroup: %w", err)
	}
	path, ok := cgroupPath(own)
	if !ok {
		return "", fmt.Errorf("%w: /proc/self/cgroup has no cgroup v2 entry", ErrUnsupported)
	}
	if rel, err := filepath.Rel(top, path); err == nil && !strings.HasPrefix(rel, "..") {
		return filepath.Join(root, rel), nil
	}
	return root, nil // our cgroup is outside of what is mounted: a cgroup namespace
}

// cgroupMount returns where mountinfo (proc_pid_mountinfo(5)) has a cgroup2,
// and which of its directories that is: what was mounted there last.
func cgroupMount(mountinfo []byte) (point, top string, ok bool) {
	for s := bufio.NewScanner(bytes.NewReader(mountinfo)); s.Scan(); {
		before, after, found := strings.Cut(s.Text(), " - ")
		f := strings.Fields(before)
		if !found || len(f) < 5 || !strings.HasPrefix(after, "cgroup2 ") {
			continue
		}
		if at := unescape(f[4]); !ok || at == point {
			point, top, ok = at, unescape(f[3]), true
		}
	}
	return point, top, ok
}

// unescape undoes the octal escapes of mountinfo.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// cgroupPath returns the v2 entry of a /proc/PID/cgroup.
func cgroupPath(cgroup []byte) (string, bool) {
	for line := range strings.Lines(string(cgroup)) {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			return strings.TrimSuffix(path, "\n"), true
		}
	}
	return "", false
}

// makeCgroup makes a cgroup of ours below parent, with one for the command in it.
func makeCgroup(parent string) (string, error) {
	start, err := startTime(os.Getpid())
	if err != nil {
		return "", err
	}
	path, err := mkdirNew(filepath.Join(parent, fmt.Sprintf("%s%d-%d", cgroupPrefix, os.Getpid(), start)))
	if err != nil {
		return "", cgroupError(parent, err)
	}
	if err := os.Mkdir(filepath.Join(path, commandCgroup), 0o755); err != nil {
		return "", errors.Join(cgroupError(path, err), os.Remove(path))
	}
	return path, nil
}

// mkdirNew makes the directory name, or name-2, name-3 and so on, the first that
// is not there, and returns it.
func mkdirNew(name string) (string, error) {
	path := name
	for n := 2; ; n++ {
		err := os.Mkdir(path, 0o755)
		if !errors.Is(err, fs.ErrExist) {
			return path, err
		}
		path = fmt.Sprintf("%s-%d", name, n)
	}
}

// cgroupError says what keeps us from making a cgroup below parent.
func cgroupError(parent string, err error) error {
	switch {
	case errors.Is(err, unix.EROFS):
		return &HintError{
			Err:  fmt.Errorf("%w: %s is mounted read-only: %w", ErrUnsupported, parent, err),
			Hint: "remount it read-write; in docker: --cgroupns=private and a writable /sys/fs/cgroup, or --privileged",
		}
	case errors.Is(err, fs.ErrPermission):
		return &HintError{
			Err:  fmt.Errorf("%w: cgroup %s is not delegated to user %d: %w", ErrUnsupported, parent, os.Getuid(), err),
			Hint: "start with sudo, or in a delegated cgroup: systemd-run --user --scope -p Delegate=yes -- serge-net …",
		}
	}
	return fmt.Errorf("make a cgroup: %w", err)
}

// startTime is when pid was started, in clock ticks since boot: field 22 of
// proc_pid_stat(5).
func startTime(pid int) (uint64, error) {
	f, err := statFields(pid)
	if err != nil {
		return 0, fmt.Errorf("start time of %d: %w", pid, err)
	}
	return strconv.ParseUint(f[22-3], 10, 64)
}

// parentPID is the parent of pid: field 4 of proc_pid_stat(5).
func parentPID(pid int) (int, error) {
	f, err := statFields(pid)
	if err != nil {
		return 0, fmt.Errorf("parent of %d: %w", pid, err)
	}
	return strconv.Atoi(f[4-3])
}

// statFields are the fields of proc_pid_stat(5) from the third on, 20 at least.
func statFields(pid int) ([]string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	// The command name, field 2, may hold anything, but no field after it a ")".
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 20 {
		return nil, fmt.Errorf("short %q", b)
	}
	return f, nil
}

// reap kills and removes the cgroups below parent whose makers are gone: they
// and their init were killed in the same instant.
func reap(ctx context.Context, parent string) error {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return fmt.Errorf("look for stale cgroups: %w", err)
	}
	var errs []error
	for _, e := range entries {
		var pid int
		var start uint64
		if n, _ := fmt.Sscanf(e.Name(), cgroupPrefix+"%d-%d", &pid, &start); n != 2 || !e.IsDir() {
			continue
		}
		if t, err := startTime(pid); err == nil && t == start {
			continue
		}
		path := filepath.Join(parent, e.Name())
		if foreign(path) {
			continue
		}
		errs = append(errs, removeCgroup(ctx, path))
	}
	return errors.Join(errs...)
}

// foreign says whether a process in the cgroup at path belongs to another pid
// namespace: then its maker may live there too, and we cannot tell.
func foreign(path string) bool {
	for _, pid := range processes(path) {
		if pid == 0 {
			return true
		}
	}
	return false
}

// processes are the ids of those in the cgroup at path and below.
func processes(path string) []int {
	var pids []int
	filepath.WalkDir(path, func(p string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return nil // gone meanwhile, or a file
		}
		b, _ := os.ReadFile(filepath.Join(p, "cgroup.procs"))
		for _, f := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(f); err == nil {
				pids = append(pids, pid)
			}
		}
		return nil
	})
	return pids
}

// kill sends SIGKILL to everything in the cgroup at path and below.
// cgroup.kill has been there since Linux 5.14.
func kill(path string) error {
	err := os.WriteFile(filepath.Join(path, "cgroup.kill"), []byte("1"), 0)
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	for _, pid := range processes(path) {
		if pid > 0 {
			unix.Kill(pid, unix.SIGKILL) // one that is gone is what we want
		}
	}
	return nil
}

// removeCgroup kills what is in the cgroup at path and removes it. That there
// is none is no error.
func removeCgroup(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, killPatience)
	defer cancel()
	for {
		err := removeDirs(path)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) || ctx.Err() != nil {
			return fmt.Errorf("remove cgroup: %w", err)
		}
		if err := kill(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("kill cgroup: %w", err)
		}
		awaitEmpty(path)
	}
}

// awaitEmpty waits until the cgroup at path has no process, a second at most.
func awaitEmpty(path string) {
	f, err := os.Open(filepath.Join(path, "cgroup.events"))
	if err != nil {
		return
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil || !bytes.Contains(b, []byte("populated 1")) {
		return
	}
	// kernfs wakes poll when the file has changed since it was read.
	fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLPRI}}
	unix.Poll(fds, int(time.Second/time.Millisecond))
}

// removeDirs removes path and the directories below it, deepest first.
func removeDirs(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeDirs(filepath.Join(path, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return unix.Rmdir(path)
}
