package http2

//lint:file-ignore SA1019 what net/http has instead takes a listener or dials; here the connection is made

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"sync"

	"golang.org/x/net/http2"

	"github.com/serge-net/serge-net/exchange"
)

// readSize is the most bytes of an answer's Data event: a frame of the default
// SETTINGS_MAX_FRAME_SIZE.
const readSize = 16 << 10

// errLeft is what a request's body reads as once nobody waits for the answer.
var errLeft = errors.New("the exchange is over")

// An Upstream takes exchanges to an origin over one connection. Its methods
// are safe for concurrent use.
//
// The client is net/http's: fields go and come in no order but that of equal
// names, told sorted by name; a cookie field goes as one per cookie, and those
// that HTTP/2 forbids not at all. A
// request's trailers go if its trailer field announces them. What net/http
// would add (user-agent, accept-encoding) it does not.
type Upstream struct{ conn *http2.ClientConn }

// NewUpstream begins HTTP/2 on conn, which is connected and, if it is TLS, has
// agreed on h2. Upstream owns conn, but for an error.
func NewUpstream(conn net.Conn) (*Upstream, error) {
	cc, err := (&http2.Transport{DisableCompression: true}).NewClientConn(conn)
	if err != nil {
		return nil, fmt.Errorf("begin HTTP/2 with %s: %w", conn.RemoteAddr(), err)
	}
	return &Upstream{cc}, nil
}

// Usable reports whether the origin takes another exchange on this connection.
func (u *Upstream) Usable() bool { return u.conn.CanTakeNewRequest() }

// Close closes the connection; exchanges that go on end truncated or reset.
func (u *Upstream) Close() error { return u.conn.Close() }

// RoundTrip sends the events of one request, from its Head to its End, and
// tells emit the server's events as they come, on the request's stream number.
// It returns after the End that it told, however that is, and else with the
// error of emit or of ctx, or for a request that it cannot send: CONNECT, or
// one that is no request. It pulls request as the origin takes it, and no more
// once the answer is whole; request must not wait for the answer.
func (u *Upstream) RoundTrip(ctx context.Context, request iter.Seq[exchange.Event], emit func(exchange.Event) error) error {
	next, stop := iter.Pull(request)
	body := &requestBody{next: next, stop: stop}
	defer body.Close()
	first, ok := next()
	if !ok || first.Kind != exchange.KindHead || first.Head.Status != 0 || first.Head.Method == http.MethodConnect {
		return fmt.Errorf("%w: not a request to send", errFraming)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t := &teller{stream: first.Stream, emit: emit, cancel: cancel}
	defer t.leave()
	req := requestOf(first.Head).WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error { return t.head(code, http.Header(h)) },
	}))
	body.begin(req)
	resp, err := u.conn.RoundTrip(req)
	if err != nil {
		return t.end(ctx, err)
	}
	defer resp.Body.Close()
	if err := t.head(resp.StatusCode, resp.Header); err != nil {
		return err
	}
	return t.body(ctx, resp)
}

// requestOf is h as net/http wants it, without a body.
func requestOf(h *exchange.Head) *http.Request {
	target, query, _ := strings.Cut(h.Target, "?")
	u := &url.URL{Scheme: h.Scheme, Host: h.Authority, Opaque: h.Target}
	if strings.HasPrefix(target, "//") { // Opaque would be taken for an authority
		u.Opaque, u.RawPath, u.RawQuery = "", target, query
		u.Path, _ = url.PathUnescape(target)
	}
	req := &http.Request{
		Method: h.Method, URL: u, Host: h.Authority, Header: http.Header{"User-Agent": nil},
		Proto: "HTTP/2.0", ProtoMajor: 2, ContentLength: length(h.Fields),
	}
	for _, f := range h.Fields {
		name := http.CanonicalHeaderKey(f.Name)
		switch {
		case Forbidden(name) || name == "Host":
		case name == "Trailer":
			for part := range strings.SplitSeq(f.Value, ",") {
				if req.Trailer == nil {
					req.Trailer = http.Header{}
				}
				req.Trailer[http.CanonicalHeaderKey(strings.TrimSpace(part))] = nil
			}
		default:
			req.Header[name] = append(req.Header[name], f.Value)
		}
	}
	return req
}

// requestBody reads as the Data of a request.
type requestBody struct {
	trailer http.Header

	mu   sync.Mutex
	next func() (exchange.Event, bool)
	stop func()
	data []byte
	err  error
}

// begin makes b the body of req, unless the End comes first: then it has none.
func (b *requestBody) begin(req *http.Request) {
	b.trailer = req.Trailer
	if b.pull(); errors.Is(b.err, io.EOF) && len(b.data) == 0 && b.trailer == nil {
		req.Body, req.ContentLength = http.NoBody, 0
		return
	}
	req.Body = b
}

// pull takes events up to the next Data or the End.
func (b *requestBody) pull() {
	for len(b.data) == 0 && b.err == nil {
		e, ok := b.next()
		switch {
		case !ok:
			b.err = fmt.Errorf("request: %w", io.ErrUnexpectedEOF)
		case e.Kind == exchange.KindData:
			b.data = append(b.data[:0], e.Data...) // e is valid until the next pull only
		case e.Kind == exchange.KindTrailers:
			for _, f := range e.Fields {
				name := http.CanonicalHeaderKey(f.Name)
				if _, announced := b.trailer[name]; announced {
					b.trailer[name] = append(b.trailer[name], f.Value)
				}
			}
		case e.Kind == exchange.KindEnd && e.End.How == exchange.Complete:
			b.err = io.EOF
		case e.Kind == exchange.KindEnd:
			b.err = fmt.Errorf("request: %v", e.End.How)
		}
	}
}

// Read implements io.Reader.
func (b *requestBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pull(); len(b.data) == 0 {
		return 0, b.err
	}
	n := copy(p, b.data)
	b.data = b.data[n:]
	return n, nil
}

// Close lets go of the events.
func (b *requestBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stop()
	if b.err == nil {
		b.err = errLeft
	}
	b.data = nil
	return nil
}

// teller tells a response as events.
type teller struct {
	stream uint64
	emit   func(exchange.Event) error
	cancel context.CancelFunc

	mu   sync.Mutex // an interim answer may come while RoundTrip gives up
	left error      // why nothing is told any more
}

// tell passes e on, unless an earlier one was not taken.
func (t *teller) tell(e exchange.Event) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.left != nil {
		return t.left
	}
	e.Stream, e.From = t.stream, exchange.Server
	if t.left = t.emit(e); t.left != nil {
		t.cancel()
	}
	return t.left
}

// leave keeps a late interim answer from being told.
func (t *teller) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.left == nil {
		t.left = errLeft
	}
}

// failed is the error of emit, if there was one.
func (t *teller) failed() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.left
}

// head tells a head, interim or final.
func (t *teller) head(status int, h http.Header) error {
	return t.tell(exchange.Event{Kind: exchange.KindHead, Head: &exchange.Head{Status: status, Version: "2", Fields: fieldsOf(h)}})
}

// body tells the rest of resp.
func (t *teller) body(ctx context.Context, resp *http.Response) error {
	buf := make([]byte, readSize)
	for {
		n, err := resp.Body.Read(buf)
		if n > 0 {
			if err := t.tell(exchange.Event{Kind: exchange.KindData, Data: buf[:n]}); err != nil {
				return err
			}
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return t.end(ctx, err)
		}
		if err != nil {
			break
		}
	}
	if fields := fieldsOf(resp.Trailer); len(fields) > 0 {
		if err := t.tell(exchange.Event{Kind: exchange.KindTrailers, Fields: fields}); err != nil {
			return err
		}
	}
	return t.tell(exchange.Event{Kind: exchange.KindEnd, End: &exchange.End{}})
}

// end tells the end that err of the connection makes; what we did ourselves
// (emit's error, ctx) it returns.
func (t *teller) end(ctx context.Context, err error) error {
	if left := t.failed(); left != nil {
		return left
	}
	if ctx.Err() != nil {
		return fmt.Errorf("take an exchange to the origin: %w", context.Cause(ctx))
	}
	end := endOf(err)
	return t.tell(exchange.Event{Kind: exchange.KindEnd, End: &end})
}

// endOf is the end that a failed read of a body tells.
func endOf(err error) exchange.End {
	var reset http2.StreamError
	if errors.As(err, &reset) {
		return exchange.End{How: exchange.Reset, Code: uint32(reset.Code), Err: err.Error()}
	}
	return exchange.End{How: exchange.Truncated, Err: err.Error()}
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
