package ws

import (
	"errors"
	"fmt"
	"io"
)

// Kind says what an Event is.
type Kind uint8

// The kinds of events. A message is Start, then Data and Frame as they come,
// then End; Control is in between anywhere.
const (
	KindStart   Kind = iota + 1 // Event.Header: the first frame of a message
	KindFrame                   // Event.Header: a further frame of it
	KindWire                    // Event.Data: a piece of a compressed payload, unmasked, before its Data
	KindData                    // Event.Data: a piece of the message, unmasked and inflated
	KindEnd                     // the message is complete and what its opcode says
	KindControl                 // Event.Header and Data: a control frame, whole
	KindExtra                   // Event.Data: what came behind a close frame, to be ignored
)

// Event is one thing that a Reader read.
type Event struct {
	Kind   Kind
	Header Header
	Data   []byte // valid only until the call with it returns
	Code   Code   // of a close frame
	Reason string // of a close frame
}

// ErrAbnormal is wrapped by what Reader.Close returns where there was no close
// frame, which is code 1006. Where it was in a message or a frame, so is
// io.ErrUnexpectedEOF.
var ErrAbnormal = errors.New("no close frame")

// Reader reads the frames of one direction. Its exported fields are set before
// the first Feed. It is not safe for use by several goroutines at once.
type Reader struct {
	// Masked says whose frames these are: a client's have to be masked, a
	// server's must not be (RFC 6455, section 5.1).
	Masked bool
	// Inflate is what was negotiated for this direction. Nil means that
	// permessage-deflate was not, and that a message with RSV1 is an error.
	Inflate *Inflater
	// Limit is the most bytes of a message, inflated; beyond it is an Error with
	// CodeTooBig. Zero means no limit.
	Limit uint64

	emit  func(Event)        // of the Feed that runs
	data  func([]byte) error // r.deliver, made once
	buf   [MaxHeader]byte    // the beginning of a header
	nbuf  int
	frame Header // the frame that is open, if inside
	// at is how much of the payload of frame was read.
	at     uint64
	inside bool

	open       Opcode // of the message that is open, or Continuation for none
	compressed bool
	size       uint64 // of the message so far, inflated
	text       text

	control  [maxControl]byte // the payload of a control frame so far, at bytes
	unmasked []byte
	closed   bool
	err      error
	rest     []byte
}

// pieceSize is the most bytes that are unmasked at a time: what the caller
// feeds stays as it is.
const pieceSize = 4 << 10

// Feed reads b, which goes on where the last one ended, and calls emit with
// what it finds. b is not changed and not kept. An error, an *Error, is final:
// each Feed after it returns it again.
func (r *Reader) Feed(b []byte, emit func(Event)) error {
	if r.err != nil {
		return r.err
	}
	r.emit = emit
	defer func() { r.emit = nil }()
	for len(b) > 0 {
		var n int
		var err error
		switch {
		case r.closed:
			emit(Event{Kind: KindExtra, Data: b})
			return nil
		case !r.inside:
			n, err = r.begin(b)
		case r.frame.Opcode.Control():
			n, err = r.feedControl(b)
		default:
			n, err = r.feedData(b)
		}
		if err != nil {
			r.err = err
			r.rest = append(r.unread(), b[n:]...)
			return err
		}
		b = b[n:]
	}
	return nil
}

// Close tells r that the direction has ended. It returns nil if a close frame
// was read, and else what Feed returned or an error that wraps ErrAbnormal.
func (r *Reader) Close() error {
	switch {
	case r.err != nil:
		return r.err
	case r.closed:
		return nil
	}
	r.rest = r.unread()
	switch {
	case r.inside:
		r.err = fmt.Errorf("%w: %d bytes into a %v frame of %d: %w", ErrAbnormal, r.at, r.frame.Opcode, r.frame.Length, io.ErrUnexpectedEOF)
	case r.nbuf > 0:
		r.err = fmt.Errorf("%w: %d bytes into a frame's header: %w", ErrAbnormal, r.nbuf, io.ErrUnexpectedEOF)
	case r.open != Continuation:
		r.err = fmt.Errorf("%w: between the frames of a %v message: %w", ErrAbnormal, r.open, io.ErrUnexpectedEOF)
	default:
		r.err = ErrAbnormal
	}
	return r.err
}

// Rest is, after an error of Feed or Close, the bytes read that no event has
// carried. It is the caller's.
func (r *Reader) Rest() []byte { return r.rest }

// unread is what was kept of bytes that no event has carried.
func (r *Reader) unread() []byte {
	if !r.inside || !r.frame.Opcode.Control() {
		return append([]byte(nil), r.buf[:r.nbuf]...)
	}
	h := AppendHeader(nil, r.frame)
	raw := append(h, r.control[:r.at]...)
	Mask(raw[len(h):], raw[len(h):], r.frame.Key, 0)
	return raw
}

// begin reads a header, or what b has of it, and returns how much that was.
func (r *Reader) begin(b []byte) (int, error) {
	had := r.nbuf
	src := b
	if had > 0 {
		src = r.buf[:had+copy(r.buf[had:], b)]
	}
	h, n, err := ParseHeader(src)
	if err != nil {
		return 0, err
	}
	if n == 0 {
		r.nbuf = copy(r.buf[:], src)
		return r.nbuf - had, nil
	}
	if err := r.check(h); err != nil {
		return 0, err
	}
	r.nbuf = 0
	r.frame, r.at, r.inside = h, 0, true
	switch {
	case h.Opcode.Control():
	case h.Opcode == Continuation:
		r.emit(Event{Kind: KindFrame, Header: h})
	default:
		r.open, r.size, r.compressed = h.Opcode, 0, h.RSV != 0
		r.emit(Event{Kind: KindStart, Header: h})
	}
	if h.Length == 0 {
		return n - had, r.finish()
	}
	return n - had, nil
}

// check reports what is wrong with h in this direction, after what was read.
func (r *Reader) check(h Header) error {
	first := h.Opcode == Text || h.Opcode == Binary
	switch {
	case h.Masked && !r.Masked:
		return violation("masked frame of a server")
	case !h.Masked && r.Masked:
		return violation("unmasked frame of a client")
	case h.RSV != 0 && !(h.RSV == RSV1 && first && r.Inflate != nil):
		return violation("reserved bits %03b in a %v frame", h.RSV, h.Opcode)
	case first && r.open != Continuation:
		return violation("%v frame within a %v message", h.Opcode, r.open)
	case h.Opcode == Continuation && r.open == Continuation:
		return violation("continuation frame without a message")
	}
	size, compressed := r.size, r.compressed
	if first {
		size, compressed = 0, h.RSV != 0
	}
	if !h.Opcode.Control() && !compressed && r.Limit > 0 && h.Length > r.Limit-size {
		return r.tooBig()
	}
	return nil
}

func (r *Reader) tooBig() error {
	return &Error{CodeTooBig, fmt.Sprintf("message of more than %d bytes", r.Limit)}
}

// feedControl keeps what b has of a control frame's payload.
func (r *Reader) feedControl(b []byte) (int, error) {
	n := min(len(b), int(r.frame.Length-r.at))
	Mask(r.control[r.at:], b[:n], r.frame.Key, r.at)
	r.at += uint64(n)
	if r.at < r.frame.Length {
		return n, nil
	}
	return n, r.finish()
}

// feedData passes on a piece of a message. With an error it returns how much of
// b events have carried.
func (r *Reader) feedData(b []byte) (int, error) {
	n := len(b)
	if left := r.frame.Length - r.at; uint64(n) > left {
		n = int(left)
	}
	p := b[:n]
	if r.frame.Masked {
		if r.unmasked == nil {
			r.unmasked = make([]byte, pieceSize)
		}
		n = min(n, pieceSize)
		p = r.unmasked[:n]
		Mask(p, b[:n], r.frame.Key, r.at)
	}
	if r.compressed {
		r.emit(Event{Kind: KindWire, Data: p})
		if err := r.Inflate.Feed(p, r.sink()); err != nil {
			return n, err
		}
	} else if err := r.deliver(p); err != nil {
		return 0, err
	}
	r.at += uint64(n)
	if r.at < r.frame.Length {
		return n, nil
	}
	return n, r.finish()
}

func (r *Reader) sink() func([]byte) error {
	if r.data == nil {
		r.data = r.deliver
	}
	return r.data
}

// deliver checks p, a piece of the message, and passes it on.
func (r *Reader) deliver(p []byte) error {
	// What is not compressed was measured at its header.
	tooBig := r.Limit > 0 && uint64(len(p)) > r.Limit-r.size
	if tooBig {
		p = p[:r.Limit-r.size]
	}
	if r.open == Text && !r.text.add(p) {
		return &Error{CodeInvalid, "text message is not UTF-8"}
	}
	r.size += uint64(len(p))
	r.emit(Event{Kind: KindData, Data: p})
	if tooBig {
		return r.tooBig()
	}
	return nil
}

// finish ends the frame, and the message if it was its last.
func (r *Reader) finish() error {
	if r.frame.Opcode.Control() {
		return r.finishControl()
	}
	r.inside = false
	if !r.frame.Fin {
		return nil
	}
	if r.compressed {
		if err := r.Inflate.End(r.sink()); err != nil {
			return err
		}
	}
	if !r.text.complete() {
		return &Error{CodeInvalid, "text message ends within a character"}
	}
	r.open, r.size, r.compressed = Continuation, 0, false
	r.emit(Event{Kind: KindEnd})
	return nil
}

func (r *Reader) finishControl() error {
	e := Event{Kind: KindControl, Header: r.frame, Data: r.control[:r.frame.Length]}
	if r.frame.Opcode == Close {
		var err error
		if e.Code, e.Reason, err = ParseClose(e.Data); err != nil {
			return err
		}
		r.closed = true
	}
	r.inside = false
	r.emit(e)
	return nil
}
