package http2

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"

	"github.com/serge-net/serge-net/exchange"
)

// TestUpstreamEnds has origins end exchanges in every way.
func TestUpstreamEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		talk func(w *wire)
		want []string
		then http2.FrameType // what the origin is told
	}{
		{"reset", func(w *wire) { w.WriteRSTStream(1, http2.ErrCodeEnhanceYourCalm) }, []string{"reset 11"}, 0},
		{"reset behind a head", func(w *wire) { w.headers(1, false, ":status", "200"); w.WriteRSTStream(1, http2.ErrCodeCancel) }, []string{"200", "reset 8"}, 0},
		{"left", func(w *wire) { w.WriteGoAway(0, http2.ErrCodeNo, nil) }, []string{"reset"}, 0},
		{"left with a cause", func(w *wire) { w.WriteGoAway(0, http2.ErrCodeInadequateSecurity, nil) }, []string{"reset 12"}, 0},
		{"left behind it", func(w *wire) {
			w.WriteGoAway(1, http2.ErrCodeNo, nil)
			w.headers(1, true, ":status", "200")
		}, []string{"200", "complete"}, 0},
		{"cut", func(w *wire) { w.headers(1, false, ":status", "200"); w.WriteData(1, false, []byte("ab")) }, []string{"200", "data ab", "truncated"}, 0},
		{"hints without end", func(w *wire) {
			for range callHeads + 1 {
				w.headers(1, false, ":status", "103")
			}
		}, append(slices.Repeat([]string{"103"}, callHeads), "reset 11"), http2.FrameRSTStream},
		{"a push", func(w *wire) {
			w.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true, BlockFragment: w.fields(":method", "GET")})
		}, []string{"truncated"}, http2.FrameGoAway},
		{"an answer that is none", func(w *wire) { w.headers(1, true, "x", "y") }, []string{"reset 2"}, 0},
		{"no frames", func(w *wire) { w.WriteString("HTTP/1.1 400 Bad Request\r\n\r\n") }, []string{"reset 2"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var told http2.Frame
			over := make(chan struct{})
			u, _ := upToFrames(t, func(o *rawOrigin) {
				defer close(over)
				o.next(http2.FrameHeaders)
				var saying sync.WaitGroup
				saying.Go(func() { o.say(tt.talk) })
				if tt.then != 0 {
					told = o.next(tt.then)
				}
				saying.Wait()
			})
			got := take(t, u, asks("GET", "/"))
			<-over
			if diff := cmp.Diff(prefixed("s0 ", tt.want), got); diff != "" {
				t.Errorf("the client got (-want +got):\n%s", diff)
			}
			if tt.then != 0 && told == nil {
				t.Errorf("the origin is not told by a %v", tt.then)
			}
		})
	}
}

// TestUpstreamSpared: an origin that needs no more of a request is told of as
// that, also where it resets what still came.
func TestUpstreamSpared(t *testing.T) {
	u, _ := upToFrames(t, func(o *rawOrigin) {
		o.next(http2.FrameHeaders)
		o.say(func(w *wire) {
			w.headers(1, true, ":status", "200")
			w.WriteRSTStream(1, http2.ErrCodeNo)
			w.WriteRSTStream(1, http2.ErrCodeStreamClosed)
		})
		o.next(http2.FrameGoAway)
	})
	c, err := u.Call(t.Context(), asks("POST", "/"), false)
	if err != nil {
		t.Fatal(err)
	}
	got := &listener{}
	err = c.Answer(func(e exchange.Event) error {
		u.mu.Lock()
		for e.Kind == exchange.KindEnd && !c.gone { // both are here
			c.moved.Wait()
		}
		u.mu.Unlock()
		got.emit(e)
		return nil
	})
	if diff := cmp.Diff([]string{"s1 200", "s1 complete", "s1 reset"}, got.lines); diff != "" || err != nil {
		t.Errorf("%v, told (-want +got):\n%s", err, diff)
	}
}

// TestUpstreamLeft: a client that leaves ends the exchange as it did, whatever
// that waits for.
func TestUpstreamLeft(t *testing.T) {
	for _, tt := range []struct {
		name  string
		cause error
		say   func(w *wire)
		want  string
	}{
		{"with a code", &ResetError{uint32(http2.ErrCodeStreamClosed)}, func(*wire) {}, "RST_STREAM 1 STREAM_CLOSED"},
		{"in the answer", &ResetError{uint32(http2.ErrCodeCancel)}, func(w *wire) { w.headers(1, false, ":status", "200") }, "RST_STREAM 1 CANCEL"},
		{"with its connection", nil, func(*wire) {}, "PING ack"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked, over, got := make(chan struct{}), make(chan struct{}), ""
			u, _ := upToFrames(t, func(o *rawOrigin) {
				defer close(over)
				o.next(http2.FrameHeaders)
				o.say(tt.say)
				close(asked)
				o.say(func(w *wire) { w.WritePing(false, [8]byte{1}) })
				if tt.want != "PING ack" {
					got = told(o.next(http2.FrameRSTStream))
					return
				}
				got = told(o.next(http2.FramePing, http2.FrameRSTStream))
			})
			ctx, cancel := context.WithCancelCause(t.Context())
			c, err := u.Call(ctx, asks("PUT", "/"), false)
			if err != nil {
				t.Fatal(err)
			}
			var sending sync.WaitGroup
			sending.Go(func() { // more than the window takes
				for c.Send(data(strings.Repeat("x", 1<<20))) == nil {
					continue
				}
			})
			sending.Go(func() { <-asked; cancel(tt.cause) })
			if err := c.Answer(func(exchange.Event) error { return nil }); !errors.Is(err, context.Cause(ctx)) {
				t.Errorf("Answer = %v; want %v", err, context.Cause(ctx))
			}
			sending.Wait()
			u.mu.Lock()
			if len(u.calls) != 0 {
				t.Errorf("%d exchanges are still open", len(u.calls))
			}
			u.mu.Unlock()
			if <-over; got != tt.want {
				t.Errorf("the origin got %q; want %q", got, tt.want)
			}
		})
	}
}

// TestUpstreamLeaving: after a GOAWAY there are no more exchanges, and the
// connection ends with the last.
func TestUpstreamLeaving(t *testing.T) {
	over := make(chan struct{})
	u, _ := upToFrames(t, func(o *rawOrigin) {
		defer close(over)
		o.next(http2.FrameHeaders)
		o.say(func(w *wire) { w.WriteGoAway(1, http2.ErrCodeNo, nil) })
		o.next(http2.FrameData)
		o.say(func(w *wire) { w.headers(1, true, ":status", "200") })
		if f := o.next(http2.FrameHeaders); f != nil {
			t.Errorf("the origin got %v", f)
		}
	})
	c, err := u.Call(t.Context(), asks("PUT", "/"), false)
	if err != nil {
		t.Fatal(err)
	}
	u.mu.Lock()
	for !u.leaving {
		u.free.Wait()
	}
	u.mu.Unlock()
	if _, err := u.Call(t.Context(), asks("GET", "/"), true); !errors.Is(err, ErrLeaving) || u.Usable() {
		t.Errorf("Call = %v, Usable = %v; want %v", err, u.Usable(), ErrLeaving)
	}
	c.Send(ended(exchange.Complete))
	if err := c.Answer(func(exchange.Event) error { return nil }); err != nil {
		t.Error(err)
	}
	<-over
}

// TestUpstreamWindow: an origin that sends more than it may to a client that does
// not read is told so.
func TestUpstreamWindow(t *testing.T) {
	told := make(chan http2.Frame, 1)
	u, _ := upToFrames(t, func(o *rawOrigin) {
		o.next(http2.FrameHeaders)
		var saying sync.WaitGroup
		defer saying.Wait()
		saying.Go(func() {
			o.say(func(w *wire) {
				w.headers(1, false, ":status", "200")
				for range 5 {
					w.WriteData(1, false, make([]byte, 16<<10))
				}
			})
		})
		told <- o.next(http2.FrameRSTStream)
	})
	c, err := u.Call(t.Context(), asks("GET", "/"), true)
	if err != nil {
		t.Fatal(err)
	}
	var last exchange.Event
	if err := c.Answer(func(e exchange.Event) error {
		if e.Kind == exchange.KindHead {
			<-told
		}
		last = e
		return nil
	}); err != nil || last.End == nil || last.End.Code != uint32(http2.ErrCodeFlowControl) {
		t.Errorf("it ends %+v, %v; want FLOW_CONTROL_ERROR", last.End, err)
	}
}

// TestUpstreamUnread: what an origin says is held to its window while the client
// does not take it, and the window grows while it does.
func TestUpstreamUnread(t *testing.T) {
	stop := make(chan struct{})
	var once sync.Once
	u, _ := upToFrames(t, func(o *rawOrigin) {
		o.next(http2.FrameHeaders)
		o.say(func(w *wire) { w.headers(1, false, ":status", "200") })
		window := streamWindow
		for {
			for ; window >= 1<<10; window -= 1 << 10 {
				o.say(func(w *wire) { w.WriteData(1, false, bytes.Repeat([]byte("x"), 1<<10)) })
			}
			select {
			case <-stop:
				o.say(func(w *wire) { w.WriteData(1, true, nil) })
				o.next(http2.FrameGoAway)
				return
			default:
			}
			f, ok := o.next(http2.FrameWindowUpdate).(*http2.WindowUpdateFrame)
			if !ok {
				return
			}
			if f.StreamID == 1 {
				window += int(f.Increment)
			}
		}
	})
	c, err := u.Call(t.Context(), asks("GET", "/"), true)
	if err != nil {
		t.Fatal(err)
	}
	got, most := 0, 0
	err = c.Answer(func(e exchange.Event) error {
		got += len(e.Data)
		u.mu.Lock()
		held := int(c.room - c.credit)
		most = max(most, held)
		u.mu.Unlock()
		if got > 20<<20 {
			once.Do(func() { close(stop) })
		}
		return nil
	})
	if err != nil || most > upstreamGrown {
		t.Errorf("%d bytes, %v, held %d at most; want %d at most", got, err, most, upstreamGrown)
	}
}
