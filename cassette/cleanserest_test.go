package cassette

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRedactUnknown takes secrets out of members that this version does not know.
func TestRedactUnknown(t *testing.T) {
	s, dir := newStore(t)
	recordAll(t, s, "s", RecordOptions{}, asked{req: get("/a"), res: ok(), answer: "A"})
	token := seeds()["github"]
	text := strings.NewReplacer(
		`"interactions": [`, `"notes": ["`+token+`"], "interactions": [`,
		`"timing": {`, `"later": {"password": "correct horse"}, "timing": {"note": "`+token+`", `,
	).Replace(read(t, dir, "s.json"))
	if err := os.WriteFile(filepath.Join(dir, "s.json"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	found, err := s.Redact("s", Redaction{})
	if err != nil {
		t.Fatal(err)
	}
	var at []string
	for _, f := range found {
		at = append(at, f.At)
	}
	if d := cmp.Diff([]string{"/interactions/0/later", "/interactions/0/timing/note", "/notes"}, at); d != "" {
		t.Errorf("Redact() found (-want +got):\n%s", d)
	}
	now := read(t, dir, "s.json")
	for _, want := range []string{`"notes": ["{{secret:github#1}}"]`, `"note": "{{secret:github#1}}"`, `"password": "{{secret:password#1}}"`} {
		if !strings.Contains(now, want) {
			t.Errorf("there is no %s in\n%s", want, now)
		}
	}
}

// TestMergeRenames gives the secrets in body files of a cassette that comes in
// numbers of their own.
func TestMergeRenames(t *testing.T) {
	s, _ := newStore(t)
	words := strings.Repeat("words in lines\n", wholeMost/10)
	recordAll(t, s, "a", RecordOptions{}, asked{req: get("/a"), res: ok(), answer: words + `{"password":"correct horse"}`})
	recordAll(t, s, "b", RecordOptions{}, asked{req: get("/b"), res: ok(), answer: words + `{"password":"battery staple"}`})
	both, err := Merge(load(t, s, "a"), load(t, s, "b"), PreferBoth)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put("c", both); err != nil {
		t.Fatal(err)
	}
	if wrong := invalid(s, "c"); wrong != "" {
		t.Fatal(wrong)
	}
	var ends []string
	for _, i := range load(t, s, "c").Interactions {
		r, err := i.Response.Body.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, strings.TrimPrefix(string(b), words))
	}
	if d := cmp.Diff([]string{`{"password":"{{secret:password#1}}"}`, `{"password":"{{secret:password#2}}"}`}, ends); d != "" {
		t.Errorf("bodies (-want +got):\n%s", d)
	}
}
