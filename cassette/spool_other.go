//go:build !linux

package cassette

import "os"

// nameless is a new file that has no name any more, where an open file can be
// removed.
func nameless() (*os.File, error) { return removed() }
