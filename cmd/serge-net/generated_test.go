package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const bpfDir = "../../bpf"

// TestGeneratedIsOfItsSource: the committed eBPF object was made from the C
// beside it, by the hash that go generate leaves.
func TestGeneratedIsOfItsSource(t *testing.T) {
	var sources []string
	for _, pattern := range []string{"*.c", "*.h"} {
		found, err := filepath.Glob(filepath.Join(bpfDir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, found...)
	}
	var sums strings.Builder
	for _, path := range sources {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(b), filepath.Base(path))
	}
	want, err := os.ReadFile(filepath.Join(bpfDir, "sources.sha256"))
	if err != nil {
		t.Fatal(err)
	}
	if sums.String() != string(want) {
		t.Errorf("bpf/*.c and *.h are not what the objects were made from; make generate\nnow:\n%swhen generated:\n%s", sums.String(), want)
	}
}

// TestGeneratedAnew compiles the eBPF objects again and compares, where the
// compiler is the one that they are made with: Debian 12's.
func TestGeneratedAnew(t *testing.T) {
	version, err := exec.CommandContext(t.Context(), "clang", "--version").Output()
	if err != nil || !bytes.HasPrefix(version, []byte("Debian clang version 14.0.6")) {
		t.Logf("clang is not Debian 12's: the objects are compared by the hash of their source alone (%v)", err)
		return
	}
	dir := t.TempDir()
	entries, err := os.ReadDir(bpfDir)
	if err != nil {
		t.Fatal(err)
	}
	var argv []string
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(bpfDir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if e.Name() == "bpf.go" {
			argv = generateLine(t, string(b))
		}
	}
	at := slices.Index(argv, "bpf2go")
	argv = slices.Insert(argv, at+1, "-go-package", "bpf", "-output-dir", dir)
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Dir = bpfDir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", argv, err, out)
	}
	for _, name := range []string{"divert_bpfel.go", "divert_bpfel.o"} {
		want, err := os.ReadFile(filepath.Join(bpfDir, name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("bpf/%s is not what its source compiles to; make generate", name)
		}
	}
}

// generateLine is the words of the bpf2go line in source, quotes taken off.
func generateLine(t *testing.T, source string) []string {
	t.Helper()
	for line := range strings.Lines(source) {
		line, found := strings.CutPrefix(line, "//go:generate go tool bpf2go")
		if !found {
			continue
		}
		argv := []string{"go", "tool", "bpf2go"}
		for i, part := range strings.Split(strings.TrimSpace(line), `"`) {
			if i%2 == 1 {
				argv = append(argv, part)
			} else {
				argv = append(argv, strings.Fields(part)...)
			}
		}
		return argv
	}
	t.Fatal("bpf.go has no line that generates")
	return nil
}
