package cassette

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestGlance sees what Load does, as far as it looks.
func TestGlance(t *testing.T) {
	s, dir := newStore(t)
	recordAll(t, s, "x", RecordOptions{}, asked{req: get("/a"), res: ok(), answer: "a"}, asked{req: get("/b"), res: ok(), answer: "b"})
	putFiles(t, dir, map[string]string{"x.bodies/a.bin": "12345", "torn.json": "{", "odd.json": `{"interactions": [{"kind": "dns"}, {"request": {"url": "http://b.example:81/"}}]}`})
	c := load(t, s, "x")
	got, err := s.Glance("x")
	if d := cmp.Diff(Glance{Interactions: 2, Hosts: c.Hosts(), RecordedAt: c.RecordedAt, Bodies: 5}, got); err != nil || d != "" {
		t.Errorf("Glance(), %v (-want +got):\n%s", err, d)
	}
	got, err = s.Glance("odd")
	if d := cmp.Diff(Glance{Interactions: 2, Hosts: []string{"b.example:81"}}, got); err != nil || d != "" {
		t.Errorf("Glance() of another shape, %v (-want +got):\n%s", err, d)
	}
	if _, err := s.Glance("none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Glance() of none = %v; want ErrNotExist", err)
	}
	if _, err := s.Glance("torn"); err == nil || !strings.Contains(err.Error(), "torn.json") {
		t.Errorf("Glance() of a torn file = %v; want its name", err)
	}
}

// FuzzGlance: it counts as Load does, and never fails to end.
func FuzzGlance(f *testing.F) {
	for _, text := range []string{`{"interactions": [{"request": {"url": "http://a\u002e/"}}, "x", [1, {"a": "\\\"]"}]], "incomplete": true}`, `{"a": "`, `{"a": "\`, `[`, `{"interactions":[}`, `{"interactions":{}}`, "{]"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := glance(b)
		top, treeErr := parseTree(b)
		if treeErr != nil || top.kind != '{' {
			return // whatever it says, it came to an end
		}
		last := 0
		for _, m := range top.mem { // duplicates add up
			if m.key == "interactions" {
				last += len(m.val.elements())
			}
		}
		if err != nil || g.Interactions != last {
			t.Errorf("glance(%q) = %d, %v; want %d", b, g.Interactions, err, last)
		}
	})
}

// BenchmarkGlance is how fast it is beside Load.
func BenchmarkGlance(b *testing.B) {
	var text strings.Builder
	text.WriteString(`{"version": "1.0", "interactions": [`)
	for n := range 5000 {
		fmt.Fprintf(&text, `%s{"id": "i.%d", "request": {"method": "GET", "url": "http://h%d.example/%d"}, "response": {"status": 200, "headers": [["A", "b"]], "body": {"text": %q}}}`,
			strings.Repeat(",", min(n, 1)), n, n%7, n, strings.Repeat("x", 500))
	}
	text.WriteString("]}")
	file := []byte(text.String())
	b.Run("glance", func(b *testing.B) {
		b.SetBytes(int64(len(file)))
		for b.Loop() {
			if _, err := glance(file); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("load", func(b *testing.B) {
		b.SetBytes(int64(len(file)))
		for b.Loop() {
			if _, err := parse(file, noFiles); err != nil {
				b.Fatal(err)
			}
		}
	})
}
