package cassette

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/exchange"
)

// TestSocketBroken plays what a server said that is no WebSocket, or no whole
// message, so that its frames are announced as they were; and nothing that it did
// when it had noticed that the client broke the protocol.
func TestSocketBroken(t *testing.T) {
	begins := func(size int64, fin bool) *exchange.Message {
		return &exchange.Message{Type: exchange.MessageText, Frame: true, Fin: fin, Size: size}
	}
	says := func(from exchange.Side, m *exchange.Message, data string) exchange.Event {
		e := exchange.Event{Stream: 1, From: from, Kind: exchange.KindMessage, Message: m, Data: []byte(data)}
		if m == nil {
			e.Kind = exchange.KindData
		}
		return e
	}
	closes := &exchange.Message{Type: exchange.MessageClose, Frame: true, Fin: true, Last: true, Code: 1000}
	ended := exchange.Event{Stream: 1, From: exchange.Server, Kind: exchange.KindEnd, End: &exchange.End{}}
	for _, c := range []struct {
		name  string
		said  []exchange.Event
		hears []string
	}{
		{"text that is none", []exchange.Event{says(exchange.Server, begins(2, true), "\xce\xff"), says(exchange.Server, nil, "")},
			[]string{`text frame of 2 true "\xce\xff"`}},
		{"text that is none from a byte on", []exchange.Event{says(exchange.Server, begins(9, true), "valid"), says(exchange.Server, nil, "\xffand\x81")},
			[]string{`text frame of 9 true "valid"`, `as it came "\xffand\x81"`}},
		{"none of it", []exchange.Event{says(exchange.Server, begins(3, true), ""), says(exchange.Server, nil, "\xff\xff\xff")},
			[]string{`text frame of 3 true ""`, `as it came "\xff\xff\xff"`}},
		{"in its second frame", []exchange.Event{says(exchange.Server, begins(2, false), "ab"), says(exchange.Server, begins(2, false), "c"), says(exchange.Server, nil, "\xff\x00")},
			[]string{`text frame of 2 false "ab"`, `text frame of 2 false "c"`, `as it came "\xff\x00"`}},
		{"a close within a message", []exchange.Event{says(exchange.Server, begins(9, false), "fragment1"), says(exchange.Server, closes, "")},
			[]string{`text frame of 9 false "fragment1"`, "close 1000"}},
		{"by the client", []exchange.Event{says(exchange.Server, begins(1, true), "a"), says(exchange.Client, begins(1, true), ""), says(exchange.Client, nil, ""), says(exchange.Server, closes, "")},
			[]string{`text frame of 1 true "a"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			r, err := s.Record("x", RecordOptions{With: "serge-net test", Start: time.Now()})
			if err != nil {
				t.Fatal(err)
			}
			w, err := r.Open(origin())
			if err != nil {
				t.Fatal(err)
			}
			tellSocket(t, w, 0, "")
			for _, e := range append(c.said, ended) {
				if err := w.Event(e); err != nil {
					t.Fatal(err)
				}
			}
			w.Close()
			if _, err := r.Close(false); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.hears, hears(t, s)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// hears is what the client of the WebSocket of the cassette x is told, up to its
// end, frame by frame.
func hears(t *testing.T, s *Store) []string {
	t.Helper()
	loaded, err := s.Load("x")
	if err != nil {
		t.Fatal(err)
	}
	p, err := loaded.Player(PlayOptions{})
	if err != nil {
		t.Fatal(err)
	}
	y, err := p.Open(origin())
	if err != nil {
		t.Fatal(err)
	}
	defer y.Close()
	var heard []string
	req, _ := handshakes("")
	err = y.Event(exchange.Event{Stream: 1, Kind: exchange.KindHead, Head: req}, func(e exchange.Event) error {
		switch m := e.Message; {
		case e.Kind == exchange.KindData:
			heard = append(heard, fmt.Sprintf("as it came %q", e.Data))
		case e.Kind == exchange.KindMessage && m.Type == exchange.MessageClose:
			heard = append(heard, fmt.Sprint("close ", m.Code))
		case e.Kind == exchange.KindMessage && m.Frame:
			heard = append(heard, fmt.Sprintf("%v frame of %d %v %q", m.Type, m.Size, m.Fin, e.Data))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return heard
}
