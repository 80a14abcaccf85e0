package cassette

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/exchange"
)

const streamToken = "ghp_3Fq8vXc2LzT7rWm5KjY0bNs4HdPa9Gu1EoCi"

// streamed tells r of a stream that is asked for on a connection of its own: its
// pieces come 100 ms apart, the first with the head, and it ends as end says, or
// not at all if that is nil.
func streamed(t *testing.T, r *Recorder, req, res *exchange.Head, end *exchange.End, pieces ...string) {
	t.Helper()
	w, err := r.Open(origin())
	if err != nil {
		t.Fatal(err)
	}
	_, chunked := exchange.Get(res.Fields, "transfer-encoding")
	tell := func(e exchange.Event) {
		e.Stream = 1
		if err := w.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	tell(sends(exchange.KindHead, exchange.Event{Head: req}))
	tell(sends(exchange.KindEnd, exchange.Event{End: &exchange.End{}}))
	tell(says(exchange.KindHead, exchange.Event{Head: res}))
	at := time.Duration(0)
	for _, p := range pieces {
		e := exchange.Event{At: at, Data: []byte(p)}
		if chunked {
			e.Chunk = int64(len(p))
		}
		tell(says(exchange.KindData, e))
		at += 100 * time.Millisecond
	}
	if end != nil {
		tell(says(exchange.KindEnd, exchange.Event{At: at, End: end}))
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if end == nil {
		return
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// listen asks p for req and calls f with what it hears.
func listen(t *testing.T, p *Player, req *exchange.Head, f func(exchange.Event)) {
	t.Helper()
	y, err := p.Open(origin())
	if err != nil {
		t.Fatal(err)
	}
	defer y.Close()
	hear := func(e exchange.Event) error { f(e); return nil }
	for _, e := range []exchange.Event{sends(exchange.KindHead, exchange.Event{Head: req}), sends(exchange.KindEnd, exchange.Event{End: &exchange.End{}})} {
		if err := y.Event(e, hear); err != nil {
			t.Fatal(err)
		}
	}
}

// eventsHead is the head of an answer that is a stream of events.
func eventsHead(fields ...string) *exchange.Head {
	return ok(append([]string{"Content-Type: text/event-stream"}, fields...)...)
}

// TestStreamTimes holds when the pieces of a stream come where it is replayed in
// its time, chunked or not, coded or not, whole or edited.
func TestStreamTimes(t *testing.T) {
	var zip bytes.Buffer
	z := gzip.NewWriter(&zip)
	var zipped []string
	for _, s := range []string{"data: 1\n\n", "data: 2\n\n", "data: 3\n\n"} {
		z.Write([]byte(s))
		z.Flush()
		zipped = append(zipped, zip.String())
		zip.Reset()
	}
	plain := []string{"data: 1\n\nda", "ta: 2\n\n", "data: {\"token\":\"" + streamToken + "\"}\n\n"}
	for _, tt := range []struct {
		name   string
		res    *exchange.Head
		pieces []string
		edit   func(text string) string
		want   []int // milliseconds of pauses
	}{
		{"chunked", eventsHead("Transfer-Encoding: chunked"), plain[:2], nil, []int{0, 100}},
		{"without chunks", eventsHead(), plain[:2], nil, []int{0, 100}},
		{"coded", eventsHead("Content-Encoding: gzip"), zipped, nil, []int{0, 100, 100}},
		{"edited: evenly", eventsHead(), plain[:2], func(s string) string { return strings.Replace(s, `"data": "2"`, `"data": "20"`, 1) }, []int{0, 94}},
		{"of a secret", eventsHead(), plain, nil, []int{0, 100, 100}},
		{"no stream", ok("Content-Type: text/plain"), plain[:2], nil, []int{0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, dir := newStore(t)
			r, err := s.Record("x", RecordOptions{Redact: Redaction{}})
			if err != nil {
				t.Fatal(err)
			}
			streamed(t, r, get("/events"), tt.res, &exchange.End{}, tt.pieces...)
			if _, err := r.Close(false); err != nil {
				t.Fatal(err)
			}
			if tt.edit != nil {
				if err := os.WriteFile(filepath.Join(dir, "x.json"), []byte(tt.edit(read(t, dir, "x.json"))), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var pauses []int
			listen(t, playerOf(t, load(t, s, "x"), PlayOptions{Latency: Latency{Scale: 1}}), get("/events"), func(e exchange.Event) {
				if e.Kind == exchange.KindData {
					pauses = append(pauses, int(e.Pause.Milliseconds()))
				}
			})
			if d := cmp.Diff(tt.want, pauses); d != "" {
				t.Errorf("pauses in ms (-want +got):\n%s\n%s", d, read(t, dir, "x.json"))
			}
		})
	}
}

// TestStreamLeft holds that a stream which its client left is replayed without an
// end that it did not see, whether its recorder lived to see it leave or not, and
// that its client is kept waiting for longer than it listened.
func TestStreamLeft(t *testing.T) {
	for _, tt := range []struct {
		name string
		res  *exchange.Head
		end  *exchange.End
		want exchange.How
		wait time.Duration
	}{
		{"left", eventsHead("Transfer-Encoding: chunked"), &exchange.End{How: exchange.Left}, exchange.Left, listenLeast},
		{"open when the recorder was killed", eventsHead("Transfer-Encoding: chunked"), nil, exchange.Left, listenLeast},
		{"cut", eventsHead(), &exchange.End{How: exchange.Truncated}, exchange.Truncated, listenLeast},
		{"no stream", ok("Content-Length: 99"), &exchange.End{How: exchange.Left}, exchange.Left, 200 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, dir := newStore(t)
			r, err := s.Record("x", RecordOptions{})
			if err != nil {
				t.Fatal(err)
			}
			streamed(t, r, get("/events"), tt.res, tt.end, "data: 1\n\n", "data: {")
			if tt.end == nil {
				r.file.Close() // and with it the lock, as if it were dead
				if _, _, err := s.Recover("x"); err != nil {
					t.Fatal(err)
				}
			} else if _, err := r.Close(false); err != nil {
				t.Fatal(err)
			}
			var body strings.Builder
			var end exchange.End
			listen(t, playerOf(t, load(t, s, "x"), PlayOptions{}), get("/events"), func(e exchange.Event) {
				body.Write(e.Data)
				if e.Kind == exchange.KindEnd {
					end = *e.End
				}
			})
			// What may begin a secret is not on the disk until it is known not to.
			if i := load(t, s, "x").Interactions[0]; i.Doubtful() != strings.Contains(tt.name, "cut") && !strings.Contains(tt.name, "no stream") {
				t.Errorf("doubtful: %v; %s", i.Doubtful(), i.Line())
			}
			if got := body.String(); got != "data: 1\n\ndata: {" && (tt.end != nil || got != "data: 1\n\ndata:") || end.How != tt.want || end.Wait != tt.wait {
				t.Errorf("replayed %q, ended %v after %v; want it %v after %v\n%s", body.String(), end.How, end.Wait, tt.want, tt.wait, read(t, dir, "x.json"))
			}
		})
	}
}

// TestStreamLeftAgain holds which recordings of a stream that was left count as the
// same: of how much came until then.
func TestStreamLeftAgain(t *testing.T) {
	left, cut := &exchange.End{How: exchange.Left}, &exchange.End{How: exchange.Truncated}
	zip := func(s string) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Write([]byte(s))
		z.Flush() // and no end
		return b.String()
	}
	for _, tt := range []struct {
		name       string
		res        *exchange.Head
		end        *exchange.End
		was, is    string
		unaffected bool
	}{
		{"more came", eventsHead(), left, "data: 1\n\n", "data: 1\n\ndata: 2\n\n", true},
		{"less came", eventsHead(), left, "data: " + streamToken + "\n\ndata: 2\n\n", "data: " + streamToken + "\n\nda", true},
		{"other came", eventsHead(), left, "data: 1\n\n", "data: 2\n\n", false},
		{"nothing came", eventsHead(), left, "data: 1\n\n", "", false},
		{"it was cut", eventsHead(), cut, "data: 1\n\n", "data: 1\n\ndata: 2\n\n", false},
		{"it is no stream", ok("Content-Type: text/plain"), left, "1", "12", false},
		{"more came, coded", eventsHead("Content-Encoding: gzip"), left, zip("data: 1\n\n"), zip("data: 1\n\ndata: 2\n\n"), true},
	} {
		s, _ := newStore(t)
		record := func(body string) Summary {
			r, err := s.Record("x", RecordOptions{})
			if err != nil {
				t.Fatal(err)
			}
			streamed(t, r, get("/events"), tt.res, tt.end, body)
			sum, err := r.Close(false)
			if err != nil {
				t.Fatal(err)
			}
			return sum
		}
		record(tt.was)
		if got := record(tt.is); got.Changed == tt.unaffected {
			t.Errorf("%s: changed %v; want %v", tt.name, got.Changed, !tt.unaffected)
		}
	}
}

// TestUpgradedRequest holds that however a client leaves a stream that it upgraded
// to, its request was whole: else two sessions of one URL would be two requests,
// one of which is taken for the other.
func TestUpgradedRequest(t *testing.T) {
	s, dir := newStore(t)
	r, err := s.Record("x", RecordOptions{})
	if err != nil {
		t.Fatal(err)
	}
	handshake := get("/feed", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
	switched := &exchange.Head{Status: 101, Reason: "Switching Protocols", Version: "1.1", Fields: handshake.Fields[1:3]}
	for _, how := range []exchange.How{exchange.Complete, exchange.Reset, exchange.Truncated} {
		w, err := r.Open(origin())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range []exchange.Event{
			sends(exchange.KindHead, exchange.Event{Head: handshake}),
			sends(exchange.KindEnd, exchange.Event{End: &exchange.End{}}),
			says(exchange.KindHead, exchange.Event{Head: switched, Framed: true, At: 20 * time.Millisecond}),
			sends(exchange.KindEnd, exchange.Event{End: &exchange.End{How: how}, At: time.Second}),
			says(exchange.KindEnd, exchange.Event{End: &exchange.End{How: how}, At: time.Second}),
		} {
			e.Stream = 1
			if err := w.Event(e); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Close(false); err != nil {
		t.Fatal(err)
	}
	for _, i := range load(t, s, "x").Interactions {
		if got := i.Timing; i.Request.End != exchange.Complete || got.Send != 0 || got.Wait != 20*time.Millisecond {
			t.Errorf("the request ended %v, sent in %v, answered after %v; want it whole, at once, after 20ms\n%s", i.Request.End, got.Send, got.Wait, read(t, dir, "x.json"))
		}
	}
}
