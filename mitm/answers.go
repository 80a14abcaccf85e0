package mitm

import (
	"net/http"
	"time"

	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/mitm/http1"
)

// An answering is an answer under way; forward.mu guards it.
type answering struct {
	method string
	enc    *http1.Encoder // told its head: it knows whether the connection persists
	begun  bool           // the client was sent a byte of it
	over   bool           // it is at its end, or made the connection a tunnel
	done   chan struct{}  // closed when it is over and the client has it
}

// relay passes on what comes back by w, to its end.
func (f *forward) relay(w *out) {
	defer w.end()
	defer w.Close()
	buf := make([]byte, startBuffer)
	for {
		n, err := w.Read(buf)
		if n > 0 && !f.pass(w, buf[:n]) {
			return
		}
		if n == len(buf) && n < bulkBuffer {
			buf = make([]byte, bulkBuffer)
		}
		if err != nil {
			f.ended(w, endOf(err).How)
			return
		}
	}
}

// due is the answer that what comes by w belongs to; nil: none. mu is held.
func (f *forward) due(w *out) *answering {
	if f.way != w || f.answer == nil || f.answer.over && !f.through {
		return nil
	}
	return f.answer
}

// pass gives b, from w, to the client. What no request asked for, as the 408 of
// a server that closes an idle connection, is not the client's: its connection
// is to us.
func (f *forward) pass(w *out, b []byte) bool {
	f.mu.Lock()
	a := f.due(w)
	if a == nil {
		f.mu.Unlock()
		return false
	}
	was := a.over
	a.begun = true
	if err := f.dec.Feed(exchange.Server, time.Since(f.start), b, f.event); err != nil {
		f.last = true // where it ends is not understood: by the connection's end
	}
	over := a.over && !was
	f.mu.Unlock()
	if _, err := f.client.Write(b); err != nil {
		reset(w.leg)
		f.finish(a)
		return false
	}
	if over {
		f.finish(a)
	}
	return true
}

// answered takes what the origin did. mu is held.
func (f *forward) answered(e exchange.Event) {
	a := f.answer
	switch e.Kind {
	case exchange.KindHead:
		f.through = e.Head.Status == http.StatusSwitchingProtocols
		a.over = f.through
		if _, err := a.enc.Encode(nil, e); err != nil || a.enc.Last() {
			f.last = true
		}
	case exchange.KindEnd:
		a.over = true
	}
}

// finish lets the client's next request go on, or ends the connection.
func (f *forward) finish(a *answering) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a.over = true
	select {
	case <-a.done:
		return
	default:
	}
	if f.last && !f.through {
		f.client.SetReadDeadline(time.Unix(1, 0)) // wakes serve
	}
	close(a.done)
}

// ended ends the client as w ended, if an answer was under way.
func (f *forward) ended(w *out, how exchange.How) {
	f.mu.Lock()
	a := f.due(w)
	if a == nil {
		f.mu.Unlock()
		return
	}
	f.last = true
	f.mu.Unlock()
	if how == exchange.Complete {
		closeWrite(f.client)
	} else {
		reset(f.client)
	}
	f.finish(a)
}

// apologise answers in the origin's place that w did not get there, unless the
// answer has begun.
func (f *forward) apologise(w *out, err error) bool {
	f.mu.Lock()
	a := f.due(w)
	if a == nil || a.begun {
		f.mu.Unlock()
		return false
	}
	a.begun, a.over, f.last = true, true, true
	f.mu.Unlock()
	f.client.Write(apology(http.StatusBadGateway, a.method, err))
	f.finish(a)
	return true
}
