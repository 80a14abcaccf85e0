package cassette

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/serge-net/serge-net/exchange"
)

// played records as and plays them.
func played(t *testing.T, opt PlayOptions, as ...asked) *Player {
	t.Helper()
	s, _ := newStore(t)
	for i := range as {
		as[i].at = time.Duration(i) * time.Minute
	}
	recordAll(t, s, "x", RecordOptions{}, as...)
	return playerOf(t, load(t, s, "x"), opt)
}

// playerOf is c's player; where twinEnv is set, that of its twin.
func playerOf(t *testing.T, c *Cassette, opt PlayOptions) *Player {
	t.Helper()
	if os.Getenv(twinEnv) != "" {
		c = twinned(t, c)
	}
	p, err := c.Player(opt)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPlayMatch(t *testing.T) {
	const form, js = "Content-Type: application/x-www-form-urlencoded", "Content-Type: application/json; charset=utf-8"
	tests := []struct {
		name       string
		rec, live  *exchange.Head
		body, says string
		hit        bool
	}{
		{"query order", get("/a?x=1&y=2"), get("/a?y=2&x=1"), "", "", true},
		{"order within a name", get("/a?x=1&x=2"), get("/a?x=2&x=1"), "", "", false},
		{"percent-encoding", get("/%7eada/%c3%a9?q=a+b"), get("/~ada/%C3%A9?q=a%20b"), "", "", true},
		{"encoded slash", get("/a%2Fb"), get("/a/b"), "", "", false},
		{"number in path", get("/students/1"), get("/students/20"), "", "", false},
		{"more query", get("/a"), get("/a?b"), "", "", false},
		{"cache buster", get("/a?_=1"), get("/a?_=2"), "", "", true},
		{"signature", get("/a?X-Amz-Date=1&X-Amz-Signature=2&k=v"), get("/a?k=v&X-Amz-Signature=9&X-Amz-Date=8"), "", "", true},
		{"half a signature", get("/a?X-Amz-Date=1"), get("/a?X-Amz-Date=2"), "", "", false},
		{"json order", post("/j", js), post("/j", "Content-Type: application/json"), `{"a":1,"b":[1,2]}`, `{ "b": [1, 2], "a": 1 }`, true},
		{"json escapes", post("/j", js), post("/j", js), `{"a":"é"}`, `{"a":"\u00e9"}`, true},
		{"json array order", post("/j", js), post("/j", js), `[1,2]`, `[2,1]`, false},
		{"json number literal", post("/j", js), post("/j", js), `{"a":1}`, `{"a":1.0}`, false},
		{"form order", post("/f", form), post("/f", form), "a=1&b=2", "b=2&a=1", true},
		{"bytes", post("/t"), post("/t"), "a b", "a  b", false},
		{"parts", post("/m", "Content-Type: multipart/form-data; boundary=A"), post("/m", "Content-Type: multipart/form-data; boundary=B"),
			"--A\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n--A--\r\n", "--B\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n--B--\r\n", true},
		{"method", get("/a"), post("/a"), "", "", false},
		{"range", get("/a", "Range: bytes=0-1"), get("/a", "Range: bytes=1-2"), "", "", false},
		{"user agent", get("/a", "User-Agent: x", "traceparent: 1"), get("/a", "User-Agent: y"), "", "", true},
		{"cookie order", get("/a", "Cookie: a=1; b=2"), get("/a", "Cookie: b=2; a=1"), "", "", true},
		{"no credentials", get("/a", "Authorization: Bearer x"), get("/a"), "", "", false},
		{"another scheme", get("/a", "Authorization: Bearer x"), get("/a", "Authorization: Basic x"), "", "", false},
		{"one-time credentials", get("/a", "Authorization: Digest a"), get("/a", "Authorization: Digest b"), "", "", true},
		{"case of host", get("/a"), &exchange.Head{Method: "GET", Authority: "API.example.com:80", Target: "/a", Version: "2"}, "", "", true},
	}
	for _, tt := range tests {
		p := played(t, PlayOptions{}, asked{req: tt.rec, body: tt.body, res: ok("Content-Length: 2"), answer: "hi"})
		a := ask(t, p, tt.live, tt.says)
		if got := a.miss == nil; got != tt.hit {
			t.Errorf("%s: hit %v; want %v (%v)", tt.name, got, tt.hit, a.miss)
		}
		if a.miss != nil && a.miss.Nearest == nil {
			t.Errorf("%s: the miss names nothing near: %v", tt.name, a.miss)
		}
	}
}

func TestPlayRepeats(t *testing.T) {
	one := func(req *exchange.Head, answers ...string) []asked {
		var as []asked
		for _, a := range answers {
			as = append(as, asked{req: req, res: ok(), answer: a})
		}
		return as
	}
	tests := []struct {
		name   string
		repeat Repeat
		rec    []asked
		want   string
	}{
		{"safe: last again", RepeatAuto, one(get("/a"), "1", "2"), "1 2 2 2"},
		{"unsafe, different: miss", RepeatAuto, one(post("/a"), "1", "2"), "1 2 - -"},
		{"unsafe, equal: again", RepeatAuto, one(post("/a"), "1", "1"), "1 1 1 1"},
		{"never", RepeatNever, one(get("/a"), "1", "2"), "1 2 - -"},
		{"first", RepeatFirst, one(post("/a"), "1", "2"), "1 2 1 1"},
		{"last", RepeatLast, one(post("/a"), "1", "2"), "1 2 2 2"},
		{"cycle", RepeatCycle, one(post("/a"), "1", "2"), "1 2 1 2"},
	}
	for _, tt := range tests {
		p := played(t, PlayOptions{Repeat: tt.repeat}, tt.rec...)
		var got []string
		for range 4 {
			a := ask(t, p, tt.rec[0].req, "")
			if a.miss != nil {
				a.body = "-"
				if a.miss.Reason != "already served 2/2" {
					t.Errorf("%s: miss %q; want already served 2/2", tt.name, a.miss.Reason)
				}
			}
			got = append(got, a.body)
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s: served %q; want %q", tt.name, s, tt.want)
		}
	}
}

// TestPlayGivesBack holds that an answer that reached nobody is served again.
func TestPlayGivesBack(t *testing.T) {
	p := played(t, PlayOptions{Repeat: RepeatNever}, asked{req: get("/a"), res: ok(), answer: "1"})
	y, err := p.Open(origin())
	if err != nil {
		t.Fatal(err)
	}
	gone := errors.New("gone")
	y.Event(exchange.Event{Stream: 1, Kind: exchange.KindHead, Head: get("/a")}, nil)
	err = y.Event(exchange.Event{Stream: 1, Kind: exchange.KindEnd, End: &exchange.End{}}, func(exchange.Event) error { return gone })
	if err != gone {
		t.Errorf("Event() = %v; want the answer's error", err)
	}
	y.Close()
	if a := ask(t, p, get("/a"), ""); a.body != "1" {
		t.Errorf("second try = %+v; want the answer given back", a)
	}
	if tally := p.Tally(); tally.Served != 1 {
		t.Errorf("Tally() = %+v; want 1 served", tally)
	}
}

func TestPlayParallel(t *testing.T) {
	var as []asked
	for i := range 50 {
		as = append(as, asked{req: get("/same"), res: ok(), answer: fmt.Sprint("n", i)})
	}
	p := played(t, PlayOptions{Repeat: RepeatNever}, as...)
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := map[string]bool{}
	for range 50 {
		wg.Go(func() {
			a := ask(t, p, get("/same"), "")
			mu.Lock()
			defer mu.Unlock()
			got[a.body] = true
		})
	}
	wg.Wait()
	if len(got) != 50 {
		t.Errorf("50 parallel requests got %d different answers; want each recorded one once", len(got))
	}
}

func TestPlaySecrets(t *testing.T) {
	p := played(t, PlayOptions{},
		asked{req: post("/login"), res: ok("Set-Cookie: sid=0123456789abcdef; Expires=Wed, 01 Jan 2098 00:00:00 GMT"), answer: "in"},
		asked{req: get("/me", "Cookie: sid=0123456789abcdef"), res: ok(), answer: "ada"},
		asked{req: get("/who", "Authorization: Bearer alice"), res: ok(), answer: "alice"},
		asked{req: get("/who", "Authorization: Bearer bob"), res: ok(), answer: "bob"})
	v, _ := exchange.Get(ask(t, p, post("/login"), "").heads[0].Fields, "set-cookie")
	cookie, _, _ := strings.Cut(v, ";")
	if a := ask(t, p, get("/me", "Cookie: sid=ffffffffffffffff"), ""); a.miss == nil || !strings.Contains(a.miss.Error(), "header cookie") || strings.Contains(a.miss.Error(), "ffff") {
		t.Errorf("with another cookie: %v; want a miss that masks it", a.miss)
	}
	if a := ask(t, p, get("/me", "Cookie: "+cookie), ""); a.body != "ada" {
		t.Errorf("with the stand-in %q: %v", cookie, a.miss)
	}
	for _, tt := range []struct{ token, want string }{{"x", "alice"}, {"y", "bob"}, {"x", "alice"}, {"y", "bob"}} {
		if a := ask(t, p, get("/who", "Authorization: Bearer "+tt.token), ""); a.body != tt.want {
			t.Errorf("token %s is %q, %v; want %q", tt.token, a.body, a.miss, tt.want)
		}
	}
	tally := p.Tally()
	if len(tally.Ambiguous) != 1 || len(tally.Assumptions) != 2 {
		t.Errorf("Tally() = %+v; want the first token ambiguous, both assumed", tally)
	}
}

func TestPlayConditional(t *testing.T) {
	p := played(t, PlayOptions{},
		asked{req: get("/a"), res: ok("ETag: x"), answer: "whole"},
		asked{req: get("/a", "If-None-Match: x"), res: &exchange.Head{Status: 304, Version: "1.1", Reason: "Not Modified"}})
	if a := ask(t, p, get("/a", "If-None-Match: x"), ""); a.heads[0].Status != 304 {
		t.Errorf("conditional request got %d; want 304", a.heads[0].Status)
	}
	for range 2 {
		if a := ask(t, p, get("/a"), ""); a.body != "whole" {
			t.Errorf("plain request = %+v; want the whole", a)
		}
	}
}

func TestPlayExpect(t *testing.T) {
	expect := post("/up", "Expect: 100-continue", "Content-Length: 3")
	tests := []struct {
		name   string
		rec    asked
		status []int
	}{
		{"accepted, of a client that did not wait", asked{req: post("/up", "Content-Length: 3"), body: "abc", res: ok(), answer: "ok"}, []int{100, 200}},
		{"refused", asked{req: expect, res: &exchange.Head{Status: 417, Version: "1.1"}}, []int{417}},
	}
	for _, tt := range tests {
		p := played(t, PlayOptions{}, tt.rec)
		y, _ := p.Open(origin())
		var a answer
		if err := y.Event(exchange.Event{Stream: 1, Kind: exchange.KindHead, Head: expect}, a.hear); err != nil {
			t.Fatal(err)
		}
		if len(a.heads) != 1 || a.heads[0].Status != tt.status[0] {
			t.Errorf("%s: before the body came %+v; want %d", tt.name, a.heads, tt.status[0])
		}
		if len(tt.status) > 1 {
			y.Event(exchange.Event{Stream: 1, Kind: exchange.KindData, Data: []byte("abc")}, a.hear)
		}
		if err := y.Event(exchange.Event{Stream: 1, Kind: exchange.KindEnd, End: &exchange.End{}}, a.hear); err != nil {
			t.Error(err)
		}
		if len(a.heads) != len(tt.status) || a.heads[len(a.heads)-1].Status != tt.status[len(tt.status)-1] {
			t.Errorf("%s: heads %+v; want %v", tt.name, a.heads, tt.status)
		}
		y.Close()
	}
}

func TestPlayVersions(t *testing.T) {
	h1 := ok("Connection: keep-alive, X-Hop", "X-Hop: 1", "Transfer-Encoding: chunked", "X-Keep: 1")
	h2 := &exchange.Head{Status: 200, Version: "2", Fields: fields("x-keep: 1")}
	version := func(h *exchange.Head, v string) *exchange.Head { c := *h; c.Version = v; return &c }
	tests := []struct {
		name, from, to string
		res            *exchange.Head
		version        string
		fields         []exchange.Field
		chunks         int
	}{
		{"same", "1.1", "1.1", h1, "1.1", h1.Fields, 1},
		{"down to 1.0", "1.1", "1.0", h1, "1.1", fields("X-Hop: 1", "X-Keep: 1", "Connection: close"), 0},
		{"up to 2", "1.1", "2", h1, "2", fields("x-keep: 1"), 0},
		{"down from 2", "2", "1.1", h2, "1.1", fields("x-keep: 1", "transfer-encoding: chunked"), 1},
		{"far down", "2", "1.0", h2, "1.1", fields("x-keep: 1", "connection: close"), 0},
	}
	for _, tt := range tests {
		p := played(t, PlayOptions{}, asked{req: version(get("/a"), tt.from), res: tt.res, answer: "hello"})
		a := ask(t, p, version(get("/a"), tt.to), "")
		if a.miss != nil || a.body != "hello" || a.heads[0].Version != tt.version || len(a.chunks) != tt.chunks {
			t.Errorf("%s: %+v; want version %s, %d chunks", tt.name, a, tt.version, tt.chunks)
			continue
		}
		if d := cmp.Diff(tt.fields, a.heads[0].Fields); d != "" {
			t.Errorf("%s: fields (-want +got):\n%s", tt.name, d)
		}
	}
}

func TestPlayDates(t *testing.T) {
	past := time.Now().Add(-1000 * time.Hour).UTC().Truncate(time.Second)
	at := func(d time.Duration) string { return past.Add(d).Format(http.TimeFormat) }
	res := ok("Date: "+at(0), "Expires: "+at(time.Hour), "Last-Modified: "+at(-time.Hour), "Set-Cookie: a=b; Expires="+at(time.Hour)+"; Path=/", "Set-Cookie: c=; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "Expires: 0")
	a := ask(t, played(t, PlayOptions{}, asked{req: get("/a"), res: res}), get("/a"), "")
	f := a.heads[0].Fields
	date, _ := http.ParseTime(f[0].Value)
	expires, _ := http.ParseTime(f[1].Value)
	if age := time.Since(date); age > time.Minute || expires.Sub(date) != time.Hour {
		t.Errorf("Date %v is %v old, Expires %v", date, age, expires)
	}
	if f[2] != res.Fields[2] || f[4] != res.Fields[4] || f[5] != res.Fields[5] || strings.Contains(f[3].Value, at(time.Hour)) || !strings.HasSuffix(f[3].Value, "; Path=/") {
		t.Errorf("fields %v", f)
	}
	a = ask(t, played(t, PlayOptions{KeepDates: true}, asked{req: get("/a"), res: res}), get("/a"), "")
	if a.heads[0].Fields[0] != res.Fields[0] {
		t.Errorf("with KeepDates: %v", a.heads[0].Fields[0])
	}
}

func TestOffer(t *testing.T) {
	s, _ := newStore(t)
	r, err := s.Record("x", RecordOptions{})
	if err != nil {
		t.Fatal(err)
	}
	o := origin()
	o.TLS, o.SNI, o.ALPN, o.Names = true, "api.example.com", "h2", []string{"api.example.com", "*.example.com"}
	w, err := r.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	asked{req: get("/a"), res: ok(), answer: "a"}.tell(t, w, 1)
	if _, err := r.Close(false); err != nil {
		t.Fatal(err)
	}
	p := playerOf(t, load(t, s, "x"), PlayOptions{})
	want := exchange.Offer{Recorded: true, ALPN: []string{"h2", "http/1.1"}, Names: o.Names}
	if d := cmp.Diff(want, p.Offer(o)); d != "" {
		t.Errorf("Offer() (-want +got):\n%s", d)
	}
	o.SNI = "API.example.com"
	if !p.Offer(o).Recorded {
		t.Errorf("Offer() for %s is not recorded", o.SNI)
	}
	port := o
	port.Addr = netip.AddrPortFrom(o.Addr.Addr(), 4433)
	o.SNI = "other.example.com"
	for _, o := range []exchange.Origin{o, port} {
		if got := p.Offer(o); got.Recorded || len(got.Names) != 0 {
			t.Errorf("Offer() for %s at %v = %+v; want none", o.SNI, o.Addr, got)
		}
	}
}

// TestPlayBegun plays requests that their origin answered before it had read
// them: how much of a body was sent by then is chance.
func TestPlayBegun(t *testing.T) {
	s, r, w, _ := watching(t)
	for n, sent := range []string{"", "abc"} {
		stream, req := uint64(n), post(fmt.Sprint("/", n), "Content-Length: 6")
		for _, e := range []exchange.Event{
			{From: exchange.Client, Kind: exchange.KindHead, Head: req},
			{From: exchange.Client, Kind: exchange.KindData, Data: []byte(sent)},
			{From: exchange.Server, Kind: exchange.KindHead, Head: ok()},
			{From: exchange.Server, Kind: exchange.KindEnd, End: &exchange.End{}},
			{From: exchange.Client, Kind: exchange.KindEnd, End: &exchange.End{How: exchange.Reset}},
		} {
			e.Stream = stream
			if err := w.Event(e); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.Close()
	if _, err := r.Close(false); err != nil {
		t.Fatal(err)
	}
	p := playerOf(t, load(t, s, "x"), PlayOptions{Repeat: RepeatLast})
	for _, tt := range []struct {
		target, body string
		hit          bool
	}{
		{"/0", "abcdef", true},
		{"/1", "abcdef", true},
		{"/1", "abc", true},
		{"/1", strings.Repeat("abc", wholeMost), true},
		{"/1", "abdef", false},
		{"/1", "ab", false},
		{"/2", "abcdef", false},
	} {
		if a := ask(t, p, post(tt.target, "Content-Length: 6"), tt.body); (a.miss == nil) != tt.hit {
			t.Errorf("POST %s of %d bytes: answered is %t; want %t", tt.target, len(tt.body), a.miss == nil, tt.hit)
		}
	}
	tally := p.Tally()
	if tally.Assumed != 4 || tally.Exact != 0 {
		t.Errorf("Tally() = %+v; want 4 assumed", tally)
	}
	if got, want := tally.Assumptions[1].Evidence, "its origin answered after 3 bytes of the body, which are equal"; got != want {
		t.Errorf("evidence %q; want %q", got, want)
	}
}
