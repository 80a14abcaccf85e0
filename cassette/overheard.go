package cassette

import (
	"bytes"

	"github.com/serge-net/serge-net/cassette/secret"
	"github.com/serge-net/serge-net/exchange"
)

// overheard is an upgraded stream while it is recorded: what both sides say, in
// the order in which they said it. What one says behind something that is held
// back waits with it.
type overheard struct {
	streams [2]*secret.Stream // by side
	said    []utterance
	size    int        // of said, in bytes
	login   *login     // of a conversation; nil: it is none
	client  *unmasking // of a WebSocket; nil: it is none
}

// An utterance is what one side said at once, or its End.
type utterance struct {
	event  exchange.Event // without its data
	open   int            // bytes of it that are not decided
	out    []byte         // what is decided, in the cassette's form if marked
	marked bool
}

// heardMost is how much of what both sides say is held back for what one of them said
// before, in bytes. It is more than a secret has: what goes on for longer is none.
const heardMost = 1 << 20

// ends takes in e, an End, which is told behind all that was said before.
func (o *overheard) ends(e exchange.Event) {
	e.Raw, e.End = bytes.Clone(e.Raw), new(*e.End)
	o.said = append(o.said, utterance{event: e})
}

// A login looks for the password that a client logs in with to a conversation.
type login struct {
	asked []byte // what the server said last, or the end of it
	heard int    // of both sides, in bytes
}

const (
	// loginMost is how far into a conversation passwords are looked for, in bytes of both
	// sides: clients log in before anything else.
	loginMost = 64 << 10
	// askedMost is how much is kept of what the server said last: a line.
	askedMost = 4 << 10
)

// hear takes in what from said, and tells where the password is in it.
func (l *login) hear(from exchange.Side, data []byte) (at, to int, found bool) {
	if l == nil || l.heard > loginMost {
		return 0, 0, false
	}
	l.heard += len(data)
	if from == exchange.Client {
		return secret.Login(l.asked, data)
	}
	l.asked = bytes.Clone(data[max(0, len(data)-askedMost):])
	return 0, 0, false
}

// overhear records e's data, of an upgraded stream.
func (w *watch) overhear(o *overheard, e exchange.Event) {
	at, to, found := o.login.hear(e.From, e.Data)
	if !found {
		w.take(o, e)
		return
	}
	before, behind := e, e
	before.Data, behind.Data = e.Data[:at], e.Data[to:]
	w.take(o, before)
	w.understand(o, e.From, nil, true) // what is held back is not part of it
	mark := w.r.hide.sub("password", string(e.Data[at:to]))
	e.Data, e.Raw = nil, nil
	o.said = append(o.said, utterance{event: e, out: []byte(mark), marked: true})
	w.take(o, behind)
}

// take records e's data, of an upgraded stream, in which there is no login.
func (w *watch) take(o *overheard, e exchange.Event) {
	data := e.Data
	e.Data, e.Raw = nil, nil
	o.said = append(o.said, utterance{event: e, open: len(data)})
	if o.streams[e.From] == nil {
		o.streams[e.From] = w.r.hide.set.Stream()
	}
	w.understand(o, e.From, data, false)
	if o.size += len(data); o.size > heardMost && len(o.said) > 0 {
		w.understand(o, o.said[0].event.From, nil, true)
	}
}

// understand gives what is decided of what from said to its utterances, and
// records those of which all is.
func (w *watch) understand(o *overheard, from exchange.Side, data []byte, final bool) {
	if o.streams[from] != nil {
		w.decide(o, from, data, final)
	}
	for len(o.said) > 0 && o.said[0].open == 0 {
		u := o.said[0]
		if u.event.Data = u.out; len(u.out) > 0 {
			w.piece(u.event, u.marked, "")
		}
		if u.event.Kind == exchange.KindEnd {
			w.ended(u.event)
		}
		o.said = o.said[1:]
	}
	if len(o.said) == 0 {
		o.size = 0
	}
}

// decide gives what is decided of what from said to its utterances.
func (w *watch) decide(o *overheard, from exchange.Side, data []byte, final bool) {
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
	if final {
		o.streams[from] = nil // what is said behind it begins anew
	}
}
