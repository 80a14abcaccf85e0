package cassette

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// appendEnv has TestTwinKilled be the process that is killed: it names the
// directory that it appends to until then.
const appendEnv = "SERGE_NET_TEST_APPEND"

// TestTwinKilled kills a process that appends to a twin, at any moment, and holds
// that nothing that it had said was recorded is lost, and that the twin is whole
// after the next recording.
func TestTwinKilled(t *testing.T) {
	if dir := os.Getenv(appendEnv); dir != "" {
		appendUntilKilled(t, dir)
		return
	}
	s, dir := newStore(t)
	rounds := 12
	if os.Getenv("SERGE_TEST_ALL") != "" {
		rounds = 200
	}
	const seed = 7
	random := rand.New(rand.NewPCG(seed, seed))
	told := 0
	for round := range rounds {
		child := exec.Command(os.Args[0], "-test.run=^TestTwinKilled$")
		child.Env = append(os.Environ(), appendEnv+"="+dir)
		var out strings.Builder
		child.Stdout = &out
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Duration(50+random.IntN(200))*time.Millisecond, func() { child.Process.Kill() })
		_ = child.Wait()
		for line := range strings.Lines(out.String()) {
			var n int
			if _, err := fmt.Sscanf(line, "appended, now %d\n", &n); err == nil {
				told = n
			}
		}
		if told > 0 { // what a replay sees before anybody recovers
			m, err := s.Mount("x")
			if err != nil || m.Len() < told {
				t.Fatalf("round %d (seed %d): after %d were told there are %d: %v", round, seed, told, m.Len(), err)
			}
			m.Close()
		}
		if _, _, err := s.Recover("x"); err != nil {
			t.Fatalf("round %d (seed %d): Recover() = %v", round, seed, err)
		}
	}
	t.Logf("%d rounds, %d interactions told", rounds, told)
	sum := recordAll(t, s, "x", RecordOptions{Append: true, Format: MessagePack}, asked{req: get("/last"), res: ok()})
	if sum.Interactions <= told {
		t.Errorf("%d interactions after %d were told", sum.Interactions, told)
	}
	if wrong := invalid(s, "x"); wrong != "" {
		t.Error(wrong)
	}
	for n, i := range load(t, s, "x").Interactions {
		if want := fmt.Sprintf("http://api.example.com/%d", n); n < sum.Interactions-1 && i.Request.URL != want && told > 0 {
			t.Fatalf("the %dth is %s; want %s", n, i.Request.URL, want)
		}
	}
}

// appendUntilKilled appends interactions, /0 and on, as many as it can.
func appendUntilKilled(t *testing.T, dir string) {
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Recover("x"); err != nil {
		t.Fatal(err)
	}
	next := 0
	if m, err := s.Mount("x"); err == nil {
		next = m.Len()
		m.Close()
	}
	for {
		var as []asked
		for range 5 {
			as = append(as, asked{req: get(fmt.Sprintf("/%d", next)), res: ok(), answer: strings.Repeat("x", next%3*inlineMost), at: time.Duration(next) * time.Minute})
			next++
		}
		sum := recordAll(t, s, "x", RecordOptions{Append: true, Format: MessagePack}, as...)
		fmt.Printf("appended, now %d\n", sum.Interactions)
	}
}
