package http2

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/serge-net/serge-net/exchange"
)

// TestSever: an answer that ended with its connection ends this one as it did,
// when the others under way have been given.
func TestSever(t *testing.T) {
	for _, how := range []exchange.How{exchange.Truncated, exchange.Reset} {
		t.Run(how.String(), func(t *testing.T) {
			near, far := net.Pipe()
			var serving sync.WaitGroup
			defer serving.Wait()
			begun, reset := make(chan struct{}), false
			server := &Server{
				Scheme: "https",
				Play: func(e exchange.Event, answer func(exchange.Event) error) error {
					if e.Kind != exchange.KindEnd {
						return nil
					}
					if e.Stream == 3 { // the slower one
						<-begun
						return errors.Join(answer(head(200)), answer(data("whole")), answer(ended(exchange.Complete)))
					}
					end := ended(how)
					end.End.Conn = true
					err := errors.Join(answer(head(200)), answer(data("half")))
					close(begun)
					return errors.Join(err, answer(end))
				},
				Reset: func(c net.Conn) { reset = true; c.Close() },
			}
			serving.Go(func() { server.Serve(t.Context(), far) })
			near.SetDeadline(time.Now().Add(5 * time.Second))
			c := newWire(Preface)
			c.get(3)
			c.headers(5, true, asked("/")...)
			serving.Go(func() { near.Write(c.Bytes()) })
			in, whole := http2.NewFramer(nil, near), false
			for {
				f, err := in.ReadFrame()
				if err != nil {
					if !errors.Is(err, io.EOF) {
						t.Errorf("it ends with %v", err)
					}
					break
				}
				d, ok := f.(*http2.DataFrame)
				whole = whole || ok && d.StreamID == 3 && d.StreamEnded()
				if _, ok := f.(*http2.RSTStreamFrame); ok {
					t.Errorf("a stream is reset: %v", f)
				}
			}
			near.Close()
			serving.Wait()
			if want := how == exchange.Reset; !whole || reset != want {
				t.Errorf("the other answer is whole: %v, by RST: %v; want true, %v", whole, reset, want)
			}
		})
	}
}
