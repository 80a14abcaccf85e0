package cassette

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/cassette/secret"
	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/ws"
)

// known is a redaction that knows the values, as those of the environment.
func known(t *testing.T, values ...string) Redaction {
	t.Helper()
	var c secret.Config
	for _, v := range values {
		c.Known = append(c.Known, secret.Known{Class: "env", Value: v})
	}
	set, err := secret.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return Redaction{Set: set}
}

// TestRedactOld takes secrets out of what was recorded with them.
func TestRedactOld(t *testing.T) {
	secrets, forms := seeds(), map[string][]string{}
	for name, value := range secrets {
		forms[name] = traces(value)
	}
	for _, c := range carriers() {
		t.Run(c.name, func(t *testing.T) {
			s, dir := newStore(t)
			var all []asked
			for _, name := range []string{"github", "jwt", "env", "stripe"} {
				a := c.ask(secrets[name])
				a.req.Target += map[bool]string{true: "&", false: "?"}[strings.Contains(a.req.Target, "?")] + "n=" + name
				all = append(all, a)
			}
			recordAll(t, s, "s", RecordOptions{Redact: Redaction{Off: true}}, all...)
			before := read(t, dir, "s.json")
			redact := known(t, secrets["env"])
			found, err := s.Secrets("s", redact)
			if err != nil || len(found) < len(all) {
				t.Fatalf("Secrets() = %v, %v; want %d at least", found, err, len(all))
			}
			if read(t, dir, "s.json") != before {
				t.Error("Secrets() changed the file")
			}
			if _, err := s.Redact("s", redact); err != nil {
				t.Fatal(err)
			}
			unspilled(t, dir, forms)
			if found, err := s.Secrets("s", redact); err != nil || len(found) > 0 {
				t.Errorf("after Redact() there are %v, %v", found, err)
			}
			if _, found, err := s.Validate("s"); err != nil || len(found) > 0 {
				t.Errorf("after Redact() it is not valid: %v, %v", found, err)
			}
			p := playerOf(t, load(t, s, "s"), PlayOptions{Redact: redact})
			for _, a := range all {
				if got := ask(t, p, a.req, a.body); got.miss != nil {
					t.Errorf("replay misses: %v", got.miss)
				}
			}
		})
	}
}

// TestSecretsStraddle cuts a body with secrets in two at every place, in two
// chunks: neither journal nor cassette ever has one, and a replay serves the chunks.
func TestSecretsStraddle(t *testing.T) {
	values := seeds()
	body := `{"a":"` + values["github"] + `","password":"hunter22hunter","b":"` + values["env"] + `"}`
	step := 7
	if os.Getenv("SERGE_TEST_ALL") != "" {
		step = 1
	}
	redact := known(t, values["env"])
	for cut := 1; cut < len(body); cut += step {
		s, dir := newStore(t)
		r, err := s.Record("s", RecordOptions{Redact: redact})
		if err != nil {
			t.Fatal(err)
		}
		w, err := r.Open(origin())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range []exchange.Event{
			{Stream: 1, From: exchange.Client, Kind: exchange.KindHead, Head: get("/")},
			{Stream: 1, From: exchange.Client, Kind: exchange.KindEnd, End: &exchange.End{}},
			{Stream: 1, From: exchange.Server, Kind: exchange.KindHead, Head: ok("Transfer-Encoding: chunked")},
			{Stream: 1, From: exchange.Server, Kind: exchange.KindData, Chunk: int64(cut), Data: []byte(body[:cut])},
			{Stream: 1, From: exchange.Server, Kind: exchange.KindData, Chunk: int64(len(body) - cut), Data: []byte(body[cut:])},
			{Stream: 1, From: exchange.Server, Kind: exchange.KindTrailers},
			{Stream: 1, From: exchange.Server, Kind: exchange.KindEnd, End: &exchange.End{}},
		} {
			if err := errors.Join(w.Event(e), w.Flush()); err != nil {
				t.Fatal(err)
			}
			journal := read(t, dir, ".s.journal")
			for _, v := range []string{values["github"], "hunter22hunter", values["env"]} {
				if strings.Contains(strings.ReplaceAll(journal, "\x00", ""), v[len(v)/2:]) {
					t.Fatalf("cut at %d, the journal has %q", cut, v)
				}
			}
		}
		w.Close()
		if _, err := r.Close(false); err != nil {
			t.Fatal(err)
		}
		got := ask(t, playerOf(t, load(t, s, "s"), PlayOptions{}), get("/"), "")
		if len(got.body) != len(body) || !cmp.Equal(got.chunks, []int64{int64(cut), int64(len(body) - cut)}) {
			t.Errorf("cut at %d: %d bytes in chunks of %v; want %d in %d and the rest", cut, len(got.body), got.chunks, len(body), cut)
		}
	}
}

// TestSecretsLarge takes a secret out of large bodies, plain and coded, which are
// files, and serves them as long as they were.
func TestSecretsLarge(t *testing.T) {
	values := seeds()
	plain := bytes.Repeat([]byte("all work and no play makes jack a dull boy\n"), 60_000)
	copy(plain[2_000_000:], " "+values["github"]+" ")
	copy(plain[100_000:], " "+values["github"]+" ")
	for _, c := range []struct {
		name, coding string
		body         []byte
	}{{"plain", "", plain}, {"gzip", "gzip", inGzip(plain)}, {"random in gzip", "gzip", inGzip(append(noise(3<<20), (" " + values["github"])...))}} {
		t.Run(c.name, func(t *testing.T) {
			s, dir := newStore(t)
			lines := []string{"Content-Type: text/plain"}
			if c.coding != "" {
				lines = append(lines, "Content-Encoding: "+c.coding)
			}
			a := asked{req: get("/big"), res: ok(lines...), answer: string(c.body)}
			for range 2 { // the second over the first: placeholders are renamed
				recordAll(t, s, "s", RecordOptions{}, asked{req: get("/first", "X-Api-Key: another"), res: ok()}, a)
			}
			files, err := filepath.Glob(filepath.Join(dir, "s.bodies", "*"))
			if err != nil || len(files) != 1 {
				t.Fatalf("body files: %v, %v; want one", files, err)
			}
			text := read(t, dir, "s.bodies/"+filepath.Base(files[0]))
			if _, marks := cutMarks(text); strings.Contains(text, values["github"]) || len(marks) == 0 || marks[0] != "{{secret:github#1}}" {
				t.Errorf("the body file has the secret, or no placeholder: %q", marks)
			}
			got := ask(t, playerOf(t, load(t, s, "s"), PlayOptions{}), get("/big"), "")
			served, _ := Decoded([]byte(got.body), c.coding, 1<<30)
			want, _ := Decoded(c.body, c.coding, 1<<30)
			if got.miss != nil || len(served) != len(want) || bytes.Contains(served, []byte(secretOpen)) {
				t.Errorf("served %d bytes, %v; want %d", len(served), got.miss, len(want))
			}
		})
	}
}

// noise is n bytes that do not compress.
func noise(n int) []byte {
	b := make([]byte, n)
	x := uint64(88172645463325252)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}

// TestSecretRefused keeps nothing where a value of the environment would be in a
// place that no placeholder can take.
func TestSecretRefused(t *testing.T) {
	s, dir := newStore(t)
	r, err := s.Record("s", RecordOptions{Redact: known(t, "sesame-open-1234")})
	if err != nil {
		t.Fatal(err)
	}
	w, err := r.Open(origin())
	if err != nil {
		t.Fatal(err)
	}
	asked{req: get("/", "X-sesame-open-1234: 1"), res: ok(), answer: "fine"}.tell(t, w, 1)
	w.Close()
	if _, err := r.Close(false); !errors.Is(err, ErrSecret) || !errors.Is(err, ErrIncomplete) || strings.Contains(fmt.Sprint(err), "sesame") {
		t.Errorf("Close() = %v; want ErrSecret, without the secret", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v, %v are left", left, err)
	}
}

// TestSecretsBound serves stand-ins and takes them, and who has the secret gets
// the same.
func TestSecretsBound(t *testing.T) {
	s, _ := newStore(t)
	jwt := seeds()["jwt"]
	recordAll(t, s, "s", RecordOptions{},
		asked{req: post("/token", "Content-Type: application/x-www-form-urlencoded"), body: "grant_type=password&password=open-sesame-77",
			res: ok("Content-Type: application/json"), answer: `{"access_token":"` + jwt + `","expires_in":60}`},
		asked{req: get("/me", "Authorization: Bearer "+jwt), res: ok(), answer: "ada has " + jwt})
	p := playerOf(t, load(t, s, "s"), PlayOptions{})
	first := ask(t, p, post("/token", "Content-Type: application/x-www-form-urlencoded"), "grant_type=password&password=quite-another")
	_, rest, _ := strings.Cut(first.body, `"access_token":"`)
	token, _, _ := strings.Cut(rest, `"`)
	if first.miss != nil || token == jwt || len(token) != len(jwt) || strings.Count(token, ".") != 2 || !strings.HasPrefix(token, "eyJ") {
		t.Fatalf("served %q, %v; want another JWT as long as %q", first.body, first.miss, jwt)
	}
	if me := ask(t, p, get("/me", "Authorization: Bearer "+token), ""); me.miss != nil || me.body != "ada has "+token {
		t.Errorf("with the stand-in: %q, %v", me.body, me.miss)
	}
	if me := ask(t, p, get("/me", "Authorization: Bearer forged"), ""); me.miss == nil {
		t.Errorf("another token gets %q; want a miss", me.body)
	}
}

// TestLiteral keeps what looks like a placeholder and is none.
func TestLiteral(t *testing.T) {
	s, _ := newStore(t)
	for _, body := range []string{"{{secret:auth#1}}", `{"a":"{{secret:x","t":"{{lit}}"}`, "{{secret:a {{lit}} " + seeds()["github"] + " {{secret:env#1}}"} {
		a := asked{req: get("/x?v={{secret:x}}", "X-Note: {{secret:auth#1}}"), res: ok("X-Note: {{lit}}"), answer: body}
		recordAll(t, s, "s", RecordOptions{}, a)
		got := ask(t, playerOf(t, load(t, s, "s"), PlayOptions{}), a.req, "")
		steady := func(s string) string { return regexp.MustCompile(`ghp_\w{36}`).ReplaceAllString(s, "*") }
		if got.miss != nil || len(got.body) != len(body) || steady(got.body) != steady(body) {
			t.Errorf("served %q, %v; want %q", got.body, got.miss, body)
		}
	}
}

// TestAnonymize takes people out, and serves them as consistently.
func TestAnonymize(t *testing.T) {
	s, dir := newStore(t)
	a := asked{req: post("/invite", "Content-Type: application/json"), body: `{"to":"ada@example.com"}`, res: ok("Content-Type: application/json"),
		answer: `{"to":"ada@example.com","by":"grace@example.org","tel":"+49 30 1234567","from":"203.0.113.9"}`}
	recordAll(t, s, "s", RecordOptions{}, a)
	set, err := secret.New(secret.Config{Bare: true, Personal: true})
	if err != nil {
		t.Fatal(err)
	}
	if found, err := s.Redact("s", Redaction{Set: set}); err != nil || len(found) != 5 {
		t.Fatalf("Redact() = %v, %v; want 5 places", found, err)
	}
	text := read(t, dir, "s.json")
	for _, v := range []string{"ada@", "grace@", "1234567", "203.0.113.9"} {
		if strings.Contains(text, v) {
			t.Errorf("%q is in\n%s", v, text)
		}
	}
	if got := ask(t, playerOf(t, load(t, s, "s"), PlayOptions{}), a.req, a.body); got.miss != nil || !strings.Contains(got.body, `"to":"ada@example.com"`) || len(got.body) != len(a.answer) {
		t.Errorf("served %q, %v", got.body, got.miss)
	}
}

// TestSecretsInFrames takes a secret out of a masked WebSocket frame that comes in
// two pieces, and leaves one without a secret as it is.
func TestSecretsInFrames(t *testing.T) {
	token := seeds()["github"]
	frame := func(text string) []byte {
		return ws.AppendFrame(nil, ws.Header{Fin: true, Opcode: ws.Text, Masked: true, Key: [4]byte{7, 1, 9, 3}}, []byte(text))
	}
	s, r, w, dir := watching(t)
	upgrade := &exchange.Head{Status: 101, Reason: "Switching Protocols", Version: "1.1", Fields: fields("Upgrade: websocket")}
	events := []exchange.Event{
		{Stream: 1, Kind: exchange.KindHead, Head: get("/ws", "Upgrade: websocket")}, {Stream: 1, Kind: exchange.KindEnd, End: &exchange.End{}},
		{Stream: 1, From: exchange.Server, Kind: exchange.KindHead, Head: upgrade},
	}
	plain, hot := frame("nothing"), frame(`{"auth":"`+token+`"}`)
	for _, b := range [][]byte{plain, hot[:20], hot[20:]} {
		events = append(events, exchange.Event{Stream: 1, Kind: exchange.KindData, Data: b})
	}
	events = append(events, exchange.Event{Stream: 1, From: exchange.Server, Kind: exchange.KindData, Data: ws.AppendFrame(nil, ws.Header{Fin: true, Opcode: ws.Text}, []byte("you are "+token))},
		exchange.Event{Stream: 1, Kind: exchange.KindEnd, End: &exchange.End{}}, exchange.Event{Stream: 1, From: exchange.Server, Kind: exchange.KindEnd, End: &exchange.End{}})
	for _, e := range events {
		if err := errors.Join(w.Event(e), w.Flush()); err != nil {
			t.Fatal(err)
		}
		if journal := read(t, dir, ".x.journal"); strings.Contains(journal, string(hot[30:50])) || strings.Contains(journal, token[4:]) {
			t.Fatalf("the journal has the secret, masked or not")
		}
	}
	w.Close()
	if _, err := r.Close(false); err != nil {
		t.Fatal(err)
	}
	up := load(t, s, "x").Interactions[0].Upgraded
	if len(up) != 2 || !bytes.HasPrefix(up[0].Body.data, plain) || !up[0].Body.marked || !up[1].Body.marked {
		t.Errorf("%d messages: %+v", len(up), up)
	}
}
