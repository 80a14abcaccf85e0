package certs

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// cache is a directory of files that are named for what they were made from;
// dir "" is none. Whatever is wrong with it, the run works without. It is for
// truststores: one in PKCS #12 takes 3 ms to read under a password and 1 ms
// without, from here 0.2 ms (BenchmarkTruststore). A bundle in PEM is read
// faster than a copy could be checked.
//
// What is in it decides whom a command trusts. So it is used only if it is
// the user's own and nobody else may write to it, which goes for each file too.
// Runs may share it: a file appears whole, by a rename.
type cache struct{ dir string }

// maxCache bounds what a cache holds, in bytes: truststores have 200 kB each.
const maxCache = 16 << 20

// partial begins the names of files that are being written.
const partial = ".new-"

// read is the content of name, or nil.
func (c cache) read(name string) []byte {
	root, err := c.open()
	if err != nil {
		return nil
	}
	defer root.Close()
	f, err := root.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() || fi.Size() > maxCache || !private(fi) {
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(f, maxCache))
	if err != nil {
		return nil
	}
	return data
}

// write keeps data as name, and drops what is oldest if that is too much.
func (c cache) write(name string, data []byte) {
	if c.dir == "" || len(data) > maxCache/4 {
		return
	}
	for _, dir := range []string{filepath.Dir(c.dir), c.dir} { // ~/.cache, but not a home
		if !makePrivate(dir) {
			return
		}
	}
	root, err := c.open()
	if err != nil {
		return
	}
	defer root.Close()
	f, err := os.CreateTemp(c.dir, partial+"*") // 0600
	if err != nil {
		return
	}
	_, err = f.Write(data)
	if f.Close() != nil || err != nil || root.Rename(filepath.Base(f.Name()), name) != nil {
		root.Remove(filepath.Base(f.Name()))
		return
	}
	prune(root)
}

// makePrivate makes dir, in a directory that is the user's own: under sudo the
// home directory may be somebody else's. It reports whether there is one.
func makePrivate(dir string) bool {
	if _, err := os.Stat(dir); err == nil {
		return true
	}
	fi, err := os.Stat(filepath.Dir(dir))
	return err == nil && private(fi) && os.Mkdir(dir, 0o700) == nil
}

// open opens the directory, if it is fit to be used.
func (c cache) open() (*os.Root, error) {
	if c.dir == "" {
		return nil, os.ErrNotExist
	}
	root, err := os.OpenRoot(c.dir)
	if err != nil {
		return nil, err
	}
	fi, err := root.Stat(".")
	if err == nil && !private(fi) {
		err = os.ErrPermission
	}
	if err != nil {
		root.Close()
		return nil, err
	}
	return root, nil
}

// prune removes the oldest files until no more than maxCache bytes are left,
// and what killed runs left half written.
func prune(root *os.Root) {
	dir, err := root.Open(".")
	if err != nil {
		return
	}
	defer dir.Close()
	files, err := dir.Readdir(-1)
	if err != nil {
		return
	}
	slices.SortFunc(files, func(a, b os.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	newest, sum := files[0].ModTime(), int64(0)
	for _, fi := range files {
		sum += fi.Size()
		dead := strings.HasPrefix(fi.Name(), partial) && newest.Sub(fi.ModTime()) > Life
		if fi.Mode().IsRegular() && (dead || sum > maxCache) {
			root.Remove(fi.Name())
		}
	}
}
