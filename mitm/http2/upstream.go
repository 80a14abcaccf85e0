package http2

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/serge-net/serge-net/exchange"
)

// What an Upstream announces and holds.
const (
	streamWindow   = 64<<10 - 1 // bytes of an answer that its client has not taken: the default
	upstreamGrown  = 1 << 20    // and of one whose client takes what it gets, for a long way
	upstreamHeld   = 16 << 20   // by how much the windows of all streams may have grown
	upstreamWindow = 1 << 30    // of all answers: the streams' windows bound what is held
	upstreamUntold = 1          // exchanges at once before the origin has said how many, which it says first
)

// ErrLeaving is wrapped by the error of a Call for which there is another
// connection to be made.
var ErrLeaving = errors.New("the origin takes no more exchanges on this connection")

// A ResetError is the cause of a context whose exchange is to end by RST_STREAM.
type ResetError struct{ Code uint32 }

// Error names the code.
func (e *ResetError) Error() string { return "RST_STREAM " + http2.ErrCode(e.Code).String() }

// An Upstream takes exchanges to an origin over one connection, as Calls. Fields
// go with the order, the bytes and the duplicates that they have, pseudo fields
// in the order of Head.Pseudo; those that HTTP/2 forbids are left out. The origin is held to
// nothing but the framing and the windows. Its methods are safe for concurrent use.
type Upstream struct {
	sender
	// What follows is guarded by mu.

	calls   map[uint32]*Call
	newest  uint32     // the last stream that was begun
	most    int        // how many the origin takes at once
	free    *sync.Cond // there may be room for one more, or never
	greeted bool       // it said so
	leaving bool       // it sent GOAWAY
	fresh   []*Call    // what it did on these is not released
	owed    int64      // bytes of Data that came, since the origin was last told so
	grown   int64      // of upstreamHeld
}

// A Show is called with what a side of a connection sends, in order, before that
// passes. Its error ends the connection.
type Show func(from exchange.Side, b []byte) error

// NewUpstream begins HTTP/2 on conn, which is connected and, if it is TLS, has
// agreed on h2. Upstream owns conn.
func NewUpstream(conn net.Conn) *Upstream {
	u := &Upstream{calls: map[uint32]*Call{}, most: upstreamUntold}
	u.begin(conn)
	u.free = sync.NewCond(&u.mu)
	u.out.WriteString(Preface)
	u.frames.WriteSettings(
		http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: MaxFields},
	)
	u.frames.WriteWindowUpdate(0, upstreamWindow-(64<<10-1))
	return u
}

// Run passes frames until the connection ends: by Close, by either side's fault,
// or after a GOAWAY with the last Call. show has Take be told what the origin did,
// by a Decoder: so an exchange is what it would be if it were only watched. ended
// is called once, with why the connection ended, when nothing is shown any more,
// and may have Take be told that too.
func (u *Upstream) Run(show Show, ended func(error)) {
	u.shown = func(b []byte) error {
		defer u.release()
		return show(exchange.Client, b)
	}
	var writing sync.WaitGroup
	writing.Go(func() { u.write(u.leave) })
	err := u.read(show)
	var fault http2.ConnectionError
	if errors.As(err, &fault) {
		u.mu.Lock()
		u.frames.WriteGoAway(0, http2.ErrCode(fault), nil)
		u.mu.Unlock()
	}
	u.leave(err)
	writing.Wait()
	u.conn.Close()
	ended(err)
	u.mu.Lock()
	for _, c := range u.calls {
		c.end(exchange.End{How: exchange.Reset, Code: uint32(http2.ErrCodeInternal), Err: err.Error()})
	}
	u.mu.Unlock()
	u.release()
}

// Usable reports whether the origin takes another exchange on this connection,
// now or when another has ended.
func (u *Upstream) Usable() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.usable()
}

// usable is Usable. mu is held.
func (u *Upstream) usable() bool { return u.left == nil && !u.leaving && u.newest < 1<<31-2 }

// Close has the connection end, when what was said is written.
func (u *Upstream) Close() {
	u.leave(net.ErrClosed)
	u.conn.SetReadDeadline(time.Unix(1, 0))
}

// lanes are the open streams.
func (u *Upstream) lanes(yield func(*lane) bool) {
	for _, c := range u.calls {
		if !yield(&c.lane) {
			return
		}
	}
}

// leave ends the connection.
func (u *Upstream) leave(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sender.leave(err, u.lanes)
	u.free.Broadcast()
}

// watched shows what is read from a connection.
type watched struct {
	u    *Upstream
	show Show
}

// Read implements io.Reader. What it told passes on when show returns, and is
// recorded then.
func (w *watched) Read(b []byte) (int, error) {
	n, err := w.u.conn.Read(b)
	if n == 0 {
		return n, err
	}
	told := w.show(exchange.Server, b[:n])
	w.u.release()
	return n, errors.Join(told, err)
}

// read takes frames until the connection ends, and returns why it does.
func (u *Upstream) read(show Show) error {
	in := bufio.NewReaderSize(&watched{u, show}, 64<<10)
	frames := http2.NewFramer(nil, in)
	frames.SetReuseFrames()
	frames.SetMaxReadFrameSize(16 << 10)
	for {
		f, err := frames.ReadFrame()
		if err == nil {
			err = u.frame(f)
		}
		var stream http2.StreamError
		if errors.As(err, &stream) {
			u.refuse(stream)
			u.release()
			continue
		}
		if err != nil {
			return err
		}
	}
}

// refuse resets a stream at the origin's fault.
func (u *Upstream) refuse(e http2.StreamError) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if c := u.calls[e.StreamID]; c != nil {
		c.fail(e.Code, e.Error())
	}
}

// frame takes what of a frame is the connection's. What it says of an exchange is
// told by Take.
func (u *Upstream) frame(f http2.Frame) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.heed()
	c := u.calls[f.Header().StreamID]
	switch f := f.(type) {
	case *http2.DataFrame:
		return u.data(f, c)
	case *http2.SettingsFrame:
		if f.IsAck() {
			return nil
		}
		u.heard(f)
		return u.settings(f, u.lanes)
	case *http2.PingFrame:
		if !f.IsAck() {
			u.frames.WritePing(true, f.Data)
		}
	case *http2.WindowUpdateFrame:
		return u.update(f, c.sending())
	case *http2.RSTStreamFrame:
		if c != nil { // it may come twice: what was on its way meets a closed stream
			c.spared = c.spared || c.over && !c.gone
			c.gone = true
			c.moved.Broadcast()
		}
	case *http2.GoAwayFrame:
		u.leaving = true
		u.free.Broadcast()
		u.rest()
	case *http2.PushPromiseFrame:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	return nil
}

// heard takes how many exchanges the origin takes at once.
func (u *Upstream) heard(f *http2.SettingsFrame) {
	n, ok := f.Value(http2.SettingMaxConcurrentStreams)
	switch {
	case ok:
		u.most = int(min(n, MaxStreams))
	case !u.greeted:
		u.most = MaxStreams
	}
	u.greeted = true
	u.free.Broadcast()
}

// data takes the size of a piece of an answer off the windows.
func (u *Upstream) data(f *http2.DataFrame, c *Call) error {
	n := int64(f.Length)
	if u.owed += n; u.owed >= upstreamGrown {
		u.frames.WriteWindowUpdate(0, uint32(u.owed))
		u.owed = 0
	}
	if c == nil {
		return nil
	}
	if c.credit -= n; c.credit < 0 {
		return http2.StreamError{StreamID: c.id, Code: http2.ErrCodeFlowControl}
	}
	c.owe(n - int64(len(f.Data())))
	return nil
}

// rest closes a connection that takes no more exchanges when it has none.
func (u *Upstream) rest() {
	if u.leaving && len(u.calls) == 0 {
		u.conn.Close()
	}
}

// Take is told what the origin did. It copies what it keeps.
func (u *Upstream) Take(e exchange.Event) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if c := u.calls[uint32(e.Stream)]; c != nil && e.From == exchange.Server {
		c.take(e)
	}
}

// release lets go on what was taken.
func (u *Upstream) release() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, c := range u.fresh {
		c.open = len(c.queue)
		c.moved.Broadcast()
	}
	u.fresh = u.fresh[:0]
}

// Call begins an exchange with the request's head; last is that it is all of the
// request. It waits for room where the origin takes no more at once. When ctx is
// done the exchange is over, by RST_STREAM if the cause is a ResetError. Who has
// a Call calls its Answer, and Send up to an End.
func (u *Upstream) Call(ctx context.Context, head *exchange.Head, last bool) (*Call, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	c := &Call{u: u, lane: u.lane(0), ctx: ctx, credit: streamWindow, room: streamWindow, sent: last}
	c.stop = context.AfterFunc(ctx, c.abandon)
	if err := c.admitted(); err != nil {
		c.stop()
		return nil, fmt.Errorf("begin an exchange: %w", err)
	}
	if u.newest++; u.newest > 1 {
		u.newest++
	}
	c.id, c.window = u.newest, u.initial
	u.calls[c.id] = c
	u.list(pseudoOf(head), fieldsOf(head), c.id, last)
	return c, nil
}

// admitted waits until c may begin.
func (c *Call) admitted() error {
	u := c.u
	for u.usable() && len(u.calls) >= u.most && !c.gone {
		u.free.Wait()
	}
	err := c.turn(false)
	switch {
	case c.gone:
		return context.Cause(c.ctx)
	case !u.usable():
		return ErrLeaving
	case err == nil && len(u.calls) >= u.most: // others had the turn before
		return c.admitted()
	}
	return err
}

// pseudoOf is the pseudo fields of a request, in the order in which its client
// had them.
func pseudoOf(h *exchange.Head) []hpack.HeaderField {
	order := h.Pseudo
	if order == nil {
		order = []string{":method", ":scheme", ":authority", ":path"}
	}
	var fields []hpack.HeaderField
	for _, name := range order {
		f := hpack.HeaderField{Name: name}
		switch name {
		case ":method":
			f.Value = h.Method
		case ":scheme":
			f.Value = h.Scheme
		case ":authority":
			f.Value = h.Authority
		case ":path":
			f.Value = h.Target
		case ":protocol":
			f.Value, _ = exchange.Get(h.Fields, name)
		}
		if f.Value != "" {
			fields = append(fields, f)
		}
	}
	return fields
}

// fieldsOf is the other fields of a request.
func fieldsOf(h *exchange.Head) []exchange.Field {
	if len(h.Fields) > 0 && strings.HasPrefix(h.Fields[0].Name, ":") {
		return h.Fields[1:]
	}
	return h.Fields
}
