package cassette

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"

	"github.com/serge-net/serge-net/exchange"
)

// live is one exchange that is going on.
type live struct {
	p, then      *Player // by which it is answered, and by which if that has no answer; nil: none
	stream       uint64
	version      string
	req          Request
	body         []byte    // up to wholeMost of its beginning
	sum          hash.Hash // of a larger body
	size         int64
	interim      bool // a 100 was sent
	answered     bool
	talk         *talk         // after an upgrade
	dialogue     *dialogue     // in place of talk, of a WebSocket
	conversation *conversation // in place of all that, of what is no HTTP
	duplex       *duplex       // of a call, while it may be one
	ends         int
}

// add takes a piece of the request's body in.
func (l *live) add(b []byte) {
	l.size += int64(len(b))
	switch {
	case l.sum != nil:
		l.sum.Write(b)
	case l.size > wholeMost:
		l.sum = sha256.New()
		l.sum.Write(l.body)
		l.sum.Write(b)
	default:
		l.body = append(l.body, b...)
	}
}

// begins says whether l's body begins with what was recorded in s. Of a larger
// one than is held, the held beginning has to.
func (l *live) begins(s *slot) bool {
	was := s.it.Request.Body
	if was.Size > l.size {
		return false
	}
	r, err := was.Open()
	if err != nil {
		return false
	}
	defer r.Close()
	head := l.body[:min(was.Size, int64(len(l.body)))]
	read := make([]byte, len(head))
	_, err = io.ReadFull(r, read)
	return err == nil && bytes.Equal(read, head)
}

// form is the canonical form of the request, all of which is there, by p.
func (l *live) form(p *Player) (form, error) {
	l.req.Body = Body{Size: l.size, data: l.body}
	if l.sum != nil {
		l.req.Body = Body{Size: l.size, sum: hex.EncodeToString(l.sum.Sum(nil))}
	}
	return p.rules.formOf(&l.req)
}

// claim is what answers l, all of which is there; nil if nothing does. f is its
// form by the player that was asked first.
func (l *live) claim() (k *pick, f form, err error) {
	if f, err = l.form(l.p); err != nil {
		return nil, f, err
	}
	if k, err = l.p.claim(l, f); k != nil || err != nil || l.then == nil {
		return k, f, err
	}
	g, err := l.form(l.then)
	if err != nil {
		return nil, f, err
	}
	if k, err = l.then.claim(l, g); k != nil {
		l.p = l.then
	}
	return k, f, err
}

// sameRoute are the recordings of l's route, and its form without its body. The
// player that is to be asked then is asked now if the first has none.
func (l *live) sameRoute() (form, []*slot, error) {
	f, err := l.p.rules.formOf(&l.req)
	if err != nil {
		return f, nil, err
	}
	same, err := l.p.ofRoute(f)
	if err != nil || len(same) > 0 || l.then == nil {
		return f, same, err
	}
	l.p, l.then = l.then, nil
	return l.sameRoute()
}

// streams says whether the answer to l may come before its end: an HTTP/2 request
// that has a body, as most have that do more than ask. One for which a callback
// is asked is told of whole.
func (l *live) streams() bool {
	length, _ := exchange.Get(l.req.Fields, "content-length")
	return l.version == "2" && length != "0" && !isSafe(l.req.Method) && l.req.Method != "DELETE" &&
		l.p.opt.Callback == nil && (l.then == nil || l.then.opt.Callback == nil)
}

// leave lets go of what goes on after an upgrade.
func (l *live) leave() {
	l.talk.close()
	l.dialogue.leave()
	l.conversation.leave()
	l.duplex.drop()
}

// event is the end of the server's half of l.
func (l *live) event(e exchange.End) exchange.Event {
	return exchange.Event{Stream: l.stream, From: exchange.Server, Kind: exchange.KindEnd, End: &e}
}
