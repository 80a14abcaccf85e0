package http2

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/serge-net/serge-net/exchange"
)

// TestServePause lets the time before a part of an answer pass, and ends at once
// when the client resets the stream or leaves, or all is to end.
func TestServePause(t *testing.T) {
	for name, c := range map[string]struct {
		end    func(near net.Conn, c *wire, cancel func())
		passed time.Duration
		gone   bool
	}{
		"to its end": {func(net.Conn, *wire, func()) {}, time.Minute, false},
		"reset": {func(near net.Conn, c *wire, _ func()) {
			c.Reset()
			c.WriteRSTStream(1, http2.ErrCodeCancel)
			near.Write(c.Bytes())
		}, 0, true},
		"left": {func(near net.Conn, _ *wire, _ func()) { near.Close() }, 0, true},
		"done": {func(_ net.Conn, _ *wire, cancel func()) { cancel() }, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				told := make(chan error, 1)
				start := time.Now()
				go Serve(ctx, far, "http", func(e exchange.Event, answer func(exchange.Event) error) error {
					if e.Kind != exchange.KindEnd {
						return nil
					}
					h := head(200)
					h.Pause = time.Minute
					err := answer(h)
					told <- err
					if err != nil {
						return err
					}
					return answer(ended(exchange.Complete))
				})
				go io.Copy(io.Discard, near)
				w := newWire(Preface)
				w.get(1)
				near.Write(w.Bytes())
				synctest.Wait()
				c.end(near, w, cancel)
				if err := <-told; time.Since(start) != c.passed || errors.Is(err, errGone) != c.gone {
					t.Errorf("after %v: %v; want it after %v, gone %v", time.Since(start), err, c.passed, c.gone)
				}
				near.Close()
				synctest.Wait()
			})
		})
	}
}
