package http2

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/serge-net/serge-net/exchange"
)

// serving is one stream of a server.
type serving struct {
	lane
	s    *server
	head *exchange.Head // the request's

	// What follows is guarded by s.mu.

	credit   int64  // what the client may send of Data
	owed     int64  // and what was taken since it was last told so
	body     []byte // what came and was not taken
	padding  int64  // of its frames
	expected int64  // bytes of body by its Content-Length, or -1
	received int64
	listed   int // bytes of the request's fields
	trailers []exchange.Field
	ended    *exchange.End // how the client's side ended, if it has
	due      time.Time     // when play is to be called with KindWait, unless the client says something before; zero: never

	headed bool           // the final head was told
	held   *exchange.Head // and waits for what follows it
	done   bool           // the answer is at its end
	ending bool           // it waits to end with the connection
}

// finish ends the client's side.
func (t *serving) finish() error {
	if t.expected >= 0 && t.received != t.expected {
		return http2.StreamError{StreamID: t.id, Code: http2.ErrCodeProtocol}
	}
	t.ended = &exchange.End{}
	t.moved.Broadcast()
	return nil
}

// cut resets the stream.
func (t *serving) cut(end exchange.End) {
	t.gone = true
	t.drop()
	if t.ended == nil {
		t.ended = &end
	}
	t.moved.Broadcast()
}

// leave resets the stream at the client's doing, and tells so.
func (t *serving) leave(end exchange.End) {
	t.cut(end)
	if t.s.Left != nil {
		t.s.Left(uint64(t.id), end)
	}
}

// sending is the half of t that is sent; nil of no stream.
func (t *serving) sending() *lane {
	if t == nil {
		return nil
	}
	return &t.lane
}

// drop lets go of body that nobody will take.
func (t *serving) drop() {
	t.s.give(int64(len(t.body)) + t.padding)
	t.body, t.padding = nil, 0
}

// run plays the stream.
func (t *serving) run() {
	e := exchange.Event{Stream: uint64(t.id), From: exchange.Client, Kind: exchange.KindHead, Head: t.head}
	err := t.s.Play(e, t.answer)
	var spare []byte
	for err == nil {
		body, end, due := t.next(spare)
		e := exchange.Event{Stream: uint64(t.id), From: exchange.Client, Kind: exchange.KindData, Data: body}
		switch {
		case due:
			e.Kind = exchange.KindWait
		case len(body) == 0:
			if t.conclude(end) == nil {
				t.goOn()
			}
			t.close()
			return
		default:
			spare = body
		}
		err = t.s.Play(e, t.answer)
	}
	t.close()
}

// tunnel reports whether the client asked for a stream that both sides send on.
func (t *serving) tunnel() bool { return t.head.Method == http.MethodConnect }

// conclude plays the end of the request. An error of play leaves the answer
// without an end, which close sees.
func (t *serving) conclude(end exchange.End) error {
	e := exchange.Event{Stream: uint64(t.id), From: exchange.Client}
	if end.How == exchange.Complete && len(t.trailers) > 0 {
		e.Kind, e.Fields = exchange.KindTrailers, t.trailers
		if err := t.s.Play(e, t.answer); err != nil {
			return err
		}
	}
	e.Kind, e.Fields, e.End = exchange.KindEnd, nil, &end
	return t.s.Play(e, t.answer)
}

// goOn calls play when it wants to be, behind the end of the request.
func (t *serving) goOn() {
	for t.comes() {
		if t.s.Play(exchange.Event{Stream: uint64(t.id), From: exchange.Client, Kind: exchange.KindWait}, t.answer) != nil {
			return
		}
	}
}

// comes waits until play is due to be called, and is false if it does not want to be
// or the client has gone.
func (t *serving) comes() bool {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	if t.due.IsZero() || t.done {
		return false
	}
	t.pause(time.Until(t.due))
	t.due = time.Time{}
	return t.lost() == nil
}

// next waits for the next piece of body, or the end of it, or until play is due
// to be called. It gives the window of the piece back, and spare to hold the next.
// A tunnel whose server has ended is at its end.
func (t *serving) next(spare []byte) (body []byte, end exchange.End, due bool) {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	if !t.due.IsZero() {
		defer t.wake(time.Until(t.due)).Stop()
	}
	for len(t.body) == 0 && t.ended == nil && t.s.left == nil && !(t.done && t.tunnel()) {
		if !t.due.IsZero() && !time.Now().Before(t.due) {
			t.due = time.Time{}
			return nil, exchange.End{}, true
		}
		t.moved.Wait()
	}
	switch {
	case t.done && t.tunnel():
		return nil, exchange.End{}, false
	case len(t.body) > 0:
		b := t.body
		n := int64(len(b)) + t.padding
		t.body, t.padding = spare[:0], 0
		t.s.give(n)
		if t.owed += n; t.ended == nil && t.owed >= serveWindow/4 {
			t.s.frames.WriteWindowUpdate(t.id, uint32(t.owed))
			t.credit, t.owed = t.credit+t.owed, 0
		}
		return b, exchange.End{}, false
	case t.ended == nil:
		return nil, exchange.End{How: exchange.Truncated, Err: t.s.left.Error()}, false
	}
	return nil, *t.ended, false
}

// close forgets the stream, and resets it if its answer is not at its end. What
// the client of a tunnel sent before it saw the end is no fault.
func (t *serving) close() {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	delete(t.s.streams, t.id)
	t.s.listed -= t.listed
	t.drop()
	if t.done && t.tunnel() && t.ended == nil {
		t.s.excuse(t.id)
	}
	if !t.done && !t.gone && t.s.left == nil {
		t.s.frames.WriteRSTStream(t.id, http2.ErrCodeInternal)
		t.s.excuse(t.id)
	}
}

// answer is the answer that play is given. An error is the client's leaving, or
// an event that has no place.
func (t *serving) answer(e exchange.Event) error {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	if e.Kind == exchange.KindWait {
		t.due = time.Time{}
		if e.Pause > 0 {
			t.due = time.Now().Add(e.Pause)
		}
		return t.lost()
	}
	t.pause(e.Pause)
	if err := t.turn(false); err != nil {
		return err
	}
	switch e.Kind {
	case exchange.KindHead:
		return t.respond(e.Head)
	case exchange.KindData:
		return t.send(e.Data)
	case exchange.KindTrailers:
		if t.done || len(e.Fields) == 0 || t.head.Method == http.MethodHead {
			return nil
		}
		t.release(false)
		t.s.list(nil, e.Fields, t.id, true)
		t.finished()
	case exchange.KindEnd:
		return t.end(e.End)
	}
	return nil
}

// finished notes that the answer is at its end.
func (t *serving) finished() {
	t.done = true
	t.s.calm.earn(calmAnswer)
	if t.s.ending == 0 {
		return
	}
	for _, other := range t.s.streams {
		if other.ending {
			other.moved.Broadcast()
		}
	}
}

// respond sends a head, interim or final. The final one waits for the stream's
// end where that may be in the same frame: gRPC clients take an error from a
// head that ends the stream, and from no other.
func (t *serving) respond(h *exchange.Head) error {
	switch {
	case t.headed:
		return fmt.Errorf("%w: a second head", errFraming)
	case h.Status == http.StatusSwitchingProtocols:
		return nil
	case h.Status < 200:
		t.s.list(status(h.Status), h.Fields, t.id, false)
		return nil
	}
	t.headed = true
	_, whole := exchange.Get(h.Fields, "grpc-status")
	t.held = &exchange.Head{Status: h.Status, Fields: slices.Clone(h.Fields)}
	if !whole && !t.bare() {
		t.release(false)
	}
	return nil
}

// bare tells whether the head that is held has no body.
func (t *serving) bare() bool {
	h := t.held
	return h.Status == http.StatusNoContent || h.Status == http.StatusNotModified ||
		t.head.Method == http.MethodHead || length(h.Fields) == 0
}

// release sends the head that is held, if one is.
func (t *serving) release(last bool) {
	if t.held != nil {
		t.s.list(status(t.held.Status), t.held.Fields, t.id, last)
		t.held = nil
	}
}

// send sends a piece of body as the client's windows allow.
func (t *serving) send(b []byte) error {
	switch {
	case t.head.Method == http.MethodHead || len(b) == 0:
		return nil
	case !t.headed || t.done || t.held != nil && t.bare():
		return fmt.Errorf("%w: data out of place", errFraming)
	}
	t.release(false)
	for s := t.s; len(b) > 0; {
		n, err := t.piece(b)
		if err != nil {
			return err
		}
		b = b[n:]
		if len(b) == 0 || n >= calmWorth {
			s.calm.earn(calmData)
		}
	}
	return nil
}

// answering reports whether an answer is under way that does not wait to end with
// the connection.
func (s *server) answering() bool {
	for _, t := range s.streams {
		if !t.done && !t.gone && !t.ending {
			return true
		}
	}
	return false
}

// status is the pseudo field of an answer's head.
func status(code int) []hpack.HeaderField {
	return []hpack.HeaderField{{Name: ":status", Value: strconv.Itoa(code)}}
}
