package http2

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// TestServeGoesOn calls the player when it wants to be, also behind the end of the
// request, and not any more when its answer has ended.
func TestServeGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		start, called := time.Now(), make(chan time.Duration, 9)
		var served = make(chan struct{})
		go func() {
			defer close(served)
			Serve(t.Context(), far, "http", func(e exchange.Event, answer func(exchange.Event) error) error {
				wait := exchange.Event{Kind: exchange.KindWait, Pause: time.Minute}
				switch e.Kind {
				case exchange.KindEnd:
					if err := answer(head(200)); err != nil {
						return err
					}
					return answer(wait)
				case exchange.KindWait:
					called <- time.Since(start)
					if len(called) < 2 {
						return answer(wait)
					}
					return answer(ended(exchange.Complete))
				}
				return nil
			})
		}()
		go io.Copy(io.Discard, near)
		w := newWire(Preface)
		w.get(1)
		near.Write(w.Bytes())
		time.Sleep(5 * time.Minute) // of the bubble's time
		near.Close()
		<-served
		close(called)
		var got []time.Duration
		for d := range called {
			got = append(got, d)
		}
		if len(got) != 2 || got[0] != time.Minute || got[1] != 2*time.Minute {
			t.Errorf("it was called after %v; want one minute and two", got)
		}
	})
}
