package redirect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// attachedPrefix begins the names of cgroups whose processes are not ours:
// serge-attached-<pid>-<start time>, of the process that moved them there. They
// are never killed, but moved back, to the directory above.
const attachedPrefix = cgroupPrefix + "attached-"

// ownerName is this process as the names of its cgroups end.
func ownerName() (string, error) {
	start, err := startTime(os.Getpid())
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d-%d", os.Getpid(), start), nil
}

// ownerGone says whether the process that a name of ours ends with is no more.
func ownerGone(owner string) bool {
	var pid int
	var start uint64
	if n, _ := fmt.Sscanf(owner, "%d-%d", &pid, &start); n != 2 {
		return false
	}
	t, err := startTime(pid)
	return err != nil || t != start
}

// A stat is what proc_pid_stat(5) says of a process.
type stat struct {
	state  byte
	parent int
	flags  uint64
}

// kernelThread is PF_KTHREAD, include/linux/sched.h.
const kernelThread = 0x00200000

// statOf reads the stat of pid.
func statOf(pid int) (stat, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	return parseStat(b)
}

// parseStat reads a /proc/PID/stat.
func parseStat(b []byte) (stat, error) {
	// The command name, field 2, may hold anything, but no field after it a ")".
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 7 || len(f[0]) != 1 || strings.Trim(f[0], "RSDZTtWXxKPI") != "" {
		return stat{}, fmt.Errorf("stat is cut short: %q", b)
	}
	parent, err := strconv.Atoi(f[1])
	if err != nil {
		return stat{}, fmt.Errorf("parent in stat: %w", err)
	}
	flags, err := strconv.ParseUint(f[6], 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("flags in stat: %w", err)
	}
	return stat{state: f[0][0], parent: parent, flags: flags}, nil
}

// ended says whether the process is a zombie, or dead.
func (s stat) ended() bool { return s.state == 'Z' || s.state == 'X' }

// kin are pid and all that descend from it, parents before children, but
// for those that have ended.
func kin(pid int) []int {
	all := append([]int{pid}, descendants(pid, nil)...)
	return slices.DeleteFunc(all, func(p int) bool {
		s, err := statOf(p)
		return err != nil || s.ended()
	})
}

// moveTo puts the process pid, with all its threads, into the cgroup dir.
func moveTo(dir string, pid int) error {
	err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0)
	switch {
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EBUSY):
		return &HintError{
			Err:  fmt.Errorf("move process %d to %s: its cgroup is threaded, or hands out controllers: %w", pid, dir, err),
			Hint: "attach to the cgroup where it is: --cgroup " + filepath.Dir(dir),
		}
	case errors.Is(err, fs.ErrPermission):
		return &HintError{
			Err:  fmt.Errorf("move process %d to %s: %w", pid, dir, err),
			Hint: "start with sudo, or attach to the cgroup where it is: --cgroup " + filepath.Dir(dir),
		}
	case err != nil:
		return fmt.Errorf("move process %d: %w", pid, err)
	}
	return nil
}

// giveBack moves what is in the cgroup dir back to the one above, and removes
// dir. That there is none is no error.
func giveBack(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), killPatience)
	defer cancel()
	above := filepath.Dir(dir)
	for {
		var errs []error
		for _, pid := range processes(dir) {
			if err := moveTo(above, pid); err != nil && !errors.Is(err, unix.ESRCH) {
				errs = append(errs, err)
			}
		}
		err := removeDirs(dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		// Processes may have forked meanwhile; what is ending still counts.
		if !errors.Is(err, unix.EBUSY) || len(errs) > 0 || ctx.Err() != nil {
			return errors.Join(append(errs, fmt.Errorf("remove cgroup: %w", err))...)
		}
		if len(processes(dir)) == 0 {
			awaitEmpty(dir)
		}
	}
}

// giveBackAll does so with every attached cgroup at and below root whose owner's
// name, as it ends in, is one of which over says that its time is over.
func giveBackAll(root string, over func(owner string) bool) error {
	var errs []error
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // gone meanwhile, or another user's
		}
		if !e.IsDir() {
			return nil
		}
		owner, ok := strings.CutPrefix(e.Name(), attachedPrefix)
		if !ok {
			return nil
		}
		if over(owner) && !foreign(path) {
			errs = append(errs, giveBack(path))
		}
		return fs.SkipDir
	})
	return errors.Join(append(errs, err)...)
}
