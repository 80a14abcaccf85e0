// Package foreign reads the recordings of other tools and writes cassettes in
// their forms.
//
// Read gives a Recording: exchanges as they passed, and Notes on all that could
// not be carried. Tell tells them to a Recorder as if they happened, so that
// secrets are replaced and bodies are kept as in any recording. Write prints a
// cassette in the form of another tool.
//
// A file is data: nothing in it is ever executed or evaluated, and the files that
// it refers to are opened in the directory that it is in and nowhere else.
package foreign

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/exchange"
)

// ErrFormat is wrapped when a file is in no format that Read knows.
var ErrFormat = errors.New("not a recording of a known format")

// most bounds what is read of a file in bytes: it is parsed as a whole.
const most = 1 << 30

// A Recording is what another tool recorded.
type Recording struct {
	Format    string    // one of Formats
	Start     time.Time // of the first exchange; zero if the file does not say
	Exchanges []Exchange
	Rules     []cassette.Rule // how the tool matched requests, where that is not as usual
	Notes     []Note          // what could not be carried, in order of the file
}

// An Exchange is one request and what came of it. Bodies are without transfer
// coding, as the cassette's are.
type Exchange struct {
	URL          string // absolute
	Request      exchange.Head
	RequestBody  []byte
	Interim      []exchange.Head // 1xx answers
	Response     *exchange.Head  // nil: Failure says why
	ResponseBody []byte
	Trailers     []exchange.Field // of the response
	Messages     []Message        // of a WebSocket, whose handshake the rest of this is
	Failure      exchange.End
	again        func() (*Exchange, error) // reads it with its bodies, which are nil until then; nil if they are there
	Start        time.Time                 // zero if the file does not say
	Send         time.Duration             // from the beginning of the request to its end
	Wait         time.Duration             // from the end of the request to the response
	Receive      time.Duration             // from there to its end
}

// A Note is something that could not be carried, or was changed to be.
type Note struct {
	What  string
	Where string // the first place in the file: "line 12", "byte 3071"
	Count int
}

// String returns the note in one line.
func (n Note) String() string {
	if n.Count == 1 {
		return n.Where + ": " + n.What
	}
	return fmt.Sprintf("%s and %d more: %s", n.Where, n.Count-1, n.What)
}

// A dialect is a format that can be read.
type dialect struct {
	name string
	// is tells by content whether root is in it.
	is func(root *value) bool
	// read takes in root.
	read func(d *draft, root *value) error
}

// dialects are all that can be read. The first that fits is taken.
func dialects() []dialect {
	return []dialect{
		{"har", func(v *value) bool { return v.peek("log").peek("entries") != nil }, readHAR},
		{"vcr", func(v *value) bool { return v.peek("http_interactions") != nil }, readVCR},
		{"hoverfly", func(v *value) bool { return v.peek("data").peek("pairs") != nil }, readHoverfly},
		{"wiremock", isWireMock, readWireMock},
		{"nock", isNock, readNock},
		{"vcrpy", func(v *value) bool { return firstRequest(v).peek("uri") != nil || isEmptyV1(v) }, readVCRpy},
		{"go-vcr", isGoVCR, readGoVCR},
		{"mitmproxy", isMitmproxy, readMitmproxy},
		{"serge", isSerge, readSerge},
	}
}

// Formats are the names of those that Read knows.
func Formats() []string {
	var names []string
	for _, d := range dialects() {
		names = append(names, d.name)
	}
	return names
}

// firstRequest is that of a file with a list of interactions.
func firstRequest(v *value) *value {
	if l := v.peek("interactions"); l != nil && len(l.kids) > 0 {
		return l.kids[0].peek("request")
	}
	return nil
}

// isEmptyV1 says whether v is vcrpy's file of nothing.
func isEmptyV1(v *value) bool {
	l := v.peek("interactions")
	return l != nil && len(l.kids) == 0 && v.peek("version").string() == "1"
}

// Read reads the recording called name in fsys: a file, or WireMock's
// directory. format is one of Formats, or "" to tell it by the content. An error
// names the line.
//
// A large HAR, or mitmproxy's flows, are read piece by piece: fsys has to stay
// usable until the Recording was told, and its files have to be io.ReaderAt.
func Read(fsys fs.FS, name, format string) (*Recording, error) {
	return read(fsys, name, format, streamFrom)
}

// read is Read with streams from a size of from bytes on.
func read(fsys fs.FS, name, format string, from int64) (*Recording, error) {
	if rec, err := readLarge(fsys, name, format, from); rec != nil || err != nil {
		return rec, err
	}
	root, err := load(fsys, name)
	if err != nil {
		return nil, err
	}
	for _, k := range dialects() {
		if format != k.name && (format != "" || !k.is(root)) {
			continue
		}
		d := &draft{files: fsys, name: name, rec: &Recording{Format: k.name}}
		if err := k.read(d, root); err != nil {
			return nil, fmt.Errorf("%s: read as %s: %w", name, k.name, err)
		}
		d.leftovers(root, "")
		d.settleRules()
		d.sort()
		return d.rec, nil
	}
	if format != "" {
		return nil, fmt.Errorf("%q: %w", format, ErrFormat)
	}
	return nil, fmt.Errorf("%s: %w", name, ErrFormat)
}

// readLarge reads the file name as a stream, if it is large and in such a format.
func readLarge(fsys fs.FS, name, format string, from int64) (*Recording, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil || !info.Mode().IsRegular() || info.Size() < from {
		return nil, err
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s, err := streamOf(f)
	if err != nil || s == nil || format != "" && format != s.format {
		return nil, err
	}
	d := &draft{files: fsys, name: name, rec: &Recording{Format: s.format}}
	if err := d.readStream(s); err != nil {
		return nil, fmt.Errorf("%s: read as %s: %w", name, s.format, err)
	}
	d.sort()
	return d.rec, nil
}

// load reads name as a tree, whatever it is written in.
func load(fsys fs.FS, name string) (*value, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return loadDir(fsys, name)
	}
	b, err := readFile(fsys, name, most)
	if err != nil {
		return nil, err
	}
	root, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return root, nil
}

// inflatedMost bounds what a compressed file may unfold to, in bytes.
const inflatedMost = 256 << 20

// parse tells what b is written in by how it begins: compressed (VCR's
// :compressed serializer is zlib), tnetstrings, MessagePack, JSON or YAML.
func parse(b []byte) (*value, error) {
	for _, c := range []struct{ magic, coding string }{{"\x1f\x8b", "gzip"}, {"\x78\x9c", "deflate"}, {"\x78\x01", "deflate"}, {"\x78\xda", "deflate"}} {
		if !bytes.HasPrefix(b, []byte(c.magic)) {
			continue
		}
		plain, ok := cassette.Decoded(b, c.coding, inflatedMost)
		if !ok {
			return nil, fmt.Errorf("compressed, and damaged or over %d MiB", inflatedMost>>20)
		}
		b = plain
		break
	}
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	text := bytes.TrimLeft(b, " \t\r\n")
	switch {
	case len(text) == 0:
		return nil, errors.New("is empty")
	case isTnetstring(b):
		return parseFlows(b)
	case isMsgpack(b):
		return parseMsgpack(b)
	case text[0] == '{' || text[0] == '[':
		return parseJSON(b)
	}
	return parseYAML(b)
}

// readFile is the file name of fsys, up to limit bytes.
func readFile(fsys fs.FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s: is larger than %d MiB", name, limit>>20)
	}
	return b, nil
}

// A draft is a Recording while it is made.
type draft struct {
	files fs.FS
	name  string
	rec   *Recording
	urls  []urlPattern    // in the order of the file
	hosts []cassette.Rule // what hosts are taken for, before URLs are looked at
}

// note says that something at v was not carried.
func (d *draft) note(v *value, format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	for i := range d.rec.Notes {
		if d.rec.Notes[i].What == what {
			d.rec.Notes[i].Count++
			return
		}
	}
	d.rec.Notes = append(d.rec.Notes, Note{what, v.where(), 1})
}

// leftovers notes what of v no reader has asked for.
func (d *draft) leftovers(v *value, at string) {
	for i, k := range v.kids {
		key := at + "[]"
		if v.kind == '{' {
			key = strings.TrimPrefix(at+"."+v.keys[i], ".")
			if !k.used && !k.empty() {
				d.note(k, "%s is not carried", key)
				continue
			}
		}
		if k.used {
			d.leftovers(k, key)
		}
	}
}

// side is the content of the file that v names, in or below dir.
func (d *draft) side(v *value, dir string) ([]byte, error) {
	name := v.string()
	if !fs.ValidPath(name) {
		return nil, v.fault("file %q lies outside of the recording's directory: refused", name)
	}
	b, err := readFile(d.files, path.Join(dir, name), most)
	if err != nil {
		return nil, v.fault("%v", err)
	}
	return b, nil
}

// sort puts the exchanges in order of time, where the file gives one for each,
// and says when the first was.
func (d *draft) sort() {
	es := d.rec.Exchanges
	if slices.ContainsFunc(es, func(e Exchange) bool { return e.Start.IsZero() }) || len(es) == 0 {
		for _, e := range es {
			if !e.Start.IsZero() && (d.rec.Start.IsZero() || e.Start.Before(d.rec.Start)) {
				d.rec.Start = e.Start
			}
		}
		return
	}
	slices.SortStableFunc(es, func(a, b Exchange) int { return cmp.Compare(a.Start.UnixNano(), b.Start.UnixNano()) })
	d.rec.Start = es[0].Start
}
