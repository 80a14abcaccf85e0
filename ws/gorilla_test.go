package ws

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"
)

// endless repeats b.
type endless struct {
	b  []byte
	at int
}

// Read implements io.Reader.
func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.b[e.at:])
	e.at = (e.at + n) % len(e.b)
	return n, nil
}

// memory is a connection to a server that accepts and then sends in.
type memory struct {
	answer bytes.Buffer
	in     endless
}

func (m *memory) Read(p []byte) (int, error) {
	if m.answer.Len() > 0 {
		return m.answer.Read(p)
	}
	return m.in.Read(p)
}

func (m *memory) Write(p []byte) (int, error) {
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(p)))
	if err != nil {
		return 0, err
	}
	fmt.Fprintf(&m.answer, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		Accept(req.Header.Get("Sec-WebSocket-Key")))
	return len(p), nil
}

func (m *memory) Close() error                     { return nil }
func (m *memory) LocalAddr() net.Addr              { return nil }
func (m *memory) RemoteAddr() net.Addr             { return nil }
func (m *memory) SetDeadline(time.Time) error      { return nil }
func (m *memory) SetReadDeadline(time.Time) error  { return nil }
func (m *memory) SetWriteDeadline(time.Time) error { return nil }

// accept reads gorilla's request from c and answers it with our values.
func accept(t *testing.T, c net.Conn, packed bool) *bufio.Reader {
	t.Helper()
	r := bufio.NewReader(c)
	req, err := http.ReadRequest(r)
	if err != nil {
		t.Fatal(err)
	}
	key := req.Header.Get("Sec-WebSocket-Key")
	if !ValidKey(key) || req.Header.Get("Sec-WebSocket-Version") != Version {
		t.Fatalf("request %v", req.Header)
	}
	head := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + Accept(key) + "\r\n"
	if packed {
		offers, err := Extensions(req.Header["Sec-Websocket-Extensions"])
		if err != nil || len(offers) != 1 {
			t.Fatalf("offers %v, %v", offers, err)
		}
		offer, err := ParseParams(offers[0], true)
		if err != nil {
			t.Fatal(err)
		}
		head += "Sec-WebSocket-Extensions: " + Params{}.Answer(offer).String() + "\r\n"
	}
	if _, err := fmt.Fprint(c, head+"\r\n"); err != nil {
		t.Fatal(err)
	}
	return r
}

// samples are messages of sizes at which lengths and windows change.
func samples() []string {
	var all []string
	for _, n := range []int{0, 1, 125, 126, 127, 1000, 65535, 65536} {
		all = append(all, strings.Repeat("grüße, 世界; ", n/14+1)[:n])
	}
	for i, s := range all {
		all[i] = strings.ToValidUTF8(s, "?")
	}
	return all
}

// TestGorilla talks with gorilla's client over a pipe: it echoes what an
// Encoder sent, and a Reader reads the same again.
func TestGorilla(t *testing.T) {
	for _, packed := range []bool{false, true} {
		t.Run(fmt.Sprintf("deflate=%v", packed), func(t *testing.T) {
			near, far := net.Pipe()
			defer near.Close()
			deadline := time.Now().Add(10 * time.Second)
			_ = near.SetDeadline(deadline)
			_ = far.SetDeadline(deadline)
			done := make(chan error, 1)
			go echoGorilla(far, packed, done)
			in := accept(t, near, packed)

			e := Encoder{Deflate: NewDeflater(MaxWindowBits, false)}
			r := Reader{Masked: true, Inflate: NewInflater(MaxWindowBits, false)}
			for _, want := range samples() {
				talk(t, near, in, &e, &r, packed, want)
			}
			payload, err := AppendClose(nil, 4001, "bye")
			if err != nil {
				t.Fatal(err)
			}
			frame, err := e.Control(nil, Close, payload)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := near.Write(frame); err != nil {
				t.Fatal(err)
			}
			// gorilla answers a close frame with its code, without the reason.
			closed := next(t, in, &r)
			if closed.Code != 4001 {
				t.Errorf("gorilla closed with %d %q", closed.Code, closed.Reason)
			}
			if err := <-done; !websocket.IsCloseError(err, 4001) {
				t.Errorf("gorilla ended with %v", err)
			}
		})
	}
}

// talk sends want in three fragments with a ping between them and reads the
// pong and the echo.
func talk(t *testing.T, near net.Conn, in *bufio.Reader, e *Encoder, r *Reader, packed bool, want string) {
	t.Helper()
	third := len(want) / 3
	frames, err := e.Append(nil, Text, packed, false, []byte(want[:third]))
	if err != nil {
		t.Fatal(err)
	}
	if frames, err = e.Control(frames, Ping, []byte("now")); err != nil {
		t.Fatal(err)
	}
	for i, p := range []string{want[third : 2*third], want[2*third:]} {
		if frames, err = e.Append(frames, Text, packed, i == 1, []byte(p)); err != nil {
			t.Fatal(err)
		}
	}
	sent := make(chan error, 1)
	go func() { _, err := near.Write(frames); sent <- err }()
	if pong := next(t, in, r); pong.Header.Opcode != Pong || string(pong.Data) != "now" {
		t.Fatalf("%v %q, want the pong", pong.Header.Opcode, pong.Data)
	}
	got := next(t, in, r)
	if diff := cmp.Diff(want, string(got.Data)); diff != "" || (got.Header.RSV == RSV1) != packed {
		t.Fatalf("echo of %d bytes, RSV %b (-want +got):\n%.500s", len(want), got.Header.RSV, diff)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

// next reads the next message, with the Header of its first frame, or control frame.
func next(t *testing.T, in *bufio.Reader, r *Reader) (got Event) {
	t.Helper()
	for done := false; !done; {
		b, err := in.ReadByte()
		if err != nil {
			t.Fatal(err)
		}
		err = r.Feed([]byte{b}, func(e Event) {
			switch e.Kind {
			case KindStart:
				got = Event{Header: e.Header}
			case KindData:
				got.Data = append(got.Data, e.Data...)
			case KindControl:
				got = e
				got.Data = bytes.Clone(e.Data)
			}
			done = e.Kind == KindEnd || e.Kind == KindControl
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return got
}

// echoGorilla is gorilla's client on c. It sends back each message.
func echoGorilla(c net.Conn, packed bool, done chan<- error) {
	d := websocket.Dialer{
		NetDial:           func(_, _ string) (net.Conn, error) { return c, nil },
		EnableCompression: packed,
	}
	conn, _, err := d.Dial("ws://a.example/", nil)
	if err != nil {
		done <- err
		return
	}
	defer conn.Close()
	for {
		op, b, err := conn.ReadMessage()
		if err == nil {
			err = conn.WriteMessage(op, b)
		}
		if err != nil {
			done <- err
			return
		}
	}
}
