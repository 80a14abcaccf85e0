package mitm

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/ws"
)

// connecting8441 is an extended CONNECT and an answer to it.
func connecting8441(status int) (req, res exchange.Event) {
	head := &exchange.Head{Method: "CONNECT", Scheme: "https", Authority: "a", Target: "/chat", Version: "2", Fields: []exchange.Field{
		{Name: ":protocol", Value: "websocket"}, {Name: "sec-websocket-version", Value: "13"}, {Name: "sec-websocket-protocol", Value: "chat"}}}
	answer := &exchange.Head{Status: status, Version: "2", Fields: []exchange.Field{{Name: "sec-websocket-protocol", Value: "chat"}}}
	return exchange.Event{Stream: 1, Kind: exchange.KindHead, Head: head}, exchange.Event{Stream: 1, From: exchange.Server, Kind: exchange.KindHead, Head: answer}
}

// inWords is e in a line.
func inWords(e exchange.Event) string {
	s := e.From.String()[:1] + fmt.Sprint(e.Stream) + " "
	switch e.Kind {
	case exchange.KindHead:
		h := e.Head
		if h.Status == 0 {
			s += h.Method + " " + h.Target
		} else {
			s += fmt.Sprint(h.Status)
		}
		s += fmt.Sprint(" ", h.Version, " ", h.Fields)
		if e.Framed {
			s += " framed"
		}
	case exchange.KindMessage:
		s += fmt.Sprintf("%v %q", e.Message.Type, e.Data)
	case exchange.KindData:
		s += fmt.Sprintf("data %q", e.Data)
	case exchange.KindEnd:
		s += e.End.How.String()
	}
	return s
}

// TestFramerConnect tells an extended CONNECT as HTTP/1.1 has it, and nothing of a
// client that was refused but its request.
func TestFramerConnect(t *testing.T) {
	bye := func(from exchange.Side) exchange.Event {
		return exchange.Event{Stream: 1, From: from, Kind: exchange.KindEnd, End: &exchange.End{}}
	}
	said := exchange.Event{Stream: 1, From: exchange.Server, Kind: exchange.KindData, Data: []byte("\x81\x02hi")}
	const asked = "c1 GET /chat 2 [{upgrade websocket} {sec-websocket-version 13} {sec-websocket-protocol chat}]"
	for _, c := range []struct {
		status int
		then   []exchange.Event
		want   []string
	}{
		{200, []exchange.Event{said, bye(exchange.Server), bye(exchange.Client)},
			[]string{asked, "c1 complete", "s1 101 2 [{sec-websocket-protocol chat}] framed", `s1 text "hi"`, `s1 text ""`, "s1 complete", "c1 complete"}},
		{403, []exchange.Event{bye(exchange.Server), bye(exchange.Client)}, []string{asked, "c1 complete", "s1 403 2 [{sec-websocket-protocol chat}]", "s1 complete"}},
	} {
		var f framer
		var got []string
		tell := func(e exchange.Event) { got = append(got, inWords(e)) }
		req, res := connecting8441(c.status)
		for _, e := range append([]exchange.Event{req, res}, c.then...) {
			f.event(e, tell)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%d (-want +got):\n%s", c.status, diff)
		}
		if len(f.asked) > 0 {
			t.Errorf("%d: the stream is remembered when both sides have ended", c.status)
		}
	}
}

// TestSocketsConnect answers a handshake of either version with the recording of
// either.
func TestSocketsConnect(t *testing.T) {
	one, oneAnswer := upgrading(nil, []exchange.Field{{Name: "Connection", Value: "Upgrade"}, {Name: "Sec-WebSocket-Accept", Value: "of another key"}, {Name: "X-A", Value: "1"}})
	two, _ := connecting8441(200)
	twoAnswer := exchange.Event{Stream: 1, From: exchange.Server, Kind: exchange.KindHead, Framed: true,
		Head: &exchange.Head{Status: 101, Version: "1.1", Fields: []exchange.Field{{Name: "x-a", Value: "1"}}}}
	const accept = "{Sec-WebSocket-Accept s3pPLMBiTxaQ9kYGzzhZRbK+xOo=}"
	for _, c := range []struct {
		name      string
		asks, was exchange.Event
		ends      int // of the client, when the head was told
		want      string
	}{
		{"HTTP/1.1 to HTTP/2", two, oneAnswer, 1, "200 [{X-A 1}]"},
		{"HTTP/2 to HTTP/2", two, twoAnswer, 1, "200 [{x-a 1}]"},
		{"HTTP/2 to HTTP/1.1", one, twoAnswer, 0, "101 [{x-a 1} {Upgrade websocket} {Connection Upgrade} " + accept + "]"},
		{"HTTP/1.1 to HTTP/1.1", one, oneAnswer, 0, "101 [{Upgrade websocket} {Connection Upgrade} " + accept + " {X-A 1}]"},
	} {
		ends, got, heard := 0, "", ""
		s := newSockets(func(e exchange.Event, answer func(exchange.Event) error) error {
			switch e.Kind {
			case exchange.KindHead:
				if e.Head.Method != "GET" {
					t.Errorf("%s: the player is told of %s", c.name, e.Head.Method)
				}
				return answer(c.was)
			case exchange.KindEnd:
				ends++
				return nil
			}
			e.From = exchange.Server
			return answer(e)
		})
		hear := func(e exchange.Event) error {
			if e.Kind == exchange.KindHead {
				got = fmt.Sprint(e.Head.Status, " ", e.Head.Fields)
			}
			heard += string(e.Data)
			return nil
		}
		if err := s.event(c.asks, hear); err != nil {
			t.Fatal(err)
		}
		if got != c.want || ends != c.ends {
			t.Errorf("%s: %s, %d ends; want %s, %d", c.name, got, ends, c.want, c.ends)
		}
		frame := ws.AppendFrame(nil, ws.Header{Fin: true, Opcode: ws.Text, Masked: true, Key: [4]byte{1, 2, 3, 4}}, []byte("hi"))
		if err := s.event(exchange.Event{Stream: 1, Kind: exchange.KindData, Data: frame}, hear); err != nil || heard != "\x81\x02hi" {
			t.Errorf("%s: heard %q, %v", c.name, heard, err)
		}
		if err := s.event(exchange.Event{Stream: 1, Kind: exchange.KindEnd, End: &exchange.End{}}, hear); err != nil || c.ends == 1 && len(s.open)+len(s.asks) > 0 {
			t.Errorf("%s: %v, %d sockets are open after the end", c.name, err, len(s.open))
		}
	}
}
