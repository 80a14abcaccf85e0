package cassette

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// TestPlayOrder serves only what comes next, of all or of its host, but for what
// was under way at the same time.
func TestPlayOrder(t *testing.T) {
	// a, then b and c at the same time, then a again, then one of another host.
	other := get("/o")
	other.Authority = "other.example.com"
	recorded := []asked{
		{req: get("/a"), res: ok(), answer: "a1"},
		{req: get("/b"), res: ok(), answer: "b", len: 30 * time.Second},
		{req: get("/c"), res: ok(), answer: "c", len: 30 * time.Second},
		{req: get("/a"), res: ok(), answer: "a2"},
		{req: other, res: ok(), answer: "o"},
	}
	recorded[1].at, recorded[2].at, recorded[3].at, recorded[4].at = time.Minute, time.Minute+time.Second, 2*time.Minute, 3*time.Minute
	s, _ := newStore(t)
	recordAll(t, s, "x", RecordOptions{}, recorded...)
	tests := []struct {
		order Order
		asks  string
		want  string
	}{
		{OrderNone, "o c b a a a", "o c b a1 a2 a2"},
		{OrderAll, "a b c a o", "a1 b c a2 o"},
		{OrderAll, "a c b a o", "a1 c b a2 o"},
		{OrderAll, "b a c a b a o", "- a1 c - b a2 o"},
		{OrderAll, "a a", "a1 -"},
		{OrderAll, "a b c a o o", "a1 b c a2 o -"},
		{OrderHost, "o a c b a", "o a1 c b a2"},
		{OrderHost, "o b a", "o - a1"},
	}
	for _, tt := range tests {
		p := playerOf(t, load(t, s, "x"), PlayOptions{Order: tt.order})
		var got []string
		for name := range strings.FieldsSeq(tt.asks) {
			req := get("/" + name)
			if name == "o" {
				req = other
			}
			a := ask(t, p, req, "")
			if a.miss != nil {
				a.body = "-"
			}
			got = append(got, a.body)
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("order %q: %s got %q; want %q", tt.order, tt.asks, s, tt.want)
		}
	}
	p := playerOf(t, load(t, s, "x"), PlayOptions{Order: OrderAll})
	if m := ask(t, p, get("/b"), "").miss; m == nil || m.Reason != "out of order: the next one recorded is GET http://api.example.com/a -> 200" {
		t.Errorf("out of order: %v; want a miss that names the next", m)
	}
}

// TestPlayOrderGivesBack holds the place in the order of what reached nobody.
func TestPlayOrderGivesBack(t *testing.T) {
	p := played(t, PlayOptions{Order: OrderAll}, asked{req: get("/a"), res: ok(), answer: "1"}, asked{req: get("/b"), res: ok(), answer: "2"})
	y, err := p.Open(origin())
	if err != nil {
		t.Fatal(err)
	}
	defer y.Close()
	y.Event(exchange.Event{Stream: 1, Kind: exchange.KindHead, Head: get("/a")}, nil)
	y.Event(exchange.Event{Stream: 1, Kind: exchange.KindEnd, End: &exchange.End{}}, func(exchange.Event) error { return fmt.Errorf("gone") })
	if a := ask(t, p, get("/b"), ""); a.miss == nil {
		t.Errorf("/b was answered before /a: %+v", a)
	}
	if a, b := ask(t, p, get("/a"), ""), ask(t, p, get("/b"), ""); a.body != "1" || b.body != "2" {
		t.Errorf("answered %q and %q; want 1 and 2", a.body, b.body)
	}
}

// TestPlayCycleParallel has simultaneous repetitions go round: none is served
// twice before all were.
func TestPlayCycleParallel(t *testing.T) {
	var as []asked
	for i := range 10 {
		as = append(as, asked{req: get("/same"), res: ok(), answer: fmt.Sprint(i)})
	}
	p := played(t, PlayOptions{Repeat: RepeatCycle}, as...)
	var mu sync.Mutex
	got := map[string]int{}
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			a := ask(t, p, get("/same"), "")
			mu.Lock()
			defer mu.Unlock()
			got[a.body]++
		})
	}
	wg.Wait()
	for i := range 10 {
		if n := got[fmt.Sprint(i)]; n != 3 {
			t.Errorf("answer %d was served %d times of 30; want 3", i, n)
		}
	}
}
