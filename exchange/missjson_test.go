package exchange

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMissEncode(t *testing.T) {
	m := &Miss{Cassette: "c", Method: "GET", URL: "http://a/?p=3", Reason: "compared 200 of 201 recordings", Accept: "--ignore-query p",
		Nearest: &Near{"GET", "http://a/?p=2", 1, 2, []Diff{{"query p", "2", "\xff", "why"}}}}
	want := `{"error":"miss","method":"GET","url":"http://a/?p=3","cassette":"c","reason":"compared 200 of 201 recordings",` +
		`"nearest":{"method":"GET","url":"http://a/?p=2","served":1,"recorded":2,"differs":[{"at":"query p","recorded":"2","live":"` + "\uFFFD" + `","why":"why"}]},"accept":"--ignore-query p"}`
	if d := cmp.Diff(want, string(m.Encode())); d != "" {
		t.Errorf("Encode() (-want +got):\n%s", d)
	}
	m.Nearest.Diffs[0].Live = strings.Repeat("x", 1<<20)
	if n := len(m.Encode()); n > 2<<10 {
		t.Errorf("a miss with a value of 1 MiB takes %d bytes", n)
	}
}
