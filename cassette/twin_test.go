package cassette

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/serge-net/serge-net/exchange"
)

// varied is what cassettes hold: bodies of each view and size, secrets, odd bytes.
func varied() []asked {
	noise := make([]byte, 3*blobMost/2)
	for r, i := rand.New(rand.NewPCG(1, 2)), 0; i < len(noise); i++ {
		noise[i] = byte(r.Uint32())
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	for n := range 40000 {
		fmt.Fprintf(z, "line %d\n", n*n)
	}
	z.Close()
	as := []asked{
		{req: get("/none"), res: ok()},
		{req: get("/json?page=2"), res: ok("Content-Type: application/json"), answer: `{"a": [1.50, -0, "\u00e9"], "b": {"base64": "AAEC"}}`},
		{req: get("/secret", "Authorization: Bearer abc.def", "Cookie: s=1; t=2"), res: ok("Set-Cookie: s=2; Path=/", "X-Odd: \xff{{secret:"), answer: "line\nline {{secret:auth#1}}\n"},
		{req: get("/small"), res: ok("Content-Type: image/png"), answer: "\x00\x01\xff"},
		{req: get("/inline"), res: ok(), answer: string(noise[:inlineMost])},
		{req: get("/large"), res: ok("Content-Type: image/png"), answer: string(noise)},
		{req: get("/large-again"), res: ok("Content-Type: application/zip"), answer: string(noise)},
		{req: get("/text"), res: ok("Content-Type: text/plain"), answer: strings.Repeat("words in lines\n", 5000)},
		{req: get("/token"), res: ok("Content-Type: application/json"), answer: `{"password":"correct horse","n":1}`},
		{req: get("/token-gzip"), res: ok("Content-Encoding: gzip"), answer: gzipped(`{"password":"correct horse","n":2}`)},
		{req: get("/token-binary"), res: ok("Content-Type: image/png"), answer: "\x00\xff{\"password\":\"correct horse\"}" + string(noise[:base64Most])},
		{req: get("/token-large"), res: ok("Content-Type: text/plain"), answer: strings.Repeat("words in lines\n", wholeMost/10) + `{"password":"correct horse"}`},
		{req: get("/gzip"), res: ok("Content-Encoding: gzip", "Content-Type: text/plain"), answer: zipped.String()},
		{req: &exchange.Head{Method: "POST", Scheme: "http", Authority: "api.example.com", Target: "/post", Version: "1.1", Fields: fields("Host: api.example.com", "Content-Type: application/json")},
			body: `{"id":1}`, res: &exchange.Head{Status: 500, Reason: "Oh \xff", Version: "1.1"}},
	}
	for i := range as {
		as[i].at = time.Duration(i) * time.Minute
	}
	return as
}

// recordVaried records varied as name, with what stands beside the exchanges.
func recordVaried(t *testing.T, s *Store, name string, opt RecordOptions) {
	t.Helper()
	opt.Start, opt.With = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "serge-net test"
	r, err := s.Record(name, opt)
	if err != nil {
		t.Fatal(err)
	}
	w, err := r.Open(origin())
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range varied() {
		a.tell(t, w, uint64(i+1))
	}
	up := uint64(100)
	for _, e := range []exchange.Event{
		sends(exchange.KindHead, exchange.Event{Head: get("/ws", "Upgrade: echo", "Connection: Upgrade")}),
		sends(exchange.KindEnd, exchange.Event{End: &exchange.End{}}),
		says(exchange.KindHead, exchange.Event{Head: &exchange.Head{Status: 101, Version: "1.1", Fields: fields("Upgrade: echo")}}),
		says(exchange.KindData, exchange.Event{Data: []byte("hi\n")}),
		sends(exchange.KindData, exchange.Event{Data: bytes.Repeat([]byte{0xff}, 3*inlineMost)}),
		says(exchange.KindData, exchange.Event{Data: bytes.Repeat([]byte{0xfe}, 3*blobMost)}),
		sends(exchange.KindEnd, exchange.Event{End: &exchange.End{}}),
		says(exchange.KindEnd, exchange.Event{End: &exchange.End{How: exchange.Reset}}),
	} {
		e.Stream, e.At = up, time.Hour
		if err := w.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), r.Pin(Pin{Name: "api.example.com", V4: netip.MustParseAddr("198.18.0.1")}),
		r.DNS(DNS{Name: "db.example.com.", Type: "A", Rcode: "NXDOMAIN"})); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Close(false); err != nil {
		t.Fatal(err)
	}
}

// tree is every file in dir.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		all[strings.TrimPrefix(p, dir)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func convert(t *testing.T, s *Store, name, out string, to Format) {
	t.Helper()
	if changed, err := s.Convert(name, out, to, func(int, int) {}); err != nil || !changed {
		t.Fatalf("Convert(%s, %s, %s) = %v, %v", name, out, to, changed, err)
	}
	if wrong := invalid(s, out); wrong != "" {
		t.Fatalf("after Convert(%s, %s, %s): %s", name, out, to, wrong)
	}
}

// invalid is what is wrong with the cassette called name, "" if nothing is.
func invalid(s *Store, name string) string {
	_, found, err := s.Validate(name)
	if err != nil {
		return err.Error()
	}
	text := ""
	for _, f := range found {
		text += f.String() + "\n"
	}
	return text
}

// sameFiles says where two directories differ, without printing bodies.
func sameFiles(t *testing.T, what string, want, got map[string]string) {
	t.Helper()
	for name := range want {
		if w, g := want[name], got[name]; w != g {
			t.Errorf("%s: %s is not the same (-want +got):\n%.3000s", what, name, cmp.Diff(strings.Split(w, "\n"), strings.Split(g, "\n")))
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: there is %s", what, name)
		}
	}
}

// TestTwinLossless holds that a cassette comes back from MessagePack to the
// byte, with its bodies, and that what is recorded straight into it is what
// would have been recorded as JSON.
func TestTwinLossless(t *testing.T) {
	s, dir := newStore(t)
	recordVaried(t, s, "x", RecordOptions{})
	if _, err := s.Accept("x", Rules{Bypass: []string{"pinned.example.com"}}); err != nil {
		t.Fatal(err)
	}
	was := tree(t, dir)
	convert(t, s, "x", "x", MessagePack)
	if now := tree(t, dir); len(now) != 1 || now["/x.smpk"] == "" {
		t.Errorf("after the conversion there are %d files", len(now))
	}
	convert(t, s, "x", "copies/x", MessagePack)
	convert(t, s, "copies/x", "copies/x", JSON)
	convert(t, s, "x", "x", JSON)
	now := tree(t, dir)
	for name, b := range now {
		if rest, ok := strings.CutPrefix(name, "/copies"); ok {
			if b != was[rest] {
				t.Errorf("%s is not what it was", name)
			}
			delete(now, name)
		}
	}
	sameFiles(t, "converted", was, now)

	s, dir = newStore(t)
	recordVaried(t, s, "x", RecordOptions{Format: MessagePack})
	if now := tree(t, dir); len(now) != 1 || now["/x.smpk"] == "" {
		t.Errorf("a recording as MessagePack made %d files", len(now))
	}
	if _, err := s.Accept("x", Rules{Bypass: []string{"pinned.example.com"}}); err != nil {
		t.Fatal(err)
	}
	if wrong := invalid(s, "x"); wrong != "" {
		t.Fatal(wrong)
	}
	convert(t, s, "x", "x", JSON)
	sameFiles(t, "recorded", was, tree(t, dir))
}

// TestTwinQuick holds that what is read the quick way is what is read the other.
func TestTwinQuick(t *testing.T) {
	s, _ := newStore(t)
	recordVaried(t, s, "x", RecordOptions{Format: MessagePack})
	m, err := s.Mount("x")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	es, err := m.twin.entries()
	if err != nil {
		t.Fatal(err)
	}
	quickly := 0
	for n, e := range es {
		b, err := m.twin.payload(e.at, twinInteraction, int(e.size), nil)
		if err != nil {
			t.Fatal(err)
		}
		slow, err := m.twin.decode(b, n)
		if err != nil {
			t.Fatal(err)
		}
		quick, ok := m.twin.quick(b, n)
		if !ok {
			continue
		}
		quickly++
		if err := quick.rekey(rules{}); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(slow.key, quick.key, cmp.AllowUnexported(form{}, pair{}), cmpopts.IgnoreFields(form{}, "of")); d != "" {
			t.Errorf("%s, its form (-decode +quick):\n%s", slow.ID, d)
		}
		var want, got bytes.Buffer
		slow.src = nil
		for _, i := range []*Interaction{slow, quick} {
			if err := (&compaction{}).settle([]*Interaction{i}); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join((&Cassette{}).EncodeInteraction(&want, slow), (&Cassette{}).EncodeInteraction(&got, quick)); err != nil {
			t.Fatal(err)
		}
		if want.String() != got.String() {
			t.Errorf("decode reads\n%.2000s\nquick reads\n%.2000s", want.String(), got.String())
		}
	}
	if quickly != 12 { // the others have odd bytes, or were upgraded
		t.Errorf("%d of %d are read the quick way", quickly, len(es))
	}
}

// TestTwinKeepsEdits holds that what people and later versions write into the
// JSON form comes back too.
func TestTwinKeepsEdits(t *testing.T) {
	s, dir := newStore(t)
	putFiles(t, dir, map[string]string{
		"x.json": `{"version": "1.7", "name": "x", "later": {"a": 1.50}, "interactions": [
{"id": "a", "kind": "http", "seq": 1, "connection": "one", "mood": "good", "request": {"method": "GET", "url": "http://h/a", "headers": [["\u0041", "b"]], "body": null},
 "response": {"status": 200, "headers": [], "body": {"text": "shown as text: {}", "note": "edited"}}},
{"id": "b", "kind": "http", "request": {"method": "GET", "url": "http://h/b", "headers": {"k": ["v", "w"]}, "body": "legacy"},
 "response": {"status": 200, "headers": [], "body": {"text": "{\"a\":1}"}}},
{"id": "c", "kind": "http", "request": {"method": "GET", "url": "http://h/c", "headers": [], "body": [1, 2, 3]},
 "response": {"status": 200, "headers": [], "body": {"text": "third"}}},
{"id": "d", "kind": "later", "what": [1, {"base64": "AAEC"}]}]}`,
	})
	c := load(t, s, "x")
	if err := (&compaction{store: s, root: s.root, of: "x", name: "x", box: box{format: JSON}}).commit(c); err != nil {
		t.Fatal(err)
	}
	was := tree(t, dir)
	delete(was, "/.x.commit") // the note of a commit that nobody finished
	convert(t, s, "x", "x", MessagePack)
	convert(t, s, "x", "x", JSON)
	sameFiles(t, "converted", was, tree(t, dir))
}

// TestTwinAppend holds that appending leaves every byte there was, and that all
// is found however many segments there are.
func TestTwinAppend(t *testing.T) {
	s, dir := newStore(t)
	var was string
	for n := range segmentsMost + 3 {
		sum := recordAll(t, s, "x", RecordOptions{Append: true, Format: MessagePack},
			asked{req: get(fmt.Sprintf("/%d", n), "Authorization: Bearer same"), res: ok(), answer: fmt.Sprint("answer ", n)},
			asked{req: get("/same", fmt.Sprintf("Authorization: Bearer other-%d", n)), res: ok(), answer: fmt.Sprint("same ", n), at: time.Minute})
		if sum.Interactions != 2*(n+1) || sum.Recorded != 2 {
			t.Fatalf("append %d: %+v", n, sum)
		}
		now := read(t, dir, "x.smpk")
		if !strings.HasPrefix(now, was) {
			t.Fatalf("append %d changed what was there", n)
		}
		was = now
		if wrong := invalid(s, "x"); wrong != "" {
			t.Fatalf("append %d: %s", n, wrong)
		}
	}
	c := load(t, s, "x")
	ids := map[string]bool{}
	for n, i := range c.Interactions {
		if ids[i.ID] || i.Seq != n+1 {
			t.Errorf("interaction %d is called %s and has place %d", n, i.ID, i.Seq)
		}
		ids[i.ID] = true
	}
	m, err := s.Mount("x")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if n := len(m.twin.sections); n > segmentsMost {
		t.Errorf("there are %d segments", n)
	}
	if len(m.Interactions) != 0 || m.Len() != len(c.Interactions) {
		t.Errorf("mounted: %d in memory, %d in all; want 0 and %d", len(m.Interactions), m.Len(), len(c.Interactions))
	}
	for _, i := range c.Interactions {
		if !finds(t, m.twin, i) {
			t.Errorf("the index does not find %s", i.ID)
		}
	}
	if _, err := s.Accept("x", Rules{Bypass: []string{"h"}}); err != nil {
		t.Fatal(err)
	}
	if now := read(t, dir, "x.smpk"); !strings.HasPrefix(now, was) {
		t.Error("accept changed what was there")
	}
	if r, err := s.Rules("x"); err != nil || !slices.Equal(r.Bypass, []string{"h"}) || invalid(s, "x") != "" {
		t.Errorf("Rules() = %v, %v", r, err)
	}
}

// finds says whether t's index has i, where it is.
func finds(t *testing.T, tw *twin, i *Interaction) bool {
	t.Helper()
	want := entryOf(i, &i.key)
	for _, s := range tw.sections {
		c := cursor{section: s}
		at, err := c.search(want.key)
		if err != nil {
			t.Fatal(err)
		}
		for ; at < s.n; at++ {
			e, err := c.at(at)
			if err != nil {
				t.Fatal(err)
			}
			if e.key != want.key {
				break
			}
			if got, err := tw.interaction(e); err == nil && got.ID == i.ID && e.answer == want.answer {
				return true
			}
		}
	}
	return false
}
