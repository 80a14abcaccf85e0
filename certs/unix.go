//go:build unix

package certs

import (
	"os"
	"syscall"
)

// private reports whether what fi describes is ours and nobody else may write
// to it.
func private(fi os.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid() && fi.Mode().Perm()&0o022 == 0
}

// withoutTerminal has a program started without a terminal that it could ask
// for a password.
func withoutTerminal() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
