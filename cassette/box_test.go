package cassette

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
)

// packed is text in form.
func packed(t *testing.T, k *Key, form Format, text string) []byte {
	t.Helper()
	b := box{format: form}
	if form == Encrypted {
		var err error
		if b.seal, err = k.fresh(); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if form == MessagePack {
		c, err := parse([]byte(text), noFiles)
		if err == nil {
			err = c.writeTwin(&out, false, c.each)
		}
		if err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	if err := b.pack(&out, func(w io.Writer) error { _, err := io.WriteString(w, text); return err }); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestForms reads, validates, accepts for and records over a cassette in each
// form: it stays in it.
func TestForms(t *testing.T) {
	const text = `{"version": "1.0", "name": "c", "interactions": [{"id": "get-a.1", "request": {"method": "GET", "url": "http://api.example.com/a"},
		"response": {"status": 200, "body": {"text": "marrow"}}}]}`
	k := testKey(t, "0a")
	for _, form := range Formats() {
		s, dir := newStore(t)
		s.Unlock(k)
		putFiles(t, dir, map[string]string{"sub/c" + form.end(): string(packed(t, k, form, text))})
		const name = "sub/c"
		if got := ask(t, playerOf(t, load(t, s, name), PlayOptions{}), get("/a"), "").body; got != "marrow" {
			t.Errorf("%s: replay gives %q", form, got)
		}
		if err := whole(s, name); err != nil {
			t.Errorf("%s: Validate = %v", form, err)
		}
		if _, err := s.Accept(name, Rules{Bypass: []string{"h.example"}}); err != nil {
			t.Errorf("%s: Accept = %v", form, err)
		}
		if sum := recordAll(t, s, name, RecordOptions{Append: true}, asked{req: get("/b"), res: ok(), answer: "marrow"}); sum.Path != filepath.Join(dir, name+form.end()) {
			t.Errorf("%s: appended to %s", form, sum.Path)
		}
		if c := load(t, s, name); len(c.Interactions) != 2 || len(c.Rules.Bypass) != 1 {
			t.Errorf("%s: holds %d interactions and %d rules; want 2 and 1", form, len(c.Interactions), len(c.Rules.Bypass))
		}
		if form != JSON {
			noPlain(t, dir, `"interactions"`)
		}
		entries, err := s.List()
		if err != nil || len(entries) != 1 || entries[0].Name != name || entries[0].Format != form {
			t.Errorf("%s: List = %+v, %v", form, entries, err)
		}
		if s.Path(name) != filepath.Join(dir, name+form.end()) {
			t.Errorf("%s: Path = %s", form, s.Path(name))
		}
		if _, err := s.Load(name + form.end()); !errors.Is(err, ErrName) {
			t.Errorf("%s: Load with the form in the name = %v; want ErrName", form, err)
		}
	}
}

// TestConvert puts a cassette with body files into every form from every other:
// it holds the same, and nothing of the old form is left.
func TestConvert(t *testing.T) {
	s, dir := newStore(t)
	s.Unlock(testKey(t, "0a"))
	big := strings.Repeat("marrow\x00", 5000)
	recordAll(t, s, "c", RecordOptions{}, asked{req: post("/a", "X-Api-Key: k"), body: big, res: ok("Content-Type: image/png"), answer: "text"},
		asked{req: get("/b"), res: ok("Content-Type: application/zip"), answer: big + "b"})
	first := read(t, dir, "c.json")
	firstFiles := filesOf(t, dir)
	from := JSON
	for _, to := range []Format{Gzip, Zstd, Encrypted, JSON, Encrypted, Gzip, Encrypted, Zstd, JSON} {
		changed, err := s.Convert("c", "c", to, func(int, int) {})
		if err != nil || !changed {
			t.Fatalf("Convert from %s to %s = %v, %v", from, to, changed, err)
		}
		from = to
		if err := whole(s, "c"); err != nil {
			t.Errorf("as %s: %v", to, err)
		}
		if got := ask(t, playerOf(t, load(t, s, "c"), PlayOptions{}), get("/b"), "").body; got != big+"b" {
			t.Errorf("as %s: replay gives %d bytes", to, len(got))
		}
		if to == Encrypted {
			noPlain(t, dir, "marrow", "api.example.com", ".zip", ".png")
		}
		if n := len(filesOf(t, dir)); n != 3 {
			t.Errorf("as %s: %d files; want 3: %q", to, n, filesOf(t, dir))
		}
		if changed, err := s.Convert("c", "c", to, func(int, int) {}); changed || err != nil {
			t.Errorf("Convert to what it is, %s = %v, %v", to, changed, err)
		}
	}
	if d := cmp.Diff(first, read(t, dir, "c.json")); d != "" {
		t.Errorf("back as JSON it changed (-before +after):\n%s", d)
	}
	if d := cmp.Diff(firstFiles, filesOf(t, dir)); d != "" {
		t.Errorf("files (-before +after):\n%s", d)
	}
	s.Unlock(nil)
	if _, err := s.Convert("c", "c", Encrypted, func(int, int) {}); !errors.Is(err, ErrKey) {
		t.Errorf("Convert without a key = %v; want ErrKey", err)
	}
	if _, err := s.Convert("c", "c", "xz", func(int, int) {}); err == nil || !strings.Contains(err.Error(), `"xz" is none of`) {
		t.Errorf("Convert to xz = %v", err)
	}
}

// TestConvertKeepsUnknown carries what this version does not know, and takes what
// a body shows for no reference to a file.
func TestConvertKeepsUnknown(t *testing.T) {
	s, dir := newStore(t)
	s.Unlock(testKey(t, "0a"))
	const shown = `{"file": "ab.bin", "sha256": "ab", "size": 9}`
	putFiles(t, dir, map[string]string{"c.bodies/ab.bin": "123456789", "c.json": `{"later": 1, "interactions": [{"note": "kept",
		"request": {"method": "GET", "url": "http://a.example/", "body": {"json": ` + shown + `, "style": "python"}},
		"response": {"status": 200, "body": {"file": "ab.bin", "sha256": "ab", "size": 9, "hint": 1}}}]}`})
	for _, form := range []Format{Encrypted, JSON} {
		if _, err := s.Convert("c", "c", form, func(int, int) {}); err != nil {
			t.Fatal(err)
		}
	}
	text := read(t, dir, "c.json")
	for _, want := range []string{`"later": 1`, `"note": "kept"`, `"hint": 1`, `"file": "ab.bin"`, `"file": "15e2b0d3c33891eb.bin"`} {
		if !strings.Contains(text, want) && !strings.Contains(text, strings.Replace(want, ".bin", ".enc", 1)) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if b, _, err := load(t, s, "c").Interactions[0].Request.Body.Whole(); err != nil || string(b) != shown {
		t.Errorf("the body that looks like a reference is %s, %v; want %s", b, err, shown)
	}
}

// TestFormsTwice refuses to guess which of two is meant, in reading and writing.
func TestFormsTwice(t *testing.T) {
	s, dir := newStore(t)
	putFiles(t, dir, map[string]string{"c.json": "{}", "c.json.zst": string(packed(t, nil, Zstd, "{}"))})
	want := "as " + filepath.Join(dir, "c.json") + " and as " + filepath.Join(dir, "c.json.zst")
	_, load := s.Load("c")
	_, record := s.Record("c", RecordOptions{})
	_, convert := s.Convert("c", "c", Gzip, func(int, int) {})
	for what, err := range map[string]error{"Load": load, "Record": record, "Convert": convert} {
		if !errors.Is(err, ErrForms) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s = %v; want both named: %s", what, err, want)
		}
	}
}

// TestPackedOtherwise goes by what is in a file: but nothing is read as encrypted
// that is not, since it would be written so that everybody reads it.
func TestPackedOtherwise(t *testing.T) {
	k := testKey(t, "0a")
	const text = `{"interactions": []}`
	s, dir := newStore(t)
	s.Unlock(k)
	putFiles(t, dir, map[string]string{
		"gz.json":      string(packed(t, k, Gzip, text)),
		"zst.json.gz":  string(packed(t, k, Zstd, text)),
		"json.json.gz": text,
		"enc.json":     string(packed(t, k, Encrypted, text)),
		"no.json.enc":  text,
	})
	for _, name := range []string{"gz", "zst", "json", "enc"} {
		if _, err := s.Load(name); err != nil {
			t.Errorf("Load(%s) = %v", name, err)
		}
	}
	if _, err := s.Load("no"); err == nil || !strings.Contains(err.Error(), "it is not encrypted, though its name says so") {
		t.Errorf("Load of plain JSON called encrypted = %v", err)
	}
	if _, err := s.Accept("enc", Rules{Bypass: []string{"marrow"}}); err != nil {
		t.Error(err)
	}
	noPlain(t, dir, "marrow")
}

// TestBombs refuses what decompresses to more than the most, by its size.
func TestBombs(t *testing.T) {
	const most = 1 << 20
	zeros := make([]byte, 128<<10)
	var gz, zs bytes.Buffer
	g := gzip.NewWriter(&gz)
	z, err := zstd.NewWriter(&zs)
	if err != nil {
		t.Fatal(err)
	}
	for range 12 {
		g.Write(zeros)
		z.Write(zeros)
	}
	if err := errors.Join(g.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"gzip": gz.Bytes(), "zstd": zs.Bytes()} {
		if _, err := decompress(b, most); err == nil || err.Error() != "decompressed it is over 1 MiB, which is the most a compressed cassette may be" {
			t.Errorf("%s: %d bytes of 1.5 MiB = %v", name, len(b), err)
		}
		if got, err := decompress(b, 12*128<<10); err != nil || len(got) != 12*128<<10 {
			t.Errorf("%s: just within = %d bytes, %v", name, len(got), err)
		}
		if _, err := decompress(b[:len(b)-9], 12*128<<10); err == nil {
			t.Errorf("%s: cut, and not found", name)
		}
	}
}

// FuzzDecompress holds that compressed files are bounded whatever is in them.
func FuzzDecompress(f *testing.F) {
	for _, form := range []Format{Gzip, Zstd} {
		var out bytes.Buffer
		if err := (box{format: form}).pack(&out, func(w io.Writer) error { _, err := io.WriteString(w, `{"interactions": []}`); return err }); err != nil {
			f.Fatal(err)
		}
		f.Add(out.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := decompress(b, 1<<20); err == nil && len(got) > 1<<20 {
			t.Errorf("%d bytes", len(got))
		}
	})
}

// whole is Validate in one error.
func whole(s *Store, name string) error {
	_, found, err := s.Validate(name)
	if len(found) > 0 {
		err = errors.New(found[0].String())
	}
	return err
}

// TestConvertOut writes another cassette, bodies and all, and leaves the first.
func TestConvertOut(t *testing.T) {
	s, dir := newStore(t)
	s.Unlock(testKey(t, "0a"))
	big := strings.Repeat("marrow\x00", 5000)
	recordAll(t, s, "c", RecordOptions{}, asked{req: get("/a"), res: ok(), answer: big})
	var told int
	if changed, err := s.Convert("c", "d/e", Encrypted, func(n, of int) { told = n + of }); !changed || err != nil || told != 2 {
		t.Errorf("Convert to another = %v, %v, done %d", changed, err, told)
	}
	for _, name := range []string{"c", "d/e"} {
		if got := ask(t, playerOf(t, load(t, s, name), PlayOptions{}), get("/a"), "").body; got != big {
			t.Errorf("%s: replay gives %d bytes", name, len(got))
		}
	}
	noPlain(t, filepath.Join(dir, "d"), "marrow")
	if _, err := s.Convert("c", "d/e", Gzip, nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Convert over another = %v; want fs.ErrExist", err)
	}
}
