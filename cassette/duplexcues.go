package cassette

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/serge-net/serge-net/exchange"
)

// cues are what was said in i, a call, as it is compared or waited for, and the
// bytes of its messages as they were sent.
func (i *Interaction) cues() ([]cue, []Body, error) {
	var cues []cue
	var bodies []Body
	halves := i.halves()
	var at [2]int64
	for _, m := range i.Call.Messages {
		c, b := cue{from: m.From, what: cueMessage, at: m.At}, Body{}
		switch {
		case m.Event == CallHead:
			c.what = cueHead
		case m.Event == CallEnd:
			c.what = cueEnd
		case m.From == exchange.Client && m.Event == CallCut:
			continue // what is not whole is no message to wait for
		case halves[m.From] == nil:
			continue
		default:
			whole := halves[m.From].Body
			b = whole.section(at[m.From], m.bytes())
			at[m.From] += m.bytes()
		}
		if m.From == exchange.Client && m.Event == CallSays {
			var err error
			if c.body, err = b.said(); err != nil {
				return nil, nil, fmt.Errorf("read message of %s: %w", i.ID, err)
			}
		}
		cues, bodies = append(cues, c), append(bodies, b)
	}
	return cues, bodies, nil
}

// section is n bytes of b from the one at.
func (b Body) section(at, n int64) Body {
	out := Body{Size: n, marked: b.marked, frames: b.frames}
	if b.open == nil {
		out.data = b.data[at : at+n : at+n]
		return out
	}
	out.open = func() (io.ReadCloser, error) {
		r, err := b.open()
		if err != nil {
			return nil, err
		}
		if s, ok := r.(io.Seeker); ok {
			_, err = s.Seek(at, io.SeekStart)
		} else {
			_, err = io.CopyN(io.Discard, r, at)
		}
		return struct {
			io.Reader
			io.Closer
		}{io.LimitReader(r, n), r}, err
	}
	return out
}

// said is what b says, which is one message with what stands before it.
func (b Body) said() (Body, error) {
	data, ok, err := b.Whole()
	if err != nil || !ok {
		return b.section(framePrefix, b.Size-framePrefix), err
	}
	plain, _ := frame{data[0], data[framePrefix:]}.plain(b.frames.coding)
	return Body{Size: int64(len(plain)), data: plain, marked: b.marked}, nil
}

// An earful is the messages of a client while they come.
type earful struct {
	framing
	prefix []byte
	left   int64 // bytes of u to come
	u      *remark
}

// hear takes b in up to the end of a message, and returns that, nil if it has not
// come yet, and the rest of b.
func (e *earful) hear(b []byte, begin func() *remark) (*remark, []byte) {
	if e.u == nil {
		n := min(framePrefix-len(e.prefix), len(b))
		e.prefix, b = append(e.prefix, b[:n]...), b[n:]
		if len(e.prefix) < framePrefix {
			return nil, nil
		}
		e.u, e.left = begin(), int64(binary.BigEndian.Uint32(e.prefix[1:]))
	}
	n := min(e.left, int64(len(b)))
	e.u.add(b[:n])
	if e.left -= n; e.left > 0 {
		return nil, nil
	}
	u, flags := e.u, e.prefix[0]
	e.u, e.prefix = nil, e.prefix[:0]
	if plain, ok := (frame{flags, u.body}).plain(e.coding); ok && u.sum == nil {
		u.body, u.size = plain, int64(len(plain))
	}
	return u, b[n:]
}

// say tells the client cue n.
func (c *duplex) say(n int, answer func(exchange.Event) error) error {
	if c.scene.cues[n].what == cueEnd {
		return c.finish(answer)
	}
	if err := c.tellHead(answer); err != nil || c.scene.cues[n].what == cueHead {
		c.told++
		return err
	}
	b, err := c.bound(c.bodies[n])
	if err != nil {
		return err
	}
	r, err := b.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	c.told++
	s := sender{from: io.LimitReader(r, b.Size), left: b.Size, buf: make([]byte, min(pieceSize, max(b.Size, 1))), tell: func(e exchange.Event) error {
		e.Stream, e.From = c.l.stream, exchange.Server
		return answer(e)
	}}
	return s.send(b.Size, 0, nil)
}

// bound is b, a message, as it is said in this run. A large one is said as it is.
func (c *duplex) bound(b Body) (Body, error) {
	b, err := b.filled(c.l.p.value)
	if err != nil {
		return b, err
	}
	data, ok, err := b.Whole()
	if err != nil || !ok {
		return b, err
	}
	c.scene.note(string(data))
	if said := c.scene.renamed(string(data)); said != string(data) {
		return bodyOf([]byte(said)), nil
	}
	return b, nil
}

// answer is the recorded one with the values of this run in its fields.
func (c *duplex) answer() *Interaction {
	it := *c.scene.slot.it
	r := *it.Response
	if to := c.l.p.bound(); to != nil {
		r.Fields, r.Trailers = mapFields(r.Fields, to), mapFields(r.Trailers, to)
	}
	it.Response = &r
	return &it
}

// tellHead tells the client the head of the answer, once.
func (c *duplex) tellHead(answer func(exchange.Event) error) error {
	if c.headed {
		return nil
	}
	c.headed = true
	head, _ := c.l.p.head(c.l, c.answer())
	return answer(exchange.Event{Stream: c.l.stream, From: exchange.Server, Kind: exchange.KindHead, Head: head})
}

// finish ends the call as it ended, once.
func (c *duplex) finish(answer func(exchange.Event) error) error {
	if c.ended {
		return nil
	}
	c.ended = true
	p, it := c.l.p, c.scene.slot.it
	tell := func(e exchange.Event) error {
		e.Stream, e.From = c.l.stream, exchange.Server
		return answer(e)
	}
	if it.Response == nil {
		return p.perform(c.l, it, nil, tell)
	}
	if err := c.tellHead(answer); err != nil {
		return err
	}
	return p.conclude(c.answer(), c.l.version, false, tell)
}
