package dnsstub

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// Limits of what is answered at once. Past them queries wait: in the socket's
// buffer, which drops what it cannot hold, or in TCP's window.
const (
	maxPackets = 512 // datagrams, each waiting for upstream at worst
	maxStream  = 32  // queries of one connection
)

// How long a connection may be silent, and how long it may take what we
// send. RFC 7766 section 6.2.3 asks for some seconds of the first.
const (
	idleLimit  = 30 * time.Second
	writeLimit = 10 * time.Second
)

// Packets are the datagrams to port 53 that were diverted to us. ReadFrom
// gives the sender and the resolver that it believes it asks; WriteTo answers
// in that one's place. After they are closed, ReadFrom returns net.ErrClosed.
type Packets interface {
	ReadFrom(b []byte) (n int, client, queried netip.AddrPort, err error)
	WriteTo(b []byte, client, queried netip.AddrPort) error
}

// ServePackets answers what pc reads until that fails, and returns why: nil if
// pc was closed. What is being answered then is given up. The caller closes
// pc; ctx ends what waits for upstream, not the reading.
func (s *Stub) ServePackets(ctx context.Context, pc Packets) error {
	var answering sync.WaitGroup
	defer answering.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	room := make(chan struct{}, maxPackets)
	b := make([]byte, maxUDP)
	for {
		n, client, queried, err := pc.ReadFrom(b)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read a DNS query: %w", err)
		}
		query := append([]byte(nil), b[:n]...)
		room <- struct{}{}
		answering.Go(func() {
			defer func() { <-room }()
			s.answerPacket(ctx, pc, query, client, queried)
		})
	}
}

// answerPacket answers one datagram. One that cannot be sent is lost, as
// datagrams are; the client asks again.
func (s *Stub) answerPacket(ctx context.Context, pc Packets, query []byte, client, queried netip.AddrPort) {
	if b := s.Answer(ctx, query, "udp"); b != nil {
		_ = pc.WriteTo(b, client, queried)
	}
}

// ServeConn answers the queries on c, each as soon as its answer is known (RFC
// 7766 section 6.2.1.1), and closes c when the client has ended or been idle
// for half a minute, or ctx is done. It returns nil then, and else what went
// wrong.
func (s *Stub) ServeConn(ctx context.Context, c net.Conn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	defer c.Close()

	replies := make(chan []byte)
	written := make(chan error, 1)
	var writing, answering sync.WaitGroup
	writing.Go(func() { written <- writeReplies(c, replies, cancel) })
	err := s.readQueries(ctx, c, replies, &answering)
	answering.Wait()
	close(replies)
	writing.Wait()
	if werr := <-written; werr != nil {
		err = werr
	}
	if errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, os.ErrDeadlineExceeded) {
		return nil // we closed it, or the client was idle
	}
	return err
}

// readQueries has each query on c answered, up to maxStream at once, until
// there are no more.
func (s *Stub) readQueries(ctx context.Context, c net.Conn, replies chan<- []byte, answering *sync.WaitGroup) error {
	room := make(chan struct{}, maxStream)
	r := bufio.NewReader(c)
	for {
		if err := c.SetReadDeadline(time.Now().Add(idleLimit)); err != nil {
			return fmt.Errorf("set a deadline for a DNS query: %w", err)
		}
		query, err := readFrame(r)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read a DNS query: %w", err)
		}
		room <- struct{}{}
		answering.Go(func() {
			defer func() { <-room }()
			if b := s.Answer(ctx, query, "tcp"); b != nil {
				replies <- b
			}
		})
	}
}

// writeReplies sends replies on c until there are no more. When c takes none
// it gives up the connection, and lets the others pass.
func writeReplies(c net.Conn, replies <-chan []byte, giveUp func()) error {
	var failed error
	for b := range replies {
		if failed != nil {
			continue
		}
		failed = writeFrame(c, b)
		if failed != nil {
			giveUp()
		}
	}
	return failed
}

// writeFrame sends msg on c.
func writeFrame(c net.Conn, msg []byte) error {
	if err := c.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
		return fmt.Errorf("set a deadline for a DNS answer: %w", err)
	}
	if _, err := c.Write(appendFrame(nil, msg)); err != nil {
		return fmt.Errorf("write a DNS answer: %w", err)
	}
	return nil
}

// appendFrame appends msg, of at most 65535 bytes, with its length before it:
// RFC 1035 section 4.2.2.
func appendFrame(dst, msg []byte) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(msg))), msg...)
}

// readFrame is the inverse of appendFrame. It returns io.EOF between two
// messages, io.ErrUnexpectedEOF within one.
func readFrame(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	msg := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(r, msg); err == io.EOF {
		return nil, io.ErrUnexpectedEOF
	} else if err != nil {
		return nil, err
	}
	return msg, nil
}
