package main

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/serge-net/serge-net/ws"
)

// play records to the cassette name what clients of one origin say and what that
// answers, in order.
func (s *stage) play(name string, talks ...abuse) {
	s.t.Helper()
	way, end := s.record(name)
	next := make(chan abuse, 1)
	addr := s.divert(way, s.listen(func(c net.Conn) {
		defer c.Close()
		talk := <-next
		io.ReadFull(c, make([]byte, len(talk.client)))
		io.WriteString(c, talk.origin)
	}))
	for _, talk := range talks {
		next <- talk
		c := s.dial(addr)
		io.WriteString(c, talk.client)
		io.ReadAll(c)
		c.Close()
	}
	end()
}

// TestReplayAbuse has clients say what they may not to a replay: they are told
// as the protocol has it, or left, at bounded memory, and others are served
// meanwhile.
func TestReplayAbuse(t *testing.T) {
	s := newStage(t)
	socket := func(extensions string) abuse {
		return abuse{client: upgrade + extensions + "\r\n" + frame(true, 0, ws.Text, "hi"), origin: upgraded + extensions + "\r\n" + frame(false, 0, ws.Text, "ho")}
	}
	s.play("abuse", abuse{client: "GET /well HTTP/1.1\r\nHost: well\r\n\r\n", origin: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}, socket(""), socket(deflates))
	addr := s.divert(s.replay("abuse"), s.good)
	for _, a := range abuses() {
		if a.told == leftAlone {
			continue
		}
		t.Run(a.name, func(t *testing.T) {
			before := held()
			c := s.dial(addr)
			defer c.Close()
			io.WriteString(c, a.client)
			c.(*net.TCPConn).CloseWrite()
			s.served(t, addr)
			b, _ := io.ReadAll(c) // the end may be a reset: not all was read
			if told := string(b); !strings.HasSuffix(told, a.told) || a.told == "" && told != "" {
				t.Errorf("the client is told %q; want %q at the end", told, a.told)
			}
			if more := held() - before; more > maliceMost {
				t.Errorf("%s cost %d KiB", a.said(), more>>10)
			}
		})
	}
}
