package http2

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/serge-net/serge-net/exchange"
)

// What the server announces and holds.
const (
	serveStreams = 250         // requests at once; more are refused, which clients try again
	serveWindow  = 64<<10 - 1  // bytes of a request's body before they are taken: the default
	serveAhead   = 256 << 10   // bytes of frames that wait to be written, before answers wait
	serveLinger  = time.Second // for the last frames to a client that does not read
)

// errGone is wrapped by an answer whose client has gone, or has reset the stream.
var errGone = errors.New("the client has left")

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
// answer. An answer that ends reset or truncated is reset after what it sent,
// with the End's code, else INTERNAL_ERROR. What answers is written at once; the
// frames of all streams that come while one write lasts go out in the next.
//
// Fields come and go in the order and with the values that they have. Those that
// HTTP/2 forbids (Connection, Transfer-Encoding…) are left out, and so is a 101.
func Serve(ctx context.Context, conn net.Conn, scheme string, play Play) {
	s := newServer(conn, scheme, play)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	var writing sync.WaitGroup
	writing.Go(s.write)
	s.leave(s.read())
	s.calls.Wait()
	writing.Wait()
	conn.Close()
}

// server is one connection.
type server struct {
	conn   net.Conn
	scheme string
	play   Play
	calls  sync.WaitGroup

	mu       sync.Mutex
	ready    *sync.Cond    // there is something to write, or the end
	moved    *sync.Cond    // a stream may go on: window, room, body, end
	out      *bytes.Buffer // frames to be written
	frames   *http2.Framer // onto out
	fields   *hpack.Encoder
	block    bytes.Buffer // of fields
	frameMax int          // the largest frame that the client takes
	window   int64        // what it takes of Data, of all streams
	initial  int64        // and of a new one
	streams  map[uint32]*serving
	newest   uint32
	left     error // why the connection is at its end
}

func newServer(conn net.Conn, scheme string, play Play) *server {
	s := &server{
		conn: conn, scheme: scheme, play: play, out: new(bytes.Buffer),
		frameMax: 16 << 10, window: 64<<10 - 1, initial: 64<<10 - 1, streams: map[uint32]*serving{},
	}
	s.ready, s.moved = sync.NewCond(&s.mu), sync.NewCond(&s.mu)
	s.fields = hpack.NewEncoder(&s.block)
	s.frames = http2.NewFramer(&buffered{s}, nil)
	return s
}

// buffered is where a server's frames go: its buffer, which write exchanges.
type buffered struct{ s *server }

// Write is called with mu held.
func (b *buffered) Write(p []byte) (int, error) {
	b.s.ready.Signal()
	return b.s.out.Write(p)
}

// write writes what waits, until the end.
func (s *server) write() {
	spare := new(bytes.Buffer)
	for {
		s.mu.Lock()
		for s.out.Len() == 0 && s.left == nil {
			s.ready.Wait()
		}
		if s.out.Len() == 0 {
			s.mu.Unlock()
			return
		}
		b := s.out
		s.out = spare
		s.moved.Broadcast()
		s.mu.Unlock()
		if _, err := s.conn.Write(b.Bytes()); err != nil {
			s.leave(err)
			s.conn.Close()
			return
		}
		if b.Reset(); b.Cap() > serveAhead/4 {
			b = new(bytes.Buffer)
		}
		spare = b
	}
}

// leave ends the connection: what waits is written, for a second at most, and
// answers fail.
func (s *server) leave(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left != nil {
		return
	}
	s.left = fmt.Errorf("%w: %w", errGone, err)
	s.conn.SetWriteDeadline(time.Now().Add(serveLinger))
	s.ready.Broadcast()
	s.moved.Broadcast()
}

// read takes frames until the connection ends, and returns why it does.
func (s *server) read() error {
	in := bufio.NewReader(s.conn)
	preface := make([]byte, len(Preface))
	if _, err := io.ReadFull(in, preface); err != nil {
		return err
	}
	if string(preface) != Preface {
		return fmt.Errorf("%w: no client preface", errFraming)
	}
	frames := http2.NewFramer(nil, in)
	frames.SetReuseFrames()
	frames.ReadMetaHeaders = hpack.NewDecoder(4<<10, nil)
	frames.MaxHeaderListSize = MaxFields
	s.mu.Lock()
	s.frames.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: serveStreams})
	s.mu.Unlock()
	for {
		f, err := frames.ReadFrame()
		if err == nil {
			err = s.frame(f)
		}
		var stream http2.StreamError
		var whole http2.ConnectionError
		switch {
		case err == nil:
		case errors.As(err, &stream):
			s.reset(stream.StreamID, stream.Code)
		case errors.As(err, &whole):
			s.mu.Lock()
			s.frames.WriteGoAway(s.newest, http2.ErrCode(whole), nil)
			s.mu.Unlock()
			return err
		default:
			return err
		}
	}
}

// reset ends stream id with code, here and at the client.
func (s *server) reset(id uint32, code http2.ErrCode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames.WriteRSTStream(id, code)
	if t := s.streams[id]; t != nil {
		t.cut(exchange.End{How: exchange.Reset, Code: uint32(code), Err: "malformed: " + code.String()})
	}
	s.newest = max(s.newest, id)
}

// frame takes one frame.
func (s *server) frame(f http2.Frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.out.Len() > 4*serveAhead && s.left == nil {
		s.moved.Wait() // who does not read is not heard
	}
	t := s.streams[f.Header().StreamID]
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		return s.headers(f, t)
	case *http2.DataFrame:
		return s.data(f, t)
	case *http2.SettingsFrame:
		return s.settings(f)
	case *http2.PingFrame:
		if !f.IsAck() {
			s.frames.WritePing(true, f.Data)
		}
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			s.window += int64(f.Increment)
		} else if t != nil {
			t.window += int64(f.Increment)
		}
		s.moved.Broadcast()
	case *http2.RSTStreamFrame:
		if t != nil {
			t.cut(exchange.End{How: exchange.Reset, Code: uint32(f.ErrCode), Err: "RST_STREAM " + f.ErrCode.String() + " by the client"})
		}
	}
	return nil
}

// settings takes what the client announces.
func (s *server) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	err := f.ForeachSetting(func(v http2.Setting) error {
		if err := v.Valid(); err != nil {
			return err
		}
		switch v.ID {
		case http2.SettingHeaderTableSize:
			s.fields.SetMaxDynamicTableSizeLimit(v.Val)
		case http2.SettingMaxFrameSize:
			s.frameMax = int(min(v.Val, 64<<10))
		case http2.SettingInitialWindowSize:
			for _, t := range s.streams {
				t.window += int64(v.Val) - s.initial // may become negative: RFC 9113, section 6.9.2
			}
			s.initial = int64(v.Val)
		}
		return nil
	})
	if err == nil {
		s.frames.WriteSettingsAck()
	}
	s.moved.Broadcast()
	return err
}

// headers takes a request's head, or its trailers.
func (s *server) headers(f *http2.MetaHeadersFrame, t *serving) error {
	id := f.StreamID
	switch {
	case t != nil && !f.StreamEnded():
		return http2.StreamError{StreamID: id, Code: http2.ErrCodeProtocol}
	case t != nil:
		t.trailers = regular(f)
		t.finish()
		return nil
	case id%2 == 0:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	case id <= s.newest:
		return nil // its stream was reset
	}
	s.newest = id
	switch {
	case len(s.streams) >= serveStreams:
		return http2.StreamError{StreamID: id, Code: http2.ErrCodeRefusedStream}
	case f.Truncated:
		return http2.StreamError{StreamID: id, Code: http2.ErrCodeEnhanceYourCalm}
	}
	t = &serving{s: s, id: id, window: s.initial, credit: serveWindow, head: headOf(f, s.scheme)}
	if t.head == nil {
		return http2.StreamError{StreamID: id, Code: http2.ErrCodeProtocol}
	}
	if f.StreamEnded() {
		t.finish()
	}
	s.streams[id] = t
	s.calls.Go(t.run)
	return nil
}

// headOf is f as a request's head, nil if it is none.
func headOf(f *http2.MetaHeadersFrame, scheme string) *exchange.Head {
	h := &exchange.Head{
		Method: f.PseudoValue("method"), Scheme: scheme, Authority: f.PseudoValue("authority"),
		Target: f.PseudoValue("path"), Version: "2", Fields: regular(f),
	}
	if h.Authority == "" {
		h.Authority, _ = exchange.Get(h.Fields, "host")
	}
	if h.Method == "CONNECT" && h.Target == "" {
		h.Target = h.Authority
	}
	if p := f.PseudoValue("protocol"); p != "" {
		h.Fields = append([]exchange.Field{{Name: ":protocol", Value: p}}, h.Fields...)
	}
	if h.Method == "" || h.Target == "" {
		return nil
	}
	return h
}

// regular is f's fields without the pseudo fields.
func regular(f *http2.MetaHeadersFrame) []exchange.Field {
	all := f.RegularFields()
	fields := make([]exchange.Field, len(all))
	for i, v := range all {
		fields[i] = exchange.Field{Name: v.Name, Value: v.Value}
	}
	return fields
}

// data takes a piece of body. The connection's window is given back at once, the
// stream's when the piece is taken: that bounds what is held.
func (s *server) data(f *http2.DataFrame, t *serving) error {
	n := f.Length
	if n > 0 {
		s.frames.WriteWindowUpdate(0, n)
	}
	switch {
	case t == nil && f.StreamID > s.newest:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	case t == nil:
		return nil // it was reset
	case t.ended != nil:
		return http2.StreamError{StreamID: t.id, Code: http2.ErrCodeStreamClosed}
	}
	if t.credit -= int64(n); t.credit < 0 {
		return http2.StreamError{StreamID: t.id, Code: http2.ErrCodeFlowControl}
	}
	t.body = append(t.body, f.Data()...)
	t.padding += n - uint32(len(f.Data()))
	if f.StreamEnded() {
		t.finish()
	}
	s.moved.Broadcast()
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

// length is the Content-Length in fields, -1 without a valid one.
func length(fields []exchange.Field) int64 {
	v, _ := exchange.Get(fields, "content-length")
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}
