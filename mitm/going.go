package mitm

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"

	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/mitm/http2"
)

// A going is an HTTP/2 exchange that may have to go on to the origin. Its events
// come one at a time; the answer may be relayed meanwhile.
type going struct {
	ctx      context.Context // done when the client has left
	left     context.CancelCauseFunc
	head     exchange.Head
	body     spool
	trailers []exchange.Field
	answered bool          // by the player: its final head was sent
	down     *exchange.End // why the origin cannot be had, if it was tried

	call     *http2.Call // nil: it does not go on yet
	relaying sync.WaitGroup
	err      error // how that ended
}

// hold keeps what e adds to the request.
func (g *going) hold(e exchange.Event) error {
	switch e.Kind {
	case exchange.KindHead:
		g.head = *e.Head
		g.head.Fields = slices.Clone(e.Head.Fields)
	case exchange.KindData:
		_, err := g.body.Write(e.Data)
		return err
	case exchange.KindTrailers:
		g.trailers = slices.Clone(e.Fields)
	}
	return nil
}

// each tells do of what is held behind the head, and lets go of it.
func (g *going) each(do func(exchange.Event) error) error {
	r, buf := g.body.reader(), make([]byte, startBuffer)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if err := do(exchange.Event{From: exchange.Client, Kind: exchange.KindData, Data: buf[:n]}); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	g.body.reset()
	if len(g.trailers) == 0 {
		return nil
	}
	return do(exchange.Event{From: exchange.Client, Kind: exchange.KindTrailers, Fields: g.trailers})
}

// send sends e to the origin. With the last of the request, or of what the origin
// needs of it, it waits for the answer's end.
func (g *going) send(e exchange.Event) error {
	err := g.call.Send(e)
	if err == nil && e.Kind != exchange.KindEnd {
		return nil
	}
	g.relaying.Wait()
	if g.err != nil {
		return g.err
	}
	return err
}

// answering is answer, and notes whether the player has begun to answer.
func (g *going) answering(answer func(exchange.Event) error) func(exchange.Event) error {
	return func(r exchange.Event) error {
		g.answered = g.answered || r.Kind == exchange.KindHead && r.Head.Status >= 200
		return answer(r)
	}
}

// origin2 is a watched connection to an HTTP/2 origin.
type origin2 struct {
	up   *http2.Upstream
	tap  *tap
	left chan exchange.End // how the client left, if it did
}

func newOrigin2(m *Mixed, c net.Conn, o exchange.Origin) *origin2 {
	w := &origin2{up: http2.NewUpstream(c), tap: newTap(m.Watcher, http2.NewDecoder(), o, m.Tell), left: make(chan exchange.End, 1)}
	w.tap.passed = w.up.Take
	return w
}

// run passes what is said, until the connection ends.
func (w *origin2) run() {
	w.up.Run(w.show, w.ended)
	w.tap.close()
}

// show is an http2.Show.
func (w *origin2) show(from exchange.Side, b []byte) error {
	w.tap.feed(from, b)
	if w.tap.blind() {
		return errors.New("what the origin says is not understood")
	}
	return nil
}

// ended shows how the connection ended, after a read that ended with err.
func (w *origin2) ended(err error) {
	select {
	case end := <-w.left:
		w.tap.end(exchange.Client, end)
	default:
	}
	w.tap.end(exchange.Server, endOf(err))
}

// close ends the connection, whose client has left.
func (w *origin2) close(end exchange.End) {
	w.left <- end
	w.up.Close()
}
