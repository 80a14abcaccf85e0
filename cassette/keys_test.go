package cassette

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMatcherVersion holds that keys in an index stay what they were for as long
// as matcherVersion does: a twin that was written with others would not be found in.
func TestMatcherVersion(t *testing.T) {
	var got strings.Builder
	fmt.Fprintf(&got, "matcher version %d\n", matcherVersion)
	ins, err := filepath.Glob("testdata/*.json")
	if err != nil || len(ins) == 0 {
		t.Fatal("no golden files", err)
	}
	all := []*Interaction{usual(1)}
	for _, in := range ins {
		b, err := os.ReadFile(in)
		if err != nil {
			t.Fatal(err)
		}
		c, err := parse(b, noFiles)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c.Interactions...)
	}
	for _, i := range all {
		e := entryOf(i, &i.key)
		fmt.Fprintf(&got, "%016x %016x %016x %016x %016x  %s\n", e.route, e.loose, e.canon, e.alike, e.answer, i.Line())
	}
	const golden = "testdata/keys.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got.String()); d != "" {
		t.Errorf("keys of requests or answers changed: raise matcherVersion, then go test -run TestMatcherVersion -update (-want +got):\n%s", d)
	}
}
