package http2

import (
	"bytes"
	"container/list"
	"fmt"
	"iter"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/serge-net/serge-net/exchange"
)

// What either end holds and waits for.
const (
	sendAhead = 256 << 10   // bytes of frames that wait to be written, before streams wait
	sendLast  = time.Second // for the last frames to an end that does not read
	maxWindow = 1<<31 - 1   // RFC 9113, section 6.9.1
)

// A sender is what an end of a connection writes. Frames gather in a buffer, and
// those of all streams that come while one write lasts go out in the next.
type sender struct {
	conn  net.Conn
	shown func([]byte) error // what is about to be written, unless it errs; nil: nobody is

	mu       sync.Mutex    // of all that its end knows
	ready    *sync.Cond    // there is something to write, or the end
	flushed  *sync.Cond    // what waited is being written, or the end
	flushes  int           // how often that was
	rooms    list.List     // of *lane that wait for room to write in
	windows  list.List     // and of those that need the connection's window too
	out      *bytes.Buffer // frames to be written
	frames   *http2.Framer // onto out
	fields   *hpack.Encoder
	block    bytes.Buffer // of fields
	frameMax int          // the largest frame that the other end takes
	window   int64        // what it takes of Data, of all streams
	initial  int64        // and of a new one
	left     error        // why the connection is at its end
}

// A lane is a stream of a sender.
type lane struct {
	by *sender
	id uint32

	// What follows is guarded by by.mu.

	moved  *sync.Cond // the stream may go on: its turn, window, body, end
	window int64      // what the other end takes of Data
	gone   bool       // the stream was reset
}

// begin makes s ready to write to conn.
func (s *sender) begin(conn net.Conn) {
	s.conn, s.out = conn, new(bytes.Buffer)
	s.frameMax, s.window, s.initial = 16<<10, 64<<10-1, 64<<10-1
	s.ready, s.flushed = sync.NewCond(&s.mu), sync.NewCond(&s.mu)
	s.fields = hpack.NewEncoder(&s.block)
	s.frames = http2.NewFramer(&buffered{s}, nil)
}

// lane is a new stream.
func (s *sender) lane(id uint32) lane {
	return lane{by: s, id: id, window: s.initial, moved: sync.NewCond(&s.mu)}
}

// buffered is where a sender's frames go: its buffer, which write exchanges.
type buffered struct{ s *sender }

// Write is called with mu held.
func (b *buffered) Write(p []byte) (int, error) {
	b.s.ready.Signal()
	return b.s.out.Write(p)
}

// write writes what waits, until the end. An error of the connection goes to
// failed.
func (s *sender) write(failed func(error)) {
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
		if err := s.put(b.Bytes()); err != nil {
			failed(err)
			s.conn.Close()
			return
		}
		if b.Reset(); b.Cap() > sendAhead/4 {
			b = new(bytes.Buffer)
		}
		spare = b
	}
}

// put writes b, and shows it before.
func (s *sender) put(b []byte) error {
	if s.shown != nil {
		if err := s.shown(b); err != nil {
			return err
		}
	}
	_, err := s.conn.Write(b)
	return err
}

// leave ends the connection: what waits is written, for a second at most, and
// what streams send fails. It reports whether the connection had not ended before.
func (s *sender) leave(err error, lanes iter.Seq[*lane]) bool {
	if s.left != nil {
		return false
	}
	s.left = fmt.Errorf("%w: %w", errGone, err)
	s.conn.SetWriteDeadline(time.Now().Add(sendLast))
	s.ready.Broadcast()
	s.flushed.Broadcast()
	for l := range lanes {
		l.moved.Broadcast()
	}
	for e := s.rooms.Front(); e != nil; e = e.Next() { // one that is no stream yet
		e.Value.(*lane).moved.Broadcast()
	}
	return true
}

// heed waits while too much waits to be written: who does not read is not heard.
func (s *sender) heed() {
	for s.out.Len() > 4*sendAhead && s.left == nil {
		s.flushed.Wait()
	}
}

// update takes a larger window, of l or of the connection. l may be nil.
func (s *sender) update(f *http2.WindowUpdateFrame, l *lane) error {
	n := int64(f.Increment)
	switch {
	case f.StreamID == 0:
		if s.window += n; s.window > maxWindow {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
		s.pass()
	case l != nil:
		if l.window += n; l.window > maxWindow {
			return http2.StreamError{StreamID: l.id, Code: http2.ErrCodeFlowControl}
		}
		l.moved.Broadcast()
	}
	return nil
}

// settings takes what the other end announces, and acknowledges it.
func (s *sender) settings(f *http2.SettingsFrame, lanes iter.Seq[*lane]) error {
	initial := s.initial
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
			s.initial = int64(v.Val)
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.frames.WriteSettingsAck()
	if s.initial == initial {
		return nil
	}
	for l := range lanes {
		// It may become negative: RFC 9113, section 6.9.2.
		if l.window += s.initial - initial; l.window > maxWindow {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
		l.moved.Broadcast()
	}
	return nil
}

// list writes a field section: pseudo fields, and fields without those that
// HTTP/2 forbids.
func (s *sender) list(pseudo []hpack.HeaderField, fields []exchange.Field, id uint32, last bool) {
	s.block.Reset()
	for _, f := range pseudo {
		s.fields.WriteField(f)
	}
	for _, f := range fields {
		if !Forbidden(f.Name) {
			s.fields.WriteField(hpack.HeaderField{Name: strings.ToLower(f.Name), Value: f.Value, Sensitive: sensitive(f.Name)})
		}
	}
	b := s.block.Bytes()
	n := min(len(b), s.frameMax)
	s.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: b[:n], EndStream: last, EndHeaders: n == len(b)})
	for b = b[n:]; len(b) > 0; b = b[n:] {
		n = min(len(b), s.frameMax)
		s.frames.WriteContinuation(id, n == len(b), b[:n])
	}
}

// sensitive reports whether no table may remember the field called name (RFC
// 7541, section 7.1.3).
func sensitive(name string) bool {
	return strings.EqualFold(name, "authorization") || strings.EqualFold(name, "proxy-authorization")
}

// piece sends as much of b, which is not empty, as one frame and the windows
// have room for, when it is l's turn, and says how much that was.
func (l *lane) piece(b []byte) (int, error) {
	if err := l.turn(true); err != nil {
		return 0, err
	}
	s := l.by
	n := min(int64(len(b)), l.window, s.window, int64(s.frameMax))
	s.frames.WriteData(l.id, false, b[:n])
	l.window, s.window = l.window-n, s.window-n
	return int(n), nil
}

// lost is why the other end gets no more of the stream, or nil.
func (l *lane) lost() error {
	switch {
	case l.by.left != nil:
		return l.by.left
	case l.gone:
		return fmt.Errorf("%w: stream %d was reset", errGone, l.id)
	}
	return nil
}
