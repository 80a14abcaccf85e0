package redirect

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// A coverage is what we have mounted in a mount namespace that is not ours, and
// what it takes to unmount it.
type coverage struct {
	wire  wireCoverage
	space *os.File // the mount namespace
	root  *os.File // the target's root directory: O_PATH
	peers peers    // of its mounts
}

// A wireCoverage is a coverage on its way to the keeper, with space and root as
// descriptors beside it.
type wireCoverage struct {
	Paths  []string // as the target sees them, in the order in which they are mounted
	Device uint64   // of the file system that all are of
}

// openPlace opens what a coverage of the process pid needs.
func openPlace(pid int) (*coverage, error) {
	c := new(coverage)
	var err error
	if c.peers, err = peersOf(pid); err != nil {
		return nil, err
	}
	if c.space, err = os.Open(fmt.Sprintf("/proc/%d/ns/mnt", pid)); err != nil {
		return nil, fmt.Errorf("open mount namespace: %w", err)
	}
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/root", pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the root of %d: %w", pid, err), c.space.Close())
	}
	c.root = os.NewFile(uintptr(fd), "root")
	return c, nil
}

// receiveCoverage is what a message brought.
func receiveCoverage(files []*os.File) (*coverage, error) {
	if len(files) != 3 {
		return nil, fmt.Errorf("%d files; want 3", len(files))
	}
	c := &coverage{space: files[1], root: files[2]}
	return c, unseal(files[0], &c.wire)
}

// close gives the descriptors up. What is mounted stays.
func (c *coverage) close() error {
	if c == nil {
		return nil
	}
	return errors.Join(c.space.Close(), c.root.Close())
}

// enter takes the calling thread, which shares its root directory with no other,
// to where the target sees its files.
func (c *coverage) enter() error {
	if err := unix.Setns(int(c.space.Fd()), unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("enter mount namespace: %w", err)
	}
	// A root that is not that of its namespace: a chroot.
	if err := errors.Join(unix.Fchdir(int(c.root.Fd())), unix.Chroot(".")); err != nil {
		return fmt.Errorf("enter the target's root: %w", err)
	}
	return nil
}

// mount has the target see mounts. What they hold is made in a file system in
// memory, in a mount namespace of this thread's own, and cloned from there.
// Before anything is seen, c is handed to who else may have to undo it.
func (c *coverage) mount(mounts []Mount, hand func(*coverage) error) error {
	return onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("make a mount namespace: %w", err)
		}
		home, err := os.Open("/proc/thread-self/ns/mnt")
		if err != nil {
			return err
		}
		defer home.Close()
		if err := c.enter(); err != nil {
			return err
		}
		if m, ok := resolvConf(); ok {
			mounts = append(slices.Clone(mounts), m)
		}
		covers, binds, err := arrange(append(masks(), mounts...), filepath.EvalSymlinks)
		if err == nil {
			binds, err = appended(binds)
		}
		if err != nil {
			return err
		}
		if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("leave mount namespace: %w", err)
		}
		made, err := c.stage(covers, binds)
		defer made.close()
		if err != nil {
			return err
		}
		if err := c.peers.none(c.wire.Paths); err != nil {
			return err
		}
		if err := hand(c); err != nil {
			return err
		}
		if err := c.enter(); err != nil {
			return err
		}
		if err := made.attach(c.wire.Paths); err != nil {
			return errors.Join(err, c.unmount())
		}
		return nil
	})
}

// appended are binds with what the files in whose place they are seen have.
func appended(binds []Mount) ([]Mount, error) {
	all := slices.Clone(binds)
	for i, m := range all {
		if !m.Append {
			continue
		}
		old, err := os.ReadFile(m.Path)
		if err != nil {
			return nil, fmt.Errorf("append to: %w", err)
		}
		all[i].Data = append(old, m.Data...)
	}
	return all, nil
}

// clones are mounts that are attached nowhere.
type clones []*os.File

// close gives up those that are not attached.
func (m clones) close() {
	for _, f := range m {
		f.Close()
	}
}

// attach mounts each at its path.
func (m clones) attach(paths []string) error {
	for i, f := range m {
		err := unix.MoveMount(int(f.Fd()), "", unix.AT_FDCWD, paths[i], unix.MOVE_MOUNT_F_EMPTY_PATH)
		if err != nil {
			return fmt.Errorf("mount over %s: %w", paths[i], err)
		}
	}
	return nil
}

// stage makes covers and binds, files first as mountAll has them, and puts down
// in c what they are.
func (c *coverage) stage(covers []*cover, binds []Mount) (made clones, err error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("make / private: %w", err)
	}
	if err := mountEmpty(stage); err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Stat(stage, &st); err != nil {
		return nil, fmt.Errorf("look at the stage: %w", err)
	}
	c.wire = wireCoverage{Device: st.Dev}
	for _, m := range binds {
		if err := m.create(filepath.Join(stage, strconv.Itoa(len(c.wire.Paths)))); err != nil {
			return nil, fmt.Errorf("write %s: %w", m.Path, err)
		}
		c.wire.Paths = append(c.wire.Paths, m.Path)
	}
	for _, v := range covers {
		if slices.Contains(c.wire.Paths, v.path) {
			continue // /run and /var/run are one
		}
		dir := filepath.Join(stage, strconv.Itoa(len(c.wire.Paths)))
		if err := v.fill(dir); err != nil {
			return nil, err
		}
		c.wire.Paths = append(c.wire.Paths, v.path)
	}
	if err := seal(stage); err != nil {
		return nil, err
	}
	for i, path := range c.wire.Paths {
		fd, err := unix.OpenTree(unix.AT_FDCWD, filepath.Join(stage, strconv.Itoa(i)), unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err != nil {
			return made, fmt.Errorf("clone %s: %w", path, err)
		}
		made = append(made, os.NewFile(uintptr(fd), path))
	}
	return made, nil
}

// fill makes in dir what covers c.path.
func (c *cover) fill(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("fill %s: %w", c.given, err)
	}
	for _, m := range c.files {
		if err := m.create(filepath.Join(dir, strings.TrimPrefix(m.Path, c.given))); err != nil {
			return fmt.Errorf("fill %s: %w", c.given, err)
		}
	}
	return nil
}

// undo unmounts what is mounted. Twice is no error, nor is a coverage of nothing.
func (c *coverage) undo() error {
	if c == nil || len(c.wire.Paths) == 0 {
		return nil
	}
	return onThread(func() error {
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return fmt.Errorf("unshare the root directory: %w", err)
		}
		if err := c.enter(); err != nil {
			return err
		}
		return c.unmount()
	})
}

// unmount unmounts, last first, what the target sees of ours, where it is still
// on top.
func (c *coverage) unmount() error {
	var errs []error
	for _, path := range slices.Backward(c.wire.Paths) {
		var st unix.Stat_t
		if unix.Stat(path, &st) != nil || st.Dev != c.wire.Device {
			continue
		}
		if err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			errs = append(errs, fmt.Errorf("unmount %s: %w", path, err))
		}
	}
	return errors.Join(errs...)
}

// onThread runs f on a thread that ends with it, as one does that has a root
// directory and a mount namespace of its own.
func onThread(f func() error) error {
	var done sync.WaitGroup
	var err error
	done.Go(func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The first thread does not end before the process: held here, it
			// is not the one that f gets.
			err = onThread(f)
			runtime.UnlockOSThread()
			return
		}
		err = f()
	})
	done.Wait()
	return err
}
