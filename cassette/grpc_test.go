package cassette

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/serge-net/serge-net/exchange"
)

// message is a gRPC message of fields as proto makes them.
func message(fields ...string) []byte { return frame{0, []byte(strings.Join(fields, ""))}.append(nil) }

// zipped is message, compressed.
func zipped(t *testing.T, fields ...string) []byte {
	t.Helper()
	b, err := encoded([]byte(strings.Join(fields, "")), "gzip")
	if err != nil {
		t.Fatal(err)
	}
	return frame{frameCompressed, b}.append(nil)
}

// nested is field n, with fields in it.
func nested(n byte, fields ...string) string { return proto(n, strings.Join(fields, "")) }

// numeral is field n, a number.
func numeral(n int, v uint64) string {
	return string(binary.AppendUvarint(binary.AppendUvarint(nil, uint64(n)<<3), v))
}

// A callTurn is one thing that happens in a call.
type callTurn struct {
	from exchange.Side
	kind exchange.Kind
	data []byte
	how  exchange.How
}

func sent(fields ...string) callTurn {
	return callTurn{data: message(fields...), kind: exchange.KindData}
}
func received(fields ...string) callTurn {
	return callTurn{exchange.Server, exchange.KindData, message(fields...), 0}
}

// The turns that are no messages.
var (
	over    = callTurn{kind: exchange.KindEnd}
	leaves  = callTurn{kind: exchange.KindEnd, how: exchange.Reset}
	answers = callTurn{from: exchange.Server, kind: exchange.KindHead}
	done    = callTurn{from: exchange.Server, kind: exchange.KindEnd}
	silence = callTurn{from: exchange.Server, kind: exchange.KindEnd, how: exchange.Left}
)

// events are the events of a call of /echo.Echo/Talk in which turns happen, 10 ms
// apart.
func callEvents(lines []string, turns ...callTurn) []exchange.Event {
	req := post("/echo.Echo/Talk", append([]string{"content-type: application/grpc", "te: trailers", "grpc-timeout: 1S"}, lines...)...)
	req.Version = "2"
	es := []exchange.Event{{Kind: exchange.KindHead, Head: req}}
	headed := false
	for n, tn := range turns {
		at := time.Duration(n+1) * 10 * time.Millisecond
		if tn.from == exchange.Server && !headed && tn.how == exchange.Complete {
			headed = true
			es = append(es, exchange.Event{From: exchange.Server, Kind: exchange.KindHead, At: at, Head: &exchange.Head{Status: 200, Version: "2",
				Fields: fields("content-type: application/grpc", "grpc-encoding: gzip")}})
		}
		e := exchange.Event{From: tn.from, Kind: tn.kind, At: at, Data: tn.data}
		switch tn.kind {
		case exchange.KindHead:
			continue
		case exchange.KindEnd:
			if e.End = (&exchange.End{How: tn.how}); tn.from == exchange.Server && tn.how == exchange.Complete {
				es = append(es, exchange.Event{From: exchange.Server, Kind: exchange.KindTrailers, At: at, Fields: fields("grpc-status: 0")})
			}
		}
		es = append(es, e)
	}
	return es
}

// recordCalls records calls, one after the other, and returns the cassette's text.
func recordCalls(t *testing.T, opt RecordOptions, calls ...[]exchange.Event) (*Store, string) {
	t.Helper()
	s, dir := newStore(t)
	r, err := s.Record("x", opt)
	if err != nil {
		t.Fatal(err)
	}
	for n, es := range calls {
		w, err := r.Open(origin())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range es {
			e.Stream, e.At = 1, e.At+time.Duration(n)*time.Minute
			if err := w.Event(e); err != nil {
				t.Fatal(err)
			}
		}
		w.Close()
	}
	if _, err := r.Close(false); err != nil {
		t.Fatal(err)
	}
	if opt.Format == MessagePack {
		return s, ""
	}
	return s, read(t, dir, "x.json")
}

// TestCallForm holds how calls stand in a cassette, and that they are read as they
// were written.
func TestCallForm(t *testing.T) {
	big := strings.Repeat("\x00", base64Most)
	for _, c := range []struct {
		name  string
		turns []callTurn
		want  []string // the messages, in short
	}{
		{"unary", []callTurn{sent(proto(1, "ada")), over, received(proto(1, "hi")), done}, []string{
			`{"direction": "sent", "timestamp_ms": 10, "payload": {"binary": "CgNhZGE="}, "fields": {"1": "ada"}}`,
			`{"direction": "sent", "timestamp_ms": 20, "payload": {"end": true}}`,
			`{"direction": "received", "timestamp_ms": 30, "payload": {"binary": "CgJoaQ=="}, "fields": {"1": "hi"}}`}},
		{"in turn", []callTurn{sent(numeral(1, 1)), received(numeral(1, 2)), sent(numeral(1, 3)), over, received(numeral(1, 4)), done}, []string{
			`{"direction": "sent", "timestamp_ms": 10, "payload": {"binary": "CAE="}, "fields": {"1": 1}}`,
			`{"direction": "received", "timestamp_ms": 20, "payload": {"binary": "CAI="}, "fields": {"1": 2}}`,
			`{"direction": "sent", "timestamp_ms": 30, "payload": {"binary": "CAM="}, "fields": {"1": 3}}`,
			`{"direction": "sent", "timestamp_ms": 40, "payload": {"end": true}}`,
			`{"direction": "received", "timestamp_ms": 50, "payload": {"binary": "CAQ="}, "fields": {"1": 4}}`}},
		{"the head first", []callTurn{answers, sent(numeral(1, 1)), over, received(numeral(1, 2)), done}, []string{
			`{"direction": "received", "timestamp_ms": 10, "payload": {"head": true}}`,
			`{"direction": "sent", "timestamp_ms": 20, "payload": {"binary": "CAE="}, "fields": {"1": 1}}`,
			`{"direction": "sent", "timestamp_ms": 30, "payload": {"end": true}}`,
			`{"direction": "received", "timestamp_ms": 40, "payload": {"binary": "CAI="}, "fields": {"1": 2}}`}},
		{"an early end", []callTurn{sent(numeral(1, 1)), done, over}, []string{
			`{"direction": "sent", "timestamp_ms": 10, "payload": {"binary": "CAE="}, "fields": {"1": 1}}`,
			`{"direction": "received", "timestamp_ms": 20, "payload": {"end": true}}`,
			`{"direction": "sent", "timestamp_ms": 30, "payload": {"end": true}}`}},
		{"compressed", []callTurn{{data: zipped(t, nested(2, numeral(1, 7))), kind: exchange.KindData}, over, done}, []string{
			`"fields": {"2": {"1": 7}}, "compressed": true}`, `"end": true`}},
		{"large", []callTurn{sent(proto(1, big)), over, received(proto(1, "x")), done}, []string{
			`"payload": {"size": 8194}`, `"end": true`, `"fields": {"1": "x"}`}},
		{"cut", []callTurn{sent(), over, {exchange.Server, exchange.KindData, message(proto(1, "abc"))[:7], 0}, {from: exchange.Server, kind: exchange.KindEnd, how: exchange.Reset}}, []string{
			`"payload": {"binary": ""}`, `"end": true`, `"payload": {"binary": "AAAAAAUKAw=="}, "end": "truncated"`}},
		{"a client that leaves", []callTurn{leaves, silence}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			es := callEvents([]string{"grpc-encoding: gzip"}, c.turns...)
			s, text := recordCalls(t, RecordOptions{}, es)
			if err := fits(t, compiled(t), []byte(text)); err != nil {
				t.Errorf("%v\n%s", err, text)
			}
			i := load(t, s, "x").Interactions[0]
			if i.kind() != "grpc" || i.Call.Service != "echo.Echo" || i.Call.Method != "Talk" || len(i.Call.Messages) != len(c.want) {
				t.Fatalf("it is %s %+v\n%s", i.kind(), i.Call, text)
			}
			flat := strings.Join(strings.Fields(text), "")
			for _, want := range c.want {
				if !strings.Contains(flat, strings.ReplaceAll(want, " ", "")) {
					t.Errorf("%s is not in\n%s", want, text)
				}
			}
			wantBodies(t, i, c.turns)
			packed, _ := recordCalls(t, RecordOptions{Format: MessagePack}, es)
			twin := load(t, packed, "x")
			defer twin.Close()
			wantBodies(t, twin.Interactions[0], c.turns)
			if d := cmp.Diff(unshown(i.Call), unshown(twin.Interactions[0].Call), cmp.AllowUnexported(CallMessage{})); d != "" {
				t.Errorf("of the twin (-JSON +MessagePack):\n%s", d)
			}
		})
	}
}

// unshown is what c says without how the file shows it.
func unshown(c *Call) []CallMessage {
	out := slices.Clone(c.Messages)
	for n := range out {
		out[n].shown = nil
	}
	return out
}

// wantBodies holds that the bodies of i are what was said in turns.
func wantBodies(t *testing.T, i *Interaction, turns []callTurn) {
	t.Helper()
	var want [2][]byte
	for _, tn := range turns {
		want[tn.from] = append(want[tn.from], tn.data...)
	}
	for side, m := range i.halves() {
		if m == nil {
			continue
		}
		if got, _, err := m.Body.Whole(); !bytes.Equal(got, want[side]) || err != nil {
			t.Errorf("the body of the %v is % x, %v; want % x", exchange.Side(side), got, err, want[side])
		}
	}
}

// TestCallAgain holds that a duplex recorded again, in which the two spoke
// at other times, leaves the file as it is.
func TestCallAgain(t *testing.T) {
	n := func(v uint64) string { return numeral(1, v) }
	s, text := recordCalls(t, RecordOptions{}, callEvents(nil, sent(n(1)), received(n(2)), sent(n(3)), over, received(n(4)), done))
	r, err := s.Record("x", RecordOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := r.Open(origin())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range callEvents(nil, sent(n(1)), sent(n(3)), over, received(n(2)), received(n(4)), done) {
		e.Stream = 1
		if err := w.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	sum, err := r.Close(false)
	if err != nil || sum.Changed || sum.Kept != 1 {
		t.Errorf("recorded again: %+v, %v\n%s", sum, err, text)
	}
}

// TestCallEdited holds that fields by number that somebody edited are what a
// message says.
func TestCallEdited(t *testing.T) {
	_, text := recordCalls(t, RecordOptions{}, callEvents(nil, sent(proto(1, "ada")), over, received(proto(1, "hi"), numeral(2, 5)), done))
	edited := strings.Replace(text, `{"1": "hi", "2": 5}`, `{"1": "hello", "2": 6}`, 1)
	if edited == text {
		t.Fatal(text)
	}
	c, err := parse([]byte(edited), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := message(proto(1, "hello"), numeral(2, 6))
	if got := c.Interactions[0].Response.Body.data; !bytes.Equal(got, want) {
		t.Errorf("the answer is % x; want % x", got, want)
	}
}

// FuzzFrames checks that messages are cut and put together as they came, and that
// a view of fields prints as a message.
func FuzzFrames(f *testing.F) {
	for _, b := range [][]byte{message(proto(1, "ada"), numeral(2, 5)), message(nested(3, proto(1, "x"), "\x15\x01\x02\x03\x04", "\x19\x01\x02\x03\x04\x05\x06\x07\x08")), {1, 0, 0}, message(nested(1, nested(1, proto(9, "\xff"))))} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		all, rest := cutFrames(b)
		var again []byte
		for _, fr := range all {
			again = fr.append(again)
			same, ok := mapProto(fr.data, func(b []byte) []byte { return b }, 0)
			if ok && !bytes.Equal(same, fr.data) {
				t.Errorf("mapped to itself, % x is % x", fr.data, same)
			}
			view := protoView(fr.data, 0)
			if (view != nil) != ok {
				t.Errorf("% x: view %v, mapped %v", fr.data, view, ok)
			}
			if view == nil {
				continue
			}
			printed, ok := printProto(view)
			if !ok {
				t.Errorf("%s is not printed", view.compact())
			} else if _, ok := protoFields(printed); !ok {
				t.Errorf("%s is printed as % x, which is no message", view.compact(), printed)
			}
		}
		if again = append(again, rest...); !bytes.Equal(again, b) {
			t.Errorf("% x is % x", b, again)
		}
		heads, err := frameHeads(bytes.NewReader(b))
		size := int64(0)
		for _, h := range heads {
			if size += h.size; !h.cut {
				size += framePrefix
			}
		}
		if err != nil || size != int64(len(b)) {
			t.Errorf("the heads in % x are of %d bytes, %v", b, size, err)
		}
	})
}
