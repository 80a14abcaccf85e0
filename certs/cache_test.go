package certs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
)

func TestCache(t *testing.T) {
	home := t.TempDir()
	c := cache{filepath.Join(home, ".cache", "serge-net")}
	if got := c.read("a"); got != nil {
		t.Errorf("read of a cache that is not there = %q", got)
	}
	c.write("a", []byte("A"))
	if got := c.read("a"); string(got) != "A" {
		t.Errorf("read = %q; want A", got)
	}
	for path, want := range map[string]os.FileMode{"": 0o700, "a": 0o600} {
		if fi, err := os.Stat(filepath.Join(c.dir, path)); err != nil || fi.Mode().Perm() != want {
			t.Errorf("%q: %v, %v; want %v", path, fi.Mode(), err, want)
		}
	}
	var writing sync.WaitGroup
	for i := range 16 { // concurrent runs: what is read is whole
		writing.Go(func() {
			c.write("b", bytes.Repeat([]byte{byte(i)}, 100_000))
			if got := c.read("b"); len(got) != 100_000 || bytes.Count(got, got[:1]) != len(got) {
				t.Errorf("%d bytes read, or of several writers", len(got))
			}
		})
	}
	writing.Wait()
	if left, _ := filepath.Glob(filepath.Join(c.dir, partial+"*")); len(left) > 0 {
		t.Errorf("%q is left", left)
	}
	cache{}.write("a", nil)
	if got := (cache{}).read("a"); got != nil {
		t.Errorf("without a directory: %q", got)
	}
}

// TestCacheTampered: what others may write to, or what is no plain file, is
// not used.
func TestCacheTampered(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes are unix's")
	}
	for name, tamper := range map[string]func(dir, file string) error{
		"a directory for all": func(dir, _ string) error { return os.Chmod(dir, 0o777) },
		"a file for all":      func(_, file string) error { return os.Chmod(file, 0o666) },
		"a link out": func(_, file string) error {
			return firstOf(os.Remove(file), os.Symlink("/etc/passwd", file))
		},
		"a directory": func(_, file string) error { return firstOf(os.Remove(file), os.Mkdir(file, 0o700)) },
	} {
		c := cache{filepath.Join(t.TempDir(), "serge-net")}
		c.write("a", []byte("A"))
		if err := tamper(c.dir, filepath.Join(c.dir, "a")); err != nil {
			t.Fatal(err)
		}
		if got := c.read("a"); got != nil {
			t.Errorf("%s: read = %q", name, got)
		}
	}
	// A home that everybody may write to gets no cache.
	home := t.TempDir()
	if err := os.Chmod(home, 0o777); err != nil {
		t.Fatal(err)
	}
	c := cache{filepath.Join(home, ".cache", "serge-net")}
	c.write("a", []byte("A"))
	if _, err := os.Stat(filepath.Dir(c.dir)); err == nil {
		t.Error("a cache was made in a home that is not the user's alone")
	}
	if os.Geteuid() == 0 {
		theirs := t.TempDir()
		if err := os.Chown(theirs, 4711, 4711); err != nil {
			t.Fatal(err)
		}
		cache{filepath.Join(theirs, ".cache", "serge-net")}.write("a", []byte("A"))
		if _, err := os.Stat(filepath.Join(theirs, ".cache")); err == nil {
			t.Error("a cache was made in another user's home")
		}
	}
}

// firstOf is the first error.
func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestCachePruned(t *testing.T) {
	c := cache{filepath.Join(t.TempDir(), "serge-net")}
	const size = maxCache / 5
	now := time.Now()
	for i := range 7 {
		name := fmt.Sprint(i)
		c.write(name, make([]byte, size))
		if err := os.Chtimes(filepath.Join(c.dir, name), now, now.Add(time.Duration(i-10)*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	stale := filepath.Join(c.dir, partial+"1")
	if err := os.WriteFile(stale, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(stale, now, now.Add(-2*Life)); err != nil {
		t.Fatal(err)
	}
	c.write("last", make([]byte, size))
	for name, want := range map[string]bool{"2": false, "3": true, "4": true, "6": true, "last": true, partial + "1": false} {
		if got := c.read(name) != nil; got != want {
			t.Errorf("%s is kept: %t; want %t", name, got, want)
		}
	}
	if c.write("huge", make([]byte, maxCache)); c.read("huge") != nil {
		t.Error("a file as large as the whole cache is kept")
	}
}

// TestCacheOfTruststores: a PKCS #12 truststore is read from the cache the
// second time, and neither our CA nor what a password protects is in it.
func TestCacheOfTruststores(t *testing.T) {
	der, text := root(t)
	dir := filepath.Join(t.TempDir(), "serge-net")
	tree := makeTree(t, files{"/etc/ssl/certs/ca-certificates.crt": text, "/usr/lib/jvm/a/lib/security/cacerts": string(pkcs12(der))})
	for _, round := range []string{"first", "second", "corrupt"} {
		ca := newCA(t)
		p, err := NewPlan(PlanConfig{CA: ca.PEM(), Root: tree, Mounts: runtime.GOOS == "linux", Cache: dir, Dir: filepath.Join(t.TempDir(), "d"), Workdir: "/"})
		if err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS == "linux" {
			got, err := trustedIn(at(t, p, "/usr/lib/jvm/a/lib/security/cacerts").Data)
			if err != nil || len(got) != 2 || !bytes.Equal(got[0], der) || !bytes.Equal(got[1], ca.Cert().Raw) {
				t.Errorf("%s: %d trusted, %v", round, len(got), err)
			}
		}
		kept, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(kept) != 1 && runtime.GOOS == "linux" {
			t.Fatalf("%s: kept %q, %v; want one file", round, kept, err)
		}
		for _, file := range kept {
			if bytes.Contains([]byte(readFile(t, file)), ca.Cert().Raw) {
				t.Errorf("%s: our CA is in the cache", round)
			}
			if round == "second" {
				if err := os.WriteFile(file, []byte("corrupt"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
