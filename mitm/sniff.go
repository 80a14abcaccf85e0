package mitm

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/serge-net/serge-net/mitm/http1"
	"github.com/serge-net/serge-net/mitm/http2"
)

// Protocol is what the first bytes of a connection show.
type Protocol uint8

// The protocols that Sniff tells apart.
const (
	Undecided   Protocol = iota // more bytes are needed
	ProtoTLS                    // a TLS ClientHello
	ProtoHTTP1                  // an HTTP/1 request line
	ProtoHTTP2                  // the HTTP/2 connection preface
	ProtoOpaque                 // none of these
)

// Sniff tells what a client speaks by its first bytes b. It looks at no more
// than it needs and never asks for more than 24 bytes of a preface, 6 of a TLS
// record (RFC 8446 section 5.1), or a method and the start of its target.
func Sniff(b []byte) Protocol {
	if len(b) == 0 {
		return Undecided
	}
	if b[0] == 0x16 { // handshake record, version 3.x, client_hello
		for i, want := range map[int]byte{1: 3, 5: 1} {
			if len(b) > i && b[i] != want {
				return ProtoOpaque
			}
		}
		if len(b) < 6 {
			return Undecided
		}
		return ProtoTLS
	}
	h2, more := http2.IsPreface(b)
	if h2 {
		return ProtoHTTP2
	}
	if more {
		return Undecided
	}
	h1, more := http1.LooksLike(b)
	switch {
	case h1:
		return ProtoHTTP1
	case more:
		return Undecided
	}
	return ProtoOpaque
}

// peeked is a connection whose first bytes were read ahead and are read again.
// Only the goroutine that reads may peek.
type peeked struct {
	net.Conn
	ahead []byte
	tail  [alertLen]byte // the last bytes that Read gave
	// say tells a client that asked for its origin in words whether it is there;
	// false: it cannot be told any more. Nil: the client was diverted.
	say   func(err error) bool
	waits bool // it says no more before it is told
	// unheard is told why the first read failed, if it does before it gives
	// anything and before we have ended. Nil: nobody asks.
	unheard func(err error)
	ended   atomic.Bool // we have, by CloseWrite or Close
	over    atomic.Bool // its peer has, by FIN
}

// peek returns c as one that can be peeked, c itself if it is one.
func peek(c net.Conn) *peeked {
	if p, ok := c.(*peeked); ok {
		return p
	}
	return &peeked{Conn: c}
}

// Read gives what was read ahead, then the connection.
func (p *peeked) Read(b []byte) (int, error) {
	if len(p.ahead) > 0 {
		n := copy(b, p.ahead)
		p.ahead = p.ahead[n:]
		p.remember(b[:n])
		return n, nil
	}
	n, err := p.Conn.Read(b)
	p.remember(b[:n])
	p.heard(n, err)
	return n, err
}

// heard is what a read came to.
func (p *peeked) heard(n int, err error) {
	if errors.Is(err, io.EOF) {
		p.over.Store(true)
	}
	if p.unheard == nil || n == 0 && err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return
	}
	if n == 0 && !p.ended.Load() {
		p.unheard(err)
	}
	p.unheard = nil
}

// Close closes the connection below.
func (p *peeked) Close() error {
	p.ended.Store(true)
	return p.Conn.Close()
}

// remember keeps the end of what was read.
func (p *peeked) remember(b []byte) {
	b = b[max(0, len(b)-alertLen):]
	copy(p.tail[:], p.tail[len(b):])
	copy(p.tail[alertLen-len(b):], b)
}

// CloseWrite half-closes the connection below.
func (p *peeked) CloseWrite() error {
	p.ended.Store(true)
	closeWrite(p.Conn)
	return nil
}

// more reads ahead once.
func (p *peeked) more() error {
	b := make([]byte, 4096)
	n, err := p.Conn.Read(b)
	p.heard(n, err)
	p.ahead = append(p.ahead, b[:n]...)
	if n > 0 {
		return nil
	}
	return err
}

// sniff reads ahead on client until its protocol shows. If server is not nil
// and speaks or ends before that, the protocol is opaque: TLS and HTTP clients
// are not spoken to first, but for HTTP/2's settings; and what may pass before it is decided is not waited
// for. An error is that of reading client.
func sniff(client, server *peeked) (Protocol, error) {
	if p := Sniff(client.ahead); p != Undecided || server != nil && !held(client.ahead) {
		return p, nil
	}
	if server == nil {
		return sniffClient(client, false)
	}
	first := make(chan struct{})
	go awaitServer(server, client, first)
	p, err := sniffClient(client, true)
	server.SetReadDeadline(time.Unix(1, 0)) // wakes awaitServer
	<-first
	server.SetReadDeadline(time.Time{})
	client.SetReadDeadline(time.Time{})
	if p == Undecided && errors.Is(err, os.ErrDeadlineExceeded) {
		if http2.Greets(server.ahead) {
			return ProtoHTTP2, nil
		}
		return ProtoOpaque, nil
	}
	return p, err
}

// awaitServer reads ahead on server; if that speaks or ends, it wakes the
// reader of client by its deadline. It closes done when it has ended.
func awaitServer(server, client *peeked, done chan<- struct{}) {
	defer close(done)
	if err := server.more(); !errors.Is(err, os.ErrDeadlineExceeded) {
		client.SetReadDeadline(time.Unix(1, 0))
	}
}

// sniffClient reads ahead on client until its protocol shows, or, if it passes on,
// until its bytes may pass.
func sniffClient(client *peeked, passes bool) (Protocol, error) {
	for {
		if err := client.more(); err != nil {
			return Undecided, err
		}
		if p := Sniff(client.ahead); p != Undecided || passes && !held(client.ahead) {
			return p, nil
		}
	}
}
