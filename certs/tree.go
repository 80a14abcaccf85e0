package certs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Bounds on what is read. A host's certificates are far below them; what is
// above is not certificates.
const (
	maxFile    = 64 << 20 // bytes
	maxEntries = 100_000  // below one covered directory; a root is a file and two links
	maxLinks   = 40       // as Linux follows, path_resolution(7)
)

// tree is a file system as the command sees it. Paths in it are absolute;
// links are followed inside it, as chroot would. It remembers which paths are
// no links, and which are not there: lookups share most of theirs.
type tree struct {
	root    string
	plain   map[string]bool
	missing map[string]error
}

// newTree is the file system below root, which may itself be a link, such as
// /proc/PID/root: it is not one of those that are followed inside.
func newTree(root string) tree {
	return tree{filepath.Clean(root), map[string]bool{string(filepath.Separator): true}, make(map[string]error)}
}

// host is where path is for us.
func (t tree) host(path string) string {
	if t.root == string(filepath.Separator) {
		return path
	}
	return filepath.Join(t.root, path)
}

// resolve is path without links. Every part of it must exist.
func (t tree) resolve(path string) (string, error) {
	done, links := string(filepath.Separator), 0
	todo := strings.Split(path, string(filepath.Separator))
	for len(todo) > 0 {
		// ".." is right too: done has no links. Nothing may be cleaned before
		// it is here.
		next := filepath.Join(done, todo[0])
		todo = todo[1:]
		if t.plain[next] {
			done = next
			continue
		}
		if err := t.missing[next]; err != nil {
			return "", err
		}
		target, err := os.Readlink(t.host(next))
		if errors.Is(err, fs.ErrNotExist) {
			t.missing[next] = err
			return "", err
		}
		if err != nil {
			if !errors.Is(err, syscall.EINVAL) { // readlink(2): no link
				if _, err := os.Lstat(t.host(next)); err != nil {
					return "", err
				}
			}
			t.plain[next] = true
			done = next
			continue
		}
		if links++; links > maxLinks {
			return "", fmt.Errorf("resolve %s: too many links", path)
		}
		if filepath.IsAbs(target) {
			done = string(filepath.Separator)
		}
		todo = append(strings.Split(target, string(filepath.Separator)), todo...)
	}
	return done, nil
}

// read is the content of the regular file that path leads to.
func (t tree) read(path string) ([]byte, error) {
	f, err := t.open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, _, err := contentOf(f)
	return data, err
}

// contentOf is what the regular file f holds, and its mode.
func contentOf(f *os.File) ([]byte, fs.FileMode, error) {
	fi, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	data := make([]byte, fi.Size())
	_, err = io.ReadFull(f, data)
	return data, fi.Mode(), err
}

// open opens the regular file that path leads to.
func (t tree) open(path string) (*os.File, error) {
	real, err := t.resolve(path)
	if err != nil {
		return nil, err
	}
	// A FIFO or a device must not hold us up: look before opening.
	fi, err := os.Lstat(t.host(real))
	switch {
	case err != nil:
		return nil, err
	case !fi.Mode().IsRegular():
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("is not a regular file")}
	case fi.Size() > maxFile:
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("is larger than 64 MiB")}
	}
	return os.Open(t.host(real))
}

// isDir reports whether path leads to a directory.
func (t tree) isDir(path string) bool {
	real, err := t.resolve(path)
	if err != nil {
		return false
	}
	fi, err := os.Lstat(t.host(real))
	return err == nil && fi.IsDir()
}

// glob is the paths in the tree that match pattern.
func (t tree) glob(pattern string) []string {
	fixed, _, _ := strings.Cut(pattern, "*")
	if _, err := t.resolve(filepath.Dir(fixed)); err != nil {
		return nil
	}
	found, _ := filepath.Glob(t.host(pattern)) // the patterns are ours and well formed
	if t.root != string(filepath.Separator) {
		for i, f := range found {
			found[i] = strings.TrimPrefix(f, t.root)
		}
	}
	return found
}

// within reports whether path is dir or below it.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+string(filepath.Separator))
}

// cause is err without the path that *fs.PathError names: the caller names
// the one that the user knows.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
