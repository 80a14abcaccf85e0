package mitm

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Limits of what RelayDatagrams holds.
const (
	// datagramIdle is how long nothing may come or go before a conversation is
	// over: two minutes at least, RFC 4787, section 4.3.
	datagramIdle = 2 * time.Minute
	// datagramsAtOnce is how many conversations there are at most. What would
	// begin another is lost.
	datagramsAtOnce = 4096
	// datagramsHeld is how many datagrams wait for the way to their origin.
	datagramsHeld = 64
	// datagramsLast is how long what the client sent may take to leave, when
	// no more comes.
	datagramsLast = 2 * time.Second
)

// RelayDatagrams passes each datagram that pc brings on to where dial leads, and
// what comes back to who sent it, until pc has ended. Nothing is recorded. dial is
// called once for what one client sends to one destination, each in a goroutine of
// its own; the datagrams of a dial that fails are lost.
func RelayDatagrams(pc Packets, dial func(ctx context.Context, client, queried netip.AddrPort) (net.Conn, error)) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r := &datagramRelay{pc: pc, dial: dial, ended: make(chan struct{}), talks: make(map[peer]*datagramTalk)}
	b := make([]byte, 1<<16)
	for {
		n, client, queried, err := pc.ReadFrom(b)
		if err != nil {
			break
		}
		r.pass(ctx, peer{client, queried}, append([]byte(nil), b[:n]...))
	}
	close(r.ended)
	late := time.AfterFunc(datagramsLast, cancel)
	defer late.Stop()
	r.talking.Wait()
}

// datagramRelay is a RelayDatagrams.
type datagramRelay struct {
	pc      Packets
	dial    func(ctx context.Context, client, queried netip.AddrPort) (net.Conn, error)
	ended   chan struct{} // closed when nothing more comes of pc
	talking sync.WaitGroup

	mu    sync.Mutex
	talks map[peer]*datagramTalk
}

// datagramTalk is what one client sends to one destination.
type datagramTalk struct {
	peer  peer
	queue chan []byte
	heard chan struct{} // something came back
}

// pass queues b, which it owns.
func (r *datagramRelay) pass(ctx context.Context, p peer, b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.talks[p]
	if t == nil {
		if len(r.talks) >= datagramsAtOnce {
			return
		}
		t = &datagramTalk{peer: p, queue: make(chan []byte, datagramsHeld), heard: make(chan struct{}, 1)}
		r.talks[p] = t
		r.talking.Go(func() { r.talk(ctx, t) })
	}
	select {
	case t.queue <- b:
	default: // lost, as on a wire that is full
	}
}

// over ends t, unless a datagram waits.
func (r *datagramRelay) over(t *datagramTalk) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(t.queue) > 0 {
		return false
	}
	delete(r.talks, t.peer)
	return true
}

// talk passes on what t has, until nothing has come or gone for a while, or no
// more can come.
func (r *datagramRelay) talk(ctx context.Context, t *datagramTalk) {
	c, err := r.dial(ctx, t.peer.client, t.peer.queried)
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.talks, t.peer)
		return
	}
	var answering sync.WaitGroup
	defer answering.Wait()
	defer c.Close()
	answering.Go(func() { r.answer(t, c) })
	idle := time.NewTimer(datagramIdle)
	defer idle.Stop()
	for {
		select {
		case b := <-t.queue:
			if _, err := c.Write(b); err != nil { // of the one before, that nobody is there
				_, _ = c.Write(b)
			}
		case <-t.heard:
		case <-idle.C:
			if r.over(t) {
				return
			}
		case <-r.ended:
			if r.over(t) {
				return
			}
			continue
		case <-ctx.Done():
			return
		}
		idle.Reset(datagramIdle)
	}
}

// answer passes on what comes back by c, until it is closed.
func (r *datagramRelay) answer(t *datagramTalk, c net.Conn) {
	b := make([]byte, 1<<16)
	for failed := 0; failed < datagramsHeld; {
		n, err := c.Read(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // an ICMP error for something that was sent
			failed++
			continue
		}
		failed = 0
		_ = r.pc.WriteTo(b[:n], t.peer.client, t.peer.queried) // lost, as on a wire
		select {
		case t.heard <- struct{}{}:
		default:
		}
	}
}
