package cassette

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/cassette/secret"
	"github.com/serge-net/serge-net/exchange"
)

// A chat is what happens in a conversation, by lines: "> text" and "< text" are said by the client
// and by the server, ">fin", "<fin", ">rst" and "<rst" are ends, "tls" is where TLS begins,
// and "wait" that it is time for what the player wants to be called for.
type chat []string

// raw is how a conversation begins.
func raw() exchange.Event {
	return exchange.Event{Stream: 1, Kind: exchange.KindHead, Head: &exchange.Head{Method: "CONNECT", Scheme: "tcp", Authority: "redis.test:6379"}}
}

// events are what the lines say, a millisecond each.
func (l chat) events() []exchange.Event {
	out := []exchange.Event{raw()}
	for n, line := range l {
		e := exchange.Event{Stream: 1, At: time.Duration(n) * time.Millisecond, Kind: exchange.KindData}
		if strings.HasPrefix(line, "<") {
			e.From = exchange.Server
		}
		switch what := line[1:]; {
		case line == "tls":
			e.Kind, e.TLS = exchange.KindTLS, &exchange.Origin{SNI: "redis.test", Names: []string{"redis.test"}}
		case line == "wait":
			e.Kind = exchange.KindWait
		case what == "fin":
			e.Kind, e.End = exchange.KindEnd, &exchange.End{}
		case what == "rst":
			e.Kind, e.End = exchange.KindEnd, &exchange.End{How: exchange.Reset, Errno: "ECONNRESET"}
		default:
			e.Data = []byte(what[1:])
		}
		out = append(out, e)
	}
	return out
}

// recordTalks records conversations to the cassette called x, one after the other.
func recordTalks(t testing.TB, s *Store, opt RecordOptions, talks ...chat) Summary {
	t.Helper()
	r, err := s.Record("x", opt)
	if err != nil {
		t.Fatal(err)
	}
	for n, l := range talks {
		w, err := r.Open(redisOrigin())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range l.events() {
			e.At += time.Duration(n) * time.Minute
			if err := w.Event(e); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	sum, err := r.Close(false)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// redisOrigin is whom the conversations are with.
func redisOrigin() exchange.Origin {
	o := origin()
	o.Addr = netip.AddrPortFrom(o.Addr.Addr(), 6379)
	o.Name, o.TLS, o.SNI, o.ALPN, o.Names = "redis.test", false, "", "", nil
	return o
}

// replayed is what comes of what the client does in live, all of it as lines.
func replayed(t testing.TB, p exchange.Player, live chat) chat {
	t.Helper()
	y, err := p.Open(redisOrigin())
	if err != nil {
		t.Fatal(err)
	}
	defer y.Close()
	var got chat
	said := false // by the server, last
	answer := func(e exchange.Event) error {
		switch {
		case e.Kind == exchange.KindTLS:
			got, said = append(got, "tls?"), false
		case e.Kind == exchange.KindWait:
			got, said = append(got, "wait?"), false
		case e.Kind == exchange.KindEnd:
			got, said = append(got, map[exchange.How]string{exchange.Complete: "<fin", exchange.Reset: "<rst"}[e.End.How]), false
		case said:
			got[len(got)-1] += string(e.Data)
		default:
			got, said = append(got, "< "+string(e.Data)), true
		}
		return nil
	}
	for n, e := range live.events() {
		if n > 0 {
			got, said = append(got, live[n-1]), false
		}
		var m *exchange.Miss
		switch err := y.Event(e, answer); {
		case errors.As(err, &m):
			return append(got, "miss: "+m.Reason)
		case err != nil:
			t.Fatalf("%q: %v", got, err)
		}
	}
	return got
}

// TestConversations records conversations, and plays them to clients that say the same, or
// something else.
func TestConversations(t *testing.T) {
	ping := chat{"> PING\r\n", "< +PONG\r\n", ">fin", "<fin"}
	for _, c := range []struct {
		name  string
		talks []chat
		opt   PlayOptions
		lives []chat // what clients do, one after the other, with all that comes of it
	}{
		{name: "as recorded", talks: []chat{ping}, lives: []chat{ping}},
		{
			name: "cut otherwise", talks: []chat{{"> PI", "> NG\r\n", "< +PO", "< NG\r\n", ">fin"}},
			lives: []chat{{"> P", "> ING", "> \r\n", "< +PONG\r\n", ">fin", "<fin"}},
		},
		{
			name: "the server speaks first", talks: []chat{{"< 220 hi\r\n", "> QUIT\r\n", "< 221 bye\r\n", "<fin", ">fin"}},
			lives: []chat{{"< 220 hi\r\n", "> QUIT\r\n", "< 221 bye\r\n", "<fin", ">fin"}},
		},
		{
			name: "ahead of the server", talks: []chat{{"> A\n", "< a\n", "> B\n", "< b\n", ">fin"}},
			lives: []chat{{"> A\nB\n", "< a\nb\n", ">fin", "<fin"}},
		},
		{
			name: "the client's half ends first", talks: []chat{{"> data", ">fin", "< sum", "<fin"}},
			lives: []chat{{"> data", ">fin", "< sum", "<fin"}},
		},
		{
			name: "the server's half ends first", talks: []chat{{"< data", "<fin", "> thanks", ">fin"}},
			lives: []chat{{"< data", "<fin", "> thanks", ">fin"}},
		},
		{name: "reset by the server", talks: []chat{{"> X", "<rst"}}, lives: []chat{{"> X", "<rst"}}},
		{
			name: "STARTTLS", talks: []chat{{"< 220\n", "> STARTTLS\n", "< 220 go\n", "tls", "> EHLO\n", "< 250\n", ">fin"}},
			lives: []chat{{"< 220\n", "> STARTTLS\n", "< 220 go\n", "tls?", "tls", "> EHLO\n", "< 250\n", ">fin", "<fin"}},
		},
		{
			name: "the server speaks first inside TLS", talks: []chat{{"> go", "< ok", "tls", "< hi", ">fin"}},
			lives: []chat{{"> go", "< ok", "tls?", "tls", "< hi", ">fin", "<fin"}},
		},
		{
			name: "chosen by what the client says", talks: []chat{{"< hi\n", "> GET a\n", "< 1\n"}, {"< hi\n", "> GET b\n", "< 2\n"}},
			lives: []chat{{"< hi\n", "> GET b\n", "< 2\n"}, {"< hi\n", "> GET a\n", "< 1\n"}},
		},
		{
			name: "in order where the client says the same", talks: []chat{{"> INCR\n", "< 1\n"}, {"> INCR\n", "< 2\n"}},
			lives: []chat{{"> INCR\n", "< 1\n"}, {"> INCR\n", "< 2\n"}, {"> INCR\n", "miss: already served as often as it was recorded, with different answers"}},
		},
		{name: "again where the answer is known", talks: []chat{ping}, lives: []chat{ping, ping}},
		{
			name: "never again", talks: []chat{ping}, opt: PlayOptions{Repeat: RepeatNever},
			lives: []chat{ping, {"miss: already served 1/1"}},
		},
		{
			name: "one says more", talks: []chat{{"> A\n", "> B\n", "< ab\n"}, {"> A\n", "< a\n"}},
			lives: []chat{{"> A\n", "wait?", "wait", "< a\n"}, {"> A\n", "> B\n", "< ab\n"}},
		},
		{
			name: "something else", talks: []chat{{"> PING 1\n", "< 1\n"}},
			lives: []chat{{"> PING 2\n", `miss: the client said something else at byte 5: recorded 50 49 4e 47 20 31 0a "PING 1\n", said 50 49 4e 47 20 32 0a "PING 2\n"`}},
		},
		{
			name: "more", talks: []chat{{"> A", "< a", ">fin"}},
			lives: []chat{{"> A", "< a", "> B", `miss: the client said more than was recorded, from byte 1 on: 42 "B"`}},
		},
		{name: "nobody", talks: []chat{ping}, lives: []chat{{">fin"}, ping}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := newStore(t)
			recordTalks(t, s, RecordOptions{}, c.talks...)
			all := load(t, s, "x")
			for _, form := range []*Cassette{all, twinned(t, all)} {
				p, err := form.Player(c.opt)
				if err != nil {
					t.Fatal(err)
				}
				for n, want := range c.lives {
					if d := cmp.Diff(want, replayed(t, p, want.ofClient())); d != "" {
						t.Errorf("client %d (-want +got):\n%s", n, d)
					}
				}
			}
		})
	}
}

// ofClient is what the client does in l.
func (l chat) ofClient() chat {
	var out chat
	for _, line := range l {
		if line[0] == '>' || line == "tls" || line == "wait" {
			out = append(out, line)
		}
	}
	return out
}

// TestConversationSecrets has secrets in what both sides say: none is in the file, and a client
// that has others is served, as long as it has one for each.
func TestConversationSecrets(t *testing.T) {
	set, err := secret.New(secret.Config{Known: []secret.Known{{Class: "env", Value: "hunter22hunter"}}})
	if err != nil {
		t.Fatal(err)
	}
	resp := func(password string) string {
		return fmt.Sprintf("> *2\r\n$4\r\nAUTH\r\n$%d\r\n%s\r\n*1\r\n", len(password), password)
	}
	was := chat{resp("hunter22hunter"), "< +OK\r\n", "> LOGIN hunter22hunter \x00x\n", "< you said hunter22hunter\n", ">fin"}
	s, dir := newStore(t)
	recordTalks(t, s, RecordOptions{Redact: Redaction{Set: set}}, was)
	if text := read(t, dir, "x.json"); strings.Contains(text, "hunter22") || !strings.Contains(text, "{{secret:password#1}}") {
		t.Errorf("the file has it:\n%s", text)
	}
	p, err := load(t, s, "x").Player(PlayOptions{})
	if err != nil {
		t.Fatal(err)
	}
	is := chat{resp("swordfish"), "< +OK\r\n", "> LOGIN swordfish \x00x\n", "< you said swordfish\n", ">fin", "<fin"}
	if d := cmp.Diff(is, replayed(t, p, is.ofClient())); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	want := []string{"took the client's own secret for secret:password#1"}
	if got := p.Tally(); got.Assumed != 1 || len(got.Assumptions) != 1 || got.Assumptions[0].Evidence != want[0] {
		t.Errorf("assumed %+v; want %q", got.Assumptions, want)
	}
	if got := replayed(t, p, chat{resp("a third")}); !strings.HasPrefix(got[len(got)-1], "miss: the client said another secret") || strings.Contains(strings.Join(got[1:], ""), "third") {
		t.Errorf("with two secrets for one: %q", got)
	}
}

// TestConversationLogin has a client log in, with a password that nobody knows of.
func TestConversationLogin(t *testing.T) {
	s, dir := newStore(t)
	say := func(password string) chat {
		return chat{"< 220 hi\r\n", "> AUTH PLAIN " + password + "\r\n", "< 235 in\r\n", "> MAIL\r\n", "< 250\r\n", ">fin", "<fin"}
	}
	recordTalks(t, s, RecordOptions{}, say("AGFkYQBodW50ZXIy"))
	if text := read(t, dir, "x.json"); strings.Contains(text, "AGFkYQ") || !strings.Contains(text, `"AUTH PLAIN {{secret:password#1}}\r\n"`) {
		t.Errorf("the file has it:\n%s", text)
	}
	p, err := load(t, s, "x").Player(PlayOptions{})
	if err != nil {
		t.Fatal(err)
	}
	is := say("AGJvYgBvdGhlcg==")
	if d := cmp.Diff(is, replayed(t, p, is.ofClient())); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestConversationQuiet records the same again, otherwise cut and with other times: nothing
// changes.
func TestConversationQuiet(t *testing.T) {
	s, dir := newStore(t)
	recordTalks(t, s, RecordOptions{}, chat{"< hi\n", "> A\nB\n", "< a\nb\n", ">fin", "<fin"}, chat{"< hi\n", "> C\n", "< c\n", "<fin", ">fin"})
	was := read(t, dir, "x.json")
	sum := recordTalks(t, s, RecordOptions{}, chat{"< hi", "< \n", "> A\n", "< a\n", "> B\n", "< b\n", "<fin", ">fin"}, chat{"< hi\n", "> C\n", "< c\n", ">fin", "<fin"})
	if sum.Changed || sum.Kept != 2 {
		t.Errorf("%+v; want nothing changed", sum)
	}
	if d := cmp.Diff(was, read(t, dir, "x.json")); d != "" {
		t.Errorf("the file changed:\n%s", d)
	}
}

// TestConversationLeft counts a client that leaves before it has said all.
func TestConversationLeft(t *testing.T) {
	s, _ := newStore(t)
	recordTalks(t, s, RecordOptions{}, chat{"> A\n", "< a\n", "> B\n", "< b\n", ">fin"})
	p, err := load(t, s, "x").Player(PlayOptions{})
	if err != nil {
		t.Fatal(err)
	}
	replayed(t, p, chat{"> A\n", ">fin"})
	got := p.Tally()
	want := []Assumption{{"CONNECT", "tcp://redis.test:6379/", "1 of 4 recorded messages were not said"}}
	if d := cmp.Diff(want, got.Unsaid); d != "" || got.Served != 1 || got.Left != 0 {
		t.Errorf("%d served, %d left (-want +got):\n%s", got.Served, got.Left, d)
	}
}
