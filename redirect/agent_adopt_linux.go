package redirect

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// An orphan is a cgroup that an agent before us made, whose client lives.
type orphan struct {
	path  string
	pidfd int // of the client
}

// orphans finds what agents before us made, below the directory root. Those whose
// clients are gone it removes, and tells of.
func orphans(ctx context.Context, root string, tell func(path string, err error)) []orphan {
	var left []orphan
	filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return nil // gone meanwhile, or a file
		}
		var pid int
		var start uint64
		if n, _ := fmt.Sscanf(e.Name(), agentPrefix+"%d-%d", &pid, &start); n != 2 || foreign(path) {
			return nil
		}
		if fd, err := unix.PidfdOpen(pid, 0); err == nil {
			// Asked after, so that it is the time of who is behind fd.
			if t, err := startTime(pid); err == nil && t == start {
				left = append(left, orphan{path, fd})
				return fs.SkipDir
			}
			unix.Close(fd)
		}
		tell(path, removeCgroup(ctx, path))
		return fs.SkipDir
	})
	return left
}

// adopt removes each of the orphans when its client ends, and tells of it. It
// returns when none is left, or ctx is done.
func adopt(ctx context.Context, all []orphan, tell func(path string, err error)) error {
	defer func() {
		for _, o := range all {
			unix.Close(o.pidfd)
		}
	}()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	defer w.Close()
	defer context.AfterFunc(ctx, func() { w.Write([]byte{0}) })()
	for len(all) > 0 && ctx.Err() == nil {
		fds := []unix.PollFd{{Fd: int32(r.Fd()), Events: unix.POLLIN}}
		for _, o := range all {
			fds = append(fds, unix.PollFd{Fd: int32(o.pidfd), Events: unix.POLLIN})
		}
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			return fmt.Errorf("wait for clients: %w", err)
		}
		if ctx.Err() != nil {
			return nil
		}
		var left []orphan
		for i, o := range all {
			if fds[i+1].Revents == 0 {
				left = append(left, o)
				continue
			}
			unix.Close(o.pidfd)
			tell(o.path, removeCgroup(ctx, o.path))
		}
		all = left
	}
	return nil
}
