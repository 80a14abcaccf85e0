package cassette

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/serge-net/serge-net/exchange"
)

// FuzzBody holds that every body comes back from its view as it was, whatever
// its type and coding are said to be, and again when the cassette is rewritten.
func FuzzBody(f *testing.F) {
	for _, s := range []string{"", "a", "a\nb\r\n", `{"a":1,"a":2.0e1}`, "{\"a\": [1, 2]}\n", "{\n  \"a\": {},\n  \"b\": []\n}", "\xff\x00", "{{secret:auth#1}}", `{"{{secret:":"{{lit}}{{lit}}"}`, "\u2028<&>\x7f\x01", "[]", "null", `"\ud800"`} {
		f.Add([]byte(s), "", "")
		f.Add([]byte(s), "gzip", "application/json")
	}
	f.Add([]byte("a=1&b=%C3%A9+x&c"), "", "application/x-www-form-urlencoded")
	f.Add([]byte("a=%7e&b=%ff&{{secret:=1"), "br", "application/x-www-form-urlencoded; charset=utf-8")
	f.Add([]byte("event: a\ndata: b\ndata: c\n\n: ping\n\n"), "zstd", "text/event-stream")
	f.Add([]byte("data: {\"a\": 1}\n\ndata: {\"a\":2}\n\njson: {}\n\nda"), "gzip", "text/event-stream")
	f.Add([]byte("{\"a\":1}\n\n{\"b\": 2}\n[3"), "br", "application/x-ndjson")
	f.Add([]byte("id:1\r\ndata:{{lit}}\r\n\r\n"), "", "text/event-stream")
	f.Add([]byte("--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x\r\nContent-Type: application/json\r\n\r\n{\"a\":\"\xff\"}\r\n--x--\r\n"), "deflate", "multipart/form-data; boundary=x")
	f.Fuzz(func(t *testing.T, b []byte, coding, media string) {
		fs := []exchange.Field{{Name: "Content-Type", Value: media}, {Name: "Content-Encoding", Value: coding}}
		if len(b) > 0 {
			if got, err := readView(viewNode(b, fs)); err != nil || !bytes.Equal(got, b) {
				t.Errorf("readView(viewNode(%q)) = %q, %v", b, got, err)
			}
		}
		wire, err := encoded(b, coding)
		if err != nil {
			wire = b
		}
		for _, lean := range []bool{false, true} {
			body := bodyOf(wire)
			body.lean = lean && err == nil
			for range 2 {
				n, err := bodyNode(body, fs)
				if err != nil {
					t.Fatal(err)
				}
				if n, err = parseTree([]byte(n.compact())); err != nil {
					t.Fatalf("view of %q is not JSON: %v", b, err)
				}
				if body, err = readBody(n, noFiles); err != nil || !bytes.Equal(body.data, wire) {
					t.Fatalf("body %q, lean %v, comes back as %q, %v from %s", wire, lean, body.data, err, n.compact())
				}
			}
		}
	})
}

// FuzzParse holds that what is read is written, and read again, the same.
func FuzzParse(f *testing.F) {
	ins, _ := filepath.Glob("testdata/*.json")
	for _, in := range ins {
		if b, err := os.ReadFile(in); err == nil {
			f.Add(b)
		}
	}
	f.Add([]byte(`{"interactions":[{"request":{"method":"G","url":"a://"},"error":{"kind":"reset"},"upgraded":{"messages":[{"payload":{"text":"x"}}]}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parse(b, noFiles)
		if err != nil {
			return
		}
		var one, two bytes.Buffer
		if err := c.write(&one); err != nil {
			t.Fatalf("write: %v", err)
		}
		d, err := parse(one.Bytes(), noFiles)
		if err != nil {
			t.Fatalf("read what was written: %v\n%s", err, one.Bytes())
		}
		if err := d.write(&two); err != nil || !bytes.Equal(one.Bytes(), two.Bytes()) {
			t.Errorf("not stable, %v:\n%s\n%s", err, one.Bytes(), two.Bytes())
		}
		p := playerOf(t, c, PlayOptions{})
		for _, i := range c.Interactions {
			y, _ := p.Open(origin())
			h := &exchange.Head{Method: i.Request.Method, Target: i.Request.URL, Version: "1.1", Fields: i.Request.Fields}
			y.Event(exchange.Event{Kind: exchange.KindHead, Head: h}, func(exchange.Event) error { return nil })
			y.Event(exchange.Event{Kind: exchange.KindEnd, End: &exchange.End{}}, func(exchange.Event) error { return nil })
			y.Close()
		}
	})
}

// FuzzJournal holds that no journal, however damaged, does harm.
func FuzzJournal(f *testing.F) {
	p := pen{b: []byte(journalMagic)}
	p.meta(meta{name: "x"})
	w := watch{r: &Recorder{secrets: newSecrets(), write: io.Discard.Write}, pen: p, id: 1}
	w.pen.begin(recConn)
	w.pen.num(1)
	w.pen.dur(0)
	w.pen.str("198.18.0.1:80")
	w.pen.end()
	for _, e := range []exchange.Event{
		{Stream: 1, Kind: exchange.KindHead, Head: get("/a")},
		{Stream: 1, Kind: exchange.KindEnd, End: &exchange.End{}},
		{Stream: 1, From: exchange.Server, Kind: exchange.KindHead, Head: ok()},
		{Stream: 1, From: exchange.Server, Kind: exchange.KindData, Data: []byte("hello"), Chunk: 5},
		{Stream: 1, From: exchange.Server, Kind: exchange.KindTrailers},
		{Stream: 1, From: exchange.Server, Kind: exchange.KindEnd, End: &exchange.End{}},
	} {
		if err := w.Event(e); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(w.pen.b)
	f.Fuzz(func(t *testing.T, b []byte) {
		// Checksums are mended, so that the fuzzer gets past them.
		for at := len(journalMagic); at+recordHead <= len(b); {
			n := int(uint32(b[at]) | uint32(b[at+1])<<8 | uint32(b[at+2])<<16 | uint32(b[at+3])<<24)
			if n > len(b)-at-recordHead {
				break
			}
			q := pen{b: b[at : at+recordHead+n : at+recordHead+n]}
			q.end()
			at += recordHead + n
		}
		tp, err := readTape(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		is, err := tp.interactions()
		if err != nil {
			return
		}
		c := &Cassette{Interactions: order(is, tp.shapes), DNS: tp.dns, Pins: tp.pins}
		number(c.Interactions, 0)
		var out bytes.Buffer
		if c.write(&out) == nil {
			_, _ = parse(out.Bytes(), noFiles)
		}
	})
}

// FuzzForm holds that a request equals itself, and that normalising is stable.
func FuzzForm(f *testing.F) {
	f.Add("http://a/%7e?b=1&a=+%20", "application/json", []byte(`{"a":[1,"\u00e9"]}`), "a=b; c", "Bearer x")
	f.Add("https://A:443", "multipart/form-data; boundary=x", []byte("--x\r\n\r\n--x--"), "", "Digest")
	f.Fuzz(func(t *testing.T, url, ct string, body []byte, cookie, auth string) {
		r := &Request{Method: "POST", URL: url, Fields: []exchange.Field{{Name: "Content-Type", Value: ct}, {Name: "Cookie", Value: escape(cookie)}, {Name: "authorization", Value: escape(auth)}}}
		r.Body = bodyOf(body)
		u := new(rules)
		a, err := u.formOf(r)
		b, err2 := u.formOf(r)
		if err != nil || err2 != nil || a.sum != b.sum || a.loose != b.loose {
			t.Errorf("formOf(%q) is not stable: %v, %v", url, err, err2)
		}
		if n := normal(url, true); normal(n, true) != n {
			t.Errorf("normal(%q) = %q, then %q", url, n, normal(n, true))
		}
		s := secrets{marks: map[[32]byte]string{}, count: map[string]int{}}
		seen := map[string]string{}
		sub := func(class, secret string) string {
			m, _ := s.mark(class, unescape(secret))
			seen[m] = unescape(secret)
			return m
		}
		for _, h := range []exchange.Field{{Name: "Cookie", Value: cookie}, {Name: "Set-Cookie", Value: cookie}, {Name: "Authorization", Value: auth}} {
			hidden := redact(h.Name, escape(h.Value), sub)
			if got := expand(hidden, func(m string) string { return seen[m] }); got != h.Value {
				t.Errorf("%s: %q is redacted to %q and comes back as %q", h.Name, h.Value, hidden, got)
			}
		}
	})
}

// FuzzTokens holds that random values are found where they are, whole, and that
// a text in which each stands for itself is the same.
func FuzzTokens(f *testing.F) {
	for _, s := range []string{u1, "x" + u1, hex24u + "." + ulidU, jwt("a", 1), "%2F" + u1, pkceU, ksuidU + "-", "eyJ.. 0000000000"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		last := 0
		for k := nextToken(s, 0); k.shape != ""; k = nextToken(s, k.to) {
			if k.from < last || k.to-k.from < tokenLeast || k.to > len(s) {
				t.Fatalf("nextToken(%q) = %+v after %d", s, k, last)
			}
			if v := s[k.from:k.to]; like(tokenKey(v, k.shape), v, k.shape) == "" {
				t.Errorf("like(tokenKey(%q)) is empty", v)
			}
			last = k.to
		}
		if got := mapTokens(s, func(string) (string, bool) { return "", false }); got != s {
			t.Errorf("mapTokens(%q) = %q, though nothing is replaced", s, got)
		}
		clockOf(s)
	})
}

// FuzzReaders holds that no body and no path is too odd to be taken apart, and
// that one is equal to itself.
func FuzzReaders(f *testing.F) {
	f.Add("application/xml", "<a b='1'><c/>x</a>", "$.a[0]..b['c']")
	f.Add("application/grpc", enveloped(proto(1, "a")), "$..*")
	f.Add("application/x-protobuf", proto(1, proto(2, "a")), "$[-1]")
	f.Add("application/graphql", `query A($a:B!){c(d:"e\"",f:"""g"h""")#i`+"\n}", "$.")
	f.Add("application/json", `{"jsonrpc":"2.0","id":[1],"query":"{"}`, "$['")
	f.Fuzz(func(t *testing.T, media, body, path string) {
		u := rules{}
		if p, err := parsePath(path); err == nil {
			u.drop = append(u.drop, p)
		}
		r := &Request{Method: "POST", URL: "http://a/", Fields: []exchange.Field{{Name: "content-type", Value: media}}, Message: Message{Body: bodyOf([]byte(body))}}
		a, err := u.atomsOf(r)
		b, err2 := u.atomsOf(r)
		if err != nil || err2 != nil || !slices.Equal(a, b) {
			t.Errorf("atomsOf(%q) = %v, %v, then %v, %v", body, a, err, b, err2)
		}
		if isGraphQL(body) {
			if s := foldGraphQL(body); foldGraphQL(s) != s {
				t.Errorf("foldGraphQL(%q) = %q, then %q", body, s, foldGraphQL(s))
			}
			isRead(body)
		}
	})
}

// FuzzTwin holds that no file makes the reader panic, or take more than it has.
func FuzzTwin(f *testing.F) {
	var out bytes.Buffer
	b, err := os.ReadFile("testdata/v1.0.json")
	if err != nil {
		f.Fatal(err)
	}
	c, err := parse(b, noFiles)
	if err != nil {
		f.Fatal(err)
	}
	if err := c.writeTwin(&out, true, c.each); err != nil {
		f.Fatal(err)
	}
	f.Add(out.Bytes(), true)
	f.Add(out.Bytes()[:out.Len()-1], false)
	f.Fuzz(func(t *testing.T, b []byte, held bool) {
		tw, err := openTwin(bytes.NewReader(b), int64(len(b)), noFiles, held)
		if err != nil {
			return
		}
		_ = tw.verify()
		es, _ := tw.entries()
		for _, e := range es {
			_, _ = tw.interaction(e)
		}
		_ = tw.each(func(i *Interaction) error {
			for _, b := range i.bodies() {
				_, _, _ = b.Whole()
			}
			return nil
		})
		for _, s := range tw.sections {
			c := cursor{section: s}
			_, _ = c.search(key{})
			_, _ = c.search(key{route: 1 << 63})
		}
	})
}
