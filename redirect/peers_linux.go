package redirect

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strings"
)

// A mountPoint is a line of proc_pid_mountinfo(5).
type mountPoint struct {
	path  string
	group string // "shared:N", by which peers are known: what is mounted below one is below all; "": it has none
}

// peers are the mounts of a target, and the peer groups of those that we and
// the system's first process see.
type peers struct {
	theirs []mountPoint
	ours   map[string]bool
}

// peersOf reads the mounts of pid, and ours.
func peersOf(pid int) (peers, error) {
	p := peers{ours: make(map[string]bool)}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		return p, fmt.Errorf("mounts of %d: %w", pid, err)
	}
	p.theirs = parseMounts(b)
	for _, who := range []string{"self", "1"} {
		b, err := os.ReadFile("/proc/" + who + "/mountinfo")
		if err != nil {
			continue // another user's
		}
		for _, m := range parseMounts(b) {
			p.ours[m.group] = m.group != ""
		}
	}
	return p, nil
}

// none fails if what is mounted at one of paths, as the target sees them, would
// be seen outside of it.
func (p peers) none(paths []string) error {
	for _, path := range paths {
		if m := p.above(path); p.ours[m.group] {
			return fmt.Errorf("%w: what is mounted at %s is seen outside of the target: its mount %s is shared", ErrUnsupported, path, m.path)
		}
	}
	return nil
}

// above is the mount that path is on: of several on one directory the last.
func (p peers) above(path string) mountPoint {
	var found mountPoint
	for _, m := range p.theirs {
		inside := path == m.path || strings.HasPrefix(path, strings.TrimSuffix(m.path, "/")+"/")
		if inside && len(m.path) >= len(found.path) {
			found = m
		}
	}
	return found
}

// parseMounts reads a mountinfo; what is no line of one is passed over.
func parseMounts(mountinfo []byte) []mountPoint {
	var all []mountPoint
	for s := bufio.NewScanner(bytes.NewReader(mountinfo)); s.Scan(); {
		before, _, _ := strings.Cut(s.Text(), " - ")
		f := strings.Fields(before)
		if len(f) < 6 {
			continue
		}
		m := mountPoint{path: unescape(f[4])}
		for _, tag := range f[6:] {
			if strings.HasPrefix(tag, "shared:") {
				m.group = tag
			}
		}
		all = append(all, m)
	}
	return all
}
