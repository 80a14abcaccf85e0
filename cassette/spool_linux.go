package cassette

import (
	"os"

	"golang.org/x/sys/unix"
)

// nameless is a new file that has no name: open(2), O_TMPFILE, Linux 3.11. Where
// the file system has none, it is removed at once.
func nameless() (*os.File, error) {
	fd, err := unix.Open(os.TempDir(), unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC|unix.O_EXCL, 0o600)
	if err != nil {
		return removed()
	}
	return os.NewFile(uintptr(fd), "serge-net spool"), nil
}
