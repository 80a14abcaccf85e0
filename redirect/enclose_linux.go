package redirect

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// enclose leaves the calling thread, and what it starts, no way to another
// cgroup v2 than the one at path and those below: it mounts that over the whole,
// wherever that is mounted, in a mount namespace of the thread's own, and the
// other threads see what they saw. A read-only mount would not do: clone3(2)
// with CLONE_INTO_CGROUP looks at the directory's mode only. The thread must be
// locked.
func enclose(path string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare the mounts of the command: %w", err)
	}
	points, _, err := cgroupMounts()
	if err != nil {
		return err
	}
	dir, err := os.Open(path) // through the new namespace: only what is in it can be mounted
	if err != nil {
		return err
	}
	defer dir.Close()
	over, err := openEach(points)
	defer func() {
		for _, f := range over {
			f.Close()
		}
	}()
	if err != nil {
		return err
	}
	for _, f := range over {
		if err := unix.Mount(pathOf(dir), pathOf(f), "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount the command's cgroup over %s: %w", f.Name(), err)
		}
	}
	// A working directory stays below what is mounted over it.
	if len(over) > 0 && onCgroup(".") {
		if err := unix.Chdir(over[0].Name()); err != nil {
			return fmt.Errorf("leave the cgroup that is the working directory: %w", err)
		}
	}
	return nil
}

// openEach opens those of points on which a cgroup v2 is seen, before any is
// covered: one may be below another.
func openEach(points []string) (seen []*os.File, err error) {
	for _, p := range points {
		if !onCgroup(p) {
			continue // something else is mounted over it, or over a directory above
		}
		fd, err := unix.Open(p, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return seen, fmt.Errorf("open %s: %w", p, err)
		}
		seen = append(seen, os.NewFile(uintptr(fd), p))
	}
	return seen, nil
}

// onCgroup says whether path is on a cgroup v2.
func onCgroup(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC
}

// cgroupMounts are the places at which the calling thread sees a cgroup v2
// mounted, each once, and whether it sees hierarchies of version 1.
func cgroupMounts() (points []string, v1 bool, err error) {
	mounts, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return nil, false, fmt.Errorf("find the cgroup v2 mounts: %w", err)
	}
	seen := make(map[string]bool)
	for line := range strings.Lines(string(mounts)) {
		before, after, ok := strings.Cut(line, " - ")
		f := strings.Fields(before)
		if !ok || len(f) < 5 {
			continue
		}
		switch kind, _, _ := strings.Cut(after, " "); kind {
		case "cgroup":
			v1 = true
		case "cgroup2":
			if p := unescape(f[4]); !seen[p] {
				seen[p] = true
				points = append(points, p)
			}
		}
	}
	return points, v1, nil
}

// rooted says whether the command is to have a cgroup namespace: then
// /proc/self/cgroup calls its cgroup "/", as the mount does, for programs that
// look for their limits at the two paths joined, and the kernel forbids it to
// leave where the cgroup v2 is mounted with nsdelegate. Not where version 1 is
// mounted too: these mounts stay as they are, and their names would not fit.
func rooted() bool {
	_, v1, err := cgroupMounts()
	if err != nil || v1 || !capable(unix.CAP_SYS_ADMIN) || !capable(unix.CAP_SETPCAP) {
		return false
	}
	return onThread(func() error { return unix.Unshare(unix.CLONE_NEWCGROUP) }) == nil
}

// openCgroup opens the directory that the command is to live in, nil if it has
// no cgroup of its own.
func (h *helper) openCgroup() (*os.File, error) {
	path := h.dir
	if path == "" {
		path = h.shared
	}
	if path == "" {
		return nil, nil
	}
	return os.Open(path)
}

// elsewhere runs f on a thread that has what this one gave up for the command:
// its capabilities, and the sight of all cgroups.
func elsewhere(f func() error) error {
	done := make(chan error)
	go func() { done <- f() }()
	return <-done
}

// conceal keeps this process from those of the same user, who could take its
// descriptors or have its threads do what they may: ptrace(2), PR_SET_DUMPABLE.
func conceal() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("conceal init: %w", err)
	}
	return nil
}
