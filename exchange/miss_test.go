package exchange

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files in testdata anew")

// misses are the cases of TestMissError, by the name of their golden file.
func misses() map[string]*Miss {
	near := func(diffs ...Diff) *Near {
		return &Near{Method: "GET", URL: "https://api.example/items?page=1", Served: 1, Recorded: 1, Diffs: diffs}
	}
	return map[string]*Miss{
		"nothing": {Cassette: "api", Method: "GET", URL: "http://api.example/"},
		"hosts": {Cassette: "api", Method: "GET", URL: "https://other.example/", Reason: "no recording for this host",
			Hosts: []string{"api.example", "auth.example"}},
		"near": {Cassette: "tests/api.json", Method: "GET", URL: "https://api.example/items?page=2", Reason: "no recording equals it",
			Nearest: near(Diff{"query page", "1", "2"}), Accept: "--ignore query:page"},
		"absent": {Cassette: "api", Method: "POST", URL: "https://api.example/items", Reason: "no recording equals it",
			Nearest: near(Diff{"header x-trace", "", "abc"}, Diff{"body $.user.name", "alice", ""})},
		"served": {Cassette: "api", Method: "GET", URL: "https://api.example/items?page=1", Reason: "already served 1/1", Nearest: near()},
		"long": {Cassette: "api", Method: "POST", URL: "https://api.example/items",
			Nearest: near(Diff{"body", strings.Repeat("a", 80), strings.Repeat("b", 81)})},
	}
}

func TestMissError(t *testing.T) {
	for name, m := range misses() {
		golden := filepath.Join("testdata", "miss", name+".txt")
		got := m.Error() + "\n"
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s: Miss.Error differs (-want +got):\n%s", name, diff)
		}
	}
}
