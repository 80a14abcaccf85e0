package http2

import (
	"context"
	"errors"
	"iter"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/exchange"
)

// request is the events of one, from its head on.
func request(h exchange.Head, rest ...exchange.Event) iter.Seq[exchange.Event] {
	events := append([]exchange.Event{{Stream: 5, Kind: exchange.KindHead, Head: &h}}, rest...)
	return slices.Values(events)
}

// origin serves a script for as long as the test runs; asked is what it got.
func origin(t *testing.T) (u *Upstream, asked *listener) {
	asked = &listener{sorted: true}
	play := script(asked, map[string][]exchange.Event{
		"/a%2Fb?c": {head(103, "link", "</a>"), head(200, "b", "1", "a", "2", "b", "3"), data("hello"), trailers("sum", "7"), ended(exchange.Complete)},
		"//x?y":    {head(204), ended(exchange.Complete)},
		"/reset":   {head(200), data("x"), ended(exchange.Reset)},
		"/none":    {ended(exchange.Reset)},
	})
	near, far := net.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() { Serve(context.Background(), far, "https", play) })
	u, err := NewUpstream(near)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close(); wg.Wait() })
	return u, asked
}

// TestUpstream takes exchanges to Serve and compares what comes back.
func TestUpstream(t *testing.T) {
	u, asked := origin(t)
	if !u.Usable() {
		t.Error("Usable = false; want true")
	}
	for _, tt := range []struct {
		name  string
		in    iter.Seq[exchange.Event]
		asked []string
		want  []string
	}{
		{"post", request(exchange.Head{Method: "POST", Scheme: "https", Authority: "h", Target: "/a%2Fb?c", Fields: []exchange.Field{
			{Name: "x-b", Value: "1"}, {Name: "x-a", Value: "2"}, {Name: "x-b", Value: "3"}, {Name: "content-length", Value: "5"}, {Name: "connection", Value: "x"}, {Name: "trailer", Value: "t, u"}}},
			data("hel"), data("lo"), trailers("t", "1", "v", "2"), ended(exchange.Complete)),
			[]string{"c1 POST https://h /a%2Fb?c [content-length=5] [trailer=T,U] [x-a=2] [x-b=1] [x-b=3]", "c1 data hello", "c1 trailers [t=1]", "c1 complete"},
			[]string{"s5 103 [link=</a>]", "s5 200 [a=2] [b=1] [b=3]", "s5 data hello", "s5 trailers [sum=7]", "s5 complete"}},
		{"get", request(exchange.Head{Method: "GET", Scheme: "https", Authority: "h", Target: "//x?y"}, ended(exchange.Complete)),
			[]string{"c3 GET https://h //x?y", "c3 complete"}, []string{"s5 204", "s5 complete"}},
		{"reset", request(exchange.Head{Method: "GET", Scheme: "https", Authority: "h", Target: "/reset"}, ended(exchange.Complete)),
			[]string{"c5 GET https://h /reset", "c5 complete"}, []string{"s5 200", "s5 data x", "s5 reset 2"}},
		{"none", request(exchange.Head{Method: "GET", Scheme: "https", Authority: "h", Target: "/none"}, ended(exchange.Complete)),
			[]string{"c7 GET https://h /none", "c7 complete"}, []string{"s5 reset 2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := &listener{}
			asked.lines = nil
			if err := u.RoundTrip(t.Context(), tt.in, func(e exchange.Event) error { got.emit(e); return nil }); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.asked, asked.lines); diff != "" {
				t.Errorf("the origin got (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.want, got.lines); diff != "" {
				t.Errorf("the client got (-want +got):\n%s", diff)
			}
		})
	}
}

// TestUpstreamFails: what does not go through is told or returned.
func TestUpstreamFails(t *testing.T) {
	u, _ := origin(t)
	t.Run("refused", func(t *testing.T) {
		for _, in := range []iter.Seq[exchange.Event]{
			request(exchange.Head{Method: "CONNECT"}), request(exchange.Head{Status: 200}), slices.Values([]exchange.Event(nil)),
		} {
			if err := u.RoundTrip(t.Context(), in, nil); !errors.Is(err, errFraming) {
				t.Errorf("RoundTrip = %v; want %v", err, errFraming)
			}
		}
	})
	t.Run("emit fails", func(t *testing.T) {
		stop := errors.New("stop")
		for n := range 5 { // at every event
			in := request(exchange.Head{Method: "POST", Scheme: "https", Authority: "h", Target: "/a%2Fb?c"}, data("x"), ended(exchange.Complete))
			err := u.RoundTrip(t.Context(), in, func(exchange.Event) error {
				if n--; n < 0 {
					return stop
				}
				return nil
			})
			if !errors.Is(err, stop) {
				t.Errorf("RoundTrip = %v; want %v", err, stop)
			}
		}
	})
	t.Run("cut requests", func(t *testing.T) {
		for _, rest := range [][]exchange.Event{{}, {data("x"), ended(exchange.Reset)}} {
			got := &listener{}
			in := request(exchange.Head{Method: "POST", Scheme: "https", Authority: "h", Target: "/none"}, rest...)
			err := u.RoundTrip(t.Context(), in, func(e exchange.Event) error { got.emit(e); return nil })
			if err != nil || len(got.lines) != 1 || got.lines[0] == "s5 complete" {
				t.Errorf("RoundTrip = %q, %v; want an end that is not complete", got.lines, err)
			}
		}
	})
	t.Run("context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		in := request(exchange.Head{Method: "GET", Scheme: "https", Authority: "h", Target: "//x?y"}, ended(exchange.Complete))
		if err := u.RoundTrip(ctx, in, func(exchange.Event) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("RoundTrip = %v; want %v", err, context.Canceled)
		}
	})
}
