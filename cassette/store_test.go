package cassette

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/exchange"
)

// putFiles writes files below dir.
func putFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLoadWithoutBody refuses a cassette one of whose body files is not there or
// was cut, as a pointer of a large-file store is, before anything is served.
func TestLoadWithoutBody(t *testing.T) {
	const text = `{"interactions": [{"request": {"method": "GET", "url": "http://a.example/"},
		"response": {"status": 200, "body": {"file": "ab.bin", "sha256": "ab", "size": 9}}}]}`
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string // in the error; "" if there is to be none
	}{
		{"there", map[string]string{"c.bodies/ab.bin": "123456789"}, ""},
		{"gone", nil, "interaction 1, GET http://a.example/: its body c.bodies/ab.bin: no such file or directory"},
		{"cut", map[string]string{"c.bodies/ab.bin": "12345"}, "its body c.bodies/ab.bin has 5 bytes, not 9"},
	} {
		s, dir := newStore(t)
		putFiles(t, dir, c.files)
		putFiles(t, dir, map[string]string{"c.json": text})
		_, err := s.Load("c")
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: Load = %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: Load = %v; want %q", c.name, err, c.want)
		case errors.Is(err, fs.ErrNotExist):
			t.Errorf("%s: Load says that there is no cassette: %v", c.name, err)
		}
	}
}

// TestLoadNotUTF8 says where a file is no text.
func TestLoadNotUTF8(t *testing.T) {
	s, dir := newStore(t)
	putFiles(t, dir, map[string]string{"c.json": "{\n  \"name\": \"é\xff\"\n}"})
	if _, err := s.Load("c"); err == nil || !strings.Contains(err.Error(), "c.json:2:14: not UTF-8; ") {
		t.Errorf("Load = %v; want the place of the byte", err)
	}
}

// TestPaths lists what is of one cassette, and nothing else.
func TestPaths(t *testing.T) {
	s, dir := newStore(t)
	putFiles(t, dir, map[string]string{
		"a/c.json": "", "a/c.bodies/x.bin": "", "a/d.json": "", "a/d.bodies/y.bin": "", "b/c.json": "",
		".failed/a/c.json": "", ".failed/a/d.json": "",
	})
	var got []string
	for _, p := range s.Paths("a/c") {
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, filepath.ToSlash(rel))
	}
	want := []string{"a/c.json", "a/c.bodies", "a", "a/c.bodies/x.bin", ".failed/a/c.json", ".failed/a", ".failed"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("Paths(a/c) (-want +got):\n%s", d)
	}
	if got := s.Paths("../a"); got != nil {
		t.Errorf("Paths(../a) = %q; want none", got)
	}
}

// TestAcceptFlags proposes only flags that exist and that would help.
func TestAcceptFlags(t *testing.T) {
	for _, c := range []struct {
		at   []string
		want string
	}{
		{nil, ""},
		{[]string{"query page"}, "--ignore-query page"},
		{[]string{"query page", "header content-type"}, "--ignore-query page --ignore-header content-type"},
		{[]string{"query a[$b]"}, "--ignore-query 'a[$b]'"},
		{[]string{"query a,b"}, ""},
		{[]string{"query it's"}, ""},
		{[]string{"body $.user"}, "--ignore-body '$.user'"},
		{[]string{"query page", "body $.user"}, "--ignore-query page --ignore-body '$.user'"},
		{[]string{"body"}, ""},
		{[]string{"path"}, "--path-template '/a/{id}'"},
		{[]string{"method"}, ""},
	} {
		var diffs []exchange.Diff
		for _, at := range c.at {
			diffs = append(diffs, exchange.Diff{At: at})
		}
		if got := acceptFlags(diffs, "GET http://x/a/1", "GET http://x/a/2"); got != c.want {
			t.Errorf("acceptFlags(%q) = %q; want %q", c.at, got, c.want)
		}
	}
}
