package cassette

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/exchange"
)

// secretive are the lines of a WebSocket with a secret in texts, bytes, a large
// message and the reason that it was closed for.
func secretive(token string) []phrase {
	big := strings.Repeat("0123456789abcdef\x00\x01", 1<<14)
	return []phrase{
		phrase(`>t {"auth":"` + token + `"}`), phrase("<t welcome " + token), phrase("<b " + big + " " + token + " " + big), phrase("<b " + big),
		phrase("<close 4000 " + token),
	}
}

// TestSocketsHide replaces secrets in what WebSockets say, and counts and numbers
// them as those of other messages; in an old cassette too.
func TestSocketsHide(t *testing.T) {
	token := seeds()["github"]
	for _, off := range []bool{false, true} {
		s, dir := newStore(t)
		if off {
			r, err := s.Record("x", RecordOptions{Redact: Redaction{Off: true}})
			if err != nil {
				t.Fatal(err)
			}
			w, err := r.Open(origin())
			if err != nil {
				t.Fatal(err)
			}
			tellSocket(t, w, 0, "", secretive(token)...)
			w.Close()
			if _, err := r.Close(false); err != nil {
				t.Fatal(err)
			}
			found, err := s.Secrets("x", Redaction{})
			if err != nil || len(found) != 4 || found[0].At != "/interactions/0/websocket/messages/0/body" {
				t.Errorf("Secrets() = %+v, %v; want those of 3 messages and the reason", found, err)
			}
			if found, err := s.Redact("x", Redaction{}); err != nil || len(found) != 4 {
				t.Errorf("Redact() = %+v, %v", found, err)
			}
		} else {
			recordSockets(t, s, "", secretive(token))
		}
		for _, f := range filesOf(t, dir) {
			if b := read(t, dir, f); strings.Contains(b, token[4:]) {
				t.Errorf("redaction off at first %v: the secret is in %s", off, f)
			}
		}
		c := load(t, s, "x")
		if d := cmp.Diff(map[string]int{"github": 1}, c.secretCount()); d != "" {
			t.Errorf("secrets (-want +got):\n%s", d)
		}
		if reason := c.Interactions[0].WebSocket.Close.Reason; reason != secretOpen+"github#1"+secretClose {
			t.Errorf("the reason is %q", reason)
		}
	}
}

// TestSocketsConvert carries WebSockets into a twin and back without loss, large
// messages as blobs.
func TestSocketsConvert(t *testing.T) {
	s, dir := newStore(t)
	recordSockets(t, s, "", append(secretive(seeds()["github"])[:4], ">end", "<end"))
	text := read(t, dir, "x.json")
	bodies := filesOf(t, dir)
	for _, to := range []Format{MessagePack, JSON} {
		if _, err := s.Convert("x", "x", to, func(int, int) {}); err != nil {
			t.Fatalf("Convert to %s: %v", to, err)
		}
		if to != MessagePack {
			continue
		}
		if b := read(t, dir, "x.smpk"); bytes.Count([]byte(b), []byte("0123456789abcdef\x00\x01")) < 3<<14 {
			t.Error("the twin has not the large messages")
		}
	}
	if d := cmp.Diff(text, read(t, dir, "x.json")); d != "" {
		t.Errorf("converted there and back (-want +got):\n%s", d)
	}
	if d := cmp.Diff(bodies, filesOf(t, dir)); d != "" {
		t.Errorf("files (-want +got):\n%s", d)
	}
}

// TestSocketsCompare tells what differs in what WebSockets say, side by side, and
// in how they end.
func TestSocketsCompare(t *testing.T) {
	recorded := func(lines ...phrase) *Cassette {
		s, _ := newStore(t)
		recordSockets(t, s, "", lines)
		return load(t, s, "x")
	}
	first := recorded(">t a", "<t 1", ">t b", "<t 2", "<close 1000 bye")
	if got := Compare(first, recorded(">t a", ">t b", "<t 1", "<t 2", "<close 1000 bye")); len(got) != 0 {
		t.Errorf("in another order: %v; want no change", got)
	}
	got := Compare(first, recorded(">t a", "<t 1", ">t c", "<t 2", "<t 3", "<close 1001"))
	want := []exchange.Diff{
		{At: "sent message 2", Recorded: `client: "b"`, Live: `client: "c"`},
		{At: "received message 3", Live: `server: "3"`},
		{At: "close", Recorded: "server: 1000 bye", Live: "server: 1001"},
	}
	if len(got) != 1 {
		t.Fatalf("Compare() = %v; want one change", got)
	}
	if d := cmp.Diff(want, got[0].Diffs); d != "" {
		t.Errorf("Compare() (-want +got):\n%s", d)
	}
}
