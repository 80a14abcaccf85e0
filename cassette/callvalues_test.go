package cassette

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/serge-net/serge-net/cassette/descriptor"
	"github.com/serge-net/serge-net/cassette/secret"
	"github.com/serge-net/serge-net/exchange"
)

// TestCallSecrets holds that a secret in a message is not recorded, that what is
// stays a message, and that a replay sends one with the secret of its client, as
// long as that may be.
func TestCallSecrets(t *testing.T) {
	const hush, other = "correct-horse-battery-staple", "another-one"
	set, err := secret.New(secret.Config{Known: []secret.Known{{Class: "env", Value: hush}}})
	if err != nil {
		t.Fatal(err)
	}
	said := func(value string) []string {
		return []string{numeral(1, 7), nested(2, nested(4, proto(1, "Bearer "+value), numeral(3, 1)))}
	}
	plain, packed := message(said(hush)...), zipped(t, said(hush)...)
	turns := []callTurn{
		{kind: exchange.KindData, data: plain[:9]}, {kind: exchange.KindData, data: plain[9:]}, {kind: exchange.KindData, data: packed}, over,
		{exchange.Server, exchange.KindData, packed, 0}, {exchange.Server, exchange.KindData, plain, 0}, received(proto(1, "{{secret:no#1}}")), done,
	}
	for name, opt := range map[string]RecordOptions{
		"JSON": {Redact: Redaction{Set: set}, Format: JSON}, "MessagePack": {Redact: Redaction{Set: set}, Format: MessagePack},
		"JSON, afterwards": {Redact: Redaction{Off: true}, Format: JSON},
	} {
		format := opt.Format
		t.Run(name, func(t *testing.T) {
			s, text := recordCalls(t, opt, callEvents([]string{"grpc-encoding: gzip"}, turns...))
			if opt.Redact.Off {
				if found, err := s.Redact("x", Redaction{Set: set}); err != nil || len(found) != 4 {
					t.Fatalf("Redact found %v, %v", found, err)
				}
				text = read(t, s.dir, "x.json")
			}
			if strings.Contains(text, hush) || format == JSON && strings.Count(text, `Bearer {{secret:env#1}}`) != 4 {
				t.Errorf("it has the secret, or not its placeholders:\n%s", text)
			}
			if format == JSON {
				if err := fits(t, compiled(t), []byte(text)); err != nil {
					t.Error(err)
				}
			}
			c := load(t, s, "x")
			defer c.Close()
			p := playerOf(t, c, PlayOptions{})
			y, err := p.Open(origin())
			if err != nil {
				t.Fatal(err)
			}
			defer y.Close()
			var got []byte
			for _, e := range callEvents([]string{"grpc-encoding: gzip"}, sent(said(other)...), sent(said(other)...), over) {
				e.Stream = 1
				if err := y.Event(e, func(e exchange.Event) error { got = append(got, e.Data...); return nil }); err != nil {
					t.Fatal(err)
				}
			}
			all, rest := cutFrames(got)
			if len(all) != 3 || len(rest) > 0 {
				t.Fatalf("it answers %q", got)
			}
			for n, want := range []string{strings.Join(said(other), ""), strings.Join(said(other), ""), proto(1, "{{secret:no#1}}")} {
				if m, ok := all[n].plain("gzip"); !ok || string(m) != want || all[n].compressed() != (n == 0) {
					t.Errorf("message %d is %q; want %q", n+1, m, want)
				}
			}
		})
	}
}

func TestCallTimeout(t *testing.T) {
	for v, want := range map[string]time.Duration{"1S": time.Second, "250m": 250 * time.Millisecond, "99999999H": math.MaxInt64 / time.Hour * time.Hour, "7u": 7 * time.Microsecond, "": 0, "S": 0, "1": 0, "1x": 0, "-1S": 0} {
		if got, ok := callTimeout(v); ok != (want > 0) || ok && got != want {
			t.Errorf("callTimeout(%q) = %v, %v; want %v", v, got, ok, want)
		}
	}
}

// echoNames are the names of what callEvents says.
func echoNames(t *testing.T) *descriptor.Set {
	t.Helper()
	var s descriptor.Set
	const text = `package echo;
		enum Mood { CALM = 0; LOUD = 1; }
		message Word { string text = 1; repeated sint32 counts = 2; Mood mood = 3; map<string, Word> more = 4; double weight = 5; bytes raw = 6; }
		service Echo { rpc Talk(stream Word) returns (stream Word); }`
	if err := s.AddSource("echo.proto", func(string) ([]byte, error) { return []byte(text), nil }); err != nil {
		t.Fatal(err)
	}
	return &s
}

// TestCallNames holds that fields are shown, left out and told by their names where
// those are known, from a file or from the server.
func TestCallNames(t *testing.T) {
	word := func(text, raw string) []string {
		return []string{proto(1, text), proto(2, "\x01\x04"), numeral(3, 1), nested(4, proto(1, "k"), nested(2, proto(1, "v"))), "\x29\x00\x00\x00\x00\x00\x00\xf8\x3f", proto(6, raw), numeral(9, 1)}
	}
	es := callEvents(nil, sent(word("hello", "\xff")...), over, done)
	s, text := recordCalls(t, RecordOptions{Descriptors: echoNames(t)}, es)
	want := `"fields": {"text": "hello", "counts": [-1, 2], "mood": "LOUD", "more": {"k": {"text": "v"}}, "weight": 1.5, "raw": {"base64": "/w=="}, "9": 1}`
	if flat := strings.Join(strings.Fields(text), ""); !strings.Contains(flat, strings.ReplaceAll(want, " ", "")) {
		t.Errorf("%s is not in\n%s", want, text)
	}
	wantBodies(t, load(t, s, "x").Interactions[0], []callTurn{sent(word("hello", "\xff")...)})
	for _, c := range []struct {
		name, rule string
		opt        PlayOptions
		live       []string
		want       string // of what the client hears
	}{
		{"another text", "", PlayOptions{Descriptors: echoNames(t)}, word("bye", "\xff"), "body field 0.text: \"hello\" -> \"bye\""},
		{"another text, without names", "", PlayOptions{}, word("bye", "\xff"), "body field 0.1: \"hello\" -> \"bye\""},
		{"ignored by name", "$.text", PlayOptions{Descriptors: echoNames(t)}, word("bye", "\xff"), "head end complete"},
		{"ignored by number", "$.1", PlayOptions{}, word("bye", "\xff"), "head end complete"},
		{"ignored below", "$..text", PlayOptions{Descriptors: echoNames(t)}, append(word("bye", "\xff")[:3:3], append([]string{nested(4, proto(1, "k"), nested(2, proto(1, "w")))}, word("", "\xff")[4:]...)...), "head end complete"},
		{"ignored, and another differs", "$.text", PlayOptions{Descriptors: echoNames(t)}, word("bye", "\xfe"), "body field 0.raw"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.rule != "" {
				c.opt.Rules = []Rule{{IgnoreBody: []string{c.rule}}}
			}
			y, err := playerOf(t, load(t, s, "x"), c.opt).Open(origin())
			if err != nil {
				t.Fatal(err)
			}
			defer y.Close()
			live := &talker{y: y}
			for _, e := range callEvents(nil, sent(c.live...), over) {
				live.event(e)
			}
			if got := strings.Join(live.heard, " "); !strings.Contains(got, c.want) {
				t.Errorf("the client heard %s; want %s", got, c.want)
			}
		})
	}
}

// TestProtobufSecrets holds that a protobuf body of plain HTTP stays a message when
// a secret in it is replaced, by a placeholder and by one of another length.
func TestProtobufSecrets(t *testing.T) {
	const hush, other = "correct-horse-battery-staple", "another-one"
	set, err := secret.New(secret.Config{Known: []secret.Known{{Class: "env", Value: hush}}})
	if err != nil {
		t.Fatal(err)
	}
	said := func(value string) string { return numeral(1, 7) + nested(2, proto(1, value), numeral(3, 1)) }
	req, res := post("/p", "Content-Type: application/x-protobuf"), ok("Content-Type: application/x-protobuf")
	s, dir := newStore(t)
	recordAll(t, s, "x", RecordOptions{Redact: Redaction{Set: set}}, asked{req: req, body: said(hush), res: res, answer: said(hush)})
	if text := read(t, dir, "x.json"); strings.Contains(text, hush) {
		t.Errorf("it has the secret:\n%s", text)
	}
	a := ask(t, playerOf(t, load(t, s, "x"), PlayOptions{}), req, said(other))
	if a.body != said(other) {
		t.Errorf("the answer is %q; want %q", a.body, said(other))
	}
}
