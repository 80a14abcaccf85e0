package cassette

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// twinEnv has playerOf play from a twin.
const twinEnv = "SERGE_NET_TEST_TWIN"

// twinned is c mounted from a twin in memory, of two commits if it can be.
func twinned(t *testing.T, c *Cassette) *Cassette {
	t.Helper()
	var out bytes.Buffer
	if err := c.writeTwin(&out, false, c.each); err != nil {
		t.Fatal(err)
	}
	tw, err := openTwin(bytes.NewReader(out.Bytes()), int64(out.Len()), noFiles, false)
	if err != nil {
		t.Fatal(err)
	}
	m := tw.cassette
	m.Name, m.twin = c.Name, tw
	return m
}

// TestTwinPlays holds that all that is held of players is true of those of twins.
func TestTwinPlays(t *testing.T) {
	t.Setenv(twinEnv, "1")
	for name, test := range map[string]func(*testing.T){
		"match": TestPlayMatch, "repeats": TestPlayRepeats, "gives back": TestPlayGivesBack, "parallel": TestPlayParallel,
		"secrets": TestPlaySecrets, "conditional": TestPlayConditional, "expect": TestPlayExpect, "versions": TestPlayVersions,
		"dates": TestPlayDates, "offer": TestOffer, "wire": TestWireForms, "upgrade": TestUpgrade, "coding": TestContentCoding,
		"evidence": TestMatch, "begun": TestPlayBegun, "port": TestDefaultPort, "all": TestRecordLoadPlay,
	} {
		t.Run(name, test)
	}
}

// TestTwinMany plays some thousand recordings, in and out of their order, from a
// twin that holds a window of them: repeats, many of a kind, misses.
func TestTwinMany(t *testing.T) {
	n := 3000
	if os.Getenv("SERGE_TEST_ALL") != "" {
		n = 1000000
	}
	s, _ := newStore(t)
	recordMany(t, s, n, 5)
	m, err := s.Mount("x")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	p := playerOf(t, m, PlayOptions{Repeat: RepeatNever})
	for k := range n {
		k = (k * 7919) % n
		if k%3 == 1 {
			continue // asked in their order, below
		}
		if a := ask(t, p, many(k), ""); a.body != fmt.Sprint("answer ", k) {
			t.Fatalf("%s is answered %q", many(k).Target, a.body)
		}
	}
	for k := 1; k < n; k += 3 {
		if a := ask(t, p, many(k), ""); a.body != fmt.Sprint("answer ", k) {
			t.Fatalf("the %dth of many is answered %q", k, a.body)
		}
	}
	if a := ask(t, p, many(1), ""); a.miss == nil || !strings.Contains(a.miss.Reason, fmt.Sprintf("already served %d/%d", (n+1)/3, (n+1)/3)) {
		t.Errorf("one more is answered %q, %v", a.body, a.miss)
	}
	a := ask(t, p, get("/items?id=none"), "")
	if a.miss == nil || a.miss.Reason != fmt.Sprintf("compared %d of %d recordings", compareMost, (n+2)/3) || a.miss.Nearest == nil {
		t.Errorf("a miss among many: %q, %+v", a.body, a.miss)
	}
	if tally := p.Tally(); tally.Served != n || tally.Exact != n || tally.Left != 0 || len(tally.Unused) != 0 {
		t.Errorf("Tally() = %d served, %d exact, %d left", tally.Served, tally.Exact, tally.Left)
	}
	p = playerOf(t, m, PlayOptions{})
	ask(t, p, many(0), "")
	if tally := p.Tally(); tally.Left != n-1 || len(tally.Unused) != min(n-1, unusedMost) || tally.Unused[0].Seq != 2 {
		t.Errorf("Tally() = %d left, %d told", tally.Left, len(tally.Unused))
	}
}

// recordMany records n requests, and appends some of them as often as commits says.
func recordMany(t *testing.T, s *Store, n, commits int) {
	t.Helper()
	told := 0
	for c := range commits {
		r, err := s.Record("x", RecordOptions{Append: true, Format: MessagePack})
		if err != nil {
			t.Fatal(err)
		}
		w, err := r.Open(origin())
		if err != nil {
			t.Fatal(err)
		}
		for ; told < n*(c+1)/commits; told++ {
			asked{req: many(told), res: ok(), answer: fmt.Sprint("answer ", told), at: time.Duration(told) * time.Second}.tell(t, w, uint64(told+1))
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Close(false); err != nil {
			t.Fatal(err)
		}
	}
}

// many is the nth of many requests: a third are of one route, a third the same,
// the others each of a route of its own.
func many(n int) *exchange.Head {
	switch n % 3 {
	case 0:
		return get(fmt.Sprintf("/items?id=%d", n))
	case 1:
		return get("/same")
	}
	return get(fmt.Sprintf("/own/%d", n))
}
