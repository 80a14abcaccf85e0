package cassette

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/serge-net/serge-net/exchange"
)

// script records the events es of one stream and returns what was said by the
// server when the same client is played.
func script(t *testing.T, es []exchange.Event) (said []exchange.Event, text string, p *Player) {
	t.Helper()
	s, r, w, dir := watching(t)
	for _, e := range es {
		e.Stream = 1
		if err := w.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	if _, err := r.Close(false); err != nil {
		t.Fatal(err)
	}
	text = read(t, dir, "x.json")
	p = playerOf(t, load(t, s, "x"), PlayOptions{KeepDates: true})
	y, err := p.Open(origin())
	if err != nil {
		t.Fatal(err)
	}
	defer y.Close()
	for _, e := range es {
		if e.From == exchange.Server {
			continue
		}
		e.Stream = 1
		err := y.Event(e, func(e exchange.Event) error {
			e.Data = append([]byte(nil), e.Data...)
			said = append(said, e)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return said, text, p
}

// server is the server's half of es, as a player tells it.
func server(es []exchange.Event) []exchange.Event {
	var out []exchange.Event
	for _, e := range es {
		if e.From == exchange.Server {
			e.Stream = 1
			out = append(out, e)
		}
	}
	return out
}

// The events that the scripts are made of.
func sends(k exchange.Kind, e exchange.Event) exchange.Event { e.Kind = k; return e }
func says(k exchange.Kind, e exchange.Event) exchange.Event {
	e.Kind, e.From = k, exchange.Server
	return e
}

func TestWireForms(t *testing.T) {
	ask := []exchange.Event{
		sends(exchange.KindHead, exchange.Event{Head: get("/a")}),
		sends(exchange.KindEnd, exchange.Event{End: &exchange.End{}}),
	}
	complete := says(exchange.KindEnd, exchange.Event{End: &exchange.End{}})
	chunked := ok("Transfer-Encoding: chunked", "Trailer: X-Sum")
	odd := ok("X-Odd: v", "Set-Cookie: a=secret1234")
	odd.Raw = []byte("HTTP/1.1 200 OK\nX-Odd:   v\r\nSet-Cookie:a=secret1234 \r\n\r\n")
	tests := []struct {
		name   string
		answer []exchange.Event
	}{
		{"chunks, extension, trailers", []exchange.Event{
			says(exchange.KindHead, exchange.Event{Head: chunked}),
			says(exchange.KindData, exchange.Event{Data: []byte("hello"), Chunk: 5}),
			says(exchange.KindData, exchange.Event{Data: []byte("world!"), Chunk: 6, Raw: []byte("6;x=\"y\"\r\n")}),
			says(exchange.KindTrailers, exchange.Event{Fields: fields("X-Sum: 1"), Raw: []byte("00\r\nX-Sum:1\r\n\r\n")}),
			complete}},
		{"early hints", []exchange.Event{
			says(exchange.KindHead, exchange.Event{Head: &exchange.Head{Status: 103, Reason: "Early Hints", Version: "1.1", Fields: fields("Link: </a.css>")}}),
			says(exchange.KindHead, exchange.Event{Head: ok("Content-Length: 0")}), complete}},
		{"latin-1 and case", []exchange.Event{
			says(exchange.KindHead, exchange.Event{Head: &exchange.Head{Status: 200, Reason: "\xe9t\xe9", Version: "1.1", Fields: fields("x-A: \xff", "X-a: {{secret:auth#1}} {{lit}}")}}),
			complete}},
		{"truncated", []exchange.Event{
			says(exchange.KindHead, exchange.Event{Head: ok("Content-Length: 10")}),
			says(exchange.KindData, exchange.Event{Data: []byte("half")}),
			says(exchange.KindEnd, exchange.Event{End: &exchange.End{How: exchange.Truncated}})}},
		{"reset inside a chunk", []exchange.Event{
			says(exchange.KindHead, exchange.Event{Head: ok("Transfer-Encoding: chunked")}),
			says(exchange.KindData, exchange.Event{Data: []byte("half"), Chunk: 100}),
			says(exchange.KindEnd, exchange.Event{End: &exchange.End{How: exchange.Reset}})}},
		{"no answer", []exchange.Event{says(exchange.KindEnd, exchange.Event{End: &exchange.End{How: exchange.Refused, Err: "connection refused"}})}},
		{"close-delimited", []exchange.Event{
			says(exchange.KindHead, exchange.Event{Head: &exchange.Head{Status: 200, Reason: "OK", Version: "1.0"}}),
			says(exchange.KindData, exchange.Event{Data: []byte("a\x00\xff")}), complete}},
	}
	for _, tt := range tests {
		said, text, _ := script(t, append(ask[:2:2], tt.answer...))
		if d := cmp.Diff(server(tt.answer), said, cmp.Transformer("fields", func(f []exchange.Field) string {
			var b strings.Builder
			for _, x := range f {
				b.WriteString(x.Name + "=" + x.Value + ";")
			}
			return b.String()
		}), cmp.Transformer("bytes", func(b []byte) string { return string(b) })); d != "" {
			t.Errorf("%s: replay differs (-recorded +played):\n%s\n%s", tt.name, d, text)
		}
	}
	said, text, _ := script(t, append(ask[:2:2], says(exchange.KindHead, exchange.Event{Head: odd}), complete))
	raw := string(said[0].Head.Raw)
	v, _ := exchange.Get(said[0].Head.Fields, "set-cookie")
	if strings.Contains(text, "secret1234") || raw != strings.Replace(string(odd.Raw), "a=secret1234", v, 1) || v == "a=secret1234" {
		t.Errorf("odd head: raw %q, Set-Cookie %q in\n%s", raw, v, text)
	}
}

func TestUpgrade(t *testing.T) {
	up := get("/ws", "Upgrade: echo", "Connection: Upgrade")
	conversation := func(reply string, pieces ...string) []exchange.Event {
		es := []exchange.Event{
			sends(exchange.KindHead, exchange.Event{Head: up}),
			sends(exchange.KindEnd, exchange.Event{End: &exchange.End{}}),
			says(exchange.KindHead, exchange.Event{Head: &exchange.Head{Status: 101, Reason: "Switching Protocols", Version: "1.1", Fields: fields("Upgrade: echo")}}),
			says(exchange.KindData, exchange.Event{Data: []byte("hi\n")}),
		}
		for _, p := range pieces {
			es = append(es, sends(exchange.KindData, exchange.Event{Data: []byte(p)}))
		}
		return append(es, says(exchange.KindData, exchange.Event{Data: []byte(reply)}),
			sends(exchange.KindEnd, exchange.Event{End: &exchange.End{}}),
			says(exchange.KindEnd, exchange.Event{End: &exchange.End{}}))
	}
	said, text, p := script(t, conversation("ok\xff", "PI", "NG"))
	if !strings.Contains(text, `{"direction": "sent", "payload": {"text": "PING"}}`) {
		t.Errorf("segments show in the cassette:\n%s", text)
	}
	var got string
	for _, e := range said {
		got += string(e.Data)
	}
	if got != "hi\nok\xff" || said[len(said)-1].Kind != exchange.KindEnd {
		t.Errorf("played %q, last event %v; want both messages and an end", got, said[len(said)-1])
	}
	_, other, _ := script(t, conversation("ok\xff", "P", "I", "NG"))
	if cut := func(s string) string { return s[strings.Index(s, `"interactions"`):] }; cut(other) != cut(text) {
		t.Logf("timing may differ:\n%s", cmp.Diff(cut(text), cut(other)))
	}
	// A client that says something else is cut off.
	y, _ := p.Open(origin())
	defer y.Close()
	var a answer
	y.Event(exchange.Event{Stream: 1, Kind: exchange.KindHead, Head: up}, a.hear)
	y.Event(exchange.Event{Stream: 1, Kind: exchange.KindEnd, End: &exchange.End{}}, a.hear)
	err := y.Event(exchange.Event{Stream: 1, Kind: exchange.KindData, Data: []byte("PONG")}, a.hear)
	m, isMiss := err.(*exchange.Miss)
	if !isMiss || a.end == nil || a.end.How != exchange.Reset || !strings.Contains(m.Reason, "at byte 1") {
		t.Errorf("another client: %v, end %v; want a miss at byte 1 and a reset", err, a.end)
	}
}

func TestContentCoding(t *testing.T) {
	for _, coding := range []string{"gzip", "deflate", "br", "zstd", "gzip, br", "compress"} {
		wire, err := encoded([]byte(`{"a":1}`), coding)
		known := err == nil
		if !known {
			wire = []byte("not really compressed")
		}
		_, text, p := script(t, []exchange.Event{
			sends(exchange.KindHead, exchange.Event{Head: get("/a")}),
			sends(exchange.KindEnd, exchange.Event{End: &exchange.End{}}),
			says(exchange.KindHead, exchange.Event{Head: ok("Content-Encoding: " + coding)}),
			says(exchange.KindData, exchange.Event{Data: wire}),
			says(exchange.KindEnd, exchange.Event{End: &exchange.End{}}),
		})
		if a := ask(t, p, get("/a"), ""); a.body != string(wire) {
			t.Errorf("%s: body is not the same bytes", coding)
		}
		if shown := strings.Contains(text, `"json": {"a": 1}`); shown != known {
			t.Errorf("%s: decoded view shown: %v\n%s", coding, shown, text)
		}
		if !known {
			continue
		}
		c, err := parse([]byte(strings.Replace(text, `{"a": 1}`, `{"a": 22222}`, 1)), nil)
		if err != nil {
			t.Fatal(err)
		}
		a := ask(t, playerOf(t, c, PlayOptions{}), get("/a"), "")
		if plain, _ := Decoded([]byte(a.body), coding, wholeMost); string(plain) != `{"a":22222}` {
			t.Errorf("%s: an edited body is served as %q", coding, plain)
		}
	}
}

func TestDecodedRefuses(t *testing.T) {
	for _, coding := range []string{"gzip", "deflate", "br", "zstd", "gzip, zstd"} {
		bomb, err := encoded(make([]byte, 4<<20), coding)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := Decoded(bomb, coding, wholeMost); ok {
			t.Errorf("%s: %d bytes unfold to more than %d", coding, len(bomb), wholeMost)
		}
		if _, ok := Decoded(bomb[:len(bomb)-3], coding, 8<<20); ok {
			t.Errorf("%s: what was cut is taken for whole", coding)
		}
	}
}
