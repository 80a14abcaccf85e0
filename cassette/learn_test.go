package cassette

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLearn records twice: what differs for no reason that is known without it is
// learned, and a replay by that is answered.
func TestLearn(t *testing.T) {
	run := func(pid int, id, server string) []asked {
		return []asked{
			rec(post("/start"), "", fmt.Sprintf(`{"session": %s}`, server)),
			rec(post("/a", jsonType), fmt.Sprintf(`{"pid":%d,"id":%q,"session":%s,"at":%s,"n":1}`, pid, id, server, unixNow(1000)), "A"),
			rec(with("PUT", get(fmt.Sprintf("/o/%s?pid=%d", id, pid), "Content-Type: text/plain")), fmt.Sprint("pid ", pid), "B"),
		}
	}
	s, _ := newStore(t)
	recordAll(t, s, "first", RecordOptions{}, run(4711, u1, "17")...)
	recordAll(t, s, "second", RecordOptions{}, run(4812, v1, "18")...)
	first := load(t, s, "first")
	got, err := Learn(first, load(t, s, "second"))
	const because = "differed in 2 of 2 recordings"
	want := []Rule{
		{ID: "learned-1", Route: "POST http://api.example.com/a", At: "request.body.json/pid", Is: "volatile", Because: because},
		{ID: "learned-2", Route: "PUT http://api.example.com/o/{id}", At: "request.query/pid", Is: "volatile", Because: because},
	}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Fatalf("Learn() error %v (-want +got):\n%s", err, d)
	}
	if changed, err := s.Accept("first", Rules{Match: got}); !changed || err != nil {
		t.Fatalf("Accept() = %v, %v", changed, err)
	}
	first = load(t, s, "first")
	if d := cmp.Diff(want, first.Rules.Match); d != "" {
		t.Errorf("read again (-want +got):\n%s", d)
	}
	p := playerOf(t, first, PlayOptions{})
	for n, a := range run(1, v2, "17")[:2] {
		if got := ask(t, p, a.req, a.body); got.miss != nil || got.body != a.answer {
			t.Errorf("request %d is answered %q, %v; want %q", n, got.body, got.miss, a.answer)
		}
	}
}
