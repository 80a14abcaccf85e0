package redirect

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Place tells where t lives, which has Cgroup or PID. A HintError says why that
// is no place to attach to. Such is the first process, one of our own ancestors,
// a kernel thread, and a cgroup whose processes live in several network
// namespaces: they have several loopbacks, and we listen on one.
func (t Target) Place() (Place, error) {
	if err := admissible(t); err != nil {
		return Place{}, fmt.Errorf("redirect: %w", err)
	}
	pids, err := t.processes()
	if err != nil {
		return Place{}, err
	}
	here, err := namespaceOf("thread-self", "net")
	if err != nil {
		return Place{}, fmt.Errorf("redirect: our network namespace: %w", err)
	}
	spaces := make(map[uint64]int) // the first process in each
	first := 0
	for _, pid := range pids {
		ns, err := namespaceOf(strconv.Itoa(pid), "net")
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // ended meanwhile
		}
		if err != nil {
			return Place{}, fmt.Errorf("redirect: network namespace of %d: %w", pid, err)
		}
		if _, ok := spaces[ns]; !ok {
			spaces[ns] = pid
		}
		if first == 0 {
			first = pid
		}
	}
	switch {
	case first == 0 && t.PID != 0:
		return Place{}, noProcess(t.PID)
	case first == 0:
		return Place{Root: "/"}, nil
	case len(spaces) > 1:
		return Place{}, severalNetworks(t.Cgroup, spaces)
	}
	_, same := spaces[here]
	p := Place{PID: first, Root: fmt.Sprintf("/proc/%d/root", first), Network: !same}
	if sameMounts(first) && sameFile(p.Root, "/") {
		p.Root = "/"
	}
	p.Mounts = ownMounts(first, pids)
	return p, nil
}

// ReadFile reads the file that path is to the target.
func (p Place) ReadFile(path string) ([]byte, error) {
	f, err := p.open(path, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxPlaceFile))
}

// Stat tells of the file that path is to the target.
func (p Place) Stat(path string) (os.FileInfo, error) {
	f, err := p.open(path, unix.O_PATH)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Stat()
}

// maxPlaceFile bounds what is read of a target's file, in bytes: it may be
// endless.
const maxPlaceFile = 1 << 20

// open opens path, links in which lead to where they do for the target:
// openat2(2), since Linux 5.6.
func (p Place) open(path string, flags uint64) (*os.File, error) {
	root, err := os.Open(p.Root)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	fd, err := unix.Openat2(int(root.Fd()), path, &unix.OpenHow{
		Flags:   flags | unix.O_CLOEXEC | unix.O_NONBLOCK,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// processes are those of t, the first of all first.
func (t Target) processes() ([]int, error) {
	if t.PID != 0 {
		// Others than t.PID may live elsewhere: they are left there.
		return slices.DeleteFunc(kin(t.PID), func(pid int) bool { return !sameNetwork(pid, t.PID) }), nil
	}
	if _, err := os.Stat(t.Cgroup); err != nil {
		return nil, fmt.Errorf("redirect: cgroup: %w", err)
	}
	pids := slices.DeleteFunc(processes(t.Cgroup), func(pid int) bool { return pid == 0 })
	slices.Sort(pids)
	return pids, nil
}

// severalNetworks says that dir has more than one loopback.
func severalNetworks(dir string, spaces map[uint64]int) error {
	var first []int
	for _, pid := range spaces {
		first = append(first, pid)
	}
	slices.Sort(first)
	return &HintError{
		Err:  fmt.Errorf("redirect: the processes of %s live in %d network namespaces (those of %v)", dir, len(spaces), first),
		Hint: "attach to one of them: a cgroup further down, --container, or --pid",
	}
}

// sameNetwork says whether a and b live in one network namespace, as far as can
// be told.
func sameNetwork(a, b int) bool {
	x, err := namespaceOf(strconv.Itoa(a), "net")
	y, err2 := namespaceOf(strconv.Itoa(b), "net")
	return err != nil || err2 != nil || x == y
}

// namespaceOf is the inode by which the namespace of a kind that the process
// called pid in /proc lives in is known.
func namespaceOf(pid, kind string) (uint64, error) {
	var st unix.Stat_t
	path := "/proc/" + pid + "/ns/" + kind
	if err := unix.Stat(path, &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return st.Ino, nil
}

// sameFile says whether two paths lead to one file.
func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	y, err2 := os.Stat(b)
	return err == nil && err2 == nil && os.SameFile(x, y)
}

// sameMounts says whether pid sees the mounts that we see.
func sameMounts(pid int) bool {
	theirs, err := namespaceOf(strconv.Itoa(pid), "mnt")
	ours, err2 := namespaceOf("thread-self", "mnt")
	return err == nil && err2 == nil && theirs == ours
}

// ownMounts says whether the mount namespace of pid is one that no process
// outside of pids lives in, nor we.
func ownMounts(pid int, pids []int) bool {
	theirs, err := namespaceOf(strconv.Itoa(pid), "mnt")
	if err != nil {
		return false
	}
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return false
	}
	for _, dir := range all {
		other, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || slices.Contains(pids, other) {
			continue
		}
		if ns, err := namespaceOf(strconv.Itoa(other), "mnt"); err == nil && ns == theirs {
			return false
		}
	}
	return true
}

// madeIn has a socket made in the network namespace ns, in the place of the one
// that Go made here: the namespace of a socket is the one that its maker's
// thread was in. Nil if ns is.
func madeIn(ns *os.File) control {
	if ns == nil {
		return nil
	}
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) { err = remake(ns, int(fd)) }); e != nil {
			return e
		}
		return err
	}
}

// both is a then b; nil is nothing.
func both(a, b control) control {
	if a == nil {
		return b
	}
	return func(network, address string, c syscall.RawConn) error {
		if err := a(network, address, c); err != nil {
			return err
		}
		return b(network, address, c)
	}
}

// remake puts in the place of fd, a socket that was neither bound nor connected,
// one of the same kind in ns, with the options that package net sets by itself.
func remake(ns *os.File, fd int) error {
	var kind [3]int
	for i, option := range []int{unix.SO_DOMAIN, unix.SO_TYPE, unix.SO_PROTOCOL} {
		v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, option)
		if err != nil {
			return os.NewSyscallError("getsockopt", err)
		}
		kind[i] = v
	}
	twin := -1
	if err := inNetwork(ns, func() (err error) {
		twin, err = unix.Socket(kind[0], kind[1]|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, kind[2])
		return os.NewSyscallError("socket", err)
	}); err != nil {
		return err
	}
	defer unix.Close(twin)
	options := [][2]int{{unix.SOL_SOCKET, unix.SO_REUSEADDR}, {unix.SOL_SOCKET, unix.SO_BROADCAST}}
	if kind[0] == unix.AF_INET6 {
		options = append(options, [2]int{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY})
	}
	for _, o := range options {
		v, err := unix.GetsockoptInt(fd, o[0], o[1])
		if err == nil {
			err = unix.SetsockoptInt(twin, o[0], o[1], v)
		}
		if err != nil {
			return os.NewSyscallError("sockopt", err)
		}
	}
	return os.NewSyscallError("dup3", unix.Dup3(twin, fd, unix.O_CLOEXEC))
}

// inNetwork runs f on a thread in the network namespace ns.
func inNetwork(ns *os.File, f func() error) error {
	var done sync.WaitGroup
	var err error
	done.Go(func() { err = visitNetwork(ns, f) })
	done.Wait()
	return err
}

// visitNetwork takes this goroutine's thread to ns and back. If it cannot come
// back it dies with the goroutine.
func visitNetwork(ns *os.File, f func() error) (err error) {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer home.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter network namespace: %w", err)
	}
	defer func() {
		if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
			err = errors.Join(err, fmt.Errorf("leave network namespace: %w", back))
			return
		}
		runtime.UnlockOSThread()
	}()
	return f()
}
