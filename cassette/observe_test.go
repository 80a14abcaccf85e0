package cassette

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/serge-net/serge-net/exchange"
)

// TestObserve compares what passes with a cassette, and leaves no file.
func TestObserve(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	s, _ := newStore(t)
	large := strings.Repeat("x", wholeMost+1)
	recordAll(t, s, "c", RecordOptions{}, asked{req: get("/a"), res: ok(), answer: "1"}, asked{req: get("/large"), res: ok(), answer: large, at: time.Minute})
	r, err := Observe(RecordOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for n, a := range []asked{{req: get("/a"), res: ok(), answer: "2"}, {req: get("/large"), res: ok(), answer: large}} {
		w, err := r.Open(origin())
		if err != nil {
			t.Fatal(err)
		}
		a.tell(t, w, uint64(n))
		w.Close()
	}
	c, err := r.Observed()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, ch := range Compare(load(t, s, "c"), c) {
		got = append(got, ch.String())
	}
	if d := cmp.Diff([]string{"~ GET http://api.example.com/a\n    body line 1: 1 -> 2"}, got); d != "" {
		t.Errorf("changes (-want +got):\n%s", d)
	}
	if _, err := r.Close(false); err != nil {
		t.Errorf("Close() = %v", err)
	}
	if err := r.DNS(DNS{}); !errors.Is(err, ErrClosed) {
		t.Errorf("DNS() after Close() = %v; want ErrClosed", err)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestRecordMerge keeps what was not asked for, and replaces what was.
func TestRecordMerge(t *testing.T) {
	s, dir := newStore(t)
	at := func(n int, path, says string) asked {
		return asked{req: get(path), res: ok(), answer: says, at: time.Duration(n) * time.Minute}
	}
	recordAll(t, s, "m", RecordOptions{}, at(0, "/a", "a1"), at(1, "/b", "b1"), at(2, "/b", "b2"), at(3, "/c", "c1"))
	sum := recordAll(t, s, "m", RecordOptions{Merge: true}, at(0, "/c", "c1"), at(1, "/b", "b3"), at(2, "/d", "d1"))
	var got []string
	for _, i := range load(t, s, "m").Interactions {
		r, err := i.Response.Body.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(r)
		got = append(got, string(b))
	}
	if want := []string{"a1", "b3", "d1", "c1"}; !cmp.Equal(want, got) || sum.Kept != 1 {
		t.Errorf("merged %v, kept %d; want %v, 1", got, sum.Kept, want)
	}
	for _, nonce := range []string{"6f1c0a52-98a1-4c3e-9a52-0c2b1f6e0001", "0b0e2d1c-1111-4c3e-8a52-0c2b1f6e0002"} {
		recordAll(t, s, "o", RecordOptions{Merge: true}, asked{req: post("/o", "Content-Type: application/json"), body: `{"nonce":"` + nonce + `"}`, res: ok()})
	}
	if n := len(load(t, s, "o").Interactions); n != 1 {
		t.Errorf("with another nonce there are %d interactions; want the new one in place of the old", n)
	}
	recordAll(t, s, "n", RecordOptions{}, at(0, "/a", "a1"), at(1, "/b", "b1"))
	before := read(t, dir, "n.json")
	if sum := recordAll(t, s, "n", RecordOptions{Merge: true}, at(0, "/b", "b1")); sum.Changed || read(t, dir, "n.json") != before {
		t.Errorf("the same again changed the file: %+v", sum)
	}
	if sum := recordAll(t, s, "n", RecordOptions{Merge: true, Renew: true}, at(0, "/b", "b1")); !sum.Changed {
		t.Errorf("Renew left the date as it was: %+v", sum)
	}
	dated := func(s string) string {
		_, rest, _ := strings.Cut(s, `"recorded_with"`)
		return rest
	}
	if d := cmp.Diff(dated(before), dated(read(t, dir, "n.json"))); d != "" {
		t.Errorf("Renew changed more than the date:\n%s", d)
	}
}

// TestRecordDoubtful lists answers that a replay should rather not repeat.
func TestRecordDoubtful(t *testing.T) {
	s, _ := newStore(t)
	status := func(n int) asked {
		return asked{req: get("/a"), res: &exchange.Head{Status: n, Version: "1.1"}, at: time.Duration(n) * time.Minute}
	}
	sum := recordAll(t, s, "d", RecordOptions{}, status(200), status(404), status(429), status(503))
	var got []int
	for _, i := range sum.Doubtful {
		got = append(got, i.Response.Status)
	}
	if want := []int{429, 503}; !cmp.Equal(want, got) {
		t.Errorf("Doubtful %v; want %v", got, want)
	}
}

// TestCommand keeps the name of the command that recorded first.
func TestCommand(t *testing.T) {
	s, _ := newStore(t)
	for n, command := range []string{"", "gradlew", "pytest"} {
		recordAll(t, s, "default", RecordOptions{Command: command}, asked{req: get("/a"), res: ok(), answer: command})
		if got, want := load(t, s, "default").Command(), []string{"", "gradlew", "gradlew"}[n]; got != want {
			t.Errorf("after %q: Command() = %q; want %q", command, got, want)
		}
	}
}
