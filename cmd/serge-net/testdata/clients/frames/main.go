// Frames speaks HTTP/2 frame by frame, and prints what it gets: frames HOST:PORT
// DOES:PATH... Each has a connection of its own, and does one of
//
//	get      asks, and takes the answer
//	talk     sends a piece of body when the one before was answered
//	upload   sends a piece of body, and waits to be told to stop
//	hangup   resets a request in its body, at an interim answer
//	stop     resets the stream at the first piece of the answer
//	leave    closes the connection at the first piece of the answer
package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// patience is how long an answer is waited for.
const patience = 5 * time.Second

// A session is one connection.
type session struct {
	net.Conn
	*http2.Framer
	does   string
	data   []byte // of the answer, not printed yet
	pieces int    // sent of a talk
	over   bool
	reset  error // of a write
}

func main() {
	for _, what := range os.Args[2:] {
		fmt.Println("==", what)
		does, path, _ := strings.Cut(what, ":")
		if err := run(os.Args[1], does, path); err != nil {
			fmt.Println(end(err))
		}
	}
}

// end is how a connection ended, in a word.
func end(err error) string {
	var slow net.Error
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection reset"
	case errors.As(err, &slow) && slow.Timeout():
		return "no answer"
	}
	return err.Error()
}

// run does what it is to and prints what comes back.
func run(addr, does, path string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	s := &session{Conn: conn, Framer: http2.NewFramer(conn, conn), does: does}
	s.ReadMetaHeaders = hpack.NewDecoder(4<<10, nil)
	if err := s.ask(addr, path); err != nil {
		return err
	}
	defer func() { s.flush() }()
	for !s.over {
		f, err := s.ReadFrame()
		if err != nil {
			s.flush()
			return cmp.Or(s.reset, err)
		}
		// What came is read though nothing can be written; the system tells of RST once.
		if err := s.take(f); errors.Is(err, syscall.ECONNRESET) {
			s.reset = err
		}
	}
	return nil
}

// ask sends the request, in one write. Its pseudo fields are in no usual order.
func (s *session) ask(addr, path string) error {
	var out, block bytes.Buffer
	method := "POST"
	if s.does == "get" || s.does == "stop" || s.does == "leave" {
		method = "GET"
	}
	enc := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":path", path}, {":method", method}, {":authority", addr}, {":scheme", "http"},
		{"x-b", "1"}, {"cookie", "a=1"}, {"x-a", "\xff"}, {"x-b", "2"}, {"cookie", "b=2; c=3"}, {"te", "trailers"}} {
		enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	out.WriteString(http2.ClientPreface)
	w := http2.NewFramer(&out, nil)
	w.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0})
	w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: method == "GET"})
	if s.does == "hangup" {
		w.WriteData(1, false, []byte("half of a"))
	}
	if s.does == "talk" || s.does == "upload" {
		w.WriteData(1, false, []byte("piece 0 "))
	}
	_, err := s.Write(out.Bytes())
	return err
}

// take prints f, and does what is to be done then.
func (s *session) take(f http2.Frame) error {
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		s.flush()
		fmt.Println("head" + fields(f))
		if s.does == "hangup" {
			s.over = true
			return s.WriteRSTStream(1, http2.ErrCodeCancel)
		}
		s.over = f.StreamEnded()
	case *http2.DataFrame:
		s.data = append(s.data, f.Data()...)
		s.over = f.StreamEnded() && s.does != "upload"
		return s.answered(len(f.Data()))
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return s.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return s.WritePing(true, f.Data)
		}
	case *http2.RSTStreamFrame:
		s.flush()
		fmt.Println("reset", f.ErrCode)
		s.over = true
	case *http2.GoAwayFrame:
		s.flush()
		fmt.Printf("goaway %v, the last stream %d\n", f.ErrCode, f.LastStreamID)
		s.over = f.LastStreamID < 1
	}
	return nil
}

// answered goes on after n bytes of an answer.
func (s *session) answered(n int) error {
	if s.over {
		s.flush()
		fmt.Println("end")
		return nil
	}
	switch {
	case n == 0:
		return nil
	case s.does == "stop":
		s.over = true
		return s.WriteRSTStream(1, http2.ErrCodeCancel)
	case s.does == "leave":
		s.over = true
		return nil
	case s.does == "talk" && s.pieces < 3:
		s.pieces++
		return s.WriteData(1, s.pieces == 3, fmt.Appendf(nil, "piece %d ", s.pieces))
	}
	return errors.Join(s.WriteWindowUpdate(0, uint32(n)), s.WriteWindowUpdate(1, uint32(n)))
}

// flush prints the data so far, and of much only how much it is.
func (s *session) flush() {
	if len(s.data) > 200 {
		s.data = fmt.Appendf(nil, "%d bytes", len(s.data))
	}
	if len(s.data) > 0 {
		fmt.Printf("data %q\n", s.data)
	}
	s.data = nil
}

// fields is f's, in order.
func fields(f *http2.MetaHeadersFrame) string {
	var b strings.Builder
	for _, v := range f.Fields {
		fmt.Fprintf(&b, " [%s=%q]", v.Name, v.Value)
	}
	if f.StreamEnded() {
		b.WriteString(" end")
	}
	return b.String()
}
