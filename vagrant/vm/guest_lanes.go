//go:build linux

package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// userID is the ordinary user's, and their group's.
const userID = 1000

// A user is whom a lane is tried as.
type user struct {
	name   string
	id     uint32
	home   string
	caps   []uintptr
	cgroup *os.File // to be born in; nil for the root
}

// lanes tries every lane as every user.
func (t *tester) lanes(built []string) error {
	cgroup, err := delegated()
	if err != nil {
		return err
	}
	defer cgroup.Close()
	if t.origin, err = newOrigin(); err != nil {
		return err
	}
	who := []user{
		{name: asRoot, home: "/root"},
		{name: asCaps, id: userID, home: "/home/user", caps: []uintptr{unix.CAP_BPF, unix.CAP_NET_ADMIN}, cgroup: cgroup},
		{name: asPlain, id: userID, home: "/home/user"},
	}
	for _, l := range allLanes(built) {
		for _, u := range who {
			c := &cell{Lane: l, As: u.name, Why: notBuilt}
			if slices.Contains(built, l) {
				c.Why = t.try(l, u)
			}
			c.Works = c.Why == ""
			t.tell(event{Cell: c})
		}
	}
	return nil
}

// delegated makes a cgroup that the user may divide.
func delegated() (*os.File, error) {
	dir := "/sys/fs/cgroup/user"
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	for _, name := range []string{"", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"} {
		if err := os.Chown(filepath.Join(dir, name), userID, userID); err != nil {
			return nil, err
		}
	}
	return os.Open(dir)
}

// try records through lane as u, stops the origin, and replays. It returns why
// that did not work, or "".
func (t *tester) try(lane string, u user) string {
	dir, err := os.MkdirTemp("/tmp", "try-*")
	if err != nil {
		return err.Error()
	}
	defer os.RemoveAll(dir)
	if err := os.Chown(dir, int(u.id), int(u.id)); err != nil {
		return err.Error()
	}
	ca := filepath.Join(dir, "origin.pem")
	if err := os.WriteFile(ca, t.origin.ca.PEM(), 0o644); err != nil {
		return err.Error()
	}
	run := func(mode string) (string, string) {
		argv := []string{"serge-net", "run", "--backend", lane, "--mode", mode, "--upstream-ca", ca, "--", "/init", clientRole}
		out, said, err := output(context.Background(), u, dir, append(argv, urls()...)...)
		if err != nil {
			fmt.Printf("%s as %s, %s: %v\n%s", lane, u.name, mode, err, said) // on the console, for people
			return out, reason(mode, said, err)
		}
		return out, ""
	}
	if err := t.origin.start(); err != nil {
		return err.Error()
	}
	recorded, why := run("record")
	asked := t.origin.stop()
	switch {
	case why != "":
		return why
	case asked != len(urls()):
		return fmt.Sprintf("record: the origin was asked %d times, not %d", asked, len(urls()))
	}
	replayed, why := run("replay")
	switch {
	case why != "":
		return why
	case replayed != recorded:
		return fmt.Sprintf("recorded %q, replayed %q", recorded, replayed)
	}
	return leftovers()
}

// reason is why mode did not go well, in one line: the error that serge-net
// gave, without what every lane's begins with; or the last that was said.
func reason(mode, stderr string, err error) string {
	last := ""
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		if e, ok := strings.CutPrefix(line, "serge-net: error: "); ok {
			if _, lacks, ok := strings.Cut(e, " lane: "); ok {
				return lacks
			}
			return mode + ": " + e
		}
		if line != "" && !strings.HasPrefix(line, "serge-net: hint:") {
			last = line
		}
	}
	if last == "" {
		return fmt.Sprintf("%s: %v", mode, err)
	}
	return fmt.Sprintf("%s: %v: %s", mode, err, last)
}

// leftovers says what of ours is still there, or "".
func leftovers() string {
	var left []string
	filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), "serge-") {
			left = append(left, path)
		}
		return nil
	})
	names, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, name := range names {
		if comm, err := os.ReadFile(name); err == nil && strings.TrimSpace(string(comm)) == "serge-net" {
			left = append(left, filepath.Dir(name))
		}
	}
	if len(left) > 0 {
		return "left behind: " + strings.Join(left, " ")
	}
	return ""
}
