package main

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/serge-net/serge-net/exchange"
)

// A process is what is known of one, as far as that is sure: what is not is
// empty.
type process struct {
	kind    string // the runtime, "Python" or "Go", as stances have it
	version string // of the runtime, where its files tell
	path    string // of its executable
	argv    []string
	env     []string
}

// title is the runtime as a person is told of it: "Python 3.11".
func (p process) title() string { return strings.TrimSpace(p.kind + " " + p.version) }

// processOf looks at the process that c is. It may have ended by now: then the
// name of its command is all there is.
func processOf(c exchange.Caller) process {
	var p process
	if c.PID == 0 {
		return p
	}
	proc := fmt.Sprintf("/proc/%d/", c.PID)
	p.path, _ = os.Readlink(proc + "exe")
	p.path = strings.TrimSuffix(p.path, " (deleted)") // proc(5): it was replaced since
	p.argv, p.env = words0(proc+"cmdline"), words0(proc+"environ")
	p.kind, p.version = kindOf(path.Base(p.path))
	switch {
	case p.kind == "Java":
		p.version = javaVersion(p.path)
	case p.kind != "":
	case p.path == "":
		p.kind, p.version = kindOf(c.Command)
	}
	return p
}

// identified is p with what its executable tells, where its name does not.
func (p process) identified() process {
	if p.kind == "" && p.path != "" {
		p.kind, p.version = madeWith(p.path)
	}
	return p
}

// processes are those that were looked at, as processes end: by the time that one
// is to be named it may be gone. They are safe for concurrent use; the zero value
// is ready.
type processes struct {
	mu    sync.Mutex
	known map[exchange.Caller]process
}

// processesMost is how many are known before all are forgotten.
const processesMost = 256

// of is what c runs, as it was when c was first asked for: 50 µs.
func (ps *processes) of(c exchange.Caller) process {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p, ok := ps.known[c]
	if ok || c.PID == 0 {
		return p
	}
	if ps.known == nil || len(ps.known) >= processesMost {
		ps.known = make(map[exchange.Caller]process)
	}
	p = processOf(c)
	ps.known[c] = p
	return p
}

// words0 are what is between the zero bytes of the file at path.
func words0(path string) []string {
	b, err := os.ReadFile(path)
	if err != nil || len(b) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
}

// kindOf is the runtime whose executable is called name, with the version that
// the name has: python3.11, php8.2.
func kindOf(name string) (kind, version string) {
	for _, s := range stances() {
		if s.names == nil {
			continue
		}
		if m := s.names.FindStringSubmatch(name); m != nil {
			return s.kind, m[1]
		}
	}
	return "", ""
}

// javaVersion is what the JDK says of itself that has the launcher at exe, in
// bin, or as JDK 8 has it in jre/bin.
func javaVersion(exe string) string {
	home := filepath.Dir(filepath.Dir(exe))
	for _, dir := range []string{home, filepath.Dir(home)} {
		b, _ := os.ReadFile(filepath.Join(dir, "release"))
		for line := range strings.Lines(string(b)) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), "JAVA_VERSION="); ok {
				return strings.Trim(v, `"`)
			}
		}
	}
	return ""
}

// madeWith tells by what is in the executable exe what it was made with.
func madeWith(exe string) (kind, version string) {
	if info, err := buildinfo.ReadFile(exe); err == nil {
		return "Go", strings.TrimPrefix(info.GoVersion, "go")
	}
	if f, err := os.Open(exe); err == nil {
		defer f.Close()
		return rust(io.LimitReader(f, executableMost))
	}
	return "", ""
}

// executableMost is how much of an executable is looked through: 40 ms.
const executableMost = 64 << 20

// rust tells whether r has what rustc leaves in programs, the places in the
// standard library where they may panic, and whether rustls is among what was
// compiled in, whose own places have its version.
func rust(r io.Reader) (kind, version string) {
	library, rustls := []byte("/rustc/"), regexp.MustCompile(`/rustls-[0-9]+\.[0-9]`)
	const piece, overlap = 1 << 20, 64
	b := make([]byte, overlap+piece)
	for keep := 0; ; {
		n, err := io.ReadFull(r, b[keep:])
		seen := b[:keep+n]
		if kind == "" && bytes.Contains(seen, library) {
			kind = "Rust"
		}
		if rustls.Match(seen) {
			return "Rust", "with rustls"
		}
		if err != nil {
			return kind, ""
		}
		keep = copy(b, seen[len(seen)-overlap:])
	}
}
