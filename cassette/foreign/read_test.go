package foreign

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/exchange"
)

// origin is what gen/origin.py answers, by request; {n} is a number.
var origin = map[string]string{
	"GET /json?q=1&r=a%20b":   "200 {\"name\": \"ada\", \"city\": \"Z\\u00fcrich\"}",
	"GET /bin":                "200 " + bin(),
	"GET /count":              "200 call {n}",
	"GET /moved":              "302 ",
	"GET /text":               "200 grüezi\nwohl: \"yes\"\n",
	"HEAD /text":              "200 ",
	"GET /nope":               `404 {"error": "none"}`,
	"GET /refused":            "connection_refused",
	"GET /nope?key=<API_KEY>": `404 {"error": "none"}`,
	"GET /h2":                 "200 in h2 x-sum: 5",
	"GET /cut":                "200 truncated",
	"GET /echo":               "101 client text hi, client binary \x00\xff, server text you said hi, server binary \x00\xff, client close \x03\xe8bye, server close \x03\xe8bye",
}

// bin is all bytes.
func bin() string {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return string(b)
}

// A toolFile is what a tool wrote, and what is read of it.
type toolFile struct {
	file, format string
	exchanges    int
	notes        []string
}

func toolFiles() []toolFile {
	return []toolFile{
		{"vcrpy.yaml", "vcrpy", 10, []string{"line 2: body was kept decoded: Content-Encoding is left out, Content-Length set"}},
		{"vcrpy.decoded.yaml", "vcrpy", 10, nil},
		{"vcrpy.json", "vcrpy", 6, nil},
		{"vcr.yml", "vcr", 7, nil},
		{"govcr1.yaml", "go-vcr", 8, nil},
		{"govcr3.yaml", "go-vcr", 8, nil},
		{"govcr4.yaml", "go-vcr", 8, nil},
		{"vcr_zlib.zz", "vcr", 1, nil},
		{"vcr_base64.json", "vcr", 2, nil},
		{"vcr_filtered.yml", "vcr", 2, []string{"line 36: the placeholder <API_KEY> is served as it is", "line 36: Content-Length did not fit the body: set"}},
		{"polly.har", "har", 7, nil},
		{"polly5.har", "har", 7, nil},
		{"playwright.har", "har", 10, []string{"line 1: body was kept decoded: Content-Encoding is left out, Content-Length set",
			"line 1: how a WebSocket was closed is not in the file: carried as closed by the client",
			"line 1: log.pages is not carried",
			"line 1: log.entries[].timings.dns is not carried",
			"line 1: log.entries[].timings.connect is not carried",
			"line 1: log.entries[].timings.ssl is not carried"}},
		{"playwright/attach.har", "har", 10, []string{"line 1: body was kept decoded: Content-Encoding is left out, Content-Length set",
			"line 1: how a WebSocket was closed is not in the file: carried as closed by the client",
			"line 1: log.pages is not carried",
			"line 1: log.entries[].timings.dns is not carried",
			"line 1: log.entries[].timings.connect is not carried",
			"line 1: log.entries[].timings.ssl is not carried"}},
		{"wiremock", "wiremock", 7, []string{"no host is named: carried for any", "ignoreArrayOrder of a body is not carried"}},
		{"wiremock/admin.json", "wiremock", 7, []string{"no host is named: carried for any", "ignoreArrayOrder of a body is not carried"}},
		{"nock14.json", "nock", 7, []string{"line 104: Content-Length did not fit the body: set"}},
		{"nock.json", "nock", 7, []string{"line 125: Content-Length did not fit the body: set"}},
		{"mitmproxy.flows", "mitmproxy", 12, nil},
	}
}

// TestTools reads what each tool wrote, and compares it with what the origin said.
func TestTools(t *testing.T) {
	for _, tt := range toolFiles() {
		t.Run(tt.file, func(t *testing.T) {
			rec, err := Read(os.DirFS("testdata/tools"), tt.file, "")
			if err != nil {
				t.Fatal(err)
			}
			if rec.Format != tt.format || len(rec.Exchanges) != tt.exchanges {
				t.Errorf("Read(%s) = %s with %d exchanges; want %s with %d", tt.file, rec.Format, len(rec.Exchanges), tt.format, tt.exchanges)
			}
			got := noteLines(rec)
			if tt.format == "wiremock" { // its files have random names
				for i := range got {
					_, got[i], _ = strings.Cut(got[i], ": ")
				}
			}
			if diff := cmp.Diff(tt.notes, got); diff != "" {
				t.Errorf("notes of %s (-want +got):\n%s", tt.file, diff)
			}
			for _, e := range rec.Exchanges {
				got := outcome(t, e)
				key := e.Request.Method + " " + e.Request.Target
				want := origin[key]
				switch {
				case key == "GET /": // asked while it was waited for, or the page
					want = got
				case key == "GET /refused" && tt.format == "har":
					want = "reset" // Chromium does not connect to port 1
				case key == "GET /echo" && tt.format == "har":
					want = strings.ReplaceAll(want, "bye", "")
				}
				if e.Request.Method == "POST" {
					want = fmt.Sprintf(`201 {"got":%s}`, e.RequestBody)
				}
				if tt.format == "nock" {
					want, got = compacted(want), compacted(got)
				}
				if got != want {
					t.Errorf("%s of %s = %q; want %q", key, tt.file, got, want)
				}
			}
		})
	}
}

// outcome is e's answer as origin has it.
func outcome(t *testing.T, e Exchange) string {
	t.Helper()
	switch {
	case e.Response == nil:
		return e.Failure.How.String()
	case e.Failure.How != exchange.Complete:
		return fmt.Sprint(e.Response.Status, " ", e.Failure.How)
	case e.Messages != nil:
		var said []string
		for _, m := range e.Messages {
			said = append(said, fmt.Sprintf("%s %s %s", m.From, m.Op, m.Data))
		}
		return fmt.Sprint(e.Response.Status, " ", strings.Join(said, ", "))
	}
	body, ok := cassette.Decoded(e.ResponseBody, coding(e.Response.Fields), plainMost)
	if !ok {
		t.Errorf("body of %s is not %s", e.URL, coding(e.Response.Fields))
	}
	if n, ok := exchange.Get(e.Response.Fields, "content-length"); ok && e.Request.Method != "HEAD" && n != fmt.Sprint(len(e.ResponseBody)) {
		t.Errorf("Content-Length of %s = %s; want %d", e.URL, n, len(e.ResponseBody))
	}
	s := fmt.Sprintf("%d %s", e.Response.Status, body)
	for _, f := range e.Trailers {
		s += fmt.Sprintf(" %s: %s", f.Name, f.Value)
	}
	if i := strings.Index(s, "call "); i > 0 && e.Request.Target == "/count" {
		s = s[:i] + "call {n}"
	}
	return s
}

// compacted is s with the JSON behind its status without spaces: nock parses it.
func compacted(s string) string {
	status, body, _ := strings.Cut(s, " ")
	var b bytes.Buffer
	if json.Compact(&b, []byte(body)) != nil {
		return s
	}
	return status + " " + b.String()
}

func noteLines(rec *Recording) []string {
	var out []string
	for _, n := range rec.Notes {
		out = append(out, n.String())
	}
	return out
}

// TestHand reads files written after the formats' documentation.
func TestHand(t *testing.T) {
	tests := []struct {
		file, format string
		want         []string // request, answer
		notes        []string
	}{
		{"hoverfly.json", "hoverfly", []string{"GET http://api.example.com/any/ -> 200 x", "GET http://api.example.com:8123/count?q=1 -> 200 call 1"}, nil},
		{"wiremock", "wiremock", []string{"GET http://api.example.com:8123/count?q=1 -> 200 call 1", "GET http://localhost/any/ -> 200 ", "GET http://api.example.com:8123/count?q=1 -> 200 call 2"},
			[]string{"wiremock/mappings/count.json line 8: no host is named: carried for any"}},
		{"wiremock/mappings/count.json", "wiremock", []string{"GET http://api.example.com:8123/count?q=1 -> 200 call 1", "GET http://localhost/any/ -> 200 ", "GET http://api.example.com:8123/count?q=1 -> 200 call 2"},
			[]string{"line 8: no host is named: carried for any"}},
		{"magneto.json", "serge", []string{"GET http://api.example.com:8123/count?q=1 -> 200 call 1",
			"GET http://api.example.com/feed -> 101 client text hi, server binary \x00\xff, client ping p, server close \x03\xe8bye, client close \x03\xe8bye", "GET http://down.example.com/ -> connection_refused"},
			[]string{"line 3: a WebSocket's handshake is not whole in the file: the rest of it is made up"}},
		{"browser.har", "har", []string{"GET https://down.example.com/ -> connection_refused", "POST https://api.example.com/form -> 200 hello"},
			[]string{"line 4: body is only told as parameters: written as a form",
				"line 2: body was kept decoded: Content-Encoding is left out, Content-Length set",
				"line 1: log.pages is not carried",
				"line 8: log.entries[].timings.blocked is not carried"}},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			rec, err := Read(os.DirFS("testdata/hand"), tt.file, "")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range rec.Exchanges {
				got = append(got, e.Request.Method+" "+e.URL+" -> "+strings.ReplaceAll(outcome(t, e), "{n}", "1"))
			}
			if rec.Format != tt.format {
				t.Errorf("format of %s = %s; want %s", tt.file, rec.Format, tt.format)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("exchanges of %s (-want +got):\n%s", tt.file, diff)
			}
			if diff := cmp.Diff(tt.notes, noteLines(rec)); diff != "" {
				t.Errorf("notes of %s (-want +got):\n%s", tt.file, diff)
			}
		})
	}
}

// TestRefused: what is malformed or dangerous is refused with its place.
func TestRefused(t *testing.T) {
	deep := strings.Repeat("[", 10_000)
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'i'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s*%c]\n", c, c, strings.Repeat(fmt.Sprintf("*%c,", c-1), 8), c-1)
	}
	tests := []struct{ name, file, want string }{
		{"empty", " \n", "is empty"},
		{"unknown", `{"a": 1}`, "not a recording of a known format"},
		{"cut JSON", "{\"log\": {\n\"entries\": [\n", "line 3: unexpected EOF"},
		{"mangled JSON", "{\"log\": {\n\"entries\": [}}", "line 2: invalid character"},
		{"deep JSON", deep, "line 1: nested deeper than 200"},
		{"more after JSON", "{}\n{}", "line 2: something follows the JSON value"},
		{"python object", "interactions:\n- request: !!python/object:os.system {uri: x}\nversion: 1\n", "line 2: the tag !!python/object:os.system stands for an object of a program: refused"},
		{"ruby object", "http_interactions:\n- !ruby/object:Gem::Installer {i: x}\n", "line 2: the tag !ruby/object:Gem::Installer"},
		{"YAML bomb", bomb, "aliases that unfold to far more than is in the file"},
		{"cut YAML", "interactions:\n- request: {uri: [\n", "line 2"},
		{"ERB", "http_interactions:\n- request:\n    uri: http://a.example.com/<%= `id` %>\n", "line 3: ERB (<%) is code"},
		{"long tnetstring", "2147483647:x}", "byte 0: a length of 2147483647, but 2 bytes are left"},
		{"cut tnetstring", "8:4:type;4}", "byte 9: not a tnetstring"},
		{"file outside", `{"log": {"entries": [{"request": {"method": "GET", "url": "http://a/"}, "response": {"status": 200, "content": {"_file": "../../etc/passwd"}}}]}}`, `file "../../etc/passwd" lies outside`},
		{"no date", "http_interactions:\n- recorded_at: soon\n  request: {}\n", "line 2: \"soon\" is not a date"},
		{"own", `{"connections": {}, "interactions": []}`, "a cassette of serge-net already"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Read(fstest.MapFS{"f": {Data: []byte(tt.file)}}, "f", "")
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Read = %v; want an error with %q", err, tt.want)
			}
		})
	}
}

// TestStreams: what is read piece by piece tells the same as what is read whole.
func TestStreams(t *testing.T) {
	for _, file := range []string{"mitmproxy.flows", "polly.har", "polly5.har", "playwright.har", "playwright/attach.har"} {
		fsys := os.DirFS("testdata/tools")
		whole, err := Read(fsys, file, "")
		if err != nil {
			t.Fatal(err)
		}
		pieces, err := read(fsys, file, "", 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(pieces.Exchanges) == 0 || pieces.Exchanges[0].again == nil {
			t.Errorf("%s was not read piece by piece", file)
		}
		notes, got := noteLines(whole), noteLines(pieces)
		slices.Sort(notes)
		slices.Sort(got)
		if diff := cmp.Diff(notes, got); diff != "" {
			t.Errorf("notes of %s (-whole +pieces):\n%s", file, diff)
		}
		a := told(t, whole.Start, func(w exchange.Watcher) error { return whole.Tell(w, nil) })
		b := told(t, pieces.Start, func(w exchange.Watcher) error { return pieces.Tell(w, nil) })
		for _, d := range cassette.Compare(a, b) {
			t.Errorf("%s: %v", file, d)
		}
	}
}

// TestStreamHoldsLittle: of a large file little is held.
func TestStreamHoldsLittle(t *testing.T) {
	dir := t.TempDir()
	text := strings.Repeat("x", 1<<20)
	file := strings.Builder{}
	file.WriteString(`{"log": {"entries": [`)
	const entries = 16
	for n := range entries {
		fmt.Fprintf(&file, `%s{"request": {"method": "GET", "url": "http://a.example.com/%d"}, "response": {"status": 200, "content": {"text": "%s"}}}`, ","[:min(n, 1)], n, text)
	}
	file.WriteString("]}}")
	if err := os.WriteFile(dir+"/big.har", []byte(file.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	file.Reset()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	rec, err := Read(os.DirFS(dir), "big.har", "")
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if held := int64(after.HeapAlloc) - int64(before.HeapAlloc); held > 4<<20 {
		t.Errorf("of %d MiB, %d KiB are held", entries, held>>10)
	}
	var w heard
	if err := rec.Tell(&w, nil); err != nil || w.requests != entries || w.bytes != entries<<20 {
		t.Errorf("Tell = %v, of %d requests and %d bytes; want %d and %d", err, w.requests, w.bytes, entries, entries<<20)
	}
}

// TestStreamRefused: what is cut or mangled is refused with its place, piece by
// piece too.
func TestStreamRefused(t *testing.T) {
	for _, tt := range []struct{ file, want string }{
		{"{\"log\": {\"entries\": [\n{\"request\": ", "line 2: unexpected EOF"},
		{"{\"log\": {\"entries\": [\n{\"request\": }]", "line 2: invalid character"},
		{"4:type;9", "byte 0: not a flow"},
		{"90:type;9", "byte 0: a length of 90, but less is left"},
		{"9999999999:", "byte 0: not a tnetstring of up to 1024 MiB"},
	} {
		_, err := read(fstest.MapFS{"f": {Data: []byte(tt.file)}}, "f", "", 0)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("read(%q) = %v; want an error with %q", tt.file, err, tt.want)
		}
	}
}

// FuzzRead holds that no file breaks a reader, and that what is read can be told.
func FuzzRead(f *testing.F) {
	for _, dir := range []string{"testdata/tools", "testdata/hand"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			f.Fatal(err)
		}
		for _, e := range entries {
			if b, err := os.ReadFile(dir + "/" + e.Name()); err == nil && e.Name() != "README.md" {
				f.Add(b, "")
			}
		}
	}
	for _, name := range Formats() {
		f.Add([]byte(`{"interactions":[{"request":{},"response":null}],"log":{"entries":[{"request":{}}]}}`), name)
		f.Add([]byte("- {scope: a, path: b}"), name)
	}
	f.Fuzz(func(t *testing.T, b []byte, format string) {
		if pieces, err := read(fstest.MapFS{"f": {Data: b}}, "f", format, 0); err == nil {
			if err := pieces.Tell(new(heard), nil); err != nil {
				t.Fatal(err)
			}
		}
		rec, err := Read(fstest.MapFS{"f": {Data: b}}, "f", format)
		if err != nil {
			return
		}
		var w heard
		if err := rec.Tell(&w, nil); err != nil {
			t.Fatal(err)
		}
		if w.requests != len(rec.Exchanges) {
			t.Errorf("told %d of %d exchanges", w.requests, len(rec.Exchanges))
		}
	})
}

// heard is a Watcher that counts requests, and bytes of bodies.
type heard struct{ requests, bytes int }

func (h *heard) Open(exchange.Origin) (exchange.Watch, error) { return h, nil }
func (h *heard) Flush() error                                 { return nil }
func (h *heard) Close() error                                 { return nil }

func (h *heard) Event(e exchange.Event) error {
	if e.From == exchange.Client && e.Kind == exchange.KindHead {
		h.requests++
	}
	h.bytes += len(e.Data)
	return nil
}
