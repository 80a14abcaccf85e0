package http2

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"golang.org/x/net/http2"

	"github.com/serge-net/serge-net/exchange"
)

// What of an answer waits for a client beside the bytes that its window allows.
const (
	callHeads  = 64  // interim answers, at most
	callPieces = 256 // pieces of Data, before the next are made part of the last
)

// A Call is one exchange with an origin. Send and Answer may be called at once.
type Call struct {
	lane
	u    *Upstream
	ctx  context.Context
	stop func() bool // of what ends c with ctx

	// What follows is guarded by u.mu.

	sent   bool             // the request is at its end
	credit int64            // what the origin may send of Data
	room   int64            // and what it may if all that came were taken
	owed   int64            // what was taken since it was last told so
	queue  []exchange.Event // what it did that was not taken
	heads  int              // among that
	open   int              // how many of the queue may be taken
	over   bool             // the last of the queue is, or was, the End
	told   bool             // that was taken, or will not be
	spared bool             // the origin reset the stream after it
}

// sending is the half of c that is sent; nil of no call.
func (c *Call) sending() *lane {
	if c == nil {
		return nil
	}
	return &c.lane
}

// Send sends an event of the request behind its head: Data as the origin takes
// it, Trailers, or the End, which if it is not Complete resets the stream. An
// error is that the origin needs no more of it: Answer tells how that came.
func (c *Call) Send(e exchange.Event) error {
	c.u.mu.Lock()
	defer c.u.mu.Unlock()
	if err := c.turn(false); err != nil || c.sent {
		return err
	}
	switch e.Kind {
	case exchange.KindData:
		for b := e.Data; len(b) > 0; {
			n, err := c.piece(b)
			if err != nil {
				return err
			}
			b = b[n:]
		}
	case exchange.KindTrailers:
		if len(e.Fields) > 0 {
			c.sent = true
			c.u.list(nil, e.Fields, c.id, true)
		}
	case exchange.KindEnd:
		if e.End.How != exchange.Complete {
			c.reset(http2.ErrCode(e.End.Code))
			break
		}
		c.sent = true
		c.u.frames.WriteData(c.id, true, nil)
	}
	c.moved.Broadcast()
	c.forget()
	return nil
}

// Answer tells emit what the origin does, in order, and returns after the End
// that it told and that of the request, or before with the error of emit, which
// resets the stream, or with the cause of the Call's ctx. An origin that resets
// the stream after its End needs no more of the request: that is told as
// another End, Reset.
func (c *Call) Answer(emit func(exchange.Event) error) error {
	err := c.answer(emit)
	if err == nil && c.spare() {
		err = emit(exchange.Event{Stream: uint64(c.id), From: exchange.Server, Kind: exchange.KindEnd, End: &exchange.End{How: exchange.Reset}})
	}
	c.u.mu.Lock()
	defer c.u.mu.Unlock()
	if c.told = true; err != nil {
		c.reset(http2.ErrCodeCancel)
	}
	c.forget()
	return err
}

// answer is Answer but for what follows it.
func (c *Call) answer(emit func(exchange.Event) error) error {
	for {
		events, err := c.next()
		if err != nil {
			return err
		}
		for _, e := range events {
			if err := emit(e); err != nil {
				return err
			}
			if e.Kind == exchange.KindEnd {
				return nil
			}
			c.taken(int64(len(e.Data)))
		}
	}
}

// spare waits for the end of the request, and reports whether the origin had it
// end.
func (c *Call) spare() bool {
	c.u.mu.Lock()
	defer c.u.mu.Unlock()
	for !c.sent && !c.gone {
		c.moved.Wait()
	}
	return !c.sent && c.spared
}

// next waits for what the origin did.
func (c *Call) next() ([]exchange.Event, error) {
	c.u.mu.Lock()
	defer c.u.mu.Unlock()
	for c.open == 0 && c.ctx.Err() == nil {
		c.moved.Wait()
	}
	if c.ctx.Err() != nil {
		return nil, context.Cause(c.ctx)
	}
	events := c.queue[:c.open]
	c.queue, c.open, c.heads = c.queue[c.open:], 0, 0
	return events, nil
}

// taken gives n bytes back to the stream's window. As long as its client takes
// what it is given the window grows, so that a long way costs nothing.
func (c *Call) taken(n int64) {
	if n == 0 {
		return
	}
	c.u.mu.Lock()
	defer c.u.mu.Unlock()
	c.owe(n)
}

// owe is taken. u.mu is held.
func (c *Call) owe(n int64) {
	if c.owed += n; c.owed < c.room/2 || c.over || c.gone {
		return
	}
	more := c.owed
	if grow := c.room; c.room+grow <= upstreamGrown && c.u.grown+grow <= upstreamHeld {
		c.room += grow
		c.u.grown += grow
		more += grow
	}
	c.u.frames.WriteWindowUpdate(c.id, uint32(more))
	c.credit, c.owed = c.credit+more, 0
}

// take keeps e for Answer, when it is released.
func (c *Call) take(e exchange.Event) {
	if c.over {
		return
	}
	switch last := len(c.queue) - 1; e.Kind {
	case exchange.KindHead:
		if c.heads++; c.heads > callHeads {
			c.fail(http2.ErrCodeEnhanceYourCalm, "interim answers without end")
			return
		}
		h := *e.Head
		h.Fields = slices.Clone(h.Fields)
		e.Head = &h
	case exchange.KindData:
		if last >= 0 && c.queue[last].Kind == exchange.KindData && (last >= c.open || last >= callPieces) {
			c.queue[last].Data = append(c.queue[last].Data, e.Data...)
			return
		}
		e.Data = bytes.Clone(e.Data)
	case exchange.KindTrailers:
		e.Fields = slices.Clone(e.Fields)
	case exchange.KindEnd:
		c.end(*e.End)
		return
	}
	c.keep(e)
}

// keep adds e to the queue.
func (c *Call) keep(e exchange.Event) {
	if len(c.queue) == c.open {
		c.u.fresh = append(c.u.fresh, c)
	}
	c.queue = append(c.queue, e)
}

// end is the last that Answer tells.
func (c *Call) end(end exchange.End) {
	if c.over {
		return
	}
	c.over = true
	c.keep(exchange.Event{Stream: uint64(c.id), From: exchange.Server, Kind: exchange.KindEnd, End: &end})
	if end.How != exchange.Complete {
		c.gone = true
	}
	c.moved.Broadcast()
}

// fail ends the stream at the origin's fault.
func (c *Call) fail(code http2.ErrCode, why string) {
	c.reset(code)
	c.end(exchange.End{How: exchange.Reset, Code: uint32(code), Err: why})
}

// reset ends the stream by our doing.
func (c *Call) reset(code http2.ErrCode) {
	if !c.gone && c.u.left == nil && !(c.over && c.sent) {
		c.u.frames.WriteRSTStream(c.id, code)
	}
	c.gone = true
	c.moved.Broadcast()
}

// abandon ends the stream when ctx is done.
func (c *Call) abandon() {
	c.u.mu.Lock()
	defer c.u.mu.Unlock()
	var left *ResetError
	if c.id != 0 && errors.As(context.Cause(c.ctx), &left) {
		c.reset(http2.ErrCode(left.Code))
	}
	c.gone = true
	c.moved.Broadcast()
	c.u.free.Broadcast()
}

// forget lets go of a stream that both sides have ended.
func (c *Call) forget() {
	if !c.told || !c.sent && !c.gone || c.u.calls[c.id] != c {
		return
	}
	c.stop()
	c.u.grown -= c.room - streamWindow
	delete(c.u.calls, c.id)
	c.u.free.Signal()
	c.u.rest()
}
