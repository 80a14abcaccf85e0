package cassette

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/exchange"
)

// TestEndCode: an answer that was cut ends in its replay with the code that it was
// recorded with.
func TestEndCode(t *testing.T) {
	for _, end := range []exchange.End{
		{How: exchange.Reset, Code: 11},
		{How: exchange.Reset},
		{How: exchange.Truncated, Code: 3}, // it has none
		{How: exchange.Left, Code: 8},      // it was the client's
	} {
		s, r, w, _ := watching(t)
		for _, e := range []exchange.Event{
			{From: exchange.Client, Kind: exchange.KindHead, Head: get("/")},
			{From: exchange.Client, Kind: exchange.KindEnd, End: &exchange.End{}},
			{From: exchange.Server, Kind: exchange.KindHead, Head: ok()},
			{From: exchange.Server, Kind: exchange.KindData, Data: []byte("part")},
			{From: exchange.Server, Kind: exchange.KindEnd, End: &end},
		} {
			e.Stream = 1
			if err := w.Event(e); err != nil {
				t.Fatal(err)
			}
		}
		w.Close()
		if _, err := r.Close(false); err != nil {
			t.Fatal(err)
		}
		y, err := playerOf(t, load(t, s, "x"), PlayOptions{}).Open(origin())
		if err != nil {
			t.Fatal(err)
		}
		var got exchange.End
		hear := func(e exchange.Event) error {
			if e.Kind == exchange.KindEnd {
				got = exchange.End{How: e.End.How, Code: e.End.Code}
			}
			return nil
		}
		y.Event(exchange.Event{Stream: 1, Kind: exchange.KindHead, Head: get("/")}, hear)
		if err := y.Event(exchange.Event{Stream: 1, Kind: exchange.KindEnd, End: &exchange.End{}}, hear); err != nil {
			t.Fatal(err)
		}
		y.Close()
		want := exchange.End{How: end.How}
		if end.How == exchange.Reset {
			want.Code = end.Code
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%+v ends (-want +got):\n%s", end, diff)
		}
	}
}
