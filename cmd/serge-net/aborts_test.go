package main

import (
	"io"
	"net"
	"testing"

	"golang.org/x/net/http2"

	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/mitm"
)

// An aborted exchange is one whose client leaves: it says ask, reads up to, waits
// until the origin is where it says, and ends by end. answer is the origin's.
type aborted struct {
	name        string
	ask, answer string
	read        int
	end         func(net.Conn)
	want        []string // how it is recorded: "request end, answer"; none: it is not
}

// leaves, halfClose and breakOff are how clients leave.
func leaves(c net.Conn)    { c.Close() }
func halfClose(c net.Conn) { c.(*net.TCPConn).CloseWrite(); io.Copy(io.Discard, c); c.Close() }
func breakOff(c net.Conn)  { c.(*net.TCPConn).SetLinger(0); c.Close() }

// aborts are clients that leave in each phase.
func aborts() []aborted {
	const get, post = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n", "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf"
	const answer = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
	begin := func(method string, last bool) string {
		return http2.ClientPreface + frames(func(f *http2.Framer, block func(...string) []byte) {
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, EndStream: last,
				BlockFragment: block(":method", method, ":scheme", "http", ":authority", "x", ":path", "/a")})
			if !last {
				f.WriteData(1, false, []byte("half"))
			}
		})
	}
	reset := frames(func(f *http2.Framer, _ func(...string) []byte) { f.WriteRSTStream(1, http2.ErrCodeCancel) })[9:] // without SETTINGS
	two := frames(func(f *http2.Framer, block func(...string) []byte) {
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: block(":status", "200")})
		f.WriteData(1, false, []byte("half"))
	})
	return []aborted{
		{"in a head", "GET /a HTTP/1.1\r\nHo", "", 0, leaves, nil},
		{"in a body", post, "", 0, leaves, []string{"truncated"}},
		{"in a body, by half", post, "", 0, halfClose, []string{"truncated"}},
		{"in a body, by RST", post, "", 0, breakOff, []string{"reset"}},
		{"before the answer", get, "", 0, leaves, []string{"complete, read_timeout"}},
		{"before the answer, by RST", get, "", 0, breakOff, []string{"complete, read_timeout"}},
		{"in the answer", get, answer, len(answer), leaves, []string{"complete, 200 read_timeout"}},
		{"in the answer, by RST", get, answer, len(answer), breakOff, []string{"complete, 200 read_timeout"}},
		{"HTTP/2, in a body", begin("POST", false), "", 0, leaves, []string{"truncated"}},
		{"HTTP/2, in a body, by RST_STREAM", begin("POST", false) + reset, "", 0, leaves, []string{"reset"}},
		{"HTTP/2, before the answer", begin("GET", true), "", 0, leaves, []string{"complete, read_timeout"}},
		{"HTTP/2, in the answer", begin("GET", true), two, len(two), leaves, []string{"complete, 200 read_timeout"}},
	}
}

// TestAborts has clients leave in each phase of an exchange, recorded and
// replayed: it is recorded for what it was, and in the replay, where they
// leave as they did, nothing misses.
func TestAborts(t *testing.T) {
	for _, a := range aborts() {
		t.Run(a.name, func(t *testing.T) {
			s := newStage(t)
			way, end := s.record("aborts")
			heard := make(chan bool, 1)
			addr := s.divert(way, s.listen(func(c net.Conn) {
				defer c.Close()
				io.ReadFull(c, make([]byte, len(a.ask)))
				io.WriteString(c, a.answer)
				heard <- true
				io.Copy(io.Discard, c)
			}))
			leave := func(addr string, there func()) string {
				c := s.dial(addr)
				io.WriteString(c, a.ask)
				got := make([]byte, a.read)
				io.ReadFull(c, got)
				there()
				a.end(c)
				return string(got)
			}
			recorded := leave(addr, func() { <-heard })
			s.empty()
			end()
			if recorded != a.answer {
				t.Errorf("recording, the client reads %q; want %q", recorded, a.answer)
			}
			if got := s.ends(t, "aborts"); len(got) != len(a.want) || len(got) > 0 && got[0] != a.want[0] {
				t.Errorf("recorded as %q; want %q", got, a.want)
			}
			if len(a.want) == 0 {
				return
			}
			missed := make(chan *exchange.Miss, 8)
			replay := s.replay("aborts").(*mitm.Replay)
			replay.Tell.Miss = func(m *exchange.Miss) { missed <- m }
			replayed := leave(s.divert(replay, s.good), func() {})
			s.empty()
			if a.answer != "" && a.ask[0] == 'G' && replayed != recorded {
				t.Errorf("replaying, the client reads %q; want %q", replayed, recorded)
			}
			if len(missed) > 0 {
				t.Errorf("it misses: %v", <-missed)
			}
		})
	}
}

// ends are how the exchanges in the cassette name ended.
func (s *stage) ends(t *testing.T, name string) (all []string) {
	t.Helper()
	c, err := s.store.Load(name)
	if err != nil {
		return nil // there was nothing to save
	}
	for _, i := range c.Interactions {
		how := i.Request.End.String()
		switch {
		case i.Request.End != exchange.Complete:
		case i.Response != nil:
			how += ", 200 " + i.Response.End.String()
		case i.Failure != nil:
			how += ", " + i.Failure.Kind
		}
		all = append(all, how)
	}
	return all
}
