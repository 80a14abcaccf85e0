package cassette

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/serge-net/serge-net/exchange"
)

// parallel is n equal and n different requests that overlap, in an order that
// seed shuffles.
func parallel(n int, seed int) []asked {
	var as []asked
	for i := range n {
		k := (i*7 + seed*13) % n
		as = append(as,
			asked{req: get("/same", "Authorization: Bearer token-"+fmt.Sprint(k)), res: ok("Date: "+time.Unix(int64(seed), 0).UTC().Format(time.RFC1123), "X-Request-Id: "+fmt.Sprint(seed, i)),
				answer: "hello " + fmt.Sprint(k%3), len: time.Hour},
			asked{req: get("/item/" + fmt.Sprint(k) + "?x=" + fmt.Sprint(k)), res: ok("Content-Type: text/plain"), answer: "item " + fmt.Sprint(k), len: time.Hour + time.Duration(i+seed)*time.Millisecond})
	}
	return as
}

// recordParallel records as, all at once.
func recordParallel(t *testing.T, s *Store, name string, as []asked) Summary {
	t.Helper()
	r, err := s.Record(name, RecordOptions{With: "serge-net test"})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i, a := range as {
		wg.Go(func() {
			w, err := r.Open(origin())
			if err != nil {
				t.Error(err)
				return
			}
			a.tell(t, w, uint64(i+1))
			w.Close()
		})
	}
	wg.Wait()
	sum, err := r.Close(false)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func TestRecordAgainIsQuiet(t *testing.T) {
	s, dir := newStore(t)
	first := recordParallel(t, s, "p", parallel(50, 1))
	text := read(t, dir, "p.json")
	second := recordParallel(t, s, "p", parallel(50, 4))
	if got := read(t, dir, "p.json"); got != text {
		t.Errorf("recording again changed the file:\n%s", cmp.Diff(text, got))
	}
	if !first.Changed || second.Changed || second.Kept != 100 {
		t.Errorf("Close() = %+v, then %+v; want a change, then 100 kept", first, second)
	}
	// In a fresh directory all but the times is equal too.
	recordParallel(t, s, "q", parallel(50, 4))
	steady := func(s string) string {
		var keep []string
		for l := range strings.SplitSeq(s, "\n") {
			if !strings.Contains(l, `"timing"`) && !strings.Contains(l, `"recorded_at"`) && !strings.Contains(l, `"name"`) && !strings.Contains(l, `"Date"`) && !strings.Contains(l, `"X-Request-Id"`) {
				keep = append(keep, l)
			}
		}
		return strings.Join(keep, "\n")
	}
	if d := cmp.Diff(steady(text), steady(read(t, dir, "q.json"))); d != "" {
		t.Errorf("two first recordings differ in more than times:\n%s", d)
	}
}

func TestRecordAgainChangesLittle(t *testing.T) {
	s, dir := newStore(t)
	as := []asked{
		{req: get("/a", "Cookie: sid=one; t=two"), res: ok("Date: Mon, 01 Jan 2024 00:00:00 GMT"), answer: "a"},
		{req: get("/b"), res: ok(), answer: "b", at: time.Second},
		{req: get("/c"), res: ok(), answer: "c", at: 2 * time.Second},
	}
	recordAll(t, s, "x", RecordOptions{}, as...)
	before := strings.Split(read(t, dir, "x.json"), "\n")
	as[0].res = ok("Date: Tue, 02 Jan 2024 00:00:00 GMT")
	as[1].answer = "B"
	as = append(as[:2], asked{req: get("/new"), res: ok(), answer: "n", at: 90 * time.Second}, asked{req: get("/c"), res: ok(), answer: "c", at: 100 * time.Second})
	sum := recordAll(t, s, "x", RecordOptions{}, as...)
	if sum.Kept != 2 || sum.Interactions != 4 {
		t.Errorf("Close() = %+v; want 4 interactions, 2 of them kept", sum)
	}
	after := read(t, dir, "x.json")
	missing := 0
	for _, l := range before {
		if !strings.Contains(after, l) {
			missing++
		}
	}
	if missing > 6 { // recorded_at, timing, body of b, seq and summary of c
		t.Errorf("%d lines of the old file are gone:\n%s", missing, cmp.Diff(strings.Join(before, "\n"), after))
	}
	var urls []string
	for _, i := range load(t, s, "x").Interactions {
		urls = append(urls, i.Route())
	}
	want := []string{"GET http://api.example.com/a", "GET http://api.example.com/b", "GET http://api.example.com/new", "GET http://api.example.com/c"}
	if d := cmp.Diff(want, urls); d != "" {
		t.Errorf("order (-want +got):\n%s", d)
	}
}

func TestRecordAppend(t *testing.T) {
	s, dir := newStore(t)
	recordAll(t, s, "x", RecordOptions{}, asked{req: get("/a", "X-Api-Key: k1"), res: ok(), answer: "a"})
	recordAll(t, s, "x", RecordOptions{Append: true}, asked{req: get("/b", "X-Api-Key: k1"), res: ok(), answer: "b"})
	text := read(t, dir, "x.json")
	for _, want := range []string{`"seq": 2`, `{{secret:key#1}}`, `{{secret:key#2}}`, "/a", "/b"} {
		if !strings.Contains(text, want) {
			t.Errorf("appended cassette lacks %q:\n%s", want, text)
		}
	}
	if sum := recordAll(t, s, "x", RecordOptions{Append: true}); sum.Changed || sum.Interactions != 2 {
		t.Errorf("appending nothing = %+v; want no change", sum)
	}
}

func TestRecordBusy(t *testing.T) {
	s, _ := newStore(t)
	r, err := s.Record("x", RecordOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Record("x", RecordOptions{}); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("second Record() = %v; want ErrBusy with the pid %d", err, os.Getpid())
	}
	if _, _, err := s.Recover("x"); !errors.Is(err, ErrBusy) {
		t.Errorf("Recover() while recording = %v; want ErrBusy", err)
	}
	if sum, err := r.Close(false); err != nil || sum.Changed {
		t.Errorf("Close() of an empty recording = %+v, %v; want nothing written", sum, err)
	}
	if es, err := s.List(); err != nil || len(es) != 0 {
		t.Errorf("List() = %v, %v; want nothing left", es, err)
	}
	if _, err := r.Close(false); !errors.Is(err, ErrClosed) {
		t.Errorf("second Close() = %v; want ErrClosed", err)
	}
	if _, err := r.Open(origin()); !errors.Is(err, ErrClosed) {
		t.Errorf("Open() after Close() = %v; want ErrClosed", err)
	}
}

// TestRecordNames keeps what a command only looked up: a replay is to say the
// same addresses of the same families.
func TestRecordNames(t *testing.T) {
	s, _ := newStore(t)
	r, err := s.Record("names", RecordOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := Pin{Name: "api.example.com", V4: netip.MustParseAddr("198.18.0.7"), V6: netip.MustParseAddr("fd5e:7267::c612:7")}
	if err := r.Pin(want); err != nil {
		t.Fatal(err)
	}
	if sum, err := r.Close(false); err != nil || !sum.Changed {
		t.Fatalf("Close() = %+v, %v; want a cassette", sum, err)
	}
	c, err := s.Load("names")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]Pin{want}, c.Pins, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Error(d)
	}
}

func TestRecordFailedCommand(t *testing.T) {
	s, dir := newStore(t)
	fail := func(name, answer string) Summary {
		r, err := s.Record(name, RecordOptions{})
		if err != nil {
			t.Fatal(err)
		}
		w, err := r.Open(origin())
		if err != nil {
			t.Fatal(err)
		}
		asked{req: get("/a"), res: ok(), answer: answer}.tell(t, w, 1)
		sum, err := r.Close(true)
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	fail("first", "1")
	if c := load(t, s, "first"); !c.Incomplete {
		t.Error("the first recording of a failed command is not marked incomplete")
	}
	recordAll(t, s, "x", RecordOptions{}, asked{req: get("/a"), res: ok(), answer: "good"})
	before := read(t, dir, "x.json")
	if sum := fail("x", "bad"); sum.Path != filepath.Join(dir, ".failed/x.json") {
		t.Errorf("Close(failed) wrote %q; want it below .failed", sum.Path)
	}
	if read(t, dir, "x.json") != before || !strings.Contains(read(t, dir, ".failed/x.json"), "bad") {
		t.Error("the old cassette changed, or the failed one is not in .failed")
	}
}

func TestRecordDiskFull(t *testing.T) {
	s, r, w, dir := watching(t)
	asked{req: get("/a"), res: ok(), answer: "kept"}.tell(t, w, 1)
	real := r.write
	r.write = func(b []byte) (int, error) {
		n, _ := real(b[:len(b)/2])
		return n, syscall.ENOSPC
	}
	if err := w.Event(exchange.Event{Stream: 2, Kind: exchange.KindHead, Head: get("/b")}); err != nil {
		t.Errorf("Event() = %v before the disk was full", err)
	}
	if err := w.Flush(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Flush() on a full disk = %v; want ENOSPC", err)
	}
	if err := w.Event(exchange.Event{Stream: 2, Kind: exchange.KindData, Data: []byte("x")}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Event() after it = %v; want ENOSPC", err)
	}
	sum, err := r.Close(false)
	if !errors.Is(err, ErrIncomplete) || !errors.Is(err, syscall.ENOSPC) || !sum.Incomplete {
		t.Errorf("Close() = %+v, %v; want ErrIncomplete", sum, err)
	}
	if c := load(t, s, "x"); len(c.Interactions) != 1 || !c.Incomplete {
		t.Errorf("what was recorded before is not readable: %s", read(t, dir, "x.json"))
	}
}

// TestRecordCutOff cuts a journal at every byte, as a kill would.
func TestRecordCutOff(t *testing.T) {
	s, r, w, dir := watching(t)
	var whole []int64 // journal sizes after each complete exchange
	for i := range 4 {
		asked{req: get(fmt.Sprintf("/%d", i), "Cookie: a=secret"), res: ok("Content-Type: text/plain"), answer: strings.Repeat("x", 100*i)}.tell(t, w, uint64(i+1))
		info, err := r.file.Stat()
		if err != nil {
			t.Fatal(err)
		}
		whole = append(whole, info.Size())
	}
	journal := []byte(read(t, dir, ".x.journal"))
	if bytes.Contains(journal, []byte("a=secret")) {
		t.Error("the journal holds a secret")
	}
	if _, err := r.Close(false); err != nil {
		t.Fatal(err)
	}
	for n := range len(journal) + 1 {
		tp, err := readTape(bytes.NewReader(journal[:n]), int64(n))
		if err != nil {
			t.Fatalf("readTape(%d bytes) = %v", n, err)
		}
		is, err := tp.interactions()
		if err != nil {
			t.Fatalf("interactions of %d bytes: %v", n, err)
		}
		done := 0
		for _, size := range whole {
			if size <= int64(n) {
				done++
			}
		}
		if len(is) < done {
			t.Fatalf("%d bytes give %d interactions; want %d at least", n, len(is), done)
		}
	}
	// On the disk, the next recorder finds it.
	if err := os.WriteFile(filepath.Join(dir, ".y.journal"), journal[:whole[1]+5], 0o600); err != nil {
		t.Fatal(err)
	}
	if es, err := s.List(); err != nil || len(es) != 2 || !es[1].Recording {
		t.Errorf("List() = %+v, %v; want y being recorded", es, err)
	}
	sum, was, err := s.Recover("y")
	if err != nil || !was || sum.Interactions != 2 || !sum.Incomplete {
		t.Errorf("Recover() = %+v, %v, %v; want 2 interactions", sum, was, err)
	}
	if _, was, err := s.Recover("y"); was || err != nil {
		t.Errorf("second Recover() = %v, %v; want nothing to do", was, err)
	}
}

// TestRecordLargeBody records a body in pieces without holding it.
func TestRecordLargeBody(t *testing.T) {
	s, r, w, dir := watching(t)
	const pieces = 48
	piece := bytes.Repeat([]byte("0123456789abcdef"), 8<<10)
	tell := func(e exchange.Event) {
		t.Helper()
		if err := w.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	tell(exchange.Event{Stream: 1, Kind: exchange.KindHead, Head: get("/big")})
	tell(exchange.Event{Stream: 1, Kind: exchange.KindEnd, End: &exchange.End{}})
	tell(exchange.Event{Stream: 1, From: exchange.Server, Kind: exchange.KindHead, Head: ok("Content-Type: application/zip", "Transfer-Encoding: chunked")})
	for range pieces {
		tell(exchange.Event{Stream: 1, From: exchange.Server, Kind: exchange.KindData, Data: piece, Chunk: int64(len(piece))})
	}
	tell(exchange.Event{Stream: 1, From: exchange.Server, Kind: exchange.KindTrailers})
	tell(exchange.Event{Stream: 1, From: exchange.Server, Kind: exchange.KindEnd, End: &exchange.End{}})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Close(false); err != nil {
		t.Fatal(err)
	}
	text := read(t, dir, "x.json")
	if len(text) > 4000 || !strings.Contains(text, `"chunks": [[131072, 48]]`) || !strings.Contains(text, ".zip") {
		t.Errorf("a large body is not a file:\n%.2000s", text)
	}
	a := ask(t, playerOf(t, load(t, s, "x"), PlayOptions{}), get("/big"), "")
	if a.body != strings.Repeat(string(piece), pieces) || len(a.chunks) != pieces {
		t.Errorf("replay gives %d bytes in %d chunks", len(a.body), len(a.chunks))
	}
	if _, found, err := s.Validate("x"); err != nil || len(found) > 0 {
		t.Error(found, err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "x.bodies", "*"))
	if len(files) != 1 {
		t.Fatalf("bodies folder holds %v", files)
	}
	if err := os.WriteFile(files[0], bytes.Repeat(piece[:1], pieces*len(piece)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, found, err := s.Validate("x"); err != nil || len(found) != 1 || !strings.Contains(found[0].String(), "/interactions/0/response/body: body file "+filepath.Base(files[0])+" has sha256") {
		t.Errorf("Validate() with another body = %v, %v; want its sha256 to be wrong", found, err)
	}
	recordAll(t, s, "x", RecordOptions{}, asked{req: get("/big"), res: ok(), answer: "small"})
	if left, _ := filepath.Glob(filepath.Join(dir, "x.bodies", "*")); len(left) != 0 {
		t.Errorf("body files that nothing refers to are left: %v", left)
	}
}

func TestBodyRead(t *testing.T) {
	b := Body{Size: 3, open: func() (io.ReadCloser, error) { return nil, os.ErrNotExist }}
	if _, err := b.Sum(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Sum() of a missing file = %v", err)
	}
	if _, _, err := b.Whole(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Whole() of a missing file = %v", err)
	}
}
