package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestTrustDir: what a killed run left is removed, what a living one has is not.
func TestTrustDir(t *testing.T) {
	tmp := t.TempDir()
	gone := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	name := func(pid int) string {
		return filepath.Join(tmp, trustPrefix+pidNamespace()+"-"+strconv.Itoa(pid)+"-X")
	}
	dead, alive, other := name(gone.Process.Pid), name(os.Getppid()), filepath.Join(tmp, trustPrefix+"1-1-X")
	for _, dir := range []string{dead, alive, other} {
		if err := os.MkdirAll(filepath.Join(dir, "certs"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := trustDir(tmp)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err == nil || !strings.HasPrefix(dir, name(os.Getpid())[:len(name(os.Getpid()))-1]) {
		t.Errorf("trustDir = %s, made: %t; want a new one of ours", dir, err == nil)
	}
	for _, d := range []struct {
		dir  string
		left bool
	}{{dead, false}, {alive, true}, {other, true}} {
		if _, err := os.Stat(d.dir); (err == nil) != d.left {
			t.Errorf("%s: %v; left = %t", filepath.Base(d.dir), err, d.left)
		}
	}
}
