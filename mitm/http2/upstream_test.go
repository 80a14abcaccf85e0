package http2

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/serge-net/serge-net/exchange"
)

// upTo runs an Upstream over conn for as long as the test does, and has what
// passes be told to watched.
func upTo(t *testing.T, conn net.Conn) (u *Upstream, watched *listener) {
	t.Helper()
	u, watched = NewUpstream(conn), &listener{}
	var mu sync.Mutex
	d := NewDecoder()
	emit := func(e exchange.Event) {
		if len(e.Data) < 100 { // a listener is slow with much
			watched.emit(e)
		}
		u.Take(e)
	}
	show := func(from exchange.Side, b []byte) error {
		mu.Lock()
		defer mu.Unlock()
		return d.Feed(from, 0, b, emit)
	}
	var running sync.WaitGroup
	running.Go(func() {
		u.Run(show, func(error) {
			mu.Lock()
			defer mu.Unlock()
			d.Close(exchange.Server, 0, exchange.End{}, emit)
		})
	})
	t.Cleanup(func() { u.Close(); running.Wait() })
	return u, watched
}

// upToServe is upTo a server that answers by play.
func upToServe(t *testing.T, play Play) (u *Upstream, watched *listener) {
	near, far := net.Pipe()
	var serving sync.WaitGroup
	serving.Go(func() { Serve(context.Background(), far, "https", play) })
	t.Cleanup(serving.Wait)
	return upTo(t, near)
}

// rawOrigin talks in frames.
type rawOrigin struct {
	t testing.TB
	net.Conn
	*http2.Framer
	wire *wire
}

// upToFrames is upTo an origin that talks in frames, behind its SETTINGS. The
// connection ends when talk returns.
func upToFrames(t *testing.T, talk func(o *rawOrigin)) (u *Upstream, watched *listener) {
	near, far := net.Pipe()
	var serving sync.WaitGroup
	serving.Go(func() {
		defer far.Close()
		far.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.ReadFull(far, make([]byte, len(Preface))); err != nil {
			return
		}
		o := &rawOrigin{t: t, Conn: far, Framer: http2.NewFramer(nil, far), wire: newWire("")}
		o.ReadMetaHeaders = hpack.NewDecoder(4<<10, nil)
		talk(o)
	})
	t.Cleanup(serving.Wait)
	return upTo(t, near)
}

// say writes what f does to the wire.
func (o *rawOrigin) say(f func(w *wire)) {
	f(o.wire)
	if _, err := o.Write(o.wire.Bytes()); err != nil {
		o.t.Errorf("the origin's write: %v", err)
	}
	o.wire.Reset()
}

// next is the next frame that is told, by type, of the client.
func (o *rawOrigin) next(types ...http2.FrameType) http2.Frame {
	for {
		f, err := o.ReadFrame()
		if err != nil || slices.Contains(types, f.Header().Type) {
			return f
		}
	}
}

// asks is a request's head.
func asks(method, target string, pairs ...string) *exchange.Head {
	return &exchange.Head{Method: method, Scheme: "https", Authority: "h", Target: target, Fields: head(0, pairs...).Head.Fields}
}

// take takes an exchange to u, and returns what came back.
func take(t *testing.T, u *Upstream, h *exchange.Head, rest ...exchange.Event) []string {
	t.Helper()
	c, err := u.Call(t.Context(), h, len(rest) == 0)
	if err != nil {
		t.Fatal(err)
	}
	var sending sync.WaitGroup
	defer sending.Wait()
	sending.Go(func() {
		for _, e := range rest {
			if c.Send(e) != nil {
				return
			}
		}
	})
	got := &listener{}
	if err := c.Answer(func(e exchange.Event) error { e.Stream = 0; got.emit(e); return nil }); err != nil {
		t.Errorf("Answer = %v", err)
	}
	return got.lines
}

// TestUpstream takes exchanges to Serve: what that is asked and what comes back
// are what was sent, in order, and both are told.
func TestUpstream(t *testing.T) {
	asked := &listener{}
	u, watched := upToServe(t, script(asked, map[string][]exchange.Event{
		"/a%2Fb?c": {head(103, "link", "</a>"), head(200, "b", "1", "a", "2", "b", "\xff"), data("hello"), trailers("sum", "7", "a", "b"), ended(exchange.Complete)},
		"//x?y":    {head(204), ended(exchange.Complete)},
		"/reset":   {head(200), data("x"), ended(exchange.Reset)},
		"/none":    {ended(exchange.Reset)},
	}))
	for i, tt := range []struct {
		name  string
		head  *exchange.Head
		rest  []exchange.Event
		asked []string
		want  []string
	}{
		{"post", asks("POST", "/a%2Fb?c", "x-b", "1", "cookie", "a=1", "x-a", "2", "x-b", "\xfe", "cookie", "b=2; c=3", "connection", "x"),
			[]exchange.Event{data("hel"), data("lo"), trailers("t", "1", "v", "2"), ended(exchange.Complete)},
			[]string{"POST https://h /a%2Fb?c [x-b=1] [cookie=a=1] [x-a=2] [x-b=\xfe] [cookie=b=2; c=3]", "data hello", "trailers [t=1] [v=2]", "complete"},
			[]string{"103 [link=</a>]", "200 [b=1] [a=2] [b=\xff]", "data hello", "trailers [sum=7] [a=b]", "complete"}},
		{"get", asks("GET", "//x?y"), nil, []string{"GET https://h //x?y", "complete"}, []string{"204", "complete"}},
		{"nothing after all", asks("PUT", "//x?y"), []exchange.Event{ended(exchange.Complete)}, []string{"PUT https://h //x?y", "complete"}, []string{"204", "complete"}},
		{"reset", asks("GET", "/reset"), nil, []string{"GET https://h /reset", "complete"}, []string{"200", "data x", "reset 2"}},
		{"none", asks("GET", "/none"), nil, []string{"GET https://h /none", "complete"}, []string{"reset 2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked.lines, watched.lines = nil, nil
			got := take(t, u, tt.head, tt.rest...)
			if diff := cmp.Diff(prefixed("s0 ", tt.want), got); diff != "" {
				t.Errorf("the client got (-want +got):\n%s", diff)
			}
			id := 2*i + 1
			if diff := cmp.Diff(prefixed(fmt.Sprintf("c%d ", id), tt.asked), asked.lines); diff != "" {
				t.Errorf("the origin got (-want +got):\n%s", diff)
			}
			both := append(prefixed(fmt.Sprintf("c%d ", id), tt.asked), prefixed(fmt.Sprintf("s%d ", id), tt.want)...)
			if diff := cmp.Diff(both, watched.lines); diff != "" {
				t.Errorf("told was (-want +got):\n%s", diff)
			}
		})
	}
}

// prefixed is lines with p in front of each.
func prefixed(p string, lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = p + l
	}
	return out
}

// TestUpstreamPseudo: pseudo fields go in the client's order, and an authority
// that was a host field goes as that.
func TestUpstreamPseudo(t *testing.T) {
	for _, order := range [][]string{
		{":method", ":path", ":authority", ":scheme"}, {":path", ":scheme", ":method"}, {":method", ":protocol", ":scheme", ":path", ":authority"},
	} {
		var got []string
		u, _ := upToFrames(t, func(o *rawOrigin) {
			f, _ := o.next(http2.FrameHeaders).(*http2.MetaHeadersFrame)
			for _, v := range f.Fields {
				got = append(got, v.Name)
			}
			o.say(func(w *wire) { w.headers(1, true, ":status", "200") })
			o.next(http2.FrameGoAway)
		})
		h := asks("CONNECT", "/", "x", "y")
		h.Pseudo = order
		if slices.Contains(order, ":protocol") {
			h.Fields = slices.Insert(h.Fields, 0, exchange.Field{Name: ":protocol", Value: "websocket"})
		}
		take(t, u, h)
		if diff := cmp.Diff(append(slices.Clone(order), "x"), got); diff != "" {
			t.Errorf("the origin got (-want +got):\n%s", diff)
		}
	}
}

// TestUpstreamBothWays: each piece of the request is answered before the next.
func TestUpstreamBothWays(t *testing.T) {
	const rounds = 100
	u, _ := upToServe(t, func(e exchange.Event, answer func(exchange.Event) error) error {
		switch e.Kind {
		case exchange.KindHead:
			return answer(head(200))
		case exchange.KindData:
			return answer(data(string(e.Data)))
		case exchange.KindEnd:
			return answer(ended(exchange.Complete))
		}
		return nil
	})
	c, err := u.Call(t.Context(), asks("POST", "/echo"), false)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	err = c.Answer(func(e exchange.Event) error {
		if e.Kind == exchange.KindEnd && e.End.How != exchange.Complete {
			t.Errorf("it ends %v", e.End)
		}
		if e.Kind == exchange.KindEnd {
			return nil
		}
		if n++; n == rounds {
			return c.Send(ended(exchange.Complete))
		}
		return c.Send(data(fmt.Sprint("piece ", n)))
	})
	if err != nil || n != rounds {
		t.Errorf("%d rounds, %v; want %d", n, err, rounds)
	}
}

// TestUpstreamBulk sends and takes more than any window.
func TestUpstreamBulk(t *testing.T) {
	const size = 8 << 20
	var got int
	u, _ := upToServe(t, func(e exchange.Event, answer func(exchange.Event) error) error {
		if got += len(e.Data); e.Kind != exchange.KindEnd {
			return nil
		}
		events := slices.Repeat([]exchange.Event{data(strings.Repeat("x", size/64))}, 64)
		for _, a := range slices.Concat([]exchange.Event{head(200)}, events, []exchange.Event{ended(exchange.Complete)}) {
			if err := answer(a); err != nil {
				return err
			}
		}
		return nil
	})
	lines := take(t, u, asks("POST", "/"), data(strings.Repeat("y", size)), ended(exchange.Complete))
	if len(lines) != 3 || len(lines[1]) != len("s0 data ")+size || got != size {
		t.Errorf("%d bytes up, and %d lines; want %d up and down", got, len(lines), size)
	}
}

// TestUpstreamTurns has exchanges wait while the origin takes no more at once.
func TestUpstreamTurns(t *testing.T) {
	const all, most = 50, 3
	var open, peak int
	u, _ := upToFrames(t, func(o *rawOrigin) {
		o.say(func(w *wire) {
			w.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: most})
		})
		o.next(http2.FrameSettings) // its own
		o.next(http2.FrameSettings) // and the acknowledgement
		var ids []uint32
		for range all {
			f := o.next(http2.FrameHeaders)
			open++
			peak = max(peak, open)
			if ids = append(ids, f.Header().StreamID); len(ids) == most || f.Header().StreamID > 2*(all-most) {
				o.say(func(w *wire) { w.headers(ids[0], true, ":status", "200") })
				ids, open = ids[1:], open-1
			}
		}
		for _, id := range ids {
			o.say(func(w *wire) { w.headers(id, true, ":status", "200") })
		}
		o.next(http2.FrameGoAway)
	})
	u.mu.Lock()
	for !u.greeted {
		u.free.Wait()
	}
	u.mu.Unlock()
	var asking sync.WaitGroup
	for range all {
		asking.Go(func() { take(t, u, asks("GET", "/")) })
	}
	asking.Wait()
	if peak > most {
		t.Errorf("%d exchanges at once; the origin takes %d", peak, most)
	}
}
