package mitm

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// A slow player answers every request after a minute, and says what the answer
// came to.
type slow struct{ ended chan error }

func (slow) Offer(exchange.Origin) exchange.Offer { return exchange.Offer{Recorded: true} }

func (s slow) Open(exchange.Origin) (exchange.Play, error) { return s, nil }

func (slow) Close() {}

func (s slow) Event(e exchange.Event, answer func(exchange.Event) error) error {
	if e.Kind != exchange.KindEnd {
		return nil
	}
	head := &exchange.Head{Status: 200, Version: "1.1", Fields: []exchange.Field{{Name: "Content-Length", Value: "2"}}}
	var err error
	for _, r := range []exchange.Event{
		{Kind: exchange.KindHead, Head: head, Pause: time.Minute},
		{Kind: exchange.KindData, Data: []byte("hi"), Pause: time.Minute},
		{Kind: exchange.KindEnd, End: &exchange.End{}},
	} {
		r.Stream, r.From = e.Stream, exchange.Server
		if err = answer(r); err != nil {
			break
		}
	}
	s.ended <- err
	return err
}

const asks = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

// TestPause lets the time of an answer pass, and reads what came meanwhile then.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer near.Close()
		s := slow{make(chan error, 2)}
		go newSession(t.Context(), far, exchange.Origin{}, s.Event).serve(Tell{})
		start := time.Now()
		io.WriteString(near, asks)
		io.WriteString(near, asks) // while the first is answered
		buf := make([]byte, 1024)
		for n, want := range []struct {
			after time.Duration
			says  string
		}{{time.Minute, "HTTP/1.1 200"}, {2 * time.Minute, "hi"}, {3 * time.Minute, "HTTP/1.1 200"}, {4 * time.Minute, "hi"}} {
			k, err := near.Read(buf)
			if err != nil || !strings.HasPrefix(string(buf[:k]), want.says) || time.Since(start) != want.after {
				t.Errorf("piece %d after %v: %q, %v; want %q after %v", n, time.Since(start), buf[:k], err, want.says, want.after)
			}
		}
		near.Close()
		synctest.Wait()
	})
}

// TestPauseEnds ends a pause at once when the client leaves or all is to end.
func TestPauseEnds(t *testing.T) {
	for name, end := range map[string]func(near, far net.Conn, cancel func()){
		"the client leaves": func(near, _ net.Conn, _ func()) { near.Close() },
		"Ctrl-C":            func(_, far net.Conn, _ func()) { far.Close() },
		"Ctrl-C after much": func(near, far net.Conn, cancel func()) {
			near.SetWriteDeadline(time.Now().Add(time.Second))
			io.WriteString(near, strings.Repeat("x", 2*aheadMost))
			cancel()
			far.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				near, far := net.Pipe()
				defer near.Close()
				s := slow{make(chan error, 1)}
				start := time.Now()
				go newSession(ctx, far, exchange.Origin{}, s.Event).serve(Tell{})
				io.WriteString(near, asks)
				synctest.Wait()
				end(near, far, cancel)
				if err := <-s.ended; !errors.Is(err, exchange.ErrUndelivered) || time.Since(start) > time.Second {
					t.Errorf("after %v: %v; want ErrUndelivered at once", time.Since(start), err)
				}
				near.Close()
				synctest.Wait()
			})
		})
	}
}

// TestRefusal answers a miss as it was chosen.
func TestRefusal(t *testing.T) {
	ours := newAuthority(t)
	for _, c := range []struct {
		refusal Refusal
		protos  []string
		status  int // 0: none
	}{
		{Refusal{}, nil, 501}, {Refusal{Status: 404}, nil, 404}, {Refusal{Reset: true}, nil, 0},
		{Refusal{Status: 503}, []string{"h2"}, 503}, {Refusal{Reset: true}, []string{"h2"}, 0},
	} {
		l := new(told)
		offer := exchange.Offer{Recorded: true, ALPN: c.protos}
		w := &Replay{Server: NewServer(ours.leaf, false), Player: &player{offer: offer}, Refusal: c.refusal, Tell: l.tell()}
		addr := front(t, w, "192.0.2.1:443", apiName)
		got := 0
		var res *http.Response
		res, err := through(t, addr, ours.pool, c.protos...).Get("https://" + addr + "/unknown")
		if err == nil {
			got = res.StatusCode
			res.Body.Close()
		}
		if got != c.status || l.missed() != 1 {
			t.Errorf("%+v over %v: status %d (%v), %d misses told; want %d, 1", c.refusal, c.protos, got, err, l.missed(), c.status)
		}
	}
}
