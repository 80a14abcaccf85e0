package exchange

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

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
			Nearest: near(Diff{"query page", "1", "2", ""}), Accept: "--ignore-query page"},
		"absent": {Cassette: "api", Method: "POST", URL: "https://api.example/items", Reason: "no recording equals it",
			Nearest: near(Diff{"header x-trace", "", "abc", ""}, Diff{"body $.user.name", "alice", "", ""})},
		"hopeless": {Method: "CONNECT", URL: "tcp://db.example:5432", Reason: "psql (pid 7) speaks neither TLS nor HTTP"},
		"served":   {Cassette: "api", Method: "GET", URL: "https://api.example/items?page=1", Reason: "already served 1/1", Nearest: near()},
		"long": {Cassette: "api", Method: "POST", URL: "https://api.example/items",
			Nearest: near(Diff{"body", strings.Repeat("a", 80), strings.Repeat("b", 81), ""})},
		"runes": {Cassette: "api", Method: "POST", URL: "https://api.example/items",
			Nearest: near(Diff{"body", strings.Repeat("é", 40), "a" + strings.Repeat("é", 40), ""})},
		"hostile": {Cassette: "api", Method: "GET\r", URL: "https://api.example/\x1b[2J", Reason: "no\nrecording",
			Nearest: near(Diff{"body \x9b", "\x1b]0;owned\a", "\u202egpj.exe \xff\u009b", ""}), Accept: "--ignore-query '\x7f'"},
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

// FuzzVisible checks that what is printed drives no terminal and that what
// needs no escaping has none.
func FuzzVisible(f *testing.F) {
	for _, s := range []string{"", "page", "é…", "\x1b[31m", "\xff\xfe", "\u202e", "\r\n\t", "\ufffd", "'", `\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Visible(s)
		for _, r := range got {
			if !unicode.IsPrint(r) || r == utf8.RuneError {
				t.Errorf("Visible(%q) = %q, which has %q", s, got, r)
			}
		}
		if again := Visible(got); again != got {
			t.Errorf("Visible(%q) = %q; want it as it is", got, again)
		}
		if short := shown(s); !utf8.ValidString(short) {
			t.Errorf("shown(%q) = %q", s, short)
		}
	})
}
