package cassette

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockAt is the offset of the locked byte: far beyond the journal's end,
// because a lock of Windows keeps others from reading what it covers.
const lockAt = 1 << 30

// lock takes the exclusive lock of f without waiting, and says whether it got
// it. It ends with f.
func lock(f *os.File) (bool, error) {
	at := windows.Overlapped{OffsetHigh: lockAt}
	flags := uint32(windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY)
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	return err == nil, err
}
