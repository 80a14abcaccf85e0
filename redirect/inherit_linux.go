package redirect

import (
	"fmt"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// inherited are the descriptors above 2 that a program started by this process
// would inherit: those that it was started with itself, as Go opens none such.
// GNU make's jobserver is two, "3>file" of a shell is one.
func inherited() ([]int, error) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, fmt.Errorf("list descriptors: %w", err)
	}
	var fds []int
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd <= 2 {
			continue
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 { // else it is closed by now, as that of ReadDir
			fds = append(fds, fd)
		}
	}
	slices.Sort(fds)
	if len(fds) > maxInherited {
		return nil, fmt.Errorf("%d open files are to be passed on to the command; %d can be", len(fds), maxInherited)
	}
	return fds, nil
}

// opened are copies of fds, for as long as a message with them takes: closing
// them leaves the originals.
func opened(fds []int) (files []*os.File, err error) {
	for _, fd := range fds {
		n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return files, fmt.Errorf("pass on descriptor %d: %w", fd, err)
		}
		files = append(files, os.NewFile(uintptr(n), strconv.Itoa(fd)))
	}
	return files, nil
}

// forget closes what this process, init, was started with beside the files that
// it expects: the parent passes that on to the command, and who reads the other
// end of a pipe is to see its end when the command closes it.
func forget() error {
	fds, err := inherited()
	if err != nil {
		return err
	}
	for _, fd := range fds {
		unix.Close(fd)
	}
	return nil
}

// numbered are the descriptors that the command is to have, by number: standard,
// and others at the numbers of fds. Those between are closed.
func numbered(standard, others []*os.File, fds []int) []uintptr {
	var all []uintptr
	for _, f := range standard {
		all = append(all, f.Fd())
	}
	for i, fd := range fds {
		for len(all) <= fd {
			all = append(all, ^uintptr(0))
		}
		all[fd] = others[i].Fd()
	}
	return all
}
