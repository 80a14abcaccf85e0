// Command serge-net runs a command, has the kernel send us its connections,
// answers them from the network (and records) or from a cassette, and leaves
// nothing behind.
package main

import (
	"fmt"
	"io"
	"log"
	"os"

	"github.com/serge-net/serge-net/redirect"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == initArg {
		os.Exit(redirect.Init())
	}
	log.SetOutput(io.Discard) // a library's: quic-go is not content with the host's buffers, and goes on
	os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr))
}

// initArg, alone, makes this program the init process of a run.
const initArg = "init-of-a-run"

// Main is the program, from its arguments to its exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	root := newRoot(stdout, stderr)
	root.SetArgs(args)
	return exitCode(root.Execute(), stderr)
}

// The exit codes of serge-net itself; a command's own goes before all but
// exitStart (docs/getting-started.md).
const (
	exitDiffers    = 1   // of diff, as diff(1)
	exitIncomplete = 96  // CMD succeeded but the recording is incomplete
	exitMissed     = 97  // CMD succeeded but requests missed
	exitFindings   = 98  // there are findings, and they were asked for
	exitUnserved   = 99  // a replay whose cassette is not empty served nothing
	exitStart      = 125 // nothing of CMD ran
	exitNotExec    = 126
	exitNotFound   = 127
)

// An exit is an error that sets the exit code. Without Err nothing is printed.
type exit struct {
	Code int
	Err  error
}

func (e *exit) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit status %d", e.Code)
	}
	return e.Err.Error()
}

func (e *exit) Unwrap() error { return e.Err }
