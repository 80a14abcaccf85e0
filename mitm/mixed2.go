package mitm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/mitm/http2"
)

// mixed2 is one HTTP/2 client's Mixed: its exchanges come concurrently, and
// those that miss share one connection to the origin, as long as that takes them.
type mixed2 struct {
	m      *Mixed
	ctx    context.Context // the connection's, and ends with it
	origin exchange.Origin
	play   func(exchange.Event, func(exchange.Event) error) error

	dialing sync.Mutex     // held while server is made
	live    sync.WaitGroup // connections to the origin

	mu      sync.Mutex
	idle    net.Conn // a connection that was made in the handshake, not in use yet
	server  *origin2 // nil until the first miss
	streams map[uint64]*going
}

// callTries is how many connections an origin may leave before an exchange begins.
const callTries = 3

// newMixed2 is the Mixed of a client of o.
func newMixed2(ctx context.Context, m *Mixed, o exchange.Origin, play exchange.Play) *mixed2 {
	return &mixed2{m: m, ctx: ctx, origin: o, play: newSockets(play.Event).event, streams: map[uint64]*going{}}
}

// event takes what the client did: see exchange.Play.
func (x *mixed2) event(e exchange.Event, answer func(exchange.Event) error) (err error) {
	g := x.going(e.Stream)
	defer func() {
		if err != nil || e.Kind == exchange.KindEnd {
			x.forget(e.Stream, g)
		}
	}()
	if g.call != nil {
		return g.send(e)
	}
	if err := g.hold(e); err != nil {
		return err
	}
	miss := new(exchange.Miss)
	if g.down == nil {
		if err := x.play(e, g.answering(answer)); !errors.As(err, &miss) {
			return err
		}
	}
	switch {
	case g.answered || e.Kind == exchange.KindWait: // nothing of it can go to the origin
		x.m.Tell.miss(miss)
		if e.Kind == exchange.KindWait {
			return nil
		}
		return miss
	case e.Kind == exchange.KindEnd && e.End.How != exchange.Complete:
		return miss
	case g.down == nil:
		x.m.missed(miss)
		return x.goOn(g, e, answer)
	case e.Kind == exchange.KindEnd:
		return x.unreachable(g, e, answer)
	}
	return nil
}

// goOn sends what is there of a request that misses to the origin, and has the
// answer sent to the client as it comes. e is the last of it so far.
func (x *mixed2) goOn(g *going, e exchange.Event, answer func(exchange.Event) error) error {
	whole, start := e.Kind == exchange.KindEnd, time.Now()
	call, err := x.call(g, whole && g.body.size == 0 && len(g.trailers) == 0)
	if err != nil {
		if g.ctx.Err() != nil {
			err = errLeft
		}
		end := failed(err, time.Since(start))
		g.down = &end
		if whole {
			return x.unreachable(g, e, answer)
		}
		return nil // it is told, and recorded, when all of it is here
	}
	g.call = call
	g.relaying.Go(func() {
		g.err = call.Answer(func(r exchange.Event) error {
			r.Stream = e.Stream
			return answer(r)
		})
	})
	err = g.each(g.send)
	if err == nil && whole {
		return g.send(e)
	}
	return err
}

// call begins g's exchange with the origin.
func (x *mixed2) call(g *going, last bool) (call *http2.Call, err error) {
	for range callTries {
		var server *origin2
		if server, err = x.connect(g.ctx); err != nil {
			return nil, err
		}
		call, err = server.up.Call(g.ctx, &g.head, last)
		if !errors.Is(err, http2.ErrLeaving) {
			break
		}
	}
	return call, err
}

// connect makes sure of a connection to the origin that takes another exchange.
// Who comes while one is made waits for that.
func (x *mixed2) connect(ctx context.Context) (*origin2, error) {
	x.dialing.Lock()
	defer x.dialing.Unlock()
	x.mu.Lock()
	server, c, o := x.server, x.idle, x.origin
	x.idle = nil
	x.mu.Unlock()
	if server != nil && server.up.Usable() {
		return server, nil
	}
	if c == nil {
		var err error
		if c, o, err = x.m.dial(ctx, x.origin); err != nil {
			return nil, err
		}
	}
	if o.TLS && o.ALPN != "h2" {
		c.Close()
		return nil, fmt.Errorf("%s speaks no HTTP/2 any more", connected(o))
	}
	server = newOrigin2(x.m, c, o)
	x.live.Go(server.run)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.server = server // the one before ends with its last exchange
	return server, nil
}

// unreachable records g with an end for an answer, and tells the client.
func (x *mixed2) unreachable(g *going, e exchange.Event, answer func(exchange.Event) error) error {
	t := newTap(x.m.Watcher, nil, x.origin, x.m.Tell)
	defer t.close()
	tell := func(r exchange.Event) error {
		r.Stream, r.At = 1, time.Since(t.start)
		t.event(r)
		return nil
	}
	r := exchange.Event{Stream: e.Stream, From: exchange.Server, Kind: exchange.KindEnd, End: g.down}
	tell(exchange.Event{Kind: exchange.KindHead, Head: &g.head})
	if err := g.each(tell); err != nil {
		return err
	}
	tell(e)
	tell(r)
	t.flush()
	return answer(r)
}

// going is the exchange on a stream.
func (x *mixed2) going(stream uint64) *going {
	x.mu.Lock()
	defer x.mu.Unlock()
	g := x.streams[stream]
	if g == nil {
		g = &going{}
		g.ctx, g.left = context.WithCancelCause(x.ctx)
		x.streams[stream] = g
	}
	return g
}

// forget lets go of g.
func (x *mixed2) forget(stream uint64, g *going) {
	x.mu.Lock()
	delete(x.streams, stream)
	x.mu.Unlock()
	g.left(nil)
	g.body.reset()
}

// left is told who does not wait for an answer: see http2.Left.
func (x *mixed2) left(stream uint64, end exchange.End) {
	x.mu.Lock()
	defer x.mu.Unlock()
	g := x.streams[stream]
	switch {
	case g == nil:
	case end.How == exchange.Reset:
		g.left(&http2.ResetError{Code: end.Code})
	default:
		g.left(&abort{end})
	}
}

// close ends it all, when the client has ended by end.
func (x *mixed2) close(end exchange.End) {
	x.mu.Lock()
	idle, server := x.idle, x.server
	x.mu.Unlock()
	if idle != nil {
		shut(idle)
	}
	if server != nil {
		server.close(end)
	}
	x.live.Wait()
}
