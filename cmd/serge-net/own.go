package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// own gives what a run under sudo has written to the user who called sudo. It
// is done as well as it can be: the recording is good whoever owns it.
func own(paths ...string) {
	uid, err := strconv.Atoi(os.Getenv("SUDO_UID"))
	if err != nil || os.Geteuid() != 0 {
		return
	}
	gid, err := strconv.Atoi(os.Getenv("SUDO_GID"))
	if err != nil {
		gid = -1
	}
	for _, p := range paths {
		filepath.WalkDir(p, func(path string, d fs.DirEntry, err error) error {
			if err == nil {
				os.Lchown(path, uid, gid)
			}
			return nil
		})
	}
}
