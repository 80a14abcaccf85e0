package cassette

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestRecordUsers records two users at one URL again, in the other order: each
// keeps their interaction, and a third answer to the same user its place.
func TestRecordUsers(t *testing.T) {
	s, dir := newStore(t)
	me := func(token, answer string, at time.Duration) asked {
		return asked{req: get("/me", "Authorization: Bearer "+token), res: ok(), answer: answer, at: at}
	}
	recordAll(t, s, "x", RecordOptions{}, me("token-of-alice", "alice 1", 0), me("token-of-bobby", "bob 1", 1), me("token-of-alice", "alice 2", 2), me("token-of-bobby", "bob 2", 3))
	first := read(t, dir, "x.json")
	sum := recordAll(t, s, "x", RecordOptions{}, me("token-of-bobby", "bob 1", 0), me("token-of-bobby", "bob 2", 1), me("token-of-alice", "alice 1", 2), me("token-of-alice", "alice 2", 3))
	if d := cmp.Diff(first, read(t, dir, "x.json")); d != "" || sum.Kept != 4 {
		t.Errorf("kept %d; in another order it differs (-first +again):\n%s", sum.Kept, d)
	}
	sum = recordAll(t, s, "x", RecordOptions{}, me("token-of-bobby", "bob 2", 0), me("token-of-bobby", "bob 1", 1), me("token-of-alice", "alice 1", 2), me("token-of-alice", "alice 2", 3))
	var bodies []string
	for _, i := range load(t, s, "x").Interactions {
		bodies = append(bodies, string(i.Response.Body.data))
	}
	if want := []string{"alice 1", "bob 2", "alice 2", "bob 1"}; !slices.Equal(bodies, want) {
		t.Errorf("answers to bob in the other order: %q, kept %d; want %q", bodies, sum.Kept, want)
	}
}
