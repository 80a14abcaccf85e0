package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestClean(t *testing.T) {
	files := map[string]string{
		"cassettes/new.json":              strings.Replace(users("ada=Ada", "bob=Bob"), `"interactions"`, `"recorded_at": "2999-01-01T00:00:00.000Z", "interactions"`, 1),
		"cassettes/new.bodies/b.bin":      "bb",
		"cassettes/plain.json":            strings.Replace(plain, "2026-11-22", "2020-01-01", 1),
		"cassettes/.failed/plain.json":    "{}",
		"cassettes/gone.bodies/stray.bin": "x",
	}
	inShelf(t, files)
	old := "cassette plain, recorded " + age(time.Date(2020, 1, 1, 19, 0, 0, 0, time.UTC), time.Now()) + " ago, 1 interaction, 333 B\n"
	const (
		orphans = "cassettes/gone.bodies/stray.bin, 1 B: there is no cassette gone\ncassettes/new.bodies/b.bin, 2 B: the cassette refers to no such body\n"
		failed  = "the recording of plain that failed, 2 B\n"
	)
	report := func(name string, code, held int, unused ...recorded) {
		a := account{Version: 1, ExitCode: code, Cassette: accountCassette{Name: "new", Interactions: held}, Replay: &accountReplay{Unused: unused}}
		b, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	report("one", 0, 2, recorded{ID: "ada.1"}, recorded{ID: "bob.1"})
	report("two", 0, 2, recorded{ID: "bob.1"})
	report("failed", 97, 2)
	report("other", 0, 3)
	ask := "serge-net: error: nothing was removed: there is no terminal to ask on\nserge-net: hint: --yes removes without asking\n"
	for _, c := range []typed{
		{"nothing named", []string{"clean"}, exitStart, "", "serge-net: error: nothing named to clean\n" +
			"serge-net: hint: serge-net clean --older AGE | --unused REPORT | --orphans | --failed; --dry-run only lists it\n"},
		{"dry", []string{"clean", "--older", "1h", "--orphans", "--failed", "--dry-run"}, 0, old + orphans + failed + "4 things, 338 B would be removed\n", ""},
		{"not asked", []string{"clean", "--orphans"}, exitStart, orphans, ask},
		{"no age", []string{"clean", "--older", "soon"}, exitStart, "", "serge-net: error: --older: cassette: not an age: \"soon\"; one is 720h, 30d or 12w, and 0 is none\n"},
		{"nothing so old", []string{"clean", "--older", "36525d"}, 0, "nothing to clean\n", ""},
		{"a run that failed", []string{"clean", "--unused", "failed"}, exitStart, "", "serge-net: error: --unused failed: of a run that ended with 97: what it did not use says nothing\n" +
			"serge-net: hint: serge-net replay NAME --report json=FILE -- CMD ARGS… writes one\n"},
		{"another recording", []string{"clean", "--unused", "other"}, exitStart, "", "serge-net: error: --unused other: new held 3 interactions then, and holds 2 now\n" +
			"serge-net: hint: replay it again with --report json=FILE\n"},
		{"unused", []string{"clean", "--unused", "one", "--unused", "two", "--yes"}, 0, "interaction bob.1 of new, unused: GET http://a.example/bob -> 200\n1 thing, 0 B removed\n", ""},
		{"all", []string{"clean", "--older", "1h", "--orphans", "--failed", "-y"}, 0, old + orphans + failed + "4 things, 338 B removed\n", ""},
	} {
		c.check(t)
	}
	entries, err := os.ReadDir("cassettes")
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if d := cmp.Diff([]string{"new.json"}, left); d != "" {
		t.Errorf("left (-want +got):\n%s", d)
	}
	typed{"what is left", []string{"show", "new"}, 0, "", ""}.holds(t, "ada.1", "1 interaction")
}

// holds is check, but stdout need only hold the texts.
func (c typed) holds(t *testing.T, texts ...string) {
	t.Helper()
	var stdout, stderr strings.Builder
	code := Main(c.args, &stdout, &stderr)
	for _, text := range texts {
		if code != c.code || !strings.Contains(stdout.String(), text) {
			t.Errorf("%s: exit code %d, no %q in\n%s%s", c.name, code, text, &stdout, &stderr)
		}
	}
}
