package cassette

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/serge-net/serge-net/exchange"
)

func TestParseLatency(t *testing.T) {
	for s, want := range map[string]Latency{
		"none": {}, "recorded": {Scale: 1}, "x0.1": {Scale: 0.1}, "x0": {},
		"200ms": {Mean: 200 * time.Millisecond}, "200ms±50ms": {Mean: 200 * time.Millisecond, Spread: 50 * time.Millisecond},
		"1s+-1s": {Mean: time.Second, Spread: time.Second}, "lognormal:200ms,0.4": {Mean: 200 * time.Millisecond, Sigma: 0.4},
	} {
		if got, err := ParseLatency(s); got != want || err != nil {
			t.Errorf("ParseLatency(%q) = %+v, %v; want %+v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "200", "-1s", "2h", "x", "x-1", "xNaN", "x1e9", "1s±2s", "1s±", "lognormal:1s", "lognormal:1s,0", "lognormal:,1", "recorded±1s"} {
		if got, err := ParseLatency(s); !errors.Is(err, ErrLatency) {
			t.Errorf("ParseLatency(%q) = %+v, %v; want ErrLatency", s, got, err)
		}
	}
}

func FuzzParseLatency(f *testing.F) {
	for _, s := range []string{"x0.1", "200ms±50ms", "200ms+-50ms", "lognormal:200ms,0.4"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseLatency(s)
		if err != nil {
			return
		}
		if d := l.sample(s); d < 0 || d > latencyMost+l.Spread {
			t.Errorf("ParseLatency(%q) gives %v", s, d)
		}
	})
}

// TestLatencySample holds what is random to its bounds, and to be the same again.
func TestLatencySample(t *testing.T) {
	for _, l := range []Latency{{Mean: time.Second, Spread: time.Second / 4}, {Mean: time.Second, Sigma: 0.5}} {
		var sum time.Duration
		seen := map[time.Duration]bool{}
		for n := range 1000 {
			d := l.sample(fmt.Sprint(n))
			if d != l.sample(fmt.Sprint(n)) {
				t.Fatalf("%+v: two samples of a seed differ", l)
			}
			if l.Sigma == 0 && (d < 750*time.Millisecond || d > 1250*time.Millisecond) {
				t.Errorf("%+v: sample %v", l, d)
			}
			seen[d] = true
			sum += d
		}
		// The mean of a log-normal is median·exp(σ²/2): here 1.13 s.
		if mean := sum / 1000; mean < 950*time.Millisecond || mean > 1250*time.Millisecond || len(seen) < 900 {
			t.Errorf("%+v: mean %v of %d different samples", l, mean, len(seen))
		}
	}
}

// TestPauses has the parts of an answer come when they are due.
func TestPauses(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	body := func(s string, chunks ...int64) Message {
		m := Message{Body: bodyOf([]byte(s))}
		for _, n := range chunks {
			m.Chunks = append(m.Chunks, Run{n, 1})
		}
		return m
	}
	chunked := &Interaction{
		Request:  Request{Method: "GET", URL: "http://api.example.com/a", Version: "1.1"},
		Response: &Response{Status: 200, Version: "1.1", Informational: []Interim{{Status: 103, At: ms(30)}}, Fields: fields("Transfer-Encoding: chunked"), Message: body("abcdef", 2, 2, 2)},
		Timing:   Timing{Send: ms(10), Wait: ms(100), Receive: ms(500), Chunks: []time.Duration{0, ms(200), ms(500)}},
	}
	events := &Interaction{
		Request:  Request{Method: "GET", URL: "http://api.example.com/e", Version: "2"},
		Response: &Response{Status: 200, Fields: fields("content-type: text/event-stream"), Message: body("data: 1\n\ndata: 2\n\n")},
		Timing:   Timing{Wait: ms(10), Receive: ms(100)},
	}
	failed := &Interaction{Request: Request{Method: "GET", URL: "http://api.example.com/f", Version: "1.1"}, Failure: &Failure{Kind: "timeout", After: ms(70)}}
	tests := []struct {
		name    string
		it      *Interaction
		latency string
		want    []int // pauses in ms: interim, head, pieces, trailers, end
	}{
		{"none", chunked, "none", []int{0, 0, 0, 0, 0, 0, 0}},
		{"recorded", chunked, "recorded", []int{20, 80, 0, 200, 300, 0, 0}},
		{"half", chunked, "x0.5", []int{10, 40, 0, 100, 150, 0, 0}},
		{"first byte", chunked, "40ms", []int{40, 0, 0, 0, 0, 0, 0}},
		{"events evenly", events, "recorded", []int{10, 0, 50, 0}},
		{"failure", failed, "recorded", []int{70}},
	}
	for _, tt := range tests {
		l, err := ParseLatency(tt.latency)
		if err != nil {
			t.Fatal(err)
		}
		p := playerOf(t, &Cassette{}, PlayOptions{})
		var got []int
		live := &live{version: tt.it.Request.Version, req: tt.it.Request}
		err = p.perform(live, tt.it, l.schedule(tt.it, 0, "c"), func(e exchange.Event) error {
			got = append(got, int(e.Pause.Milliseconds()))
			return nil
		})
		if d := cmp.Diff(tt.want, got); d != "" || err != nil {
			t.Errorf("%s: %v; pauses (-want +got):\n%s", tt.name, err, d)
		}
	}
}

// TestPlayUndelivered gives back an answer that was taken and never written.
func TestPlayUndelivered(t *testing.T) {
	for name, fails := range map[string]exchange.Kind{"at its head": exchange.KindHead, "at its end": exchange.KindEnd} {
		p := played(t, PlayOptions{Repeat: RepeatNever}, asked{req: get("/a"), res: ok(), answer: "1"})
		y, err := p.Open(origin())
		if err != nil {
			t.Fatal(err)
		}
		gone := fmt.Errorf("%w: gone", exchange.ErrUndelivered)
		y.Event(exchange.Event{Stream: 1, Kind: exchange.KindHead, Head: get("/a")}, nil)
		y.Event(exchange.Event{Stream: 1, Kind: exchange.KindEnd, End: &exchange.End{}}, func(e exchange.Event) error {
			if e.Kind == fails {
				return gone
			}
			return nil
		})
		y.Close()
		if a := ask(t, p, get("/a"), ""); a.body != "1" {
			t.Errorf("%s: second try = %+v; want the answer given back", name, a)
		}
		if tally := p.Tally(); tally.Served != 1 {
			t.Errorf("%s: %d served; want 1", name, tally.Served)
		}
	}
}
