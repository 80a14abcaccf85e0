package http2

import "time"

// turn waits until t may write, or with data until it may write that. Streams take
// turns at what they share, the room for frames and the connection's window: who
// gets on wakes the next, so that few wake in vain.
func (t *serving) turn(data bool) error {
	s := t.s
	queue := &s.rooms
	if data {
		queue = &s.windows
	}
	for t.lost() == nil {
		switch {
		case data && t.window <= 0:
			s.pass() // the turn is not for t
			t.moved.Wait()
		case s.out.Len() > serveAhead || data && s.window <= 0:
			place := queue.PushBack(t)
			t.moved.Wait()
			queue.Remove(place) // unless pass has
		default:
			s.pass()
			return nil
		}
	}
	s.pass()
	return t.lost()
}

// pass wakes the stream whose turn it is, if there is one.
func (s *server) pass() {
	queue := &s.rooms
	if queue.Len() == 0 && s.window > 0 {
		queue = &s.windows
	}
	if e := queue.Front(); e != nil && s.out.Len() <= serveAhead {
		queue.Remove(e).(*serving).moved.Broadcast()
	}
}

// drain waits until what was sent is on its way. A client that reads a reset
// together with data before it may lose the data (curl 7.88 does).
func (t *serving) drain() error {
	for before := t.s.flushes; t.lost() == nil && t.s.out.Len() > 0 && t.s.flushes == before; {
		t.s.flushed.Wait()
	}
	return t.lost()
}

// pause lets d pass, unless the client leaves or resets the stream before. s.mu
// is held, but not meanwhile.
func (t *serving) pause(d time.Duration) {
	if d <= 0 {
		return
	}
	until := time.Now().Add(d)
	defer t.wake(d).Stop()
	for t.lost() == nil && time.Now().Before(until) {
		t.moved.Wait()
	}
}

// wake has what waits for t to move look again after d.
func (t *serving) wake(d time.Duration) *time.Timer {
	return time.AfterFunc(d, func() {
		t.s.mu.Lock()
		defer t.s.mu.Unlock()
		t.moved.Broadcast()
	})
}
