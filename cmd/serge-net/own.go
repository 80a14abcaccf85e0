package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// A footprint is what of the files that a run may write was there before it,
// by path. A file that was replaced is another file.
type footprint map[string]fs.FileInfo

// footprintOf is the footprint of paths, those of them that exist.
func footprintOf(paths []string) footprint {
	f := footprint{}
	for _, p := range paths {
		if info, err := os.Lstat(p); err == nil {
			f[p] = info
		}
	}
	return f
}

// written is what of paths is there now and was not before, parents first.
func (f footprint) written(paths []string) []string {
	var news []string
	for p, info := range footprintOf(paths) {
		if was, ok := f[p]; !ok || !os.SameFile(was, info) {
			news = append(news, p)
		}
	}
	slices.Sort(news)
	return news
}

// removeEmpty removes the directories of paths that were not there before and
// hold nothing.
func (f footprint) removeEmpty(paths []string) {
	for _, p := range slices.Backward(f.written(paths)) {
		if info, err := os.Lstat(p); err == nil && info.IsDir() {
			os.Remove(p) // of one that is not empty, nothing
		}
	}
}

// own gives what a run under sudo has written to the user who called sudo. It
// is done as well as it can be: the recording is good whoever owns it.
func (f footprint) own(paths []string) {
	uid, err := strconv.Atoi(os.Getenv("SUDO_UID"))
	if err != nil || os.Geteuid() != 0 {
		return
	}
	gid, err := strconv.Atoi(os.Getenv("SUDO_GID"))
	if err != nil {
		gid = -1
	}
	for _, p := range f.written(paths) {
		os.Lchown(p, uid, gid)
	}
}

// upTo is dir and the directories that it is in.
func upTo(dir string) []string {
	dir = filepath.Clean(dir)
	if up := filepath.Dir(dir); up != dir {
		return append([]string{dir}, upTo(up)...)
	}
	return []string{dir}
}

// paths are those at which this run may write: the cassette, the directories
// that it is in, and the log.
func (e *engine) paths() []string {
	return append(e.store.Paths(e.flags.cassette), upTo(e.flags.dir)...)
}
