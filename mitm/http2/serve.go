package http2

import (
	"bufio"
	"context"
	"errors"
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
	serveStreams = MaxStreams      // requests at once: what can be recorded; more are refused, which clients try again
	serveWindow  = 64<<10 - 1      // bytes of a request's body before they are taken: the default
	serveHeld    = 4 << 20         // and of all bodies
	serveFields  = 64 << 20        // bytes of the fields of all open requests, by the count of RFC 9113, section 6.5.2
	serveFrame   = 16 << 10        // bytes of a frame: the default
	serveBlock   = 1 << 20         // bytes of a field block, with the headers of its frames
	serveExcused = 1024            // streams that we reset, whose frames may have been on their way
	serveSever   = 5 * time.Second // for the other answers, before one ends the connection
)

// errSevered ends a connection as it ended when it was recorded.
var errSevered = errors.New("the connection ended here when it was recorded")

// errGone is wrapped by an answer whose client has gone, or has reset the stream.
var errGone = errors.New("the client has left")

// A Play answers the exchanges of one connection: Event of exchange.Play.
type Play func(e exchange.Event, answer func(exchange.Event) error) error

// A Left is told that the client has left a stream: end is Reset with the code of
// its RST_STREAM, or Truncated at the connection's end. It must not wait.
type Left func(stream uint64, end exchange.End)

// A Server plays HTTP/2 to clients. It is not changed once in use.
type Server struct {
	Scheme string // the requests': "http" or "https"
	// Play is called as exchange.Play says, concurrently for different streams. An
	// answer may be given while the request is open, from a goroutine that ends
	// before Play returns. A whole answer may be followed by an End that is Reset:
	// that no more of the request is needed. An error of Play resets the stream with
	// INTERNAL_ERROR; a miss is the caller's to answer.
	Play  Play
	Left  Left           // for a Play whose answers take as long as others make them; may be nil
	Reset func(net.Conn) // closes a connection by RST; nil: there is none to be closed so
	// Connect announces that a CONNECT may name a :protocol, which clients do not do
	// unasked (RFC 8441).
	Connect bool
}

// Serve plays to the client at conn until that closes or ctx is done, and returns
// why it came to its end. It owns conn, and returns when all its calls of Play have. conn begins with the
// client's preface: it is TLS whose handshake is done and agreed on h2, or clear
// text (h2c by prior knowledge).
//
// An answer that ends reset or truncated is reset after what it sent, with the
// End's code, else INTERNAL_ERROR; one that ended with its connection ends this
// one, when what else is under way has been answered. What answers is written at once; the
// frames of all streams that come while one write lasts go out in the next.
//
// Fields come and go in the order and with the values that they have. Those that
// HTTP/2 forbids (Connection, Transfer-Encoding…) are left out, and so is a 101.
func (c *Server) Serve(ctx context.Context, conn net.Conn) error {
	s := newServer(conn, c)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	var writing sync.WaitGroup
	writing.Go(func() { s.write(s.leave) })
	err := s.read()
	s.leave(err)
	s.calls.Wait()
	writing.Wait()
	switch {
	case s.severed == exchange.Reset && c.Reset != nil:
		c.Reset(conn)
	case s.severed != exchange.Complete, errors.As(err, new(http2.ConnectionError)):
		linger(conn)
	}
	conn.Close()
	return err
}

// linger lets a client read why it is left, which it could not if what it sends
// met a closed connection: that resets it.
func linger(conn net.Conn) {
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
	conn.SetReadDeadline(time.Now().Add(sendLast))
	_, _ = io.Copy(io.Discard, conn)
}

// server is one connection.
type server struct {
	sender
	*Server
	calls sync.WaitGroup

	// What follows is guarded by mu.

	credit  int64 // what the client may send of Data, of all streams
	owed    int64 // and what was taken since it was last told so
	listed  int   // bytes of the fields of open requests
	streams map[uint32]*serving
	newest  uint32
	excused []uint32 // streams that we reset, the last ones
	calm    calm
	ending  int          // streams that wait to end with the connection
	severed exchange.How // how one did; Complete: none
}

func newServer(conn net.Conn, c *Server) *server {
	s := &server{Server: c, calm: calm{left: calmMost, at: time.Now()}, credit: serveHeld, streams: map[uint32]*serving{}}
	s.begin(conn)
	return s
}

// lanes are the open streams.
func (s *server) lanes(yield func(*lane) bool) {
	for _, t := range s.streams {
		if !yield(&t.lane) {
			return
		}
	}
}

// leave ends the connection.
func (s *server) leave(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.sender.leave(err, s.lanes) || s.Left == nil {
		return
	}
	for _, t := range s.streams {
		s.Left(uint64(t.id), exchange.End{How: exchange.Truncated, Err: s.left.Error()})
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
	if s.Connect {
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
		t.leave(exchange.End{How: exchange.Reset, Code: uint32(e.Code), Err: "malformed: " + e.Code.String()})
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
