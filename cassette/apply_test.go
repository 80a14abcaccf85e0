package cassette

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// heldBy is a line for each interaction of a cassette: target, the number of its
// secret, answer.
func heldBy(t *testing.T, c *Cassette) []string {
	t.Helper()
	var out []string
	for _, i := range c.Interactions {
		b, ok, err := i.Response.Body.Whole()
		if err != nil || !ok {
			t.Fatal(err)
		}
		line := i.Request.URL[strings.LastIndex(i.Request.URL, "/"):]
		for _, f := range i.Request.Fields {
			if f.Name == "Authorization" {
				line += " " + f.Value[strings.Index(f.Value, "#"):len(f.Value)-2]
			}
		}
		out = append(out, line+" "+string(b[:min(len(b), 8)]))
	}
	return out
}

func TestMerge(t *testing.T) {
	to := func(target, answer string) asked { return asked{req: get(target), res: ok(), answer: answer} }
	as := func(who, target, answer string) asked {
		return asked{req: get(target, "Authorization: Bearer "+who), res: ok(), answer: answer}
	}
	big := strings.Repeat("\x00big", 9<<10)
	for _, tt := range []struct {
		name       string
		olds, news []asked
		prefer     Prefer
		want       []string
	}{
		{"union", []asked{to("/a", "1"), to("/b", "2")}, []asked{to("/b", "2"), to("/c", "3")}, PreferBoth, []string{"/a 1", "/b 2", "/c 3"}},
		{"groups in order", []asked{to("/a", "1"), to("/a", "2")}, []asked{to("/a", "2"), to("/a", "3")}, PreferBoth, []string{"/a 1", "/a 2", "/a 3"}},
		{"as often as one has it", []asked{to("/a", "1")}, []asked{to("/a", "1"), to("/a", "1")}, PreferBoth, []string{"/a 1", "/a 1"}},
		{"old", []asked{to("/a", "1"), to("/b", "1")}, []asked{to("/a", "2"), to("/c", "3")}, PreferOld, []string{"/a 1", "/b 1", "/c 3"}},
		{"new", []asked{to("/a", "1"), to("/b", "1")}, []asked{to("/a", "2"), to("/c", "3")}, PreferNew, []string{"/b 1", "/a 2", "/c 3"}},
		{"other secrets", []asked{as("ada", "/a", "1"), as("bob", "/b", "2")}, []asked{as("cyn", "/c", "3"), as("dan", "/b", "2"), as("dan", "/d", "4")}, PreferBoth,
			[]string{"/a #1 1", "/b #2 2", "/c #3 3", "/d #2 4"}},
		{"body files", []asked{to("/a", big)}, []asked{to("/b", big[1:])}, PreferBoth, []string{"/a \x00big\x00big", "/b big\x00big\x00"}},
	} {
		s, dir := newStore(t)
		recordAll(t, s, "old", RecordOptions{}, tt.olds...)
		recordAll(t, s, "new", RecordOptions{}, tt.news...)
		for _, name := range []string{"old", "new"} {
			if d := load(t, s, name); len(d.Interactions) == 0 {
				t.Fatal(name)
			}
		}
		merged, err := Merge(load(t, s, "old"), load(t, s, "new"), tt.prefer)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if err := s.Put("deep/out", merged); err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		got := heldBy(t, load(t, s, "deep/out"))
		slices.SortStableFunc(got, func(a, b string) int { return strings.Compare(a[:2], b[:2]) })
		want := slices.Clone(tt.want)
		slices.SortStableFunc(want, func(a, b string) int { return strings.Compare(a[:2], b[:2]) })
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, d)
		}
		if n, found, err := s.Validate("deep/out"); err != nil || len(found) > 0 || n != len(tt.want) {
			t.Errorf("%s: what was written: %d interactions, %v, %v\n%s", tt.name, n, found, err, read(t, dir, "deep/out.json"))
		}
	}
}

// TestMergeRest unites rules and names, and never gives an address to two names.
func TestMergeRest(t *testing.T) {
	parsed := func(text string) *Cassette {
		c, err := parse([]byte(text), noFiles)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	old := parsed(`{"rules": {"bypass": ["a"], "later": 1}, "dns": {"pins": [{"name": "a", "v4": "198.18.0.1"}]}, "interactions": [{"kind": "dns", "dns": {"name": "x.", "type": "MX", "rcode": "NXDOMAIN"}}]}`)
	new := parsed(`{"rules": {"bypass": ["b"]}, "dns": {"pins": [{"name": "b", "v4": "198.18.0.1"}, {"name": "c", "v4": "198.18.0.3"}]}, "interactions": [{"kind": "smoke", "n": 1}]}`)
	c, err := Merge(old, new, PreferBoth)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := c.write(&text); err != nil {
		t.Fatal(err)
	}
	pins := []Pin{{Name: "a", V4: netip.MustParseAddr("198.18.0.1")}, {Name: "c", V4: netip.MustParseAddr("198.18.0.3")}}
	if !slices.Equal(c.Pins, pins) || !slices.Equal(c.Rules.Bypass, []string{"a", "b"}) || len(c.DNS) != 1 {
		t.Errorf("pins %v, rules %v, DNS %v", c.Pins, c.Rules, c.DNS)
	}
	for _, want := range []string{`"later": 1`, `"smoke"`} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %s in\n%s", want, &text)
		}
	}
}

// TestApply takes some changes and leaves others.
func TestApply(t *testing.T) {
	s, _ := newStore(t)
	to := func(target, answer string) asked { return asked{req: get(target), res: ok(), answer: answer} }
	recordAll(t, s, "old", RecordOptions{}, to("/a", "1"), to("/b", "1"), to("/c", "1"), to("/d", "1"))
	recordAll(t, s, "new", RecordOptions{}, to("/a", "2"), to("/b", "2"), to("/d", "1"), to("/e", "2"), to("/f", "2"))
	old, new := load(t, s, "old"), load(t, s, "new")
	var taken []Change
	for _, c := range Compare(old, new) {
		switch c.String()[:2+len("GET http://api.example.com/x")] {
		case "~ GET http://api.example.com/a", "- GET http://api.example.com/c", "+ GET http://api.example.com/f":
			taken = append(taken, c)
		}
	}
	if len(taken) != 3 {
		t.Fatalf("of %v", Compare(old, new))
	}
	ids := []string{old.Interactions[0].ID, old.Interactions[1].ID}
	c, err := Apply(old, new, taken)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put("old", c); err != nil {
		t.Fatal(err)
	}
	c = load(t, s, "old")
	if d := cmp.Diff([]string{"/a 2", "/b 1", "/d 1", "/f 2"}, heldBy(t, c)); d != "" {
		t.Errorf("Apply() (-want +got):\n%s", d)
	}
	if c.Interactions[0].ID != ids[0] || c.Interactions[1].ID != ids[1] || c.Interactions[3].Seq != 4 {
		t.Errorf("IDs and places: %v", c.lines())
	}
	r, err := s.Record("old", RecordOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close(false)
	if err := s.Put("old", c); !errors.Is(err, ErrBusy) {
		t.Errorf("Put() of what is being recorded = %v; want ErrBusy", err)
	}
}
