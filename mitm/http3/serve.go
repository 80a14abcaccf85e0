package http3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/mitm/http2"
)

// readSize is the most bytes of a request's Data event.
const readSize = 16 << 10

// errGone is wrapped by an answer whose client has gone, or wants no more of it.
var errGone = errors.New("the client has left")

// A Play answers the exchanges of one connection: Event of exchange.Play.
type Play func(e exchange.Event, answer func(exchange.Event) error) error

// Serve plays an HTTP/3 server to the client at conn, whose handshake agreed on
// h3, until that closes or ctx is done. It owns conn, and returns when all its
// calls of play have returned.
//
// play is called as exchange.Play says, concurrently for different streams. Its
// error resets the stream with H3_INTERNAL_ERROR; a miss is the caller's to
// answer. An answer that ends reset or truncated is reset after what it sent.
// Codes of HTTP/2 become those of HTTP/3 that say the same.
//
// Fields come and go in the order and with the values that they have. QPACK's
// dynamic table is not offered, and not used. Tunnels are not offered: of a client
// that asks for one all the same (see Tunnel) play gets the head alone, and is to
// answer that.
func Serve(ctx context.Context, conn *quic.Conn, play Play) {
	defer conn.CloseWithError(NoError, "")
	stop := context.AfterFunc(ctx, func() { conn.CloseWithError(NoError, "") })
	defer stop()
	control, err := conn.OpenUniStream()
	if err != nil {
		return
	}
	// The default SETTINGS: no table, no blocked streams.
	if _, err := control.Write([]byte{streamControl, frameSettings, 0}); err != nil {
		return
	}
	var calls sync.WaitGroup
	defer calls.Wait()
	calls.Go(func() { takeOneWay(conn, &calls) })
	for {
		s, err := conn.AcceptStream(conn.Context())
		if err != nil {
			return
		}
		t := &serving{stream: s, play: play, start: time.Now()}
		calls.Go(t.run)
	}
}

// takeOneWay reads the client's unidirectional streams, which tell nothing that is
// needed: it sends no SETTINGS that matter to who sends little, and no table.
func takeOneWay(conn *quic.Conn, reading *sync.WaitGroup) {
	for {
		s, err := conn.AcceptUniStream(conn.Context())
		if err != nil {
			return
		}
		reading.Go(func() {
			kind, err := quicvarint.Read(quicvarint.NewReader(s))
			if err == nil && kind != streamControl && kind != streamEncoder && kind != streamDecoder {
				s.CancelRead(streamCreation)
				return
			}
			io.Copy(io.Discard, s)
		})
	}
}

// serving is one stream of a server.
type serving struct {
	stream *quic.Stream
	play   Play
	start  time.Time

	method string // the request's
	err    error  // of play, while it is fed

	mu     sync.Mutex
	headed bool // the final head was sent
	done   bool // the answer is at its end
	buf    []byte
}

// run reads the request and plays it.
func (t *serving) run() {
	h := half{from: exchange.Client, stream: uint64(t.stream.StreamID()), table: new(table)}
	buf := make([]byte, readSize)
	for t.err == nil {
		n, err := t.stream.Read(buf)
		o := out{time.Since(t.start), t.event}
		if fed := h.feed(buf[:n], o); fed != nil {
			t.cut(messageError)
			return
		}
		switch {
		case h.tunnel != nil:
			t.refuse(h.tunnel, o)
			return
		case h.strange:
			t.cut(streamCreation)
			return
		}
		if err != nil {
			h.close(readEnd(err, exchange.Client), o)
			break
		}
	}
	t.conclude()
}

// readEnd is how a stream ended whose reading erred; by is who sent it.
func readEnd(err error, by exchange.Side) exchange.End {
	if errors.Is(err, io.EOF) {
		return exchange.End{}
	}
	var reset *quic.StreamError
	if errors.As(err, &reset) {
		return ResetEnd(ResetStream, uint64(reset.ErrorCode), by)
	}
	return exchange.End{How: exchange.Truncated, Err: err.Error()}
}

// event plays what the client did.
func (t *serving) event(e exchange.Event) {
	if t.err != nil {
		return
	}
	if e.Kind == exchange.KindHead {
		t.method = e.Head.Method
	}
	t.err = t.play(e, t.answer)
}

// refuse plays the request for a tunnel.
func (t *serving) refuse(head *exchange.Head, o out) {
	o.emit(exchange.Event{Stream: uint64(t.stream.StreamID()), From: exchange.Client, At: o.at, Kind: exchange.KindHead, Head: head})
	t.conclude()
	t.stream.CancelRead(NoError) // no more is needed: RFC 9114, section 4.1
}

// conclude resets the stream if its answer is not at its end.
func (t *serving) conclude() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.done {
		t.cut(internalError)
	}
}

// cut resets both ways.
func (t *serving) cut(code quic.StreamErrorCode) {
	t.stream.CancelRead(code)
	t.stream.CancelWrite(code)
}

// answer is the answer that play is given. An error is the client's leaving, or
// an event that has no place.
func (t *serving) answer(e exchange.Event) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done {
		return nil
	}
	if e.Kind == exchange.KindWait {
		return nil // a stream has no time of its own: what is due is said when the client speaks
	}
	if e.Pause > 0 {
		t.hold(e.Pause)
	}
	switch e.Kind {
	case exchange.KindHead:
		return t.respond(e.Head)
	case exchange.KindData:
		return t.send(e.Data)
	case exchange.KindTrailers:
		if len(e.Fields) == 0 || t.method == http.MethodHead {
			return nil
		}
		return t.write(t.list("", e.Fields))
	case exchange.KindEnd:
		return t.end(e.End)
	}
	return nil
}

// respond sends a head, interim or final.
func (t *serving) respond(h *exchange.Head) error {
	switch {
	case t.headed:
		return fmt.Errorf("%w: a second head", errFraming)
	case h.Status == http.StatusSwitchingProtocols:
		return nil
	}
	t.headed = h.Status >= 200
	return t.write(t.list(strconv.Itoa(h.Status), h.Fields))
}

// list is a frame of fields, with status in front if there is one.
func (t *serving) list(status string, fields []exchange.Field) []byte {
	var all []exchange.Field
	if status != "" {
		all = append(all, exchange.Field{Name: ":status", Value: status})
	}
	for _, f := range fields {
		if !http2.Forbidden(f.Name) {
			all = append(all, exchange.Field{Name: strings.ToLower(f.Name), Value: f.Value})
		}
	}
	return t.frame(frameHeaders, appendSection(nil, all))
}

// frame is one with payload, good until the next.
func (t *serving) frame(kind uint64, payload []byte) []byte {
	t.buf = quicvarint.Append(t.buf[:0], kind)
	t.buf = quicvarint.Append(t.buf, uint64(len(payload)))
	t.buf = append(t.buf, payload...)
	return t.buf
}

// send sends a piece of body.
func (t *serving) send(b []byte) error {
	switch {
	case t.method == http.MethodHead || len(b) == 0:
		return nil
	case !t.headed:
		return fmt.Errorf("%w: data out of place", errFraming)
	}
	return t.write(t.frame(frameData, b))
}

// write sends b as the client's windows allow.
func (t *serving) write(b []byte) error {
	if _, err := t.stream.Write(b); err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return nil
}

// end ends the answer.
func (t *serving) end(e *exchange.End) error {
	t.done = true
	switch {
	case e.How == exchange.Left && t.hold(e.Patience()):
	case e.How != exchange.Complete:
		t.stream.SetReliableBoundary() // where the client takes that
		t.stream.CancelWrite(resetCode(e.Code))
	case !t.headed:
		t.stream.CancelWrite(internalError)
		return fmt.Errorf("%w: an end, and no head", errFraming)
	default:
		t.stream.Close()
	}
	return nil
}

// hold is silent for limit, or until the client leaves the stream: then it is true.
func (t *serving) hold(limit time.Duration) bool {
	select {
	case <-time.After(limit):
		return false
	case <-t.stream.Context().Done():
		return true
	}
}

// resetCode is code as HTTP/3 has it: those of HTTP/2 (RFC 9113, section 7) are
// below its own.
func resetCode(code uint32) quic.StreamErrorCode {
	switch {
	case code >= NoError:
		return quic.StreamErrorCode(code)
	case code == 7: // REFUSED_STREAM
		return requestRejected
	case code == 8: // CANCEL
		return requestCancelled
	}
	return internalError
}
