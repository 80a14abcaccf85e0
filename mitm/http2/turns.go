package http2

import "time"

// turn waits until l may write, or with data until it may write that. Streams take
// turns at what they share, the room for frames and the connection's window: who
// gets on wakes the next, so that few wake in vain.
func (l *lane) turn(data bool) error {
	s := l.by
	queue := &s.rooms
	if data {
		queue = &s.windows
	}
	for l.lost() == nil {
		switch {
		case data && l.window <= 0:
			s.pass() // the turn is not for l
			l.moved.Wait()
		case s.out.Len() > sendAhead || data && s.window <= 0:
			place := queue.PushBack(l)
			l.moved.Wait()
			queue.Remove(place) // unless pass has
		default:
			s.pass()
			return nil
		}
	}
	s.pass()
	return l.lost()
}

// pass wakes the stream whose turn it is, if there is one.
func (s *sender) pass() {
	queue := &s.rooms
	if queue.Len() == 0 && s.window > 0 {
		queue = &s.windows
	}
	if e := queue.Front(); e != nil && s.out.Len() <= sendAhead {
		queue.Remove(e).(*lane).moved.Broadcast()
	}
}

// drain waits until what was sent is on its way. A client that reads a reset
// together with data before it may lose the data (curl 7.88 does).
func (l *lane) drain() error {
	for before := l.by.flushes; l.lost() == nil && l.by.out.Len() > 0 && l.by.flushes == before; {
		l.by.flushed.Wait()
	}
	return l.lost()
}

// pause lets d pass, unless the client leaves or resets the stream before. s.mu
// is held, but not meanwhile.
func (l *lane) pause(d time.Duration) {
	if d <= 0 {
		return
	}
	until := time.Now().Add(d)
	defer l.wake(d).Stop()
	for l.lost() == nil && time.Now().Before(until) {
		l.moved.Wait()
	}
}

// wake has what waits for l to move look again after d.
func (l *lane) wake(d time.Duration) *time.Timer {
	return time.AfterFunc(d, func() {
		l.by.mu.Lock()
		defer l.by.mu.Unlock()
		l.moved.Broadcast()
	})
}
