package cassette

import (
	"bytes"
	"fmt"
	"io"
	"slices"

	"github.com/serge-net/serge-net/exchange"
)

// A talk is an upgraded stream while it is played: what the client says is
// compared as one stream of bytes, and what the server said is released when
// the client has said all that it had said before. A nil talk is none.
type talk struct {
	it    *Interaction
	ms    []Message // of it, with their placeholders filled in
	next  int       // the message that is due
	heard int64     // bytes of the client so far
	due   int64     // bytes of the client before message next
	ended bool

	script  io.Reader // the client's messages, end to end
	closers []io.Closer
	spoken  []byte // what the recording has where the client differed
}

// newTalk plays i, in whose messages value fills in the placeholders.
func newTalk(i *Interaction, value func(mark string) string) (*talk, error) {
	t := &talk{it: i, ms: slices.Clone(i.Upgraded)}
	for n := range t.ms {
		var err error
		if t.ms[n].Body, err = t.ms[n].Body.filled(value); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// close lets go of the messages.
func (t *talk) close() {
	if t == nil {
		return
	}
	for _, c := range t.closers {
		_ = c.Close()
	}
	t.closers = nil
}

// hear says whether the client's next bytes b are those that were recorded.
func (t *talk) hear(b []byte) (bool, error) {
	if t.script == nil {
		var rs []io.Reader
		for _, m := range t.ms {
			if m.From != exchange.Client {
				continue
			}
			r, err := m.Body.Open()
			if err != nil {
				return false, err
			}
			rs, t.closers = append(rs, r), append(t.closers, r)
		}
		t.script = io.MultiReader(rs...)
	}
	want := make([]byte, len(b))
	n, err := io.ReadFull(t.script, want)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return false, err
	}
	t.spoken = want[:n]
	if !bytes.Equal(b, t.spoken) {
		return false, nil
	}
	t.heard += int64(n)
	return true, nil
}

// difference tells where b, which was just heard, is not what was recorded.
func (t *talk) difference(b []byte) string {
	n := 0
	for n < len(b) && n < len(t.spoken) && b[n] == t.spoken[n] {
		n++
	}
	if n == len(t.spoken) {
		return fmt.Sprintf("the client said more than was recorded, from byte %d on: %s", t.heard+int64(n), around(b, n))
	}
	return fmt.Sprintf("the client said something else at byte %d: recorded %s, said %s", t.heard+int64(n), around(t.spoken, n), around(b, n))
}

// around is the bytes at n, in hex.
func around(b []byte, n int) string { return fmt.Sprintf("% x", b[n:min(n+16, len(b))]) }

// speak tells the client what the server said next.
func (t *talk) speak(l *live, tell func(exchange.Event) error) error {
	ms := t.ms
	for ; t.next < len(ms); t.next++ {
		m := ms[t.next]
		if m.From == exchange.Client {
			if t.heard < t.due+m.Body.Size {
				return nil
			}
			t.due += m.Body.Size
			continue
		}
		r, err := m.Body.Open()
		if err != nil {
			return err
		}
		s := sender{from: r, left: m.Body.Size, buf: make([]byte, min(pieceSize, m.Body.Size)), tell: func(e exchange.Event) error {
			e.Stream, e.From = l.stream, exchange.Server
			return tell(e)
		}}
		err = s.send(s.left, 0, nil)
		r.Close()
		if err != nil {
			return err
		}
	}
	if t.it.ClosedBy == exchange.Client {
		return nil // finish follows the client's end
	}
	return t.finish(l, tell)
}

// finish ends the server's half, once.
func (t *talk) finish(l *live, tell func(exchange.Event) error) error {
	if t.ended {
		return nil
	}
	t.ended = true
	return tell(l.event(exchange.End{How: t.it.Response.End}))
}
