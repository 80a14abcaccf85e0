package cassette

import (
	"github.com/serge-net/serge-net/cassette/secret"
	"github.com/serge-net/serge-net/exchange"
)

// overheard is an upgraded stream while it is recorded: what both sides say, in
// the order in which they said it. What one says behind something that is held
// back waits with it.
type overheard struct {
	streams [2]*secret.Stream // by side
	said    []utterance
	client  *unmasking // of a WebSocket; nil: it is none
}

// An utterance is what one side said at once.
type utterance struct {
	event  exchange.Event // without its data
	open   int            // bytes of it that are not decided
	out    []byte         // what is decided, in the cassette's form if marked
	marked bool
}

// overhear records e's data, of an upgraded stream.
func (w *watch) overhear(o *overheard, e exchange.Event) {
	data := e.Data
	e.Data, e.Raw = nil, nil
	o.said = append(o.said, utterance{event: e, open: len(data)})
	if o.streams[e.From] == nil {
		o.streams[e.From] = w.r.hide.set.Stream()
	}
	w.understand(o, e.From, data, false)
}

// understand gives what is decided of what from said to its utterances, and
// records those of which all is.
func (w *watch) understand(o *overheard, from exchange.Side, data []byte, final bool) {
	if o.streams[from] == nil {
		return
	}
	if from == exchange.Client && o.client != nil {
		data = o.client.next(data, final)
	}
	o.streams[from].Next(data, final, func(text []byte, f *secret.Finding) {
		mark := ""
		if f != nil {
			mark = w.r.hide.mark(*f)
		}
		for i := range o.said {
			u := &o.said[i]
			if u.event.From != from || u.open == 0 {
				continue
			}
			n := min(u.open, len(text))
			if f == nil {
				u.out = append(u.out, text[:n]...)
			} else {
				u.out, u.marked, mark = append(u.out, mark...), true, ""
			}
			u.open, text = u.open-n, text[n:]
			if len(text) == 0 {
				return
			}
		}
	})
	for len(o.said) > 0 && o.said[0].open == 0 {
		u := o.said[0]
		if u.event.Data = u.out; len(u.out) > 0 {
			w.piece(u.event, u.marked, "")
		}
		o.said = o.said[1:]
	}
}
