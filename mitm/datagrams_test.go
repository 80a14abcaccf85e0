package mitm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// told datagrams are those that a test brings, and what came back.
type brought struct {
	in  chan string // by client 1
	out chan string
}

// ReadFrom implements Packets: what is sent names its destination's port first.
func (p brought) ReadFrom(b []byte) (int, netip.AddrPort, netip.AddrPort, error) {
	s, ok := <-p.in
	if !ok {
		return 0, netip.AddrPort{}, netip.AddrPort{}, net.ErrClosed
	}
	var port uint16
	fmt.Sscan(s, &port)
	return copy(b, s), netip.MustParseAddrPort("192.0.2.1:1"), netip.AddrPortFrom(netip.MustParseAddr("192.0.2.2"), port), nil
}

// WriteTo implements Packets.
func (p brought) WriteTo(b []byte, client, queried netip.AddrPort) error {
	p.out <- fmt.Sprintf("%s from %s to %s", b, queried, client)
	return nil
}

// echoing is an origin that says what it hears.
type echoing struct {
	net.Conn
	heard   chan string
	refuses int // how often a write fails first
	closed  chan struct{}
	once    sync.Once
}

func (e *echoing) Write(b []byte) (int, error) {
	if e.refuses--; e.refuses >= 0 {
		return 0, errors.New("connection refused")
	}
	e.heard <- string(b)
	return len(b), nil
}

func (e *echoing) Read(b []byte) (int, error) {
	select {
	case s := <-e.heard:
		return copy(b, s), nil
	case <-e.closed:
		return 0, net.ErrClosed
	}
}

func (e *echoing) Close() error {
	e.once.Do(func() { close(e.closed) })
	return nil
}

// TestRelayDatagrams passes datagrams both ways, by a socket for each destination,
// which is closed when it was idle for long, and made again.
func TestRelayDatagrams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pc := brought{in: make(chan string), out: make(chan string, 10)}
		var dialled []string
		var mu sync.Mutex
		dial := func(_ context.Context, client, queried netip.AddrPort) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			dialled = append(dialled, queried.String())
			if queried.Port() == 9 {
				return nil, io.EOF
			}
			return &echoing{heard: make(chan string, 10), closed: make(chan struct{}), refuses: int(queried.Port()) - 7}, nil
		}
		var relaying sync.WaitGroup
		relaying.Go(func() { RelayDatagrams(pc, dial) })
		for _, c := range []struct{ say, want string }{
			{"7 one", "7 one from 192.0.2.2:7 to 192.0.2.1:1"},
			{"7 two", "7 two from 192.0.2.2:7 to 192.0.2.1:1"},
			{"8 after an error", "8 after an error from 192.0.2.2:8 to 192.0.2.1:1"},
			{"9 nowhere", ""},
			{"9 nowhere", ""},
		} {
			pc.in <- c.say
			synctest.Wait()
			got := ""
			if len(pc.out) > 0 {
				got = <-pc.out
			}
			if got != c.want {
				t.Errorf("%q: %q came back; want %q", c.say, got, c.want)
			}
		}
		time.Sleep(2 * datagramIdle)
		pc.in <- "7 three"
		synctest.Wait()
		if got := <-pc.out; got != "7 three from 192.0.2.2:7 to 192.0.2.1:1" {
			t.Errorf("after a while %q came back", got)
		}
		close(pc.in)
		relaying.Wait()
		if want := []string{"192.0.2.2:7", "192.0.2.2:8", "192.0.2.2:9", "192.0.2.2:9", "192.0.2.2:7"}; !slices.Equal(dialled, want) {
			t.Errorf("dialled %v; want %v", dialled, want)
		}
	})
}

// TestRelayDatagramsLast sends what came before the end, though its way takes longer
// to find.
func TestRelayDatagramsLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pc := brought{in: make(chan string, 3), out: make(chan string, 10)}
		e := &echoing{heard: make(chan string, 10), closed: make(chan struct{})}
		dial := func(context.Context, netip.AddrPort, netip.AddrPort) (net.Conn, error) {
			time.Sleep(time.Second)
			return e, nil
		}
		for range 3 {
			pc.in <- "8125 hits:1|c"
		}
		close(pc.in)
		RelayDatagrams(pc, dial)
		if n := len(e.heard) + len(pc.out); n != 3 {
			t.Errorf("%d were sent; want 3", n)
		}
	})
}
