package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
)

// replace makes the file at path what print prints. Who reads it sees the old one
// or the new one, whole. What is no regular file, a pipe say or /dev/stdout, is
// written to as it is.
func replace(path string, print func(io.Writer) error) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return printed(f, print)
	}
	before := footprintOf([]string{path})
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // nothing, once it has another name
	if err := errors.Join(f.Chmod(0o644), printed(f, print)); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	before.own([]string{path})
	return nil
}

// printed has print write to f, and closes it.
func printed(f *os.File, print func(io.Writer) error) error {
	w := bufio.NewWriter(f)
	return errors.Join(print(w), w.Flush(), f.Close())
}
