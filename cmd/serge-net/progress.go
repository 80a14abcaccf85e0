package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// progressEach is how often progress is shown: it is for eyes.
const progressEach = 200 * time.Millisecond

// A progress shows on a terminal how far long work has come, and nothing
// anywhere else.
type progress struct {
	w     io.Writer // nil: nobody looks
	what  string
	of    int
	last  time.Time
	shown bool
}

// newProgress is the progress of work called what that has of steps.
func newProgress(w io.Writer, what string, of int) *progress {
	p := &progress{what: what, of: of, last: time.Now()}
	if onTerminal(w) {
		p.w = w
	}
	return p
}

// onTerminal tells whether a person sees what is written to w.
func onTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// at says that n steps are done.
func (p *progress) at(n int) {
	if p.w == nil || time.Since(p.last) < progressEach {
		return
	}
	p.last, p.shown = time.Now(), true
	fmt.Fprintf(p.w, "\rserge-net: %s: %d of %d (%d%%)", p.what, n, p.of, n*100/max(p.of, 1))
}

// end takes the line away.
func (p *progress) end() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
