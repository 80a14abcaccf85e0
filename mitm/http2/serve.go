package http2

import (
	"bufio"
	"bytes"
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/serge-net/serge-net/exchange"
)

// What the server announces and holds. A client that goes beyond what the protocol
// lets it send is told so; the rest bounds what one connection costs, at a few
// KiB for each open stream.
const (
	serveStreams = MaxStreams  // requests at once: what can be recorded; more are refused, which clients try again
	serveWindow  = 64<<10 - 1  // bytes of a request's body before they are taken: the default
	serveHeld    = 4 << 20     // and of all bodies
	serveFields  = 64 << 20    // bytes of the fields of all open requests, by the count of RFC 9113, section 6.5.2
	serveFrame   = 16 << 10    // bytes of a frame: the default
	serveBlock   = 1 << 20     // bytes of a field block, with the headers of its frames
	serveAhead   = 256 << 10   // bytes of frames that wait to be written, before answers wait
	serveExcused = 1024        // streams that we reset, whose frames may have been on their way
	serveLinger  = time.Second // for the last frames to a client that does not read
	maxWindow    = 1<<31 - 1   // RFC 9113, section 6.9.1
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
	newServer(conn, scheme, play).serve(ctx)
}

// ServeConnect is Serve, and announces that a CONNECT may name a :protocol, which
// clients do not do unasked (RFC 8441).
func ServeConnect(ctx context.Context, conn net.Conn, scheme string, play Play) {
	s := newServer(conn, scheme, play)
	s.connects = true
	s.serve(ctx)
}

// serve is Serve.
func (s *server) serve(ctx context.Context) {
	conn := s.conn
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	var writing sync.WaitGroup
	writing.Go(s.write)
	err := s.read()
	s.leave(err)
	s.calls.Wait()
	writing.Wait()
	if errors.As(err, new(http2.ConnectionError)) {
		linger(conn)
	}
	conn.Close()
}

// linger lets a client read why it is left, which it could not if what it sends
// met a closed connection: that resets it.
func linger(conn net.Conn) {
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
	conn.SetReadDeadline(time.Now().Add(serveLinger))
	_, _ = io.Copy(io.Discard, conn)
}

// server is one connection.
type server struct {
	conn   net.Conn
	scheme string
	play   Play
	calls  sync.WaitGroup

	connects bool // extended CONNECT is announced

	mu       sync.Mutex
	ready    *sync.Cond    // there is something to write, or the end
	flushed  *sync.Cond    // what waited is being written, or the end
	flushes  int           // how often that was
	rooms    list.List     // of *serving that wait for room to write in
	windows  list.List     // and of those that need the connection's window too
	out      *bytes.Buffer // frames to be written
	frames   *http2.Framer // onto out
	fields   *hpack.Encoder
	block    bytes.Buffer // of fields
	frameMax int          // the largest frame that the client takes
	window   int64        // what it takes of Data, of all streams
	initial  int64        // and of a new one
	credit   int64        // what it may send of Data, of all streams
	owed     int64        // and what was taken since it was last told so
	listed   int          // bytes of the fields of open requests
	streams  map[uint32]*serving
	newest   uint32
	excused  []uint32 // streams that we reset, the last ones
	calm     calm
	left     error // why the connection is at its end
}

func newServer(conn net.Conn, scheme string, play Play) *server {
	s := &server{
		conn: conn, scheme: scheme, play: play, out: new(bytes.Buffer), calm: calm{left: calmMost, at: time.Now()},
		frameMax: 16 << 10, window: 64<<10 - 1, initial: 64<<10 - 1, credit: serveHeld, streams: map[uint32]*serving{},
	}
	s.ready, s.flushed = sync.NewCond(&s.mu), sync.NewCond(&s.mu)
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
		s.flushes++
		s.flushed.Broadcast()
		s.pass()
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
	s.flushed.Broadcast()
	for _, t := range s.streams {
		t.moved.Broadcast()
	}
}

// read takes frames until the connection ends, and returns why it does.
func (s *server) read() error {
	in := &allowance{r: bufio.NewReader(s.conn), left: serveBlock}
	preface := make([]byte, len(Preface))
	if _, err := io.ReadFull(in, preface); err != nil {
		return err
	}
	s.greet()
	if string(preface) != Preface {
		return s.goAway(http2.ErrCodeProtocol)
	}
	frames := http2.NewFramer(nil, in)
	frames.SetReuseFrames()
	frames.SetMaxReadFrameSize(serveFrame)
	frames.ReadMetaHeaders = hpack.NewDecoder(4<<10, nil)
	frames.MaxHeaderListSize = MaxFields
	for begun := false; ; begun = true {
		in.left = serveBlock
		f, err := frames.ReadFrame()
		if _, ok := f.(*http2.SettingsFrame); err == nil && !ok && !begun {
			err = http2.ConnectionError(http2.ErrCodeProtocol)
		}
		if err == nil {
			err = s.frame(f)
		}
		var stream http2.StreamError
		var whole http2.ConnectionError
		switch {
		case err == nil:
		case errors.As(err, &stream):
			err = s.refuse(stream)
		case errors.As(err, &whole):
			err = s.goAway(http2.ErrCode(whole))
		case errors.Is(err, http2.ErrFrameTooLarge):
			err = s.goAway(http2.ErrCodeFrameSize)
		}
		if err != nil {
			return err
		}
	}
}

// greet announces what the server takes.
func (s *server) greet() {
	s.mu.Lock()
	defer s.mu.Unlock()
	settings := []http2.Setting{
		{ID: http2.SettingMaxConcurrentStreams, Val: serveStreams},
		{ID: http2.SettingMaxHeaderListSize, Val: MaxFields},
	}
	if s.connects {
		settings = append(settings, http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1})
	}
	s.frames.WriteSettings(settings...)
	s.frames.WriteWindowUpdate(0, serveHeld-(64<<10-1))
}

// goAway tells the client that the connection ends with code, and returns that.
func (s *server) goAway(code http2.ErrCode) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames.WriteGoAway(s.newest, code, nil)
	return http2.ConnectionError(code)
}

// refuse ends a stream at the client's fault, here and there. Its error is one
// of the connection: too many of those.
func (s *server) refuse(e http2.StreamError) error {
	s.mu.Lock()
	calm := s.calm.spend(1)
	s.frames.WriteRSTStream(e.StreamID, e.Code)
	s.excuse(e.StreamID)
	if t := s.streams[e.StreamID]; t != nil {
		t.cut(exchange.End{How: exchange.Reset, Code: uint32(e.Code), Err: "malformed: " + e.Code.String()})
	}
	s.newest = max(s.newest, e.StreamID)
	s.mu.Unlock()
	if !calm {
		return s.goAway(http2.ErrCodeEnhanceYourCalm)
	}
	return nil
}

// excuse notes that we reset stream id: what the client sent before it knew is
// no fault.
func (s *server) excuse(id uint32) {
	s.excused = append(s.excused, id)
	if len(s.excused) > serveExcused {
		s.excused = s.excused[1:]
	}
}
