package redirect

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// masks are the directories with sockets by which libc resolves names without
// a packet of its own: nscd's, and systemd-resolved's (nss-resolve).
func masks() []Mount {
	var m []Mount
	for _, run := range []string{"/run", "/var/run"} {
		m = append(m, Mount{Path: run + "/nscd", Dir: true}, Mount{Path: run + "/systemd/resolve", Dir: true})
	}
	return m
}

// A cover is a directory to be covered, and what is made in its place.
type cover struct {
	path    string // without symlinks
	given   string // Mount.Path
	private bool
	files   []Mount
}

// arrange sorts mounts: the directories to cover with what goes below them,
// and the files to bind. resolve is filepath.EvalSymlinks; a directory it
// does not find is left out, with what is below it.
func arrange(mounts []Mount, resolve func(string) (string, error)) (covers []*cover, binds []Mount, err error) {
	missing := []*cover{}
	for _, m := range mounts {
		if !m.Dir || within(append(covers, missing...), m.Path) != nil {
			continue
		}
		path, err := resolve(m.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, &cover{given: m.Path})
		case err != nil:
			return nil, nil, fmt.Errorf("cover %s: %w", m.Path, err)
		default:
			covers = append(covers, &cover{path: path, given: m.Path, private: m.Private})
		}
	}
	for _, m := range mounts {
		c := within(append(covers, missing...), m.Path)
		switch {
		case c == nil && m.Link != "":
			return nil, nil, fmt.Errorf("link %s: it is in no covered directory", m.Path)
		case c != nil && m.Append:
			return nil, nil, fmt.Errorf("append to %s: it is covered", m.Path)
		case c == nil:
			binds = append(binds, m)
		case c.given != m.Path:
			c.files = append(c.files, m)
		}
	}
	return covers, binds, nil
}

// within returns the cover that path is, or is below of.
func within(covers []*cover, path string) *cover {
	for _, c := range covers {
		if path == c.given || strings.HasPrefix(path, c.given+"/") {
			return c
		}
	}
	return nil
}

// hide makes the mount namespace of this process, which must be its own, one in
// which mounts stay, and mounts the masks. An errDenied says that nothing can
// be mounted.
func hide() error {
	// What the host mounts later is seen; what we mount stays here.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("%w: make / a slave: %w", errDenied, err)
	}
	// Where this is denied the command can do without; later it could not.
	if err := mountEmpty(stage); err != nil {
		return err
	}
	if err := unix.Unmount(stage, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("uncover %s: %w", stage, err)
	}
	all := masks()
	if m, ok := resolvConf(); ok {
		all = append(all, m)
	}
	return mountAll(all)
}

// mountAll makes mounts in this process's mount namespace, after hide.
func mountAll(mounts []Mount) error {
	covers, binds, err := arrange(mounts, filepath.EvalSymlinks)
	if err != nil {
		return err
	}
	// Files first: a cover may hide the way to them.
	if err := bindAll(binds); err != nil {
		return err
	}
	done := make(map[string]bool)
	for _, c := range covers {
		if done[c.path] {
			continue // /run and /var/run are one
		}
		done[c.path] = true
		if err := c.mount(); err != nil {
			return err
		}
	}
	return nil
}

// resolvConf returns what /etc/resolv.conf links to in systemd-resolved's
// directory, which is to stay when that is covered.
func resolvConf() (Mount, bool) {
	path, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if err != nil || !strings.HasPrefix(path, "/run/systemd/resolve/") {
		return Mount{}, false
	}
	b, err := os.ReadFile(path)
	return Mount{Path: path, Data: b}, err == nil
}

// mountEmpty mounts an empty file system in memory over path.
func mountEmpty(path string) error { return mountMode(path, "0755") }

// mountMode is mountEmpty with a mode of its root directory.
func mountMode(path, mode string) error {
	err := unix.Mount("serge-net", path, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode="+mode)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("%w: cover %s: %w", errDenied, path, err)
	}
	if err != nil {
		return fmt.Errorf("cover %s: %w", path, err)
	}
	return nil
}

// seal makes the file system that mountEmpty mounted over path read-only.
func seal(path string) error {
	if err := unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, ""); err != nil {
		return fmt.Errorf("make %s read-only: %w", path, err)
	}
	return nil
}

// mount covers c.path and fills it.
func (c *cover) mount() error {
	mode := "0755"
	if c.private {
		mode = "0700"
	}
	if err := mountMode(c.path, mode); err != nil {
		return err
	}
	for _, m := range c.files {
		if err := m.create(filepath.Join(c.path, strings.TrimPrefix(m.Path, c.given))); err != nil {
			return fmt.Errorf("fill %s: %w", c.given, err)
		}
	}
	if c.private {
		return nil
	}
	return seal(c.path)
}

// create makes m at path, and the directories above it if they are missing.
func (m Mount) create(path string) error {
	err := m.createIn(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return m.createIn(path)
}

// createIn makes m at path, in a directory that is there.
func (m Mount) createIn(path string) error {
	switch {
	case m.Dir:
		return os.MkdirAll(path, 0o755)
	case m.Link != "":
		return os.Symlink(m.Link, path)
	}
	mode := fs.FileMode(0o444)
	if m.Private {
		mode = 0o600
	}
	return os.WriteFile(path, m.Data, mode)
}

// extend makes m at path: what old, an O_PATH descriptor, has, then Data.
func (m Mount) extend(path string, old *os.File) error {
	from, err := os.Open(pathOf(old))
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if err == nil {
		_, err = to.Write(m.Data)
	}
	return errors.Join(err, to.Close())
}

// pathOf is a path to what f, which has one no longer perhaps, is open on.
func pathOf(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }

// stage is a directory that every system has.
const stage = "/tmp"

// bindAll has each of binds seen in the place of an existing file. The new
// files lie in a file system in memory that is mounted over a directory just
// long enough to bind them; the binds keep it.
func bindAll(binds []Mount) error {
	if len(binds) == 0 {
		return nil
	}
	// Opened before a directory above them is covered.
	targets := make([]*os.File, len(binds))
	for i, m := range binds {
		fd, err := unix.Open(m.Path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("bind over %s: %w", m.Path, err)
		}
		targets[i] = os.NewFile(uintptr(fd), m.Path)
		defer targets[i].Close()
	}
	if err := mountEmpty(stage); err != nil {
		return err
	}
	defer unix.Unmount(stage, unix.MNT_DETACH)
	for i, m := range binds {
		staged := filepath.Join(stage, strconv.Itoa(i))
		write := m.create
		if m.Append {
			write = func(path string) error { return m.extend(path, targets[i]) }
		}
		if err := write(staged); err != nil {
			return fmt.Errorf("write %s: %w", m.Path, err)
		}
	}
	if err := seal(stage); err != nil {
		return err
	}
	for i, m := range binds {
		if err := unix.Mount(filepath.Join(stage, strconv.Itoa(i)), pathOf(targets[i]), "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind over %s: %w", m.Path, err)
		}
	}
	return nil
}
