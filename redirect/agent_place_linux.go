package redirect

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// agentPrefix begins the names of cgroups that agents make, as cgroupPrefix
	// those of others: an agent reaps its own kind.
	agentPrefix = cgroupPrefix + "agent-"
	// freezePatience is how long an init may take to stand still. One that
	// waits for us does at once.
	freezePatience = 2 * time.Second
)

// A peer is who is at the other end of a connection, as the kernel says.
type peer struct{ pid, uid int }

// place moves the process behind pidfd, which must be p's child and of p's user
// alone, into a new cgroup, and has attach hook that before the process can do
// anything there. It returns the cgroup's directory.
//
// Process ids are reused, threads come and go, and the kernel moves whoever has
// the id: so the cgroup has no hooks at first, and its process is looked at
// again when it is in there and frozen. If it is not the one, it goes back.
func place(p peer, pidfd int, attach func(*os.File) error) (path string, err error) {
	pid, err := pidOf(pidfd)
	if err != nil {
		return "", err
	}
	if err := p.owns(pid); err != nil { // or a stranger would be moved, and back
		return "", err
	}
	home, err := cgroupDir(pid)
	if err != nil {
		return "", err
	}
	path, err = makeStage(home, p)
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, unplace(path, home))
			path = ""
		}
	}()
	if err := write(path, "cgroup.procs", strconv.Itoa(pid)); err != nil {
		return path, fmt.Errorf("move process %d: %w", pid, err)
	}
	if err := freeze(path); err != nil {
		return path, err
	}
	if in := processes(path); !slices.Equal(in, []int{pid}) {
		return path, fmt.Errorf("processes %v in %s; want %d alone", in, path, pid)
	}
	if err := p.owns(pid); err != nil {
		return path, err
	}
	if ended(pidfd) { // then pid was another's, or is by now
		return path, fmt.Errorf("process %d has ended", pid)
	}
	dir, err := os.Open(path)
	if err != nil {
		return path, err
	}
	defer dir.Close()
	if err := attach(dir); err != nil {
		return path, err
	}
	return path, write(path, "cgroup.freeze", "0")
}

// pidOf is the id of the process behind pidfd: pidfd_open(2) has what fdinfo tells.
func pidOf(pidfd int) (int, error) {
	// Of another kind of descriptor, fdinfo could tell anything.
	if err := unix.PidfdSendSignal(pidfd, 0, nil, 0); err != nil && !errors.Is(err, unix.EPERM) {
		return 0, fmt.Errorf("%w: init is no process that lives: %w", errRequest, err)
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", pidfd))
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(field(b, "Pid"))
	if err != nil || pid <= 0 {
		return 0, fmt.Errorf("%w: init is no process that we can see", errRequest)
	}
	return pid, nil
}

// field is the value of name in b, a file like /proc/PID/status.
func field(b []byte, name string) string {
	for line := range bytes.Lines(b) {
		if value, ok := bytes.CutPrefix(line, []byte(name+":")); ok {
			return string(bytes.TrimSpace(value))
		}
	}
	return ""
}

// ended says whether the process behind pidfd has.
func ended(pidfd int) bool {
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return n != 0 || err != nil
}

// owns returns nil if every thread of pid is p's child and p's user's: by all its
// ids, and for good. Without no_new_privs a diverted command could run a setuid
// program and answer, say, its question to the directory server who is root.
func (p peer) owns(pid int) error {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return fmt.Errorf("process %d is gone, or hidden from us: %w", pid, err)
	}
	user := strings.Repeat(strconv.Itoa(p.uid)+"\t", 4)
	for _, t := range tasks {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/status", pid, t.Name()))
		if err != nil {
			return fmt.Errorf("process %d has ended: %w", pid, err)
		}
		switch {
		case field(b, "Tgid") != strconv.Itoa(pid):
			return fmt.Errorf("%d is no process", pid)
		case field(b, "PPid") != strconv.Itoa(p.pid):
			return fmt.Errorf("process %d is no child of its client, %d", pid, p.pid)
		case field(b, "Uid")+"\t" != user:
			return fmt.Errorf("process %d is not user %d's", pid, p.uid)
		case p.uid != 0 && field(b, "NoNewPrivs") != "1":
			return fmt.Errorf("process %d may gain privileges: no_new_privs is not set", pid)
		}
	}
	if len(tasks) == 0 {
		return fmt.Errorf("process %d has ended", pid)
	}
	return nil
}

// cgroupDir is the directory of the cgroup v2 that pid is in.
func cgroupDir(pid int) (string, error) {
	root, top, err := mountedCgroup()
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return "", fmt.Errorf("find the cgroup of process %d: %w", pid, err)
	}
	in, ok := cgroupPath(b)
	if !ok {
		return "", fmt.Errorf("process %d is in no cgroup v2", pid)
	}
	rel, err := filepath.Rel(top, in)
	if err != nil || !filepath.IsLocal(rel) {
		return "", fmt.Errorf("the cgroup of process %d, %s, is out of our sight", pid, in)
	}
	return filepath.Join(root, rel), nil
}

// makeStage makes p's cgroup: below the nearest of home and the directories above
// it that is ours. There the limits and filters that p's user cannot change,
// those of directories not p's, still hold.
func makeStage(home string, p peer) (string, error) {
	start, err := startTime(p.pid)
	if err != nil {
		return "", err
	}
	denied := fmt.Errorf("%s is no cgroup of ours", home)
	for dir := home; ; dir = filepath.Dir(dir) {
		var st unix.Statfs_t
		if err := unix.Statfs(dir, &st); err != nil || st.Type != unix.CGROUP2_SUPER_MAGIC {
			break // above the mount
		}
		var own unix.Stat_t
		if err := unix.Stat(dir, &own); err != nil {
			return "", fmt.Errorf("look at cgroup %s: %w", dir, err)
		}
		if int(own.Uid) != os.Geteuid() {
			continue
		}
		path, err := mkdirNew(filepath.Join(dir, fmt.Sprintf("%s%d-%d", agentPrefix, p.pid, start)))
		if err == nil {
			return path, nil
		}
		denied = err
		if !errors.Is(err, fs.ErrPermission) {
			break
		}
	}
	return "", &HintError{
		Err:  fmt.Errorf("make a cgroup for process %d: %w", p.pid, denied),
		Hint: "run the client in a cgroup below the root, as a login by systemd is, or the agent with CAP_DAC_OVERRIDE",
	}
}

// unplace undoes what place began: what is in the cgroup at path goes back home.
func unplace(path, home string) error {
	for _, pid := range processes(path) {
		write(home, "cgroup.procs", strconv.Itoa(pid)) // one that is gone is what we want
	}
	write(path, "cgroup.freeze", "0")
	if err := unix.Rmdir(path); err != nil {
		return fmt.Errorf("remove cgroup %s: %w", path, err)
	}
	return nil
}

// freeze stops what is in the cgroup at path, and waits until it stands.
func freeze(path string) error {
	f, err := os.Open(filepath.Join(path, "cgroup.events"))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := write(path, "cgroup.freeze", "1"); err != nil {
		return fmt.Errorf("freeze: %w", err)
	}
	fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLPRI}}
	b := make([]byte, 256)
	for late := time.Now().Add(freezePatience); ; {
		n, _ := f.ReadAt(b, 0) // io.EOF, or nothing that we wait for
		if bytes.Contains(b[:n], []byte("frozen 1\n")) {
			return nil
		}
		left := time.Until(late)
		if left <= 0 {
			return fmt.Errorf("what is in %s does not stand still: %w", path, os.ErrDeadlineExceeded)
		}
		unix.Poll(fds, int(left/time.Millisecond)+1)
	}
}

// write writes value to the file name of the cgroup at path.
func write(path, name, value string) error {
	return os.WriteFile(filepath.Join(path, name), []byte(value), 0)
}
