package main

import (
	"errors"
	"io"
	"io/fs"
)

// A watchedFS shows how much of a file was read from its beginning to its end.
type watchedFS struct {
	fs.FS
	name     string
	progress *progress
}

// Open opens a file; what is read of the one called name is counted.
func (w watchedFS) Open(name string) (fs.File, error) {
	f, err := w.FS.Open(name)
	if err != nil || name != w.name {
		return f, err
	}
	return &watchedFile{File: f, progress: w.progress}, nil
}

// A watchedFile counts what is read in order, in bytes.
type watchedFile struct {
	fs.File
	progress *progress
	n        int
}

func (f *watchedFile) Read(b []byte) (int, error) {
	n, err := f.File.Read(b)
	f.n += n
	f.progress.at(f.n)
	return n, err
}

// ReadAt reads without counting.
func (f *watchedFile) ReadAt(b []byte, off int64) (int, error) {
	r, ok := f.File.(io.ReaderAt)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	return r.ReadAt(b, off)
}

// ReadDir lists the file, which may be a directory.
func (f *watchedFile) ReadDir(n int) ([]fs.DirEntry, error) {
	d, ok := f.File.(fs.ReadDirFile)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return d.ReadDir(n)
}
