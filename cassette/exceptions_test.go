package cassette

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/serge-net/serge-net/exchange"
)

// TestNothingElseChanges holds serving to the closed list of what it changes
// (invariant 5): with no secret, nothing bound and no date moved, whatever the
// options, a client gets what the recorded one got, event by event.
func TestNothingElseChanges(t *testing.T) {
	paced := Latency{Scale: 1, Mean: 1, Spread: 1}
	options := map[string]PlayOptions{
		"none":   {KeepDates: true},
		"exact":  {KeepDates: true, Match: MatchExact, Repeat: RepeatNever, Order: OrderAll},
		"paced":  {KeepDates: true, Latency: paced, Repeat: RepeatCycle, Order: OrderHost},
		"loose":  {KeepDates: true, Match: MatchLoose, Repeat: RepeatFirst},
		"scoped": {KeepDates: true},
	}
	raw := "HTTP/1.1 200 Fine\nDate:  Thu, 01 Jan 2026 00:00:00 GMT\nage :5\nETag: \"6f1c0a52-98a1-4c3e-9a52-0c2b1f6e0001\"\nSunset: Thu, 01 Jan 2026 00:00:00 GMT\n\n"
	res := &exchange.Head{
		Status: 200, Reason: "Fine", Version: "1.1", Raw: []byte(raw),
		Fields: fields("Date: Thu, 01 Jan 2026 00:00:00 GMT", "age: 5", `ETag: "6f1c0a52-98a1-4c3e-9a52-0c2b1f6e0001"`, "Sunset: Thu, 01 Jan 2026 00:00:00 GMT"),
	}
	const body = `{"at": "2026-01-01T00:00:00Z", "exp": 1767225600, "id": "6f1c0a52-98a1-4c3e-9a52-0c2b1f6e0001"}`
	for name, opt := range options {
		p := played(t, opt, asked{req: get("/a"), res: res, answer: body})
		var as exchange.Player = p
		if name == "scoped" {
			as = &Scopes{Shared: p, Of: byHeader}
		}
		y, err := as.Open(origin())
		if err != nil {
			t.Fatal(err)
		}
		var got exchange.Head
		text := ""
		y.Event(exchange.Event{Stream: 1, Kind: exchange.KindHead, Head: get("/a")}, nil)
		err = y.Event(exchange.Event{Stream: 1, Kind: exchange.KindEnd, End: &exchange.End{}}, func(e exchange.Event) error {
			if e.Kind == exchange.KindHead {
				got = *e.Head
			}
			text += string(e.Data)
			return nil
		})
		y.Close()
		if d := cmp.Diff(*res, got); d != "" || text != body || err != nil {
			t.Errorf("%s: %v; body %q; head (-want +got):\n%s", name, err, text, d)
		}
	}
}
