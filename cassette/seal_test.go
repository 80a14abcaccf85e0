package cassette

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// testKey is a key that costs nothing to use.
func testKey(t testing.TB, fill string) *Key {
	t.Helper()
	k, err := ParseKey(strings.Repeat(fill, 32))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sealedBytes is b as an encrypted file.
func sealedBytes(t testing.TB, k *Key, b []byte) []byte {
	t.Helper()
	s, err := k.fresh()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := (box{Encrypted, s}).pack(&out, func(w io.Writer) error { _, err := w.Write(b); return err }); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestParseKey(t *testing.T) {
	for _, c := range []struct {
		name, text, err string
		raw             bool
	}{
		{name: "hex", text: strings.Repeat("0f", 32), raw: true},
		{name: "base64", text: strings.Repeat("A", 43) + "=\n", raw: true},
		{name: "base64 without its end", text: strings.Repeat("A", 43), raw: true},
		{name: "base64 for URLs", text: strings.Repeat("-_", 21) + "8=", raw: true},
		{name: "passphrase", text: "correct horse battery staple"},
		{name: "hex of another length", text: strings.Repeat("0f", 16)},
		{name: "short", text: "secret", err: "a passphrase of 6 bytes is guessed at once: at least 8"},
		{name: "empty", text: " \n", err: "it is empty"},
	} {
		k, err := ParseKey(c.text)
		switch {
		case c.err != "" && (err == nil || err.Error() != c.err):
			t.Errorf("%s: ParseKey = %v; want %q", c.name, err, c.err)
		case c.err == "" && (err != nil || (k.raw != nil) != c.raw):
			t.Errorf("%s: ParseKey = %+v, %v; want a key of bytes: %v", c.name, k, err, c.raw)
		}
	}
}

// TestSealedSizes holds that what is encrypted comes back, at each size about a
// segment's end.
func TestSealedSizes(t *testing.T) {
	k := testKey(t, "0a")
	for _, n := range []int{0, 1, segmentSize - 1, segmentSize, segmentSize + 1, 2 * segmentSize, 2*segmentSize + 7} {
		plain := bytes.Repeat([]byte("a9b"), n/3+1)[:n]
		sealed := sealedBytes(t, k, plain)
		if int64(len(sealed)) != sealedSize(int64(n)) {
			t.Errorf("%d bytes encrypted are %d; want %d", n, len(sealed), sealedSize(int64(n)))
		}
		if got, err := k.unpack(sealed); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes come back as %d, %v", n, len(got), err)
		}
	}
}

// TestSealedTampered finds every change of an encrypted file.
func TestSealedTampered(t *testing.T) {
	k := testKey(t, "0a")
	seg := segmentSize + tagSize
	whole := sealedBytes(t, k, bytes.Repeat([]byte("segment"), 3*segmentSize/7+1))
	head, body := whole[:sealHead], whole[sealHead:]
	other := sealedBytes(t, k, bytes.Repeat([]byte("another"), 3*segmentSize/7+1))[sealHead:]
	files := map[string][][]byte{
		"cut at a segment's end":     {head, body[:2*seg]},
		"cut in a segment":           {head, body[:seg+100]},
		"without a segment":          {head},
		"without the first":          {head, body[seg:]},
		"two exchanged":              {head, body[seg : 2*seg], body[:seg], body[2*seg:]},
		"one doubled":                {head, body[:seg], body[:seg], body[seg:]},
		"the last doubled":           {head, body, body[3*seg:]},
		"one of another file":        {head, body[:seg], other[seg : 2*seg], body[2*seg:]},
		"an empty one after the end": {head, body, make([]byte, tagSize)},
	}
	for name, parts := range files {
		if _, err := k.unpack(bytes.Join(parts, nil)); err == nil {
			t.Errorf("%s: not found", name)
		}
	}
	for i := len(sealMagic); i < len(whole); i += 1 + i/40 {
		flipped := bytes.Clone(whole)
		flipped[i] ^= 1 << (i % 8)
		if _, err := k.unpack(flipped); err == nil {
			t.Errorf("a bit flipped in byte %d is not found", i)
		}
	}
}

// TestWrongKeys says what is wrong with a key, and never that a file is.
func TestWrongKeys(t *testing.T) {
	pass, err := ParseKey("correct horse battery staple")
	if err != nil {
		t.Fatal(err)
	}
	raw := testKey(t, "0a")
	byKey, byPass := sealedBytes(t, raw, []byte("{}")), sealedBytes(t, pass, []byte("{}"))
	if got, err := pass.unpack(byPass); err != nil || string(got) != "{}" {
		t.Errorf("with its passphrase it is %q, %v", got, err)
	}
	for _, c := range []struct {
		name string
		key  *Key
		file []byte
		want string
	}{
		{"none", nil, byKey, "it is encrypted, and no key is given"},
		{"another", testKey(t, "0b"), byKey, "it is encrypted with another key than the one given"},
		{"a passphrase", pass, byKey, "it is encrypted with a key of 32 bytes, and the one given is a passphrase"},
		{"no passphrase", raw, byPass, "it is encrypted with a passphrase, and the key given is one of 32 bytes"},
	} {
		s, dir := newStore(t)
		s.Unlock(c.key)
		putFiles(t, dir, map[string]string{"c.json.enc": string(c.file)})
		_, err := s.Load("c")
		if want := "load cassette " + filepath.Join(dir, "c.json.enc") + ": " + c.want; !errors.Is(err, ErrKey) || err.Error() != want {
			t.Errorf("%s: Load = %v; want %s", c.name, err, want)
		}
		if _, err := s.Record("c", RecordOptions{}); !errors.Is(err, ErrKey) {
			t.Errorf("%s: Record over it = %v; want ErrKey", c.name, err)
		}
		if got := read(t, dir, "c.json.enc"); got != string(c.file) {
			t.Errorf("%s: the file changed", c.name)
		}
	}
}

// FuzzUnseal holds that whatever is read as encrypted is refused or is what was
// encrypted, without a panic.
func FuzzUnseal(f *testing.F) {
	k := testKey(f, "0a")
	plain := []byte("what was encrypted")
	f.Add(sealedBytes(f, k, plain))
	f.Add(sealedBytes(f, k, nil))
	f.Add([]byte(sealMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		u, err := k.unsealer(bytes.NewReader(b))
		if err != nil {
			return
		}
		if got, err := io.ReadAll(u); err == nil && len(got) > 0 && !bytes.Equal(got, plain) {
			t.Errorf("%q is decrypted from what nobody encrypted", got)
		}
	})
}

// FuzzSealedJournal holds that of a damaged journal no more is read than its
// start, and nothing panics.
func FuzzSealedJournal(f *testing.F) {
	k := testKey(f, "0a")
	s, err := k.fresh()
	if err != nil {
		f.Fatal(err)
	}
	var file bytes.Buffer
	w, err := s.scribe(&file)
	if err != nil {
		f.Fatal(err)
	}
	text := bytes.Repeat([]byte("journal "), 20_000)
	for _, piece := range [][]byte{text[:10], text[10:1000], text[1000:]} {
		if _, err := w.Write(piece); err != nil {
			f.Fatal(err)
		}
	}
	whole := file.Bytes()
	f.Add(uint32(len(whole)), uint32(0), byte(0))
	f.Add(uint32(300), uint32(0), byte(0))
	f.Add(uint32(len(whole)), uint32(90), byte(1))
	f.Fuzz(func(t *testing.T, cut, at uint32, flip byte) {
		b := bytes.Clone(whole[:min(int(cut), len(whole))])
		if int(at) < len(b) {
			b[at] ^= flip
		}
		r, size, _, err := k.openJournal(bytes.NewReader(b), int64(len(b)))
		if err != nil || string(b[:min(8, len(b))]) != sealedJournalMagic {
			return
		}
		got, _ := io.ReadAll(io.NewSectionReader(r, 0, size))
		if !bytes.HasPrefix(text, got) {
			t.Errorf("cut at %d, byte %d changed by %#x: %d bytes that are not its start", cut, at, flip, len(got))
		}
		if int(cut) >= len(whole) && flip == 0 && len(got) != len(text) {
			t.Errorf("of the whole, %d of %d bytes are read", len(got), len(text))
		}
	})
}

// TestEncrypted records, records again, appends to and fails under a key: no file
// ever holds a word of it, and a body is there and nowhere named.
func TestEncrypted(t *testing.T) {
	s, dir := newStore(t)
	s.Unlock(testKey(t, "0a"))
	big := strings.Repeat("marrow\x00", 5000)
	tell := func(opt RecordOptions, failed bool, as ...asked) Summary {
		t.Helper()
		r, err := s.Record("c", opt)
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range as {
			w, err := r.Open(origin())
			if err != nil {
				t.Fatal(err)
			}
			a.tell(t, w, uint64(i+1))
			w.Close()
		}
		noPlain(t, dir, "marrow", "api.example.com")
		sum, err := r.Close(failed)
		if err != nil {
			t.Fatal(err)
		}
		noPlain(t, dir, "marrow", "api.example.com")
		return sum
	}
	one := asked{req: get("/a"), res: ok("Content-Type: image/png"), answer: big}
	two := asked{req: get("/b"), res: ok(), answer: big + "b"}
	if sum := tell(RecordOptions{Encrypt: true}, false, one); sum.Path != filepath.Join(dir, "c.json.enc") {
		t.Errorf("recorded to %s; want c.json.enc", sum.Path)
	}
	if sum := tell(RecordOptions{}, false, one); sum.Changed || sum.Kept != 1 {
		t.Errorf("recorded again: %+v; want no change", sum)
	}
	tell(RecordOptions{Append: true}, false, two)
	if sum := tell(RecordOptions{}, true, two); sum.Path != filepath.Join(dir, ".failed/c.json.enc") {
		t.Errorf("a failed recording goes to %s; want .failed/c.json.enc", sum.Path)
	}
	c := load(t, s, "c")
	if len(c.Interactions) != 2 || whole(s, "c") != nil {
		t.Errorf("%d interactions, Validate = %v; want two, whole", len(c.Interactions), whole(s, "c"))
	}
	if got := ask(t, playerOf(t, c, PlayOptions{}), get("/a"), "").body; got != big {
		t.Errorf("replay gives %d bytes; want %d", len(got), len(big))
	}
	entries, err := s.List()
	if err != nil || len(entries) != 1 || entries[0].Format != Encrypted {
		t.Errorf("List = %+v, %v; want c, encrypted", entries, err)
	}
	bodies, _ := filepath.Glob(filepath.Join(dir, "c.bodies", "*"))
	for _, b := range bodies {
		if filepath.Ext(b) != ".enc" {
			t.Errorf("%s says what it is", b)
		}
	}
	damage(t, bodies[0])
	if err := whole(s, "c"); err == nil || !strings.Contains(err.Error(), errDamaged.Error()) {
		t.Errorf("Validate with a damaged body = %v; want %v", err, errDamaged)
	}
}

// noPlain holds that no file below dir holds one of words, nor is named after it.
func noPlain(t *testing.T, dir string, words ...string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		for _, w := range words {
			if bytes.Contains(b, []byte(w)) || strings.Contains(p, w) {
				t.Errorf("%s holds %q", p, w)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// damage changes the last byte of the file at p.
func damage(t *testing.T, p string) {
	t.Helper()
	b, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	if err := os.WriteFile(p, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestEncryptOver makes a plain cassette an encrypted one by recording over it,
// with what it kept of the old one, and its body files.
func TestEncryptOver(t *testing.T) {
	s, dir := newStore(t)
	s.Unlock(testKey(t, "0a"))
	big := strings.Repeat("marrow\x00", 5000)
	kept := asked{req: get("/a"), res: ok("Content-Type: image/png"), answer: big}
	recordAll(t, s, "c", RecordOptions{}, kept)
	before := load(t, s, "c")
	sum := recordAll(t, s, "c", RecordOptions{Encrypt: true}, kept)
	if !sum.Changed || sum.Kept != 1 {
		t.Errorf("Close = %+v; want a change of form, and one kept", sum)
	}
	noPlain(t, dir, "marrow", "api.example.com")
	after := load(t, s, "c")
	if d := cmp.Diff(before.Interactions[0].Request.URL, after.Interactions[0].Request.URL); d != "" {
		t.Error(d)
	}
	if err := whole(s, "c"); err != nil {
		t.Error(err)
	}
	if got := ask(t, playerOf(t, after, PlayOptions{}), get("/a"), "").body; got != big {
		t.Errorf("replay gives %d bytes; want %d", len(got), len(big))
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "c.*")); len(files) != 2 {
		t.Errorf("%q are there; want c.json.enc and c.bodies", files)
	}
}
