//go:build !unix

package certs

import (
	"os"
	"syscall"
)

// private reports whether what fi describes is the user's own. It is where
// directories in a profile are nobody else's.
func private(os.FileInfo) bool { return true }

// withoutTerminal is nothing here: NSS databases are unix's.
func withoutTerminal() *syscall.SysProcAttr { return nil }
