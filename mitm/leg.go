package mitm

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// A leg is one end of a connection in memory that can be half-closed and reset,
// as TCP can be and net.Pipe cannot: a pipe for each direction.
type leg struct {
	net.Conn             // what this end reads
	out      net.Conn    // what it writes
	abrupt   atomic.Bool // it is to be closed by RST
	far      *leg
}

// newLeg returns both ends.
func newLeg() (near, far *leg) {
	in, inFar := net.Pipe()
	out, outFar := net.Pipe()
	near, far = &leg{Conn: in, out: outFar}, &leg{Conn: out, out: inFar}
	near.far, far.far = far, near
	return near, far
}

// Read reads what the far end wrote, and its end: FIN or RST.
func (l *leg) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if errors.Is(err, io.EOF) && l.far.abrupt.Load() {
		err = syscall.ECONNRESET
	}
	return n, err
}

// Write writes to the far end, and returns when that has read it.
func (l *leg) Write(b []byte) (int, error) { return l.out.Write(b) }

// CloseWrite ends what this end writes.
func (l *leg) CloseWrite() error { return l.out.Close() }

// Close closes both directions.
func (l *leg) Close() error {
	l.out.Close()
	return l.Conn.Close()
}

// SetLinger has Close reset the connection, as it does with TCP's for 0.
func (l *leg) SetLinger(sec int) error {
	l.abrupt.Store(sec == 0)
	return nil
}

// SetDeadline implements net.Conn.
func (l *leg) SetDeadline(t time.Time) error {
	return errors.Join(l.SetReadDeadline(t), l.SetWriteDeadline(t))
}

// SetWriteDeadline implements net.Conn.
func (l *leg) SetWriteDeadline(t time.Time) error { return l.out.SetWriteDeadline(t) }
