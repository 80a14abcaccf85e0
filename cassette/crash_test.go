package cassette

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/exchange"
)

// A told is an exchange that was told whole, and how long the journal was then.
type told struct {
	url, answer string
	size        int64
}

// recordedJournal is a journal of all kinds of things, how it ends included, as
// text and under a key, and what is in it when.
func recordedJournal(t *testing.T, k *Key) ([]byte, []told) {
	t.Helper()
	s, dir := newStore(t)
	s.Unlock(k)
	r, err := s.Record("x", RecordOptions{Encrypt: k != nil})
	if err != nil {
		t.Fatal(err)
	}
	w, err := r.Open(origin())
	if err != nil {
		t.Fatal(err)
	}
	var all []told
	for i, answer := range []string{"", "short", strings.Repeat("binary\x00", 80), `{"json": true}`} {
		a := asked{req: get(fmt.Sprintf("/%d", i), "Cookie: a=secret"), body: strings.Repeat("b", i), res: ok("Content-Type: text/plain"), answer: answer}
		a.tell(t, w, uint64(i+1))
		info, err := r.file.Stat()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, told{"http://api.example.com" + a.req.Target, answer, info.Size()})
	}
	for _, e := range []exchange.Event{ // one that goes on
		{Stream: 9, From: exchange.Client, Kind: exchange.KindHead, Head: get("/stream")},
		{Stream: 9, From: exchange.Client, Kind: exchange.KindEnd, End: &exchange.End{}},
		{Stream: 9, From: exchange.Server, Kind: exchange.KindHead, Head: ok("Transfer-Encoding: chunked")},
		{Stream: 9, From: exchange.Server, Kind: exchange.KindData, Data: []byte("event"), Chunk: 5},
	} {
		if err := w.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Flush(), r.DNS(DNS{Name: "a.example.", Type: "A", Rcode: "NXDOMAIN"})); err != nil {
		t.Fatal(err)
	}
	journal := []byte(read(t, dir, ".x.journal"))
	if _, err := r.Close(false); err != nil {
		t.Fatal(err)
	}
	return journal, all
}

// holdsTold says what is wrong with what was saved of a journal of which good
// bytes are as they were written.
func holdsTold(c *Cassette, all []told, good int64) error {
	want := map[string]string{}
	least := 0
	for _, a := range all {
		want[a.url] = a.answer
		if a.size <= good {
			least++
		}
	}
	var n int
	for _, i := range c.Interactions {
		answer, known := want[i.Request.URL]
		b, _, err := i.Response.Body.Whole()
		if err != nil || !known || string(b) != answer {
			return fmt.Errorf("%s with %d bytes, %v, was never recorded", i.Line(), len(b), err)
		}
		delete(want, i.Request.URL)
		n++
	}
	if n < least {
		return fmt.Errorf("%d exchanges are saved of %d that were recorded", n, least)
	}
	if !c.Incomplete {
		return errors.New("it is not marked incomplete")
	}
	return nil
}

// tapeOf is, in memory, what Recover would save.
func tapeOf(k *Key, journal []byte) (*Cassette, error) {
	text, size, _, err := k.openJournal(bytes.NewReader(journal), int64(len(journal)))
	if err != nil {
		return nil, err
	}
	t, err := readTape(text, size)
	if err != nil {
		return nil, err
	}
	is, err := t.interactions()
	return &Cassette{Interactions: is, Incomplete: t.failed || !t.clean}, err
}

// saved is what Recover makes of a journal, empty if nothing.
func saved(t *testing.T, k *Key, journal []byte) (*Cassette, error) {
	s, dir := newStore(t)
	s.Unlock(k)
	putFiles(t, dir, map[string]string{".y.journal": string(journal)})
	sum, _, err := s.Recover("y")
	if err != nil || !sum.Changed {
		return &Cassette{Incomplete: true}, err
	}
	if err := whole(s, "y"); err != nil {
		return nil, err
	}
	return s.Load("y")
}

// TestJournalCut cuts a journal at every byte, as a kill or a full disk would,
// and changes bits of it. What was recorded before the place is saved, and
// nothing else. Every so often it is saved to the disk.
func TestJournalCut(t *testing.T) {
	for _, k := range []*Key{nil, testKey(t, "0a")} {
		journal, all := recordedJournal(t, k)
		try := func(what string, at int, b []byte) {
			t.Helper()
			c, err := tapeOf(k, b)
			if err == nil {
				err = holdsTold(c, all, int64(at))
			}
			if err == nil && at%400 == 1 {
				if c, err = saved(t, k, b); err == nil {
					err = holdsTold(c, all, int64(at))
				}
			}
			if err != nil {
				t.Errorf("encrypted: %v: %s byte %d of %d: %v", k != nil, what, at, len(journal), err)
			}
		}
		head := len(journalMagic)
		if k != nil {
			head = sealedJournalHead
		}
		for n := range len(journal) + 1 {
			try("cut at", n, journal[:n])
			if n < head || n == len(journal) || n%3 != 0 {
				continue // the head says that it is a journal, and of which key
			}
			b := bytes.Clone(journal)
			b[n] ^= 1 << (n % 8)
			try("a bit changed in", n, b)
		}
	}
}

// A change is something that is done to the cassette called c.
type change struct {
	name   string
	form   Format // of what is there before; "" for nothing
	key    bool
	do     func(t *testing.T, s *Store)
	either bool // that nothing was done is as good
}

func changes() []change {
	big := func(seed string) string { return strings.Repeat(seed+"\x00", 5000) }
	record := func(opt RecordOptions, as ...asked) func(*testing.T, *Store) {
		return func(t *testing.T, s *Store) { recordAll(t, s, "c", opt, as...) }
	}
	a := asked{req: get("/a"), res: ok("Content-Type: image/png"), answer: big("new")}
	b := asked{req: get("/b"), res: ok(), answer: big("b")}
	convert := func(to Format) func(*testing.T, *Store) {
		return func(t *testing.T, s *Store) {
			if _, err := s.Convert("c", "c", to, func(int, int) {}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return []change{
		{name: "first recording", do: record(RecordOptions{}, a, b)},
		{name: "first recording, appended", do: record(RecordOptions{Append: true}, a)},
		{name: "recorded again", form: JSON, do: record(RecordOptions{}, a, b)},
		{name: "appended", form: JSON, do: record(RecordOptions{Append: true}, b)},
		{name: "compressed, appended", form: Zstd, do: record(RecordOptions{Append: true}, b)},
		{name: "encrypted, recorded again", form: Encrypted, key: true, do: record(RecordOptions{}, a)},
		{name: "encrypted, appended", form: Encrypted, key: true, do: record(RecordOptions{Append: true}, b)},
		{name: "encrypted over plain", form: JSON, key: true, do: record(RecordOptions{Encrypt: true}, a)},
		{name: "rules accepted", form: Gzip, either: true, do: func(t *testing.T, s *Store) {
			if _, err := s.Accept("c", Rules{Bypass: []string{"h"}}); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "converted", form: JSON, either: true, do: convert(Zstd)},
		{name: "encrypted", form: JSON, key: true, either: true, do: convert(Encrypted)},
		{name: "decrypted", form: Encrypted, key: true, either: true, do: convert(JSON)},
	}
}

// before is a store with what is there before c is done.
func (c change) before(t *testing.T) (*Store, string) {
	t.Helper()
	s, dir := newStore(t)
	if c.key {
		s.Unlock(testKey(t, "0a"))
	}
	if c.form != "" {
		recordAll(t, s, "c", RecordOptions{}, asked{req: get("/a"), res: ok("Content-Type: image/png"), answer: strings.Repeat("old\x00", 5000)})
		if _, err := s.Convert("c", "c", c.form, func(int, int) {}); err != nil {
			t.Fatal(err)
		}
	}
	return s, dir
}

// TestKilledAtEveryStep has the process die before each step that changes a file
// on the way of a cassette to the disk, from the journal's last record on: the
// directory as it is then is what a kill leaves, since all is in the kernel's
// hands. The next start makes of it the new cassette, or where nothing was
// promised, the old one, and nothing is left beside it.
func TestKilledAtEveryStep(t *testing.T) {
	for _, c := range changes() {
		s, dir := c.before(t)
		old := describe(t, s)
		var images []string
		var steps []string
		s.at = func(step string) {
			image := filepath.Join(t.TempDir(), "cassettes")
			if err := os.CopyFS(image, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			images, steps = append(images, image), append(steps, step)
		}
		c.do(t, s)
		s.at = nil
		now := describe(t, s)
		if len(steps) < 4 {
			t.Errorf("%s: only %d steps: %q", c.name, len(steps), steps)
		}
		for i, image := range images {
			s, err := Open(image)
			if err != nil {
				t.Fatal(err)
			}
			s.Unlock(testKey(t, "0a"))
			if _, _, err := s.Recover("c"); err != nil {
				t.Errorf("%s, killed before %q: Recover = %v", c.name, steps[i], err)
			}
			got := describe(t, s)
			if got != now && !(c.either && got == old) {
				t.Errorf("%s, killed before %q: recovered is\n%s\nwant\n%s", c.name, steps[i], got, now)
			}
			if left := strays(t, s, image); len(left) > 0 && got == now {
				t.Errorf("%s, killed before %q: left over: %q", c.name, steps[i], left)
			}
			s.Close()
		}
	}
}

// describe is what the cassette called c is, "" if there is none.
func describe(t *testing.T, s *Store) string {
	t.Helper()
	c, err := s.Load("c")
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	if err == nil {
		err = whole(s, "c")
	}
	if err != nil {
		return err.Error()
	}
	out := fmt.Sprintln(c.box.format, c.Incomplete, c.Rules)
	for _, i := range c.Interactions {
		sum, err := i.Response.Body.Sum()
		out += fmt.Sprintln(i.Line(), sum, err)
	}
	return out
}

// strays are the files in dir that are neither the cassette called c nor its
// bodies.
func strays(t *testing.T, s *Store, dir string) []string {
	t.Helper()
	c := load(t, s, "c")
	mine := map[string]bool{"c" + c.box.format.end(): true}
	for f := range c.files() {
		mine["c.bodies/"+f] = true
	}
	var left []string
	for _, f := range filesOf(t, dir) {
		if !mine[f] {
			left = append(left, f)
		}
	}
	return left
}

// TestNoteCut takes a note that was cut for none, wherever, and one of other
// cassettes too.
func TestNoteCut(t *testing.T) {
	var b bytes.Buffer
	useless := []string{"a/c.json", "a/c.bodies/x\n.bin", "a/c.bodies"}
	if err := printNote(&b, "a/.c.new", useless); err != nil {
		t.Fatal(err)
	}
	for n := range b.Len() {
		if _, _, ok := readNote(b.Bytes()[:n], "a/c"); ok {
			t.Errorf("%q is read as a note", b.Bytes()[:n])
		}
	}
	temp, got, ok := readNote(b.Bytes(), "a/c")
	if d := cmp.Diff(useless, got); !ok || temp != "a/.c.new" || d != "" {
		t.Errorf("readNote = %q, %v (-want +got):\n%s", temp, ok, d)
	}
	for _, evil := range []string{"a/d.json", "../a/c.json", "a/c.bodies/../../d.json", "a/c.bodies/x/y", "a/c.d.json", ".git/config"} {
		var b bytes.Buffer
		if err := printNote(&b, "a/.c.new", []string{evil}); err != nil {
			t.Fatal(err)
		}
		if _, _, ok := readNote(b.Bytes(), "a/c"); ok {
			t.Errorf("a note would have %s removed", evil)
		}
	}
}

// TestInspect tells what is in a leftover journal, and leaves it.
func TestInspect(t *testing.T) {
	journal, all := recordedJournal(t, nil)
	s, dir := newStore(t)
	if _, was, err := s.Inspect("y"); was || err != nil {
		t.Errorf("Inspect of nothing = %v, %v", was, err)
	}
	cut := all[2].size + 30
	putFiles(t, dir, map[string]string{".y.journal": string(journal[:cut])})
	l, was, err := s.Inspect("y")
	if err != nil || !was || l.Exchanges != 3 || l.Lost == 0 || l.Ended || l.PID != uint64(os.Getpid()) || l.Started.IsZero() {
		t.Errorf("Inspect = %+v, %v, %v; want 3 exchanges of this process, a torn end", l, was, err)
	}
	if read(t, dir, ".y.journal") != string(journal[:cut]) {
		t.Error("Inspect changed the journal")
	}
	r, err := s.Record("z", RecordOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Inspect("z"); !errors.Is(err, ErrBusy) {
		t.Errorf("Inspect while recording = %v; want ErrBusy", err)
	}
	if _, err := r.Close(false); err != nil {
		t.Fatal(err)
	}
}
