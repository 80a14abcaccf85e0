package main

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// topics is a WebSocket that welcomes, and tells news of what it is told.
const topics = "wss://" + testnet.WWW + "/ws/topics"

// TestWebSocketSessions has eight clients at once, of one URL, each hear what it
// heard, in whatever order they come.
func TestWebSocketSessions(t *testing.T) {
	r := newRig(t)
	const all = `for n in "$@"; do "$CLIENT" $URL hear "sub $n" hear "more of $n" hear close & done; wait`
	run := func(mode string, order ...string) string {
		argv := append([]string{mode, "c", "--", "env", "CLIENT=" + r.client("wstalk"), "URL=" + topics, "sh", "-c", all, "sh"}, order...)
		lines := strings.Split(strings.TrimSpace(r.well(argv...).stdout), "\n")
		slices.Sort(lines)
		return strings.Join(lines, "\n")
	}
	recorded := run("record", "1", "2", "3", "4", "5", "6", "7", "8")
	if !strings.Contains(recorded, "welcome, news of sub 8, news of more of 8, websocket: close 1000 (normal)") {
		t.Fatalf("recorded:\n%s", recorded)
	}
	if diff := cmp.Diff(recorded, run("replay", "5", "8", "2", "7", "1", "3", "6", "4")); diff != "" {
		t.Errorf("replayed (-recorded +replayed):\n%s", diff)
	}
}

// TestWebSocketEndedEarly tells of a client that leaves before it has said all, in
// the text and in both reports.
func TestWebSocketEndedEarly(t *testing.T) {
	r := newRig(t)
	client := r.client("wstalk")
	r.record("c", client, topics, "hear", "one", "hear", "two", "hear", "close")
	o := r.well("replay", "c", "--report", "junit=r.xml", "--report", "json=r.json", "--", client, topics, "hear", "one", "hear", "leave")
	const evidence = "2 of 5 recorded messages were not said, from this on: two"
	if want := "serge-net: ended early: MESSAGE " + topics + "  " + evidence + "\n"; !strings.Contains(o.stderr, want) {
		t.Errorf("no %q in\n%s", want, o.stderr)
	}
	a := accountAt(t, filepath.Join(r.dir, "r.json"))
	if diff := cmp.Diff([]assumed{{"MESSAGE", topics, evidence}}, a.Replay.Unsaid); diff != "" {
		t.Errorf("json (-want +got):\n%s", diff)
	}
	b, err := os.ReadFile(filepath.Join(r.dir, "r.xml"))
	var s junitSuites
	if err == nil {
		err = xml.Unmarshal(b, &s)
	}
	if err != nil {
		t.Fatal(err)
	}
	if c := s.Suite.Cases[len(s.Suite.Cases)-1]; s.Suite.Skipped != 1 || c.Skipped == nil || c.Skipped.Message != evidence {
		t.Errorf("junit: %d skipped, %+v; want %q\n%s", s.Suite.Skipped, c, evidence, b)
	}
}

// TestWebSocketNew goes on to the origin with a WebSocket that is not recorded, and
// ends one that was begun from the cassette and says what is not.
func TestWebSocketNew(t *testing.T) {
	r := newRig(t)
	client := r.client("wstalk")
	r.record("c", client, topics, "hear", "one", "hear", "close")
	other := topics + "?of=other"
	mode := func(code int, argv ...string) outcome {
		t.Helper()
		o := r.serge(append([]string{"run", "--cassette", "c", "--mode", "new", "--", client}, argv...)...)
		if o.code != code {
			t.Errorf("%v: exit code %d; want %d\n%s", argv, o.code, code, o.stderr)
		}
		return o
	}
	hits := r.hitsIn(func() { mode(0, other, "hear", "one", "hear", "close") })
	if diff := cmp.Diff(map[string]int{testnet.WWW + "/ws/topics": 1}, hits); diff != "" {
		t.Errorf("what is not recorded reaches the origin (-want +got):\n%s", diff)
	}
	hits = r.hitsIn(func() {
		o := mode(0, other, "hear", "one", "hear", "close")
		if want := "welcome, news of one, websocket: close 1000 (normal)\n"; o.stdout != want {
			t.Errorf("played: %q; want %q", o.stdout, want)
		}
		o = mode(97, topics, "hear", "what else?", "hear")
		if want := "welcome, websocket: close 1008 (policy violation): serge-net: this message is not recorded\n"; o.stdout != want {
			t.Errorf("begun from the cassette: %q; want %q", o.stdout, want)
		}
		for _, want := range []string{"the client says what was not recorded here", "body: one -> what else?"} {
			if !strings.Contains(o.stderr, want) {
				t.Errorf("no %q in\n%s", want, o.stderr)
			}
		}
	})
	if len(hits) > 0 {
		t.Errorf("what is recorded reaches the origin: %v", hits)
	}
}
