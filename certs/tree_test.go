package certs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// files is a file system for a test: a path that ends in "/" is a directory,
// a value that begins with "-> " a link, any other a file's content.
type files map[string]string

// makeTree writes f below a new directory and returns that.
func makeTree(t testing.TB, f files) string {
	t.Helper()
	root := t.TempDir()
	for path, content := range f {
		host := filepath.Join(root, path)
		dir := filepath.Dir(host)
		if strings.HasSuffix(path, "/") {
			dir = host
		}
		err := os.MkdirAll(dir, 0o755)
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			err = errors.Join(err, os.Symlink(target, host))
		} else if dir != host {
			err = errors.Join(err, os.WriteFile(host, []byte(content), 0o644))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestTreeResolve(t *testing.T) {
	root := makeTree(t, files{
		"/a/b/file":   "x",
		"/a/rel":      "-> b/file",
		"/a/up":       "-> ../a/./b",
		"/abs":        "-> /a/b",
		"/chain":      "-> abs/../b/file",
		"/out":        "-> ../../../a/b/file",
		"/loop":       "-> loop",
		"/dangling":   "-> nowhere",
		"/a/b/a file": "x",
	})
	link := filepath.Join(t.TempDir(), "root") // as /proc/PID/root is
	if err := os.Symlink(root, link); err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{root, link} {
		testResolve(t, root)
	}
}

// testResolve resolves in the tree of TestTreeResolve.
func testResolve(t *testing.T, root string) {
	t.Helper()
	tr := newTree(root)
	for _, tt := range []struct{ path, want string }{
		{"/", "/"},
		{"/a/b/file", "/a/b/file"},
		{"/a/rel", "/a/b/file"},
		{"/a/up/file", "/a/b/file"},
		{"/abs/file", "/a/b/file"},
		{"/chain", "/a/b/file"},
		{"/out", "/a/b/file"},
		{"/a/../abs", "/a/b"},
		{"/a/b/a file", "/a/b/a file"},
		{"/loop", ""},
		{"/dangling", ""},
		{"/a/b/none", ""},
		{"/a/b/file/below", ""},
	} {
		got, err := tr.resolve(tt.path)
		if got != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("resolve(%q) = %q, %v; want %q", tt.path, got, err, tt.want)
		}
	}
	if tr.isDir("/a/rel") || !tr.isDir("/abs") || tr.isDir("/loop") {
		t.Error("isDir takes a file for a directory, or a directory for none")
	}
	for path, want := range map[string]string{"/abs": "not a regular file", "/none": "no such file"} {
		if _, err := tr.read(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("read(%q) = %v; want %q", path, err, want)
		}
	}
	if err := os.Truncate(filepath.Join(root, "a/b/a file"), maxFile+1); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.read("/a/b/a file"); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("read of a huge file: %v", err)
	}
}
