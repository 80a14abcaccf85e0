package cassette

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestStrays finds what nothing needs, removes that and nothing else.
func TestStrays(t *testing.T) {
	s, dir := newStore(t)
	const body = `{"interactions": [{"id": "a", "request": {"method": "GET", "url": "http://a/"}, "response": {"status": 200, "body": {"file": "a.bin", "size": 1}}}]}`
	files := map[string]string{
		"x.json": body, "x.bodies/a.bin": "a", "x.bodies/b.bin": "bb",
		"suite/gone.bodies/c.bin":   "ccc",
		"torn.json":                 "{",
		"torn.bodies/d.bin":         "d",
		".cut.journal":              "",
		"cut.bodies/e.bin":          "e",
		".failed/x.json":            body,
		".failed/x.bodies/a.bin":    "a",
		".failed/gone.json":         body,
		".failed/gone.bodies/a.bin": "a",
		"notes.txt":                 "mine",
	}
	putFiles(t, dir, files)
	all, err := s.Strays()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, st := range all {
		rel, _ := filepath.Rel(dir, st.Path)
		got[rel] = st.Why
		if want := int64(len(files[rel])); st.Size != want {
			t.Errorf("%s has %d bytes; want %d", rel, st.Size, want)
		}
		delete(files, rel)
	}
	gone := "a failed recording, and there is no cassette gone"
	if d := cmp.Diff(map[string]string{"x.bodies/b.bin": "the cassette refers to no such body", "suite/gone.bodies/c.bin": "there is no cassette suite/gone",
		".failed/gone.json": gone, ".failed/gone.bodies/a.bin": gone}, got); d != "" {
		t.Errorf("Strays() (-want +got):\n%s", d)
	}
	if err := s.Sweep(all); err != nil {
		t.Fatal(err)
	}
	if left := filesOf(t, dir); len(left) != len(files) {
		t.Errorf("left are %v; want %v", left, files)
	}
	if _, err := os.Stat(filepath.Join(dir, "suite")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the empty directory is there: %v", err)
	}
}

func TestRemove(t *testing.T) {
	s, dir := newStore(t)
	putFiles(t, dir, map[string]string{"suite/x.json": "{", "suite/x.bodies/a.bin": "a", ".failed/suite/x.json": "{", "suite/y.json": `{"interactions":[]}`, ".failed/suite/y.json": "{"})
	if err := s.Remove("suite/x"); err != nil {
		t.Fatal(err)
	}
	if err := s.Forget("suite/y"); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"suite/y.json"}, filesOf(t, dir)); d != "" {
		t.Errorf("left (-want +got):\n%s", d)
	}
	if err := s.Remove("suite/x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Remove() of none = %v; want ErrNotExist", err)
	}
	r, err := s.Record("suite/y", RecordOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close(false)
	if err := s.Remove("suite/y"); !errors.Is(err, ErrBusy) {
		t.Errorf("Remove() of what is being recorded = %v; want ErrBusy", err)
	}
	if _, err := s.Drop("suite/y", nil); !errors.Is(err, ErrBusy) {
		t.Errorf("Drop() of what is being recorded = %v; want ErrBusy", err)
	}
}

// TestDrop removes interactions and the bodies that were theirs alone.
func TestDrop(t *testing.T) {
	s, dir := newStore(t)
	big := strings.Repeat("\x00big", 9<<10)
	recordAll(t, s, "x", RecordOptions{}, asked{req: get("/a"), res: ok(), answer: big}, asked{req: get("/b"), res: ok(), answer: "b"}, asked{req: get("/c"), res: ok(), answer: "c"})
	before := load(t, s, "x")
	n, err := s.Drop("x", []string{before.Interactions[0].ID, "no such"})
	if err != nil || n != 1 {
		t.Errorf("Drop() = %d, %v; want 1", n, err)
	}
	after := load(t, s, "x")
	if len(after.Interactions) != 2 || after.Interactions[0].ID != before.Interactions[1].ID || after.Interactions[0].Seq != 1 {
		t.Errorf("left are %v", after.lines())
	}
	if d := cmp.Diff([]string{"x.json"}, filesOf(t, dir)); d != "" {
		t.Errorf("files (-want +got):\n%s", d)
	}
}
