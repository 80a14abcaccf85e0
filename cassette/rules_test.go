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

// TestAccept adds rules to a cassette: those that it has, and all that this
// version does not know, stay as they are, and so does the file when there is
// nothing to add.
func TestAccept(t *testing.T) {
	const rest = `"interactions": []}`
	for _, c := range []struct {
		name, text string
		add, want  []string
		changed    bool
		has        string // in the file
	}{
		{"first", `{"version": "1.0", ` + rest, []string{"a.example"}, []string{"a.example"}, true, `"rules": {"bypass": ["a.example"]}`},
		{"second", `{"rules": {"bypass": ["a.example"]}, ` + rest, []string{"b.example", "a.example"}, []string{"a.example", "b.example"}, true, `["a.example", "b.example"]`},
		{"known", `{"rules": {"bypass": ["a.example"]}, ` + rest, []string{"a.example"}, []string{"a.example"}, false, `{"rules": {"bypass": ["a.example"]}, ` + rest},
		{"beside others", `{"rules": {"match": [{"id": "x"}]}, "later": 1, ` + rest, []string{"443"}, []string{"443"}, true, `{"match": [{"id": "x"}], "bypass": ["443"]}`},
		{"of another kind", `{"rules": null, ` + rest, []string{"443"}, []string{"443"}, true, `"rules": {"bypass": ["443"]}`},
		{"no text", `{"rules": {"bypass": [1, "443"]}, ` + rest, nil, []string{"443"}, false, `[1, "443"]`},
	} {
		s, dir := newStore(t)
		putFiles(t, dir, map[string]string{"c.json": c.text})
		changed, err := s.Accept("c", Rules{Bypass: c.add})
		if err != nil || changed != c.changed {
			t.Errorf("%s: Accept = %v, %v; want %v", c.name, changed, err, c.changed)
		}
		got, err := s.Rules("c")
		if d := cmp.Diff(c.want, got.Bypass); d != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", c.name, err, d)
		}
		b, err := os.ReadFile(filepath.Join(dir, "c.json"))
		if err != nil || !strings.Contains(string(b), c.has) {
			t.Errorf("%s: %v, no %q in\n%s", c.name, err, c.has, b)
		}
		if left, err := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 || err != nil {
			t.Errorf("%s: left %v, %v", c.name, left, err)
		}
	}
}

// TestAcceptRefused has no cassette, and one that is being recorded, to which
// the rules are still there once it is recorded again.
func TestAcceptRefused(t *testing.T) {
	s, dir := newStore(t)
	if _, err := s.Accept("c", Rules{Bypass: []string{"a.example"}}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Accept without a cassette = %v; want %v", err, fs.ErrNotExist)
	}
	if r, err := s.Rules("c"); err != nil || len(r.Bypass) > 0 {
		t.Errorf("Rules without a cassette = %v, %v", r, err)
	}
	putFiles(t, dir, map[string]string{"c.json": `{"rules": {"bypass": ["a.example"]}, "interactions": []}`})
	r, err := s.Record("c", RecordOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Accept("c", Rules{Bypass: []string{"b.example"}}); !errors.Is(err, ErrBusy) {
		t.Errorf("Accept while it is recorded = %v; want %v", err, ErrBusy)
	}
	if err := r.Pin(Pin{Name: "a.example"}); err != nil {
		t.Fatal(err)
	}
	if sum, err := r.Close(false); err != nil || !sum.Changed {
		t.Fatal(sum, err)
	}
	c, err := s.Load("c")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(Rules{Bypass: []string{"a.example"}}, c.Rules); d != "" {
		t.Errorf("recorded again (-want +got):\n%s", d)
	}
}
