package mitm

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"reflect"
	"strings"
	"syscall"
	"time"

	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/mitm/http1"
)

// A diverted client's connect has succeeded before the origin is asked. What
// becomes of its connection when the origin cannot be had is decided here, for
// Record and Replay alike, so that both look the same to it:
//
//	refused, unreachable, no name, our own timeout   RST once the client has said something
//	the origin's alert, or a certificate of no trust an alert
//	the origin ends in the handshake                 FIN or RST, as it did
//	the client gives up waiting                      silence until it does
//
// RST waits for the client's first words because one that comes before them is
// seen by some calls and not by others, as it happens.

// alertInternalError is what crypto/tls and we say of a failure that is not the
// client's (RFC 8446 section 6.2).
const alertInternalError = 80

// errLeft is the cause of a dial's end whose client has left.
var errLeft = errors.New("the client did not wait")

// errnos are the names of the errors that connecting and reading meet.
var errnos = map[error]string{
	syscall.ECONNREFUSED: "ECONNREFUSED", syscall.ECONNRESET: "ECONNRESET", syscall.EPIPE: "EPIPE", syscall.ETIMEDOUT: "ETIMEDOUT",
	syscall.ENETUNREACH: "ENETUNREACH", syscall.EHOSTUNREACH: "EHOSTUNREACH", syscall.ECONNABORTED: "ECONNABORTED",
	syscall.EADDRNOTAVAIL: "EADDRNOTAVAIL", syscall.EACCES: "EACCES", syscall.EPERM: "EPERM",
}

// errnoOf is the name of the system's error in err, "" if there is none.
func errnoOf(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return ""
	}
	return errnos[errno]
}

// cause is err in words, without the addresses and ports of a connection, which
// differ from one recording to the next.
func cause(err error) string {
	var op *net.OpError
	if !errors.As(err, &op) || op.Err == nil {
		return err.Error()
	}
	return strings.Replace(err.Error(), op.Error(), op.Op+": "+op.Err.Error(), 1)
}

// dialed is how an exchange ends whose origin could not be connected to.
func dialed(err error, waited time.Duration) exchange.End {
	end := exchange.End{How: exchange.Refused, Err: cause(err), Phase: exchange.PhaseConnect, Errno: errnoOf(err), Wait: waited}
	var name *net.DNSError
	var slow net.Error
	switch {
	case errors.Is(err, errLeft):
		end.How = exchange.Left
	case errors.As(err, &name):
		end.How, end.Phase = exchange.Unresolved, exchange.PhaseDNS
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		end.How = exchange.Unreachable
	case errors.As(err, &slow) && slow.Timeout():
		end.How, end.Errno = exchange.Timeout, cmp.Or(end.Errno, "ETIMEDOUT")
	}
	return end
}

// shaken is how a connection ends whose origin failed in the TLS handshake.
func shaken(err error, waited time.Duration) exchange.End {
	end := exchange.End{How: exchange.TLSAlert, Code: alertInternalError, Err: cause(err), Phase: exchange.PhaseTLS, Errno: errnoOf(err), Wait: waited}
	var slow net.Error
	var untrusted *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	alert, told := alertIn(err)
	switch {
	case errors.Is(err, errLeft):
		end.How, end.Code = exchange.Left, 0
	case told:
		end.Code = uint32(alert)
	case errors.As(err, &untrusted), errors.As(err, &unknown):
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		end.How, end.Code = exchange.Truncated, 0
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		end.How, end.Code = exchange.Reset, 0
	case errors.As(err, &slow) && slow.Timeout():
		end.How, end.Code = exchange.Timeout, 0
	}
	return end
}

// A handshakeError is why TLS with an origin did not come about that was
// connected to.
type handshakeError struct{ error }

// Unwrap returns the cause.
func (h *handshakeError) Unwrap() error { return h.error }

// failed is shaken or dialed, as err is.
func failed(err error, waited time.Duration) exchange.End {
	var tls *handshakeError
	if errors.As(err, &tls) {
		return shaken(err, waited)
	}
	return dialed(err, waited)
}

// alertIn is the alert of the other side that ended a handshake with err.
// crypto/tls does not export the type of one that it received itself, so its
// number is read through reflection.
func alertIn(err error) (alert uint8, ok bool) {
	var plain tls.AlertError
	if errors.As(err, &plain) {
		return uint8(plain), true
	}
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		return 0, false
	}
	v := reflect.ValueOf(op.Err)
	if v.Kind() != reflect.Uint8 {
		return 0, false
	}
	return uint8(v.Uint()), true
}

// A failure is an End as an error: of a connection that was not made.
type failure struct{ exchange.End }

// Error gives the cause.
func (f *failure) Error() string { return cmp.Or(f.Err, f.How.String()) }

// Unwrap is the system's error, for clients that are told of it by a number.
func (f *failure) Unwrap() error {
	if f.How == exchange.Unresolved {
		return &net.DNSError{Err: f.Err}
	}
	for errno, name := range errnos {
		if name == f.Errno {
			return errno
		}
	}
	return nil
}

// deny ends c as end says that its connection ended, and closes it. A client
// that asked for its origin in words is told in words, if it still can be.
func deny(c net.Conn, end exchange.End) {
	words := end.Phase == exchange.PhaseConnect || end.Phase == exchange.PhaseDNS
	switch {
	case end.How == exchange.Left && hold(c, end.Patience()):
		shut(c)
	case words && inform(c, &failure{end}):
		shut(c)
	case end.How == exchange.TLSAlert:
		c.Write([]byte{21, 3, 3, 0, 2, 2, byte(end.Code)}) // a fatal alert, not encrypted: the handshake has not begun
		shut(c)
	case end.How == exchange.Truncated, end.How == exchange.Malformed:
		finish(c, end)
		shut(c)
	default:
		reset(c)
	}
}

// fails denies c if p has it that its connection to o failed.
func fails(p exchange.Player, c net.Conn, o exchange.Origin) bool {
	end, ok := p.Fail(o)
	if ok {
		deny(c, end)
	}
	return ok
}

// hold keeps c silent until its client ends, or else for limit: then it is false.
func hold(c net.Conn, limit time.Duration) bool {
	c.SetReadDeadline(time.Now().Add(limit))
	_, err := io.Copy(io.Discard, c)
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// waiting calls do, with a context that ends with cause errLeft when c's client
// leaves meanwhile. One that only ends its half, having said something, may
// still read: do goes on, and only if that took too long the client has left. What it says is read ahead.
func (p *peeked) waiting(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	over := make(chan bool)
	go p.await(cancel, over)
	err := do(ctx)
	p.SetReadDeadline(time.Unix(1, 0)) // wakes await
	ended := <-over
	p.SetReadDeadline(time.Time{})
	var slow net.Error
	tooLong := ctx.Err() != nil || errors.As(err, &slow) && slow.Timeout()
	if err != nil && ended && tooLong {
		return errLeft
	}
	return err
}

// await reads ahead until the client ends, which it tells over, a deadline wakes
// it, or enough is there.
func (p *peeked) await(left context.CancelCauseFunc, over chan<- bool) {
	for len(p.ahead) <= connectHead {
		err := p.more()
		switch {
		case err == nil:
			continue
		case errors.Is(err, os.ErrDeadlineExceeded):
			over <- false
			return
		case !errors.Is(err, io.EOF) || len(p.ahead) == 0 || p.ahead[0] == 0x16:
			left(errLeft)
		}
		over <- true
		return
	}
	over <- false
}

// unreachable has a client see that its origin is not to be had, as end says,
// and records that: with its request, if it speaks HTTP/1 in clear, else as a
// connection that failed.
func (r *Record) unreachable(ctx context.Context, c *peeked, o exchange.Origin, end exchange.End) {
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	if c.waits {
		r.note(o, end)
		deny(c, end)
		return
	}
	c.SetReadDeadline(time.Now().Add(undecided))
	p, err := sniff(c, nil)
	switch {
	case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
		c.Close() // it left without a word
		return
	case p == ProtoHTTP1 && !connecting(c.ahead):
		r.unanswered(c, o, end)
		return
	case p == ProtoTLS:
		o.TLS, o.SNI = true, serverName(ctx, c)
	}
	r.note(o, end)
	deny(c, end)
}

// unanswered reads a client's first request, records it with end for an answer,
// and has the client see it.
func (r *Record) unanswered(c *peeked, o exchange.Origin, end exchange.End) {
	c.SetReadDeadline(time.Now().Add(handshakeTimeout))
	first := &firstRequest{Decoder: http1.NewDecoder(schemeOf(o))}
	t := newTap(r.Watcher, first, o, r.Tell)
	buf := make([]byte, startBuffer)
	for !first.over {
		n, err := c.Read(buf)
		t.feed(exchange.Client, buf[:n])
		if err != nil || t.blind() {
			break
		}
	}
	t.end(exchange.Server, end)
	t.close()
	deny(c, end)
}

// A firstRequest is a decoder of no more than one request, as far as its client
// sends it unasked.
type firstRequest struct {
	exchange.Decoder
	over bool
}

// Feed implements exchange.Decoder.
func (f *firstRequest) Feed(from exchange.Side, at time.Duration, b []byte, emit func(exchange.Event)) error {
	return f.Decoder.Feed(from, at, b, func(e exchange.Event) {
		if f.over {
			return
		}
		bare := e.Kind == exchange.KindHead && waits(e.Head)
		f.over = e.Kind == exchange.KindEnd || bare
		emit(e)
		if bare {
			emit(exchange.Event{Stream: e.Stream, From: exchange.Client, Kind: exchange.KindEnd, At: e.At, End: &exchange.End{}})
		}
	})
}

// Close implements exchange.Decoder. What is not told of began after the first.
func (f *firstRequest) Close(from exchange.Side, at time.Duration, end exchange.End, emit func(exchange.Event)) error {
	told := false
	return f.Decoder.Close(from, at, end, func(e exchange.Event) {
		if !told && e.From == from {
			told = true
			emit(e)
		}
	})
}

// note records that a connection to o failed.
func (r *Record) note(o exchange.Origin, end exchange.End) {
	if r.Watcher == nil {
		return
	}
	w, err := r.Watcher.Open(o)
	if err != nil {
		r.Tell.trouble(Unrecorded, o, err)
		return
	}
	head := &exchange.Head{Method: "CONNECT", Scheme: "tcp", Authority: connected(o)}
	for _, e := range []exchange.Event{
		{From: exchange.Client, Kind: exchange.KindHead, Head: head},
		{From: exchange.Client, Kind: exchange.KindEnd, End: &exchange.End{}},
		{From: exchange.Server, Kind: exchange.KindEnd, End: &end},
	} {
		e.Stream = 1
		err = errors.Join(err, w.Event(e))
	}
	if err = errors.Join(err, w.Flush(), w.Close()); err != nil {
		r.Tell.trouble(Unrecorded, o, err)
	}
}

// serverName reads a client's hello and gives the name that it asks for.
func serverName(ctx context.Context, c net.Conn) (name string) {
	t := tls.Server(mute{c}, &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		name = hello.ServerName
		return nil, errLeft
	}})
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	_ = t.HandshakeContext(ctx) // its error is errLeft, or there is no name
	return name
}

// mute is a connection that is listened to and not spoken to.
type mute struct{ net.Conn }

// Write implements net.Conn.
func (mute) Write(b []byte) (int, error) { return len(b), nil }
