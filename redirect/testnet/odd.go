package testnet

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// startOdd serves OddForms on ports 80 and 443 of OddHost.
func (r *rack) startOdd() error {
	h := Lookup(OddHost)
	cert, err := r.ca.Issue(Leaf{Names: []string{h.Name}, Addrs: h.Addrs()})
	if err != nil {
		return err
	}
	secure := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}}
	forms := make(map[string]Odd)
	for _, o := range OddForms() {
		forms[OddPath(o.Name)] = o
	}
	for port, wrap := range map[uint16]func(net.Conn) net.Conn{
		80:  func(c net.Conn) net.Conn { return c },
		443: func(c net.Conn) net.Conn { return tls.Server(c, secure) },
	} {
		ls, err := r.listeners(h, port)
		if err != nil {
			return err
		}
		for _, l := range ls {
			r.serveConns(l, func(c net.Conn) {
				_ = r.serveOdd(wrap(c), forms) // the client left, or broke off
			})
		}
	}
	return nil
}

// serveOdd answers the requests on c, pipelined ones too, until a form ends the connection.
func (r *rack) serveOdd(c net.Conn, forms map[string]Odd) error {
	in := bufio.NewReader(c)
	for {
		req, err := readOddHead(in)
		if err != nil {
			return err
		}
		r.hits.add(OddHost + req.path)
		o, ok := forms[req.path]
		switch {
		case req.path == MirrorPath:
			err = mirror(c, in, req)
		case !ok:
			o = Odd{Answer: "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"}
			fallthrough
		default:
			err = o.play(c, in, req)
		}
		if err != nil {
			return err
		}
	}
}

// errOver says that a form ended its connection.
var errOver = errors.New("testnet: the form ends the connection")

// play answers req, whose head is read from in, on c.
func (o Odd) play(c net.Conn, in *bufio.Reader, req *oddRequest) error {
	if _, err := io.WriteString(c, o.Interim); err != nil {
		return err
	}
	if o.Answer != "" {
		if err := req.readBody(in); err != nil {
			return err
		}
	}
	step := max(len(o.Answer), 1)
	if o.Dribble {
		step = 1
	}
	for rest := o.Answer; rest != ""; rest = rest[step:] {
		if _, err := io.WriteString(c, rest[:step]); err != nil {
			return err
		}
	}
	switch o.After {
	case KeepOpen:
		return nil
	case ResetAfter:
		return reset(c)
	case UpgradeEcho:
		if _, err := io.Copy(c, in); err != nil {
			return err
		}
	}
	return hangUp(c, in)
}

// reset ends c by RST.
func reset(c net.Conn) error {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if err := c.(*net.TCPConn).SetLinger(0); err != nil {
		return err
	}
	return errors.Join(errOver, c.Close())
}

// patience is how long hangUp waits for the client to close as well.
const patience = 5 * time.Second

// hangUp ends c by FIN and reads what the client still sends: with unread bytes the
// kernel would send RST, and the client could lose the answer (RFC 9112 section 9.6).
func hangUp(c net.Conn, in io.Reader) error {
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return err
	}
	if t, ok := c.(*tls.Conn); ok { // whose CloseWrite sends close_notify only
		if err := t.NetConn().(*net.TCPConn).CloseWrite(); err != nil {
			return err
		}
	}
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, in)
	return errors.Join(errOver, err)
}

// oddRequest is a request as it came.
type oddRequest struct {
	raw     []byte // what has been read of it
	path    string // without the query
	expect  bool   // 100-continue
	chunked bool
	length  int64
}

// mirrorMost is the longest request that mirror returns.
const mirrorMost = 16 << 20

// readOddHead reads a request's head from in. It is lenient: what it does not know it keeps.
func readOddHead(in *bufio.Reader) (*oddRequest, error) {
	req := new(oddRequest)
	for first := true; ; first = false {
		line, err := req.readLine(in)
		if err != nil {
			return nil, err
		}
		if first {
			words := strings.Fields(line)
			if len(words) < 2 {
				return nil, fmt.Errorf("read a request line: %q", line)
			}
			req.path, _, _ = strings.Cut(words[1], "?")
			continue
		}
		if line == "" {
			return req, nil
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.ToLower(strings.TrimSpace(value))
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "content-length":
			if req.length, err = strconv.ParseInt(value, 10, 64); err != nil || req.length < 0 || req.length > mirrorMost {
				return nil, fmt.Errorf("read a content-length: %q", value)
			}
		case "transfer-encoding":
			req.chunked = strings.HasSuffix(value, "chunked")
		case "expect":
			req.expect = value == "100-continue"
		}
	}
}

// readLine reads a line, keeps it, and returns it without its end.
func (q *oddRequest) readLine(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	q.raw = append(q.raw, line...)
	return strings.TrimRight(line, "\r\n"), err
}

// readBody reads and keeps the body, as it is framed.
func (q *oddRequest) readBody(in *bufio.Reader) error {
	if !q.chunked {
		return q.take(in, q.length)
	}
	for {
		line, err := q.readLine(in)
		if err != nil {
			return err
		}
		digits, _, _ := strings.Cut(line, ";")
		size, err := strconv.ParseInt(strings.TrimSpace(digits), 16, 32)
		if err != nil || size < 0 || size > mirrorMost {
			return fmt.Errorf("read a chunk size: %q", line)
		}
		if size == 0 {
			break
		}
		if err := q.take(in, size); err != nil {
			return err
		}
		if _, err := q.readLine(in); err != nil {
			return err
		}
	}
	for { // trailers
		if line, err := q.readLine(in); err != nil || line == "" {
			return err
		}
	}
}

// take reads and keeps n bytes.
func (q *oddRequest) take(in io.Reader, n int64) error {
	b := bytes.NewBuffer(q.raw)
	_, err := io.CopyN(b, in, n)
	q.raw = b.Bytes()
	return err
}

// mirror answers req with itself.
func mirror(c net.Conn, in *bufio.Reader, req *oddRequest) error {
	if req.expect {
		if _, err := io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
			return err
		}
	}
	if err := req.readBody(in); err != nil {
		return err
	}
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", len(req.raw))
	_, err := c.Write(append([]byte(head), req.raw...))
	return err
}
