package http2

//lint:file-ignore SA1019 what net/http has instead takes a listener or dials; here the connection is made

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/net/http2"

	"github.com/serge-net/serge-net/exchange"
)

// readSize is the most bytes of a request's Data event: a frame of the default
// SETTINGS_MAX_FRAME_SIZE.
const readSize = 16 << 10

// A Play answers the exchanges of one connection: Event of exchange.Play.
type Play func(e exchange.Event, answer func(exchange.Event) error) error

// Serve plays an HTTP/2 server to the client at conn until that closes or ctx
// is done. It owns conn, and returns when all its calls of play have returned.
// conn begins with the client's preface: it is TLS whose handshake is done and
// agreed on h2, or clear text (h2c by prior knowledge). scheme is the requests', "http" or
// "https".
//
// play is called as exchange.Play says, concurrently for different streams.
// Its error resets the stream with INTERNAL_ERROR; a miss is the caller's to
// answer. An answer that ends reset or truncated is reset after what it sent.
// Each Data of an answer without a Content-Length is flushed; the others go out
// as they fill frames, and at their end.
//
// The server is net/http's, and that is to be seen in this: a stream's number
// is the order of arrival, not the id. Fields come and go sorted by name,
// pseudo fields first, each name's values in order; cookie fields come
// joined. Of a request's trailers those come that it announced. Expect is
// taken out and answered by net/http, so a recorded 100 is not sent. Fields
// that HTTP/2 forbids (Connection, Transfer-Encoding…) and trailers that
// RFC 9110, section 6.5.1, forbids are left out. Each reset is INTERNAL_ERROR,
// whatever was recorded. CONNECT is answered only once the client has ended.
func Serve(ctx context.Context, conn net.Conn, scheme string, play Play) {
	s := &server{scheme: scheme, play: play}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	(&http2.Server{PermitProhibitedCipherSuites: true}).ServeConn(conn, &http2.ServeConnOpts{
		Context:    ctx,
		Handler:    s,
		BaseConfig: &http.Server{ErrorLog: log.New(io.Discard, "", 0)},
	})
	conn.Close()
	s.wait()
}

// server is one connection's handler.
type server struct {
	scheme string
	play   Play
	calls  sync.WaitGroup

	mu     sync.Mutex
	closed bool
	newest uint64
}

// begin numbers a request; false if the connection has ended before.
func (s *server) begin() (stream uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, false
	}
	s.newest++
	s.calls.Add(1)
	return s.newest, true
}

// wait lets no more requests in and waits for those that are.
func (s *server) wait() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.calls.Wait()
}

// ServeHTTP turns r into events for play and its answers into w's.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	stream, ok := s.begin()
	if !ok {
		panic(http.ErrAbortHandler)
	}
	defer s.calls.Done()
	a := &answer{w: w, head: r.Method == http.MethodHead}
	if err := s.request(stream, r, a.event); err != nil || a.aborted {
		panic(http.ErrAbortHandler) // net/http's word for RST_STREAM
	}
}

// request tells r as events.
func (s *server) request(stream uint64, r *http.Request, answer func(exchange.Event) error) error {
	e := exchange.Event{Stream: stream, From: exchange.Client, Kind: exchange.KindHead, Head: &exchange.Head{
		Method: r.Method, Scheme: s.scheme, Authority: r.Host, Target: r.RequestURI, Version: "2", Fields: fieldsOf(r.Header),
	}}
	if err := s.play(e, answer); err != nil {
		return err
	}
	buf := make([]byte, 512) // most requests have no body
	for {
		n, err := r.Body.Read(buf)
		if n > 0 {
			e := exchange.Event{Stream: stream, From: exchange.Client, Kind: exchange.KindData, Data: buf[:n]}
			if err := s.play(e, answer); err != nil {
				return err
			}
		}
		if n == len(buf) && n < readSize {
			buf = make([]byte, readSize)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			end := endOf(err)
			return errors.Join(err, s.play(exchange.Event{Stream: stream, From: exchange.Client, Kind: exchange.KindEnd, End: &end}, answer))
		}
	}
	if fields := fieldsOf(r.Trailer); len(fields) > 0 {
		if err := s.play(exchange.Event{Stream: stream, From: exchange.Client, Kind: exchange.KindTrailers, Fields: fields}, answer); err != nil {
			return err
		}
	}
	return s.play(exchange.Event{Stream: stream, From: exchange.Client, Kind: exchange.KindEnd, End: &exchange.End{}}, answer)
}

// endOf is the end that a failed read of a body tells.
func endOf(err error) exchange.End {
	var reset http2.StreamError
	if errors.As(err, &reset) {
		return exchange.End{How: exchange.Reset, Code: uint32(reset.Code), Err: err.Error()}
	}
	return exchange.End{How: exchange.Truncated, Err: err.Error()}
}

// answer writes a server's events of one stream.
type answer struct {
	w       http.ResponseWriter
	head    bool // no Data is to be sent: the request is HEAD
	headed  bool
	sized   bool // its head has a Content-Length: nobody waits for a piece of it
	aborted bool
}

// event is the answer that play is given. An error is the client's leaving, or
// an event that has no place.
func (a *answer) event(e exchange.Event) error {
	switch e.Kind {
	case exchange.KindHead:
		return a.fields(e.Head)
	case exchange.KindData:
		if a.head || len(e.Data) == 0 {
			return nil
		}
		if !a.headed {
			return fmt.Errorf("%w: data before a head", errFraming)
		}
		if _, err := a.w.Write(e.Data); err != nil {
			return fmt.Errorf("send data: %w", err)
		}
		if a.sized {
			return nil
		}
		return a.flush()
	case exchange.KindTrailers:
		for _, f := range e.Fields {
			name := http.TrailerPrefix + http.CanonicalHeaderKey(f.Name)
			a.w.Header()[name] = append(a.w.Header()[name], f.Value)
		}
	case exchange.KindEnd:
		if !a.headed && e.End.How == exchange.Complete {
			return fmt.Errorf("%w: an end, and no head", errFraming)
		}
		if a.aborted = e.End.How != exchange.Complete; a.aborted && a.headed {
			return a.flush()
		}
	}
	return nil
}

// fields sends a head, interim or final. The final one waits for the stream's
// end where that may be in the same frame: gRPC clients take an error from a
// head that ends the stream, and from no other.
func (a *answer) fields(h *exchange.Head) error {
	if a.headed {
		return fmt.Errorf("%w: a second head", errFraming)
	}
	if h.Status == http.StatusContinue || h.Status == http.StatusSwitchingProtocols {
		return nil
	}
	header := a.w.Header()
	for _, f := range h.Fields {
		if !forbidden(f.Name) {
			name := http.CanonicalHeaderKey(f.Name)
			header[name] = append(header[name], f.Value)
		}
	}
	if h.Status >= 200 {
		a.headed = true
		for _, name := range []string{"Date", "Content-Type", "Content-Length"} {
			if _, ok := header[name]; !ok {
				header[name] = nil // keeps net/http from making one up
			}
		}
	}
	a.w.WriteHeader(h.Status)
	clear(header)
	_, status := exchange.Get(h.Fields, "grpc-status")
	_, a.sized = exchange.Get(h.Fields, "content-length")
	if !a.headed || a.head || status || a.sized || h.Status == 204 || h.Status == 304 {
		return nil
	}
	return a.flush()
}

// flush sends what was written.
func (a *answer) flush() error {
	if err := http.NewResponseController(a.w).Flush(); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// forbidden reports whether name is of one connection only, and so has no
// place in HTTP/2 (RFC 9113, section 8.2.2).
func forbidden(name string) bool {
	for _, f := range [...]string{"Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade"} {
		if strings.EqualFold(name, f) {
			return true
		}
	}
	return false
}

// fieldsOf is h as fields: lower-case, sorted by name.
func fieldsOf(h http.Header) []exchange.Field {
	var fields []exchange.Field
	for name, values := range h {
		for _, v := range values {
			fields = append(fields, exchange.Field{Name: strings.ToLower(name), Value: v})
		}
	}
	slices.SortStableFunc(fields, func(a, b exchange.Field) int { return strings.Compare(a.Name, b.Name) })
	return fields
}

// length is the Content-Length in fields, -1 without a valid one.
func length(fields []exchange.Field) int64 {
	v, _ := exchange.Get(fields, "content-length")
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}
