package cassette

import (
	"bytes"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/serge-net/serge-net/exchange"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == recorderArg {
		recorderMain(os.Args[2:])
	}
	goleak.VerifyTestMain(m)
}

// origin is where the tests' requests go.
func origin() exchange.Origin {
	return exchange.Origin{Addr: netip.MustParseAddrPort("198.18.0.7:80"), Name: "api.example.com"}
}

// fields makes "Name: value" lines fields.
func fields(lines ...string) []exchange.Field {
	var fs []exchange.Field
	for _, l := range lines {
		n, v, _ := strings.Cut(l, ": ")
		fs = append(fs, exchange.Field{Name: n, Value: v})
	}
	return fs
}

// get is a request's head.
func get(target string, lines ...string) *exchange.Head {
	return &exchange.Head{Method: "GET", Scheme: "http", Authority: "api.example.com", Target: target, Version: "1.1",
		Fields: append(fields("Host: api.example.com"), fields(lines...)...)}
}

// post is a request's head.
func post(target string, lines ...string) *exchange.Head {
	h := get(target, lines...)
	h.Method = "POST"
	return h
}

// ok is a response's head.
func ok(lines ...string) *exchange.Head {
	return &exchange.Head{Status: 200, Reason: "OK", Version: "1.1", Fields: fields(lines...)}
}

// An asked is an exchange as a test tells it.
type asked struct {
	req     *exchange.Head
	body    string
	res     *exchange.Head
	answer  string
	at, len time.Duration
}

// tell is a's events on a stream.
func (a asked) tell(t *testing.T, w exchange.Watch, stream uint64) {
	t.Helper()
	end := a.at + a.len
	events := []exchange.Event{
		{Stream: stream, From: exchange.Client, Kind: exchange.KindHead, At: a.at, Head: a.req},
		{Stream: stream, From: exchange.Client, Kind: exchange.KindData, At: a.at, Data: []byte(a.body)},
		{Stream: stream, From: exchange.Client, Kind: exchange.KindEnd, At: a.at, End: &exchange.End{}},
		{Stream: stream, From: exchange.Server, Kind: exchange.KindHead, At: end, Head: a.res},
		{Stream: stream, From: exchange.Server, Kind: exchange.KindData, At: end, Data: []byte(a.answer)},
		{Stream: stream, From: exchange.Server, Kind: exchange.KindEnd, At: end, End: &exchange.End{}},
	}
	for _, e := range events {
		if e.Kind == exchange.KindData && len(e.Data) == 0 {
			continue
		}
		if err := w.Event(e); err != nil {
			t.Errorf("Event(%v) = %v", e.Kind, err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Errorf("Flush() = %v", err)
	}
}

// newStore is a store in a directory of its own.
func newStore(t *testing.T) (*Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "cassettes")
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, dir
}

// watching is a new cassette x in dir that is being recorded, and a connection of it.
func watching(t *testing.T) (s *Store, r *Recorder, w exchange.Watch, dir string) {
	t.Helper()
	s, dir = newStore(t)
	r, err := s.Record("x", RecordOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if w, err = r.Open(origin()); err != nil {
		t.Fatal(err)
	}
	return s, r, w, dir
}

// benched is a player of what tell tells of one connection.
func benched(b *testing.B, tell func(exchange.Watch)) *Player {
	b.Helper()
	s, err := Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	r, err := s.Record("x", RecordOptions{})
	if err != nil {
		b.Fatal(err)
	}
	w, err := r.Open(origin())
	if err != nil {
		b.Fatal(err)
	}
	tell(w)
	w.Close()
	if _, err := r.Close(false); err != nil {
		b.Fatal(err)
	}
	c, err := s.Load("x")
	if err != nil {
		b.Fatal(err)
	}
	p, err := c.Player(PlayOptions{})
	if err != nil {
		b.Fatal(err)
	}
	return p
}

// filesOf are the files below dir.
func filesOf(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, p)
			files = append(files, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// recordAll records as, each on a connection of its own.
func recordAll(t *testing.T, s *Store, name string, opt RecordOptions, as ...asked) Summary {
	t.Helper()
	opt.With = "serge-net test"
	r, err := s.Record(name, opt)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range as {
		w, err := r.Open(origin())
		if err != nil {
			t.Fatal(err)
		}
		a.tell(t, w, 1)
		w.Close()
	}
	sum, err := r.Close(false)
	if err != nil {
		t.Fatalf("Close() = %v", err)
	}
	return sum
}

// load loads the cassette called name.
func load(t *testing.T, s *Store, name string) *Cassette {
	t.Helper()
	c, err := s.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// An answer is what a player said.
type answer struct {
	heads    []*exchange.Head
	body     string
	chunks   []int64
	trailers []exchange.Field
	end      *exchange.End
	miss     *exchange.Miss
}

// ask plays one exchange on a connection of its own.
func ask(t *testing.T, p *Player, req *exchange.Head, body string) answer {
	t.Helper()
	y, err := p.Open(origin())
	if err != nil {
		t.Fatal(err)
	}
	defer y.Close()
	var a answer
	for _, e := range []exchange.Event{
		{Stream: 1, Kind: exchange.KindHead, Head: req},
		{Stream: 1, Kind: exchange.KindData, Data: []byte(body)},
		{Stream: 1, Kind: exchange.KindEnd, End: &exchange.End{}},
	} {
		if err := y.Event(e, a.hear); err != nil && !errors.As(err, &a.miss) {
			t.Fatalf("Event(%s %s) = %v", req.Method, req.Target, err)
		}
	}
	return a
}

// hear takes in what a player says.
func (a *answer) hear(e exchange.Event) error {
	switch e.Kind {
	case exchange.KindHead:
		a.heads = append(a.heads, e.Head)
	case exchange.KindData:
		a.body += string(e.Data)
		if e.Chunk > 0 {
			a.chunks = append(a.chunks, e.Chunk)
		}
	case exchange.KindTrailers:
		a.trailers = append(a.trailers, e.Fields...)
	case exchange.KindEnd:
		a.end = e.End
	}
	return nil
}

// read is the file name in dir.
func read(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRecordLoadPlay(t *testing.T) {
	s, dir := newStore(t)
	login := asked{req: post("/login?v=2", "Content-Type: application/json", "Authorization: Bearer hunter2hunter2"), body: `{"user":"ada","n":1.0}`,
		res: ok("Content-Type: application/json", "Set-Cookie: sid=s3cr3tcookie; Path=/"), answer: `{"ok": true}`}
	plain := asked{req: get("/a"), res: ok("Content-Type: text/plain", "Content-Length: 6"), answer: "one\ntw", at: time.Second}
	sum := recordAll(t, s, "suite/login", RecordOptions{}, login, plain)
	if sum.Interactions != 2 || !sum.Changed || sum.Incomplete {
		t.Errorf("Close() = %+v; want 2 interactions, changed", sum)
	}
	text := read(t, dir, "suite/login.json")
	t.Log(text)
	for _, secret := range []string{"hunter2", "s3cr3t"} {
		if strings.Contains(text, secret) {
			t.Errorf("cassette holds the secret %q", secret)
		}
	}
	if _, found, err := s.Validate("suite/login"); err != nil || len(found) > 0 {
		t.Error(found, err)
	}
	c := load(t, s, "suite/login")
	var again bytes.Buffer
	if err := c.write(&again); err != nil || again.String() != text {
		t.Errorf("write(load(file)) differs from the file, err %v:\n%s", err, again.String())
	}
	p := playerOf(t, c, PlayOptions{})
	a := ask(t, p, post("/login?v=2", "Content-Type: application/json", "Authorization: Bearer other"), `{"n": 1.0, "user": "ada"}`)
	if a.miss != nil || a.body != `{"ok": true}` {
		t.Fatalf("replay of login = %q, %v", a.body, a.miss)
	}
	cookie, _ := exchange.Get(a.heads[0].Fields, "Set-Cookie")
	if !strings.HasPrefix(cookie, "sid=") || !strings.HasSuffix(cookie, "; Path=/") || len(cookie) != len("sid=s3cr3tcookie; Path=/") {
		t.Errorf("Set-Cookie = %q; want a stand-in of the same shape", cookie)
	}
	if a := ask(t, p, get("/a"), ""); a.body != "one\ntw" || a.heads[0].Reason != "OK" {
		t.Errorf("replay of /a = %+v", a)
	}
	a = ask(t, p, get("/a?page=3"), "")
	if a.miss == nil || a.miss.Accept != "--ignore-query page" {
		t.Errorf("miss = %v", a.miss)
	}
	if tally := p.Tally(); tally.Served != 2 || tally.Exact != 1 || tally.Assumed != 1 || tally.Missed != 1 || len(tally.Unused) != 0 {
		t.Errorf("Tally() = %+v", tally)
	}
}
