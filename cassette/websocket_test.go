package cassette

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/exchange"
)

// A phrase is what is said in a WebSocket: "> " or "< " and a text, "b" for a
// binary message, "close CODE REASON", or "end" and how.
type phrase string

// handshakes is the request that opens a WebSocket, and its answer.
func handshakes(protocol string) (req, res *exchange.Head) {
	fields := []string{"Upgrade: websocket", "Connection: Upgrade"}
	req = get("/feed", append(fields, "Sec-WebSocket-Key: x"+protocol, "Sec-WebSocket-Version: 13")...)
	res = &exchange.Head{Status: 101, Reason: "Switching Protocols", Version: "1.1", Fields: req.Fields[:3]}
	if protocol != "" {
		for _, h := range []*exchange.Head{req, res} {
			h.Fields = append(h.Fields[:len(h.Fields):len(h.Fields)], exchange.Field{Name: "Sec-WebSocket-Protocol", Value: protocol})
		}
	}
	return req, res
}

// events are what l is, on stream.
func (l phrase) events(stream uint64, at time.Duration) []exchange.Event {
	from, text, _ := strings.Cut(string(l), " ")
	e := exchange.Event{Stream: stream, At: at, Kind: exchange.KindMessage, Data: []byte(text)}
	if strings.HasPrefix(from, "<") {
		e.From = exchange.Server
	}
	m := &exchange.Message{Type: exchange.MessageText, Frame: true, Fin: true, Size: int64(len(text)), Last: true}
	e.Message = m
	switch from[1:] {
	case "b":
		m.Type = exchange.MessageBinary
	case "close":
		m.Type, e.Data = exchange.MessageClose, nil
		fmt.Sscan(text, &m.Code, &m.Reason)
	case "ping":
		m.Type = exchange.MessagePing
	case "frames": // a frame for each word
		var out []exchange.Event
		words := strings.SplitAfter(text, " ")
		for n, w := range words {
			piece := e
			last := n == len(words)-1
			piece.Data, piece.Message = []byte(w), &exchange.Message{Type: m.Type, Frame: true, Fin: last, Size: int64(len(w)), Last: last}
			out = append(out, piece)
		}
		return out
	case "end":
		e.Kind, e.Message, e.Data = exchange.KindEnd, nil, nil
		how, _ := exchange.HowOf(text)
		e.End = &exchange.End{How: how}
	}
	return []exchange.Event{e}
}

// tellSocket records one WebSocket with w, which begins at, a second between its
// lines.
func tellSocket(t testing.TB, w exchange.Watch, at time.Duration, protocol string, lines ...phrase) {
	t.Helper()
	req, res := handshakes(protocol)
	es := []exchange.Event{
		{Stream: 1, At: at, Kind: exchange.KindHead, Head: req}, {Stream: 1, At: at, Kind: exchange.KindEnd, End: &exchange.End{}},
		{Stream: 1, At: at, From: exchange.Server, Kind: exchange.KindHead, Head: res, Framed: true},
	}
	for n, l := range lines {
		es = append(es, l.events(1, at+time.Duration(n+1)*time.Second)...)
	}
	for _, e := range es {
		if err := w.Event(e); err != nil {
			t.Fatal(err)
		}
	}
}

// recordSockets records each of the sockets, one after the other.
func recordSockets(t *testing.T, s *Store, protocol string, sockets ...[]phrase) {
	t.Helper()
	r, err := s.Record("x", RecordOptions{With: "serge-net test", Start: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	for n, lines := range sockets {
		w, err := r.Open(origin())
		if err != nil {
			t.Fatal(err)
		}
		tellSocket(t, w, time.Duration(n)*time.Minute, protocol, lines...)
		w.Close()
	}
	if _, err := r.Close(false); err != nil {
		t.Fatal(err)
	}
}

// A caller is the client of a WebSocket that is played.
type caller struct {
	t     *testing.T
	y     exchange.Play
	heard []string
	piece []byte
	wait  time.Duration // until it is called, 0 for never
}

// call opens a WebSocket with p.
func call(t *testing.T, p *Player, protocol string) *caller {
	t.Helper()
	y, err := p.Open(origin())
	if err != nil {
		t.Fatal(err)
	}
	c := &caller{t: t, y: y}
	req, _ := handshakes(protocol)
	c.event(exchange.Event{Stream: 1, Kind: exchange.KindHead, Head: req})
	c.event(exchange.Event{Stream: 1, Kind: exchange.KindEnd, End: &exchange.End{}})
	return c
}

// say says lines, and event hands one to the player.
func (c *caller) say(lines ...phrase) {
	for _, l := range lines {
		for _, e := range l.events(1, 0) {
			c.event(e)
		}
	}
}

func (c *caller) event(e exchange.Event) {
	if err := c.y.Event(e, c.hear); err != nil {
		c.heard = append(c.heard, strings.Split(err.Error(), "\n  to record")[0])
	}
}

func (c *caller) hear(e exchange.Event) error {
	switch e.Kind {
	case exchange.KindHead:
		c.heard = append(c.heard, fmt.Sprint(e.Head.Status))
	case exchange.KindWait:
		c.wait = e.Pause
	case exchange.KindEnd:
		c.heard = append(c.heard, "end "+e.End.How.String())
	case exchange.KindMessage:
		c.piece = append(c.piece, e.Data...)
		if m := e.Message; m.Type == exchange.MessageClose {
			c.heard = append(c.heard, fmt.Sprint("close ", m.Code, " ", m.Reason))
		} else if m.Last {
			said := string(c.piece)
			if len(said) > 100 {
				said = fmt.Sprint(len(said))
			}
			c.heard, c.piece = append(c.heard, said), nil
		}
	}
	return nil
}

// refused is how a socket is closed whose client says what is not recorded.
const refused = "close 1008 serge-net: this message is not recorded"

// TestDialogue plays WebSockets.
func TestDialogue(t *testing.T) {
	big := strings.Repeat("0123456789", 300_000)
	for _, c := range []struct {
		name, protocol string
		was            []phrase
		says           []phrase
		hears          []string
	}{
		{"as recorded", "", []phrase{"> a", "< A", "> b", "< B", ">close 1000 bye", "<close 1000 bye"}, []phrase{"> a", "> b", ">close 1000 bye"},
			[]string{"101", "A", "B", "close 1000 bye", "end complete"}},
		{"any order until the server speaks", "", []phrase{"> a", "> b", "< AB", "> c"}, []phrase{"> b", "> a", "> c"}, []string{"101", "AB"}},
		{"not beyond", "", []phrase{"> a", "< A", "> c", "< C"}, []phrase{"> c"}, []string{"101", refused, "end complete",
			"miss: MESSAGE ws://api.example.com/feed\n  the client says what was not recorded here\n  nearest: MESSAGE ws://api.example.com/feed (served 0/1)\n    body: a -> c"}},
		{"more than recorded", "", []phrase{"> a", "< A"}, []phrase{"> a", "> d"}, []string{"101", "A", refused, "end complete",
			"miss: MESSAGE ws://api.example.com/feed\n  the client says more than was recorded: d"}},
		{"what was said before", "", []phrase{"> a", "< A"}, []phrase{"> a", "> a", "> a"}, []string{"101", "A"}},
		{"JSON", "", []phrase{`> {"a":1,"b":[1,2]}`, "< ok"}, []phrase{`> { "b": [1,2], "a": 1 }`}, []string{"101", "ok"}},
		{"JSON, another field", "", []phrase{`> {"a":1}`, "< ok"}, []phrase{`> {"a":2}`}, []string{"101", refused, "end complete",
			"miss: MESSAGE ws://api.example.com/feed\n  the client says what was not recorded here\n  nearest: MESSAGE ws://api.example.com/feed (served 0/1)\n    body $.a: 1 -> 2"}},
		{"random values", "", []phrase{`> {"run":"6f1c0a52-98a1-4c3e-9a52-0c2b1f6e0001"}`, `< {"of":"6f1c0a52-98a1-4c3e-9a52-0c2b1f6e0001"}`},
			[]phrase{`> {"run":"11111111-98a1-4c3e-9a52-0c2b1f6e0002"}`}, []string{"101", `{"of":"11111111-98a1-4c3e-9a52-0c2b1f6e0002"}`}},
		{"a value that the server made", "", []phrase{`< {"id":"6f1c0a52-98a1-4c3e-9a52-0c2b1f6e0001"}`, `> {"get":"6f1c0a52-98a1-4c3e-9a52-0c2b1f6e0001"}`},
			[]phrase{`> {"get":"11111111-98a1-4c3e-9a52-0c2b1f6e0002"}`}, []string{"101", `{"id":"6f1c0a52-98a1-4c3e-9a52-0c2b1f6e0001"}`, refused, "end complete",
				"miss: MESSAGE ws://api.example.com/feed\n  the client says what was not recorded here\n  nearest: MESSAGE ws://api.example.com/feed (served 0/1)\n    " +
					"body $.get: \"6f1c0a52-98a1-4c3e-9a52-0c2b1f6e0001\" -> \"11111111-98a1-4c3e-9a52-0c2b1f6e0002\" (the recorded uuid came in an earlier answer, so it is to be sent as it was served)"}},
		{"JSON-RPC in another order", "", []phrase{`> {"jsonrpc":"2.0","id":1,"method":"a"}`, `> {"jsonrpc":"2.0","id":2,"method":"b"}`, `< {"jsonrpc":"2.0","id":2,"result":"B"}`, `< {"jsonrpc":"2.0","id":1,"result":"A"}`},
			[]phrase{`> {"jsonrpc":"2.0","id":1,"method":"b"}`, `> {"jsonrpc":"2.0","id":2,"method":"a"}`},
			[]string{"101", `{"jsonrpc":"2.0","id":1,"result":"B"}`, `{"jsonrpc":"2.0","id":2,"result":"A"}`}},
		{"GraphQL", "graphql-transport-ws", []phrase{`> {"type":"connection_init"}`, `< {"type":"connection_ack"}`, `> {"id":"a1","type":"subscribe"}`, `> {"type":"pong"}`, `< {"id":"a1","type":"next"}`, `> {"id":"a1","type":"complete"}`, ">close 1000"},
			[]phrase{`> {"type":"connection_init"}`, `> {"type":"ping"}`, `> {"id":"b7","type":"subscribe"}`, `> {"id":"b7","type":"complete"}`},
			[]string{"101", `{"type":"connection_ack"}`, `{"type":"pong"}`, `{"id":"b7","type":"next"}`}},
		{"in frames", "", []phrase{">frames one two", "<frames un deux"}, []phrase{"> one two"}, []string{"101", "un deux"}},
		{"closed by the server", "", []phrase{"< a", "<close 4001 gone", ">close 4001 gone"}, []phrase{">close 4001 gone"}, []string{"101", "a", "close 4001 gone", "end complete"}},
		{"without a close frame", "", []phrase{"> a", "< A", "<end reset"}, []phrase{"> a"}, []string{"101", "A", "end reset"}},
		{"a reply of its own", "", []phrase{">close 4000 x", "<close 1000 y"}, []phrase{">close 4000 x"}, []string{"101", "close 1000 y", "end complete"}},
		{"closed early", "", []phrase{"> a", "< A", "> b", "< B", ">close 1000"}, []phrase{"> a", ">close 1001 off"}, []string{"101", "A", "close 1001 off", "end complete"}},
		{"the server speaks first", "", []phrase{"< hello", "> a", "<b A"}, []phrase{"> a"}, []string{"101", "hello", "A"}},
		{"large", "", []phrase{phrase("<b " + big), phrase("> " + big), "< ok"}, []phrase{phrase("> " + big)}, []string{"101", "3000000", "ok"}},
		{"large, and another", "", []phrase{phrase("> " + big), "< ok"}, []phrase{phrase("> " + big[1:] + "x")},
			[]string{"101", refused, "end complete", "miss: MESSAGE ws://api.example.com/feed\n  the client says what was not recorded here\n  nearest: MESSAGE ws://api.example.com/feed (served 0/1)\n    body: sha256:6ca41633343f162f0f0604879eeac607e5e5087adeee2e4247199301968790d0 -> sha256:8c8152b93c787f2c230d45cdc5a2bae5d6806bc152b78c1027a2e9d17e48fe47 (a digest names content, and it is another one)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, dir := newStore(t)
			recordSockets(t, s, c.protocol, c.was)
			caller := call(t, playerOf(t, load(t, s, "x"), PlayOptions{}), c.protocol)
			caller.say(c.says...)
			if diff := cmp.Diff(c.hears, caller.heard); diff != "" {
				t.Errorf("heard (-want +got):\n%s\n%s", diff, bytes.ReplaceAll([]byte(read(t, dir, "x.json")), []byte(big), nil))
			}
		})
	}
}

// TestDialogueSessions serves the sessions of one URL one after the other, and
// several at once.
func TestDialogueSessions(t *testing.T) {
	s, _ := newStore(t)
	recordSockets(t, s, "", []phrase{"> a", "< first"}, []phrase{"> a", "< second"})
	p := playerOf(t, load(t, s, "x"), PlayOptions{})
	one, two := call(t, p, ""), call(t, p, "")
	two.say("> a")
	one.say("> a")
	if diff := cmp.Diff([]string{"101", "first", "101", "second"}, append(one.heard, two.heard...)); diff != "" {
		t.Errorf("heard (-want +got):\n%s", diff)
	}
}

// TestDialogueStalls tells what is due when a client says nothing, and goes on
// when it does.
func TestDialogueStalls(t *testing.T) {
	s, _ := newStore(t)
	recordSockets(t, s, "", []phrase{"< hello", "> a", "< A"})
	c := call(t, playerOf(t, load(t, s, "x"), PlayOptions{}), "")
	if c.wait != stallAfter+time.Second {
		t.Errorf("waits %v; want %v", c.wait, stallAfter+time.Second)
	}
	c.event(exchange.Event{Stream: 1, Kind: exchange.KindWait})
	c.say("> a")
	want := []string{"101", "hello", "miss: MESSAGE ws://api.example.com/feed\n  stalled: for 0s the client has not said what it said next when recorded: a", "A"}
	if diff := cmp.Diff(want, c.heard); diff != "" {
		t.Errorf("heard (-want +got):\n%s", diff)
	}
}

// TestDialoguePaced lets the recorded time pass, in which pings are sent.
func TestDialoguePaced(t *testing.T) {
	s, _ := newStore(t)
	recordSockets(t, s, "", []phrase{"< one", "<ping p", "< two", "> a", "< A"})
	c := call(t, playerOf(t, load(t, s, "x"), PlayOptions{Latency: Latency{Scale: 0.001}}), "")
	for range 3 {
		for c.wait > 0 && c.wait < time.Second && len(c.heard) < 4 {
			<-time.After(c.wait)
			c.event(exchange.Event{Stream: 1, Kind: exchange.KindWait})
		}
	}
	if diff := cmp.Diff([]string{"101", "one", "p", "two"}, c.heard); diff != "" {
		t.Errorf("heard (-want +got):\n%s", diff)
	}
}

// TestDialogueAgain writes nothing where only what varies by nature differs.
func TestDialogueAgain(t *testing.T) {
	s, dir := newStore(t)
	recordSockets(t, s, "", []phrase{"> a", "> b", "< A", "<ping x", ">close 1000 bye", "<close 1000 bye"})
	first := read(t, dir, "x.json")
	recordSockets(t, s, "", []phrase{"< A", "> a", "> b", ">close 1000 bye", "<close 1000 bye"})
	if diff := cmp.Diff(first, read(t, dir, "x.json")); diff != "" {
		t.Errorf("another file (-first +second):\n%s", diff)
	}
	recordSockets(t, s, "", []phrase{"> a", "> c", "< A"})
	if first == read(t, dir, "x.json") {
		t.Error("another message left the file as it was")
	}
}

// TestDialogueSecrets keeps secrets in messages out of the cassette, in whatever
// pieces they come, and takes this run's for them.
func TestDialogueSecrets(t *testing.T) {
	const was, is = `{"password":"correct horse battery"}`, `{"password":"staple of this run!"}`
	s, dir := newStore(t)
	recordSockets(t, s, "", []phrase{">frames " + was, "< " + was})
	if text := read(t, dir, "x.json"); strings.Contains(text, "horse") || !strings.Contains(text, "{{secret:") {
		t.Errorf("the cassette:\n%s", text)
	}
	c := call(t, playerOf(t, load(t, s, "x"), PlayOptions{}), "")
	c.say("> " + is)
	if diff := cmp.Diff([]string{"101", is}, c.heard); diff != "" {
		t.Errorf("heard (-want +got):\n%s", diff)
	}
}
