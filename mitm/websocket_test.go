package mitm

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/ws"
)

// upgrading is a request that opens a WebSocket with fields beside, and its answer.
func upgrading(asks, answers []exchange.Field) (req, res exchange.Event) {
	upgrade := []exchange.Field{{Name: "Upgrade", Value: "websocket"}, {Name: "Sec-WebSocket-Key", Value: "dGhlIHNhbXBsZSBub25jZQ=="}}
	head := &exchange.Head{Method: "GET", Target: "/", Version: "1.1", Fields: append(upgrade, asks...)}
	answer := &exchange.Head{Status: 101, Version: "1.1", Fields: append(upgrade[:1:1], answers...)}
	return exchange.Event{Stream: 1, Kind: exchange.KindHead, Head: head},
		exchange.Event{Stream: 1, From: exchange.Server, Kind: exchange.KindHead, Head: answer, Framed: true}
}

// TestFramer tells what passes in messages, and as it came what is none.
func TestFramer(t *testing.T) {
	deflate := []exchange.Field{{Name: "Sec-WebSocket-Extensions", Value: "permessage-deflate"}}
	for _, c := range []struct {
		name    string
		answers []exchange.Field
		sent    []byte
		want    []string
	}{
		{"text", nil, []byte("\x81\x02hi"), []string{"text 2 true \"hi\"", "text 2 true \"\" last"}},
		{"in frames", nil, []byte("\x01\x01h\x80\x01i"), []string{"text 1 false \"h\"", "text 1 true \"i\"", "text 1 true \"\" last"}},
		{"compressed", deflate, []byte("\xc1\x07\xf2H\xcd\xc9\xc9\x07\x00"), []string{"text -1 true \"Hello\"", "text -1 true \"\" last"}},
		{"close", nil, []byte("\x88\x05\x03\xe8bye"), []string{"close 5 true \"\\x03\\xe8bye\" last 1000 bye"}},
		{"not UTF-8", nil, []byte("\x81\x02\xff\xff"), []string{"text 2 true \"\"", "as it came: \"\\xff\\xff\""}},
		{"masked by a server", nil, []byte("\x81\x82abcd\x00\x00"), []string{"as it came: \"\\x81\\x82abcd\\x00\\x00\""}},
		{"an unknown extension", []exchange.Field{{Name: "Sec-WebSocket-Extensions", Value: "x-other"}}, []byte("\x81\x02hi"), []string{"as it came: \"\\x81\\x02hi\""}},
	} {
		var f framer
		var got []string
		tell := func(e exchange.Event) {
			switch m := e.Message; e.Kind {
			case exchange.KindData:
				got = append(got, fmt.Sprintf("as it came: %q", e.Data))
			case exchange.KindMessage:
				s := fmt.Sprintf("%v %d %v %q", m.Type, m.Size, m.Fin, e.Data)
				if m.Last {
					s += " last"
				}
				if m.Code != 0 {
					s += fmt.Sprintf(" %d %s", m.Code, m.Reason)
				}
				got = append(got, s)
			}
		}
		req, res := upgrading(nil, c.answers)
		f.event(req, tell)
		f.event(res, tell)
		f.event(exchange.Event{Stream: 1, From: exchange.Server, Kind: exchange.KindData, Data: c.sent}, tell)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// TestSockets answers a handshake anew, pings as they come, and what breaks the
// protocol with the code for that.
func TestSockets(t *testing.T) {
	mask := func(op ws.Opcode, payload string) []byte {
		return ws.AppendFrame(nil, ws.Header{Fin: true, Opcode: op, Masked: true, Key: [4]byte{1, 2, 3, 4}}, []byte(payload))
	}
	for _, c := range []struct {
		name         string
		offer, agree string
		says         []byte
		accepts      string // the extensions
		hears        string
		err          error
	}{
		{"echo", "", "", mask(ws.Text, "hi"), "", "\x81\x02hi", nil},
		{"compression that was not recorded", "permessage-deflate", "", mask(ws.Text, "hi"), "", "\x81\x02hi", nil},
		{"compression that is not offered", "", "permessage-deflate", mask(ws.Text, "hi"), "", "\x81\x02hi", nil},
		{"compression", "permessage-deflate; client_max_window_bits", "permessage-deflate; server_no_context_takeover", nil,
			"permessage-deflate; server_no_context_takeover", "", nil},
		{"ping", "", "", mask(ws.Ping, "x"), "", "\x8a\x01x", nil},
		{"no mask", "", "", []byte("\x81\x02hi"), "", "\x88\x1c\x03\xeaunmasked frame of a client", errViolation},
		{"not UTF-8, of which the echo has begun", "", "", mask(ws.Text, "\xff"), "", "\x81\x01\x88\x1b\x03\xeftext message is not UTF-8", errViolation},
	} {
		var asks, answers []exchange.Field
		if c.offer != "" {
			asks = append(asks, exchange.Field{Name: "Sec-WebSocket-Extensions", Value: c.offer})
		}
		if c.agree != "" {
			answers = append(answers, exchange.Field{Name: "Sec-WebSocket-Extensions", Value: c.agree})
		}
		req, res := upgrading(asks, append(answers, exchange.Field{Name: "Sec-WebSocket-Accept", Value: "of another key"}))
		s := newSockets(func(e exchange.Event, answer func(exchange.Event) error) error { // echoes
			if e.Kind == exchange.KindHead {
				return answer(res)
			}
			e.From = exchange.Server
			return answer(e)
		})
		var head *exchange.Head
		var heard []byte
		hear := func(e exchange.Event) error {
			if e.Kind == exchange.KindHead {
				head = e.Head
			}
			heard = append(heard, e.Data...)
			return nil
		}
		if err := s.event(req, hear); err != nil {
			t.Fatal(err)
		}
		err := s.event(exchange.Event{Stream: 1, Kind: exchange.KindData, Data: c.says}, hear)
		accept, _ := exchange.Get(head.Fields, "sec-websocket-accept")
		extensions, _ := exchange.Get(head.Fields, "sec-websocket-extensions")
		if accept != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" || extensions != c.accepts || string(heard) != c.hears || !errors.Is(err, c.err) {
			t.Errorf("%s: accept %q, extensions %q, heard %q, %v; want extensions %q, %q, %v", c.name, accept, extensions, heard, err, c.accepts, c.hears, c.err)
		}
	}
}
