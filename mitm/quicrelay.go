package mitm

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/mitm/http3"
)

// A quicRelay joins two QUIC connections stream by stream: a stream that one
// side opens is opened at the other, in the same order, so that it has the same
// number, which HTTP/3 speaks of. Bytes pass as they are, QPACK's tables with
// them; resets, and the wish for them, pass with their codes, and so do datagrams.
type quicRelay struct {
	sides   [2]*quic.Conn // by who is there
	tap     *tap
	passing sync.WaitGroup

	streams *http3.Decoder // guarded by tap.mu; nil: what passes is not understood
}

// newQUICRelay relays between client and server, shown to t.
func newQUICRelay(client, server *quic.Conn, t *tap) *quicRelay {
	r := &quicRelay{sides: [2]*quic.Conn{client, server}, tap: t}
	told := false
	r.streams = http3.NewDecoder(func(_ uint64, what string) {
		if !told {
			t.tell.trouble(Opaque, t.origin, errors.New(what+": it passed, and is not recorded"))
		}
		told = true
	})
	return r
}

// run relays until one side has closed, or ctx is done, and closes both.
func (r *quicRelay) run(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { r.sides[exchange.Client].CloseWithError(http3.NoError, "") })
	defer stop()
	for i := range r.sides {
		from := exchange.Side(i)
		r.passing.Go(func() { r.accept(from) })
		r.passing.Go(func() { r.acceptOneWay(from) })
		r.passing.Go(func() { r.datagrams(from) })
		r.passing.Go(func() { r.close(from) })
	}
	r.passing.Wait()
	r.hangup()
	r.tap.close()
}

// hangup tells the tap how the connection ended.
func (r *quicRelay) hangup() {
	t := r.tap
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.streams == nil {
		return
	}
	var code uint64
	var closed *quic.ApplicationError
	if errors.As(context.Cause(r.sides[exchange.Client].Context()), &closed) {
		code = uint64(closed.ErrorCode)
		t.due.left = closed.Remote
	}
	r.streams.Hangup(time.Since(t.start), http3.ClosedEnd(code), t.emit)
	t.flush()
}

// close waits for from to close its connection, and closes the other alike.
func (r *quicRelay) close(from exchange.Side) {
	c, other := r.sides[from], r.sides[1-from]
	<-c.Context().Done()
	var closed *quic.ApplicationError
	if errors.As(context.Cause(c.Context()), &closed) {
		other.CloseWithError(closed.ErrorCode, closed.ErrorMessage)
		return
	}
	other.CloseWithError(http3.NoError, "")
}

// accept relays the streams that from opens.
func (r *quicRelay) accept(from exchange.Side) {
	for {
		in, err := r.sides[from].AcceptStream(r.sides[from].Context())
		if err != nil {
			return
		}
		out, err := r.sides[1-from].OpenStreamSync(r.sides[from].Context())
		if err != nil {
			return
		}
		id := uint64(in.StreamID())
		r.passing.Go(func() { r.oneWay(out, in, from, id) })
		r.passing.Go(func() { r.oneWay(in, out, 1-from, id) })
	}
}

// acceptOneWay relays the unidirectional streams that from opens.
func (r *quicRelay) acceptOneWay(from exchange.Side) {
	for {
		in, err := r.sides[from].AcceptUniStream(r.sides[from].Context())
		if err != nil {
			return
		}
		out, err := r.sides[1-from].OpenUniStreamSync(r.sides[from].Context())
		if err != nil {
			return
		}
		id := uint64(in.StreamID())
		if from == exchange.Server {
			r.passing.Go(func() { r.oneWay(&offering{SendStream: out}, in, from, id) })
			continue
		}
		r.passing.Go(func() { r.oneWay(out, in, from, id) })
	}
}

// offering is a stream of the origin's whose beginning is edited: it may offer what
// would not be recorded.
type offering struct {
	*quic.SendStream
	offer http3.Offer
}

// Write implements io.Writer.
func (f *offering) Write(b []byte) (int, error) {
	if _, err := f.SendStream.Write(f.offer.Edit(b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Close implements io.Closer.
func (f *offering) Close() error {
	_, err := f.SendStream.Write(f.offer.Rest())
	return errors.Join(err, f.SendStream.Close())
}

// A streamReader is a stream as its receiver has it.
type streamReader interface {
	io.Reader
	CancelRead(code quic.StreamErrorCode)
}

// A streamWriter is a stream as its sender has it.
type streamWriter interface {
	io.WriteCloser
	CancelWrite(code quic.StreamErrorCode)
	SetReliableBoundary()
	Context() context.Context
}

// oneWay copies what from sends on stream id, from src to dst, until it ends,
// and ends dst alike.
func (r *quicRelay) oneWay(dst streamWriter, src streamReader, from exchange.Side, id uint64) {
	// Who is sent to may want no more, while nothing comes.
	stop := context.AfterFunc(dst.Context(), func() {
		var unwanted *quic.StreamError
		if errors.As(context.Cause(dst.Context()), &unwanted) && unwanted.Remote {
			src.CancelRead(unwanted.ErrorCode)
		}
	})
	defer stop()
	buf := make([]byte, startBuffer)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			r.feed(id, from, buf[:n])
			if _, err := dst.Write(buf[:n]); err != nil {
				r.stopped(id, from, src, err)
				return
			}
			if n == len(buf) && n < bulkBuffer {
				buf = make([]byte, bulkBuffer)
			}
		}
		if err != nil {
			r.ended(id, from, dst, err)
			return
		}
	}
}

// stopped ends src, whose other end wants no more: err says why.
func (r *quicRelay) stopped(id uint64, from exchange.Side, src streamReader, err error) {
	var unwanted *quic.StreamError
	if !errors.As(err, &unwanted) {
		return // the connection is closed
	}
	src.CancelRead(unwanted.ErrorCode)
	r.end(id, from, http3.ResetEnd(http3.StopSending, uint64(unwanted.ErrorCode), 1-from))
}

// ended ends dst as src did: err says how.
func (r *quicRelay) ended(id uint64, from exchange.Side, dst streamWriter, err error) {
	var reset *quic.StreamError
	switch {
	case errors.Is(err, io.EOF):
		r.end(id, from, exchange.End{})
		dst.Close()
	case errors.As(err, &reset) && !reset.Remote:
		r.end(id, from, http3.ResetEnd(http3.StopSending, uint64(reset.ErrorCode), 1-from))
	case errors.As(err, &reset):
		r.end(id, from, http3.ResetEnd(http3.ResetStream, uint64(reset.ErrorCode), from))
		dst.SetReliableBoundary()
		dst.CancelWrite(reset.ErrorCode)
	}
}

// datagrams relays what from sends without a stream. What the other side does
// not take is lost, as on a wire.
func (r *quicRelay) datagrams(from exchange.Side) {
	for {
		b, err := r.sides[from].ReceiveDatagram(r.sides[from].Context())
		if err != nil {
			return
		}
		_ = r.sides[1-from].SendDatagram(b)
	}
}

// feed is tap.feed for a stream.
func (r *quicRelay) feed(id uint64, from exchange.Side, b []byte) {
	t := r.tap
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.streams == nil {
		return
	}
	r.understood(r.streams.Feed(id, from, time.Since(t.start), b, t.emit))
	if from == exchange.Server {
		t.flush()
	}
}

// end is tap.end for a stream.
func (r *quicRelay) end(id uint64, from exchange.Side, end exchange.End) {
	t := r.tap
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.streams == nil {
		return
	}
	r.understood(r.streams.Close(id, from, time.Since(t.start), end, t.emit))
	t.flush()
}

// understood gives the decoder up if it erred.
func (r *quicRelay) understood(err error) {
	if err != nil {
		r.streams = nil
		r.tap.tell.trouble(Opaque, r.tap.origin, err)
	}
}
