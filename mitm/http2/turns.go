package http2

import "time"

// turn waits until t may write, or with data until it may write that. Streams take
// turns at what they share, the connection's window and the room for frames; who
// wakes one of them is who makes room, so that none wakes in vain.
func (t *serving) turn(data bool) error {
	s := t.s
	for t.lost() == nil {
		shared := s.out.Len() <= serveAhead && (!data || s.window > 0)
		switch {
		case data && t.window <= 0:
			s.pass() // to who can use the turn
			t.moved.Wait()
		case !shared:
			t.place = s.queue.PushBack(t)
			t.moved.Wait()
			if t.place != nil { // something else moved
				s.queue.Remove(t.place)
				t.place = nil
			}
		default:
			s.pass()
			return nil
		}
	}
	s.pass()
	return t.lost()
}

// pass wakes the stream whose turn it is, if there is room.
func (s *server) pass() {
	if e := s.queue.Front(); e != nil && s.out.Len() <= serveAhead {
		s.queue.Remove(e)
		t := e.Value.(*serving)
		t.place = nil
		t.moved.Broadcast()
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
	wake := time.AfterFunc(d, func() {
		t.s.mu.Lock()
		defer t.s.mu.Unlock()
		t.moved.Broadcast()
	})
	defer wake.Stop()
	for t.lost() == nil && time.Now().Before(until) {
		t.moved.Wait()
	}
}
