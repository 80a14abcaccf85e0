package http2

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/net/http2"

	"github.com/serge-net/serge-net/exchange"
)

// end ends the answer.
func (t *serving) end(e *exchange.End) error {
	switch {
	case t.done && e.How == exchange.Reset && t.ended == nil: // no more of the request is needed (RFC 9113, section 8.1)
		t.s.frames.WriteRSTStream(t.id, http2.ErrCodeNo)
		t.s.excuse(t.id)
		t.cut(*e)
		return nil
	case t.done:
		return nil
	case e.How != exchange.Complete:
		return t.abort(e)
	case !t.headed:
		return fmt.Errorf("%w: an end, and no head", errFraming)
	case t.held != nil:
		t.release(true)
	default:
		t.s.frames.WriteData(t.id, true, nil)
	}
	t.finished()
	return nil
}

// abort resets the stream. One that a leaving server had not looked at (GOAWAY
// without an error) is refused, which clients try again as they did.
func (t *serving) abort(e *exchange.End) error {
	code := http2.ErrCode(e.Code)
	switch {
	case code != http2.ErrCodeNo:
	case e.How == exchange.Reset && !t.headed && strings.HasPrefix(e.Err, goAwayPrefix):
		code = http2.ErrCodeRefusedStream
	default:
		code = http2.ErrCodeInternal
	}
	t.release(false)
	if e.Conn {
		return t.sever(e.How)
	}
	if e.How == exchange.Left {
		t.pause(e.Patience())
		if t.lost() != nil { // as it was recorded
			t.done = true
			return nil
		}
	}
	if err := t.drain(); err != nil {
		return err
	}
	t.s.frames.WriteRSTStream(t.id, code)
	t.s.excuse(t.id)
	t.cut(*e)
	t.finished()
	return nil
}

// sever ends the connection by how, as it ended when the answer was recorded.
// Other answers that had come by then come before.
func (t *serving) sever(how exchange.How) error {
	s := t.s
	t.ending = true
	s.ending++
	until := time.Now().Add(serveSever)
	wake := time.AfterFunc(serveSever, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		t.moved.Broadcast()
	})
	defer wake.Stop()
	for t.lost() == nil && s.answering() && time.Now().Before(until) {
		t.moved.Wait()
	}
	if err := t.drain(); err != nil {
		return err
	}
	t.finished()
	s.severed = how
	s.sender.leave(errSevered, s.lanes)
	s.conn.SetReadDeadline(time.Unix(1, 0)) // wakes read
	return nil
}
