package redirect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// heldAbove is the least number for the descriptor by which the command holds
// the hooks: above those that shells and scripts use by number.
const heldAbove = 1000

// begin starts the command that files describe: a wireCommand, standard input,
// output and error, and what it inherits beside. It returns the command's pid,
// or why it did not start. An error is about what comes before the command.
func (h *helper) begin(files []*os.File) (int, *wireStatus, error) {
	if len(files) < 4 {
		return 0, nil, fmt.Errorf("%d files; want 4", len(files))
	}
	c, free, err := unsealCommand(files[0])
	if err != nil {
		return 0, nil, err
	}
	if len(files) != 4+len(c.Inherited) {
		return 0, nil, fmt.Errorf("%d files; want %d", len(files), 4+len(c.Inherited))
	}
	if h.plan.Private {
		err = mountAll(c.Mounts)
	}
	if err := errors.Join(err, free(), conceal()); err != nil {
		return 0, nil, err
	}
	h.reached(Mounted)
	sys, done, err := h.attributes()
	if err != nil {
		return 0, nil, err
	}
	defer done()
	pid, err := h.fork(c, files[1:], sys)
	for _, f := range files[1:] {
		f.Close()
	}
	if err != nil {
		return 0, notStarted(err), nil
	}
	h.letGo()
	return pid, nil, nil
}

// notStarted is the status of a command that could not be started, with the
// codes that shells use (POSIX, 2.8.2).
func notStarted(err error) *wireStatus {
	if errors.Is(err, fs.ErrNotExist) {
		return &wireStatus{Code: 127, NotFound: true, Err: err.Error()}
	}
	return &wireStatus{Code: 126, NotExecutable: true, Err: err.Error()}
}

// attributes say where the command is born: in its cgroup, which this thread is
// enclosed in where it has mounts of its own. They are valid until done.
func (h *helper) attributes() (sys *syscall.SysProcAttr, done func() error, err error) {
	sys = &syscall.SysProcAttr{PidFD: &h.pidfd}
	dir, err := h.openCgroup()
	if err != nil {
		return nil, nil, err
	}
	if dir == nil {
		sys.Pdeathsig = unix.SIGKILL // with us, should we be killed; this thread lives as long
		return sys, func() error { return nil }, nil
	}
	if h.dir != "" {
		sys.UseCgroupFD, sys.CgroupFD = true, int(dir.Fd())
	}
	if !h.plan.Private {
		return sys, dir.Close, nil
	}
	if rooted() {
		sys.Unshareflags = unix.CLONE_NEWCGROUP
	}
	if err := enclose(dir.Name()); err != nil {
		return nil, nil, errors.Join(err, dir.Close())
	}
	return sys, dir.Close, nil
}

// fork starts c, born as sys says and without the capabilities that this thread
// loses for it.
func (h *helper) fork(c wireCommand, files []*os.File, sys *syscall.SysProcAttr) (int, error) {
	path, err := lookPath(c.Argv[0], c.Dir, c.Env)
	if err != nil {
		return 0, err
	}
	if h.plan.Holds {
		// Not close-on-exec: the command has it, so that with both of us killed
		// the hooks stay, and refuse.
		if _, err := unix.FcntlInt(heldFD, unix.F_DUPFD, max(heldAbove, slices.Max(append(c.Inherited, 0))+1)); err != nil {
			return 0, fmt.Errorf("keep the links: %w", err)
		}
	}
	var late []int
	if sys.Unshareflags != 0 {
		late = append(late, unix.CAP_SYS_ADMIN) // the child needs it for that
	}
	if err := dropCaps(h.plan.User, late...); err != nil {
		return 0, err
	}
	if h.plan.Group {
		if err := keepGroups(); err != nil {
			return 0, err
		}
	}
	attr := &syscall.ProcAttr{
		Dir:   c.Dir,
		Env:   c.Env,
		Files: numbered(files[:3], files[3:], c.Inherited),
		Sys:   sys,
	}
	pid, err := syscall.ForkExec(path, c.Argv, attr)
	if errors.Is(err, unix.ENOEXEC) { // a script without "#!", as execvp(3) has it
		pid, err = syscall.ForkExec("/bin/sh", append([]string{"sh", path}, c.Argv[1:]...), attr)
	}
	if err != nil {
		return 0, &fs.PathError{Op: "exec", Path: path, Err: err}
	}
	return pid, nil
}

// letGo closes init's own copies of the standard files, so that who reads the
// command's output sees its end when the command closes it.
func (h *helper) letGo() {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return // a system without /dev/null: then they stay open
	}
	defer null.Close()
	for fd := range 3 {
		unix.Dup3(int(null.Fd()), fd, 0)
	}
}

// lookPath finds name as execvp(3) does: with a slash it is a path, from dir;
// else the first executable in env's PATH.
func lookPath(name, dir string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	path := "/usr/local/bin:/usr/bin:/bin" // confstr(_CS_PATH), and where admins install
	for _, v := range env {
		if p, ok := strings.CutPrefix(v, "PATH="); ok {
			path = p
		}
	}
	found := &fs.PathError{Op: "find", Path: name, Err: fs.ErrNotExist}
	for _, d := range filepath.SplitList(path) {
		if d == "" {
			d = "."
		}
		// A relative directory of PATH is the command's, not ours.
		candidate, seen := filepath.Join(d, name), filepath.Join(d, name)
		if !filepath.IsAbs(d) {
			candidate, seen = "./"+candidate, filepath.Join(dir, candidate)
		}
		info, err := os.Stat(seen)
		if err != nil || info.IsDir() {
			continue
		}
		if unix.Faccessat(unix.AT_FDCWD, seen, unix.X_OK, unix.AT_EACCESS) == nil {
			return candidate, nil
		}
		found.Err = fs.ErrPermission
	}
	return "", found
}

// clear kills what is left of the command. What cannot be killed stays for the
// parent, which removes the cgroup above, and reports.
func (h *helper) clear() {
	if h.dir != "" {
		elsewhere(func() error { return removeCgroup(context.Background(), h.dir) })
		return
	}
	if h.shared != "" {
		elsewhere(func() error { killOthers(h.shared); return nil })
	}
	if h.childless == nil {
		return // nothing was started
	}
	fellAll(os.Getpid(), nil, func() {}, func(int) bool { // the helper's own reap does that
		select {
		case <-h.childless:
			return true
		default:
			return false
		}
	})
}

// killOthers kills what is in the cgroup at path but this process, and waits
// until it is dead. It needs no right to write there.
func killOthers(path string) {
	for late := time.Now().Add(killPatience); time.Now().Before(late); {
		others := slices.DeleteFunc(processes(path), func(pid int) bool { return pid == os.Getpid() })
		if len(others) == 0 {
			return
		}
		// All at once: what one has started by then is met in the next round.
		var dying []unix.PollFd
		for _, pid := range others {
			if fd, err := unix.PidfdOpen(pid, 0); err == nil {
				unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
				dying = append(dying, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
			}
		}
		for i := range dying { // one that we may not kill is waited for, a second each time
			unix.Poll(dying[i:i+1], int(time.Second/time.Millisecond))
			unix.Close(int(dying[i].Fd))
		}
	}
}
