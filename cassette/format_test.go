package cassette

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// noFiles is the bodies folder of a cassette that has none.
func noFiles(string) (io.ReadCloser, error) { return nil, os.ErrNotExist }

// TestGolden reads every cassette in testdata, one per version and shape, and
// holds how it is written today.
func TestGolden(t *testing.T) {
	ins, err := filepath.Glob("testdata/*.json")
	if err != nil || len(ins) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, in := range ins {
		b, err := os.ReadFile(in)
		if err != nil {
			t.Fatal(err)
		}
		c, err := parse(b, noFiles)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		var out bytes.Buffer
		if err := c.write(&out); err != nil {
			t.Fatal(err)
		}
		golden := strings.TrimSuffix(in, ".json") + ".golden"
		if *update {
			if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), out.String()); d != "" {
			t.Errorf("%s (-want +got):\n%s", in, d)
		}
		again, err := parse(out.Bytes(), noFiles)
		if err != nil {
			t.Fatalf("%s: reading what was written: %v", in, err)
		}
		var twice bytes.Buffer
		if err := again.write(&twice); err != nil || twice.String() != out.String() {
			t.Errorf("%s is not stable, %v:\n%s", in, err, cmp.Diff(out.String(), twice.String()))
		}
	}
}

func TestLoadErrors(t *testing.T) {
	const one = `{"interactions":[{"request":{"method":"GET","url":"http://a/"},"response":{"status":200,"body":BODY}}]}`
	tests := []struct{ name, text, want string }{
		{"empty", "", "bad.json:1:1"},
		{"truncated", "{\n  \"version\": \"1.0\",\n  \"na", "bad.json:3:"},
		{"corrupt", "{\n\"version\": }", "bad.json:2:12"},
		{"list", "[]", "a cassette is a JSON object"},
		{"future", `{"version":"2.0","interactions":[]}`, "reads 2.x"},
		{"no list", `{"interactions":{}}`, "/interactions: is not a list"},
		{"no version", `{"version":"x"}`, "/version"},
		{"no request", `{"interactions":[{}]}`, "/interactions/0/request"},
		{"no answer", `{"interactions":[{"request":{"method":"GET","url":"http://a/"}}]}`, "/interactions/0: neither"},
		{"status", strings.NewReplacer("200", "20", "BODY", "null").Replace(one), "/response/status"},
		{"escaping file", strings.Replace(one, "BODY", `{"file":"../../etc/passwd","size":1}`, 1), "not a name in"},
		{"hidden file", strings.Replace(one, "BODY", `{"file":".x","size":1}`, 1), "not a name in"},
		{"unknown style", strings.Replace(one, "BODY", `{"json":{},"style":"x"}`, 1), `unknown style "x"`},
		{"unknown view", strings.Replace(one, "BODY", `{"x":1}`, 1), "none of json"},
		{"bad base64", strings.Replace(one, "BODY", `{"base64":"*"}`, 1), "illegal base64"},
		{"bad byte", strings.Replace(one, "BODY", `[1,999]`, 1), "byte 999"},
		{"bad chunk", strings.Replace(one, "BODY", `{"text":"a","chunks":[-1]}`, 1), "/body/chunks"},
	}
	s, dir := newStore(t)
	if _, err := s.Load("bad"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Load() without a directory = %v; want ErrNotExist", err)
	}
	if es, err := s.List(); len(es) != 0 || err != nil {
		t.Errorf("List() without a directory = %v, %v", es, err)
	}
	if _, was, err := s.Recover("bad"); was || err != nil {
		t.Errorf("Recover() without a directory = %v, %v", was, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		if err := os.WriteFile(filepath.Join(dir, "bad.json"), []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := s.Load("bad")
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "bad.json") {
			t.Errorf("%s: Load() = %v; want %q and the file's name", tt.name, err, tt.want)
		}
		if tt.name == "future" {
			if _, err := s.Record("bad", RecordOptions{}); !errors.Is(err, ErrVersion) {
				t.Errorf("Record() over a newer version = %v; want ErrVersion", err)
			}
		}
	}
}

func TestNames(t *testing.T) {
	s, _ := newStore(t)
	for _, name := range []string{"", "/abs", "../x", "a/../../x", "a//b", ".hidden", "a/.b", `a\b`, "C:x", "a\nb", "a\xff", "x.bodies/a", "login.json", "a/"} {
		if _, err := s.Record(name, RecordOptions{}); !errors.Is(err, ErrName) {
			t.Errorf("Record(%q) = %v; want ErrName", name, err)
		}
		if _, err := s.Load(name); !errors.Is(err, ErrName) {
			t.Errorf("Load(%q) = %v; want ErrName", name, err)
		}
		if _, _, err := s.Recover(name); !errors.Is(err, ErrName) {
			t.Errorf("Recover(%q) = %v; want ErrName", name, err)
		}
	}
	for _, name := range []string{"a", "suite/test", "a b", "ä.v2"} {
		if err := checkName(name); err != nil {
			t.Errorf("checkName(%q) = %v", name, err)
		}
	}
}

func TestStoreUnwritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(filepath.Join(file, "cassettes"))
	if err == nil {
		_, err = s.Record("x", RecordOptions{})
	}
	if err == nil || !strings.Contains(err.Error(), "cassette directory") {
		t.Errorf("Record() below a file = %v; want an error about the cassette directory", err)
	}
}

func TestDNSAndPins(t *testing.T) {
	s, dir := newStore(t)
	r, err := s.Record("x", RecordOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []DNS{{"b.example.com.", "A", "NXDOMAIN", nil, []string{"example.com. 60 IN SOA …"}, nil}, {"A.example.com.", "MX", "NOERROR", []string{"old"}, nil, nil}, {"a.example.com.", "MX", "NOERROR", []string{"a.example.com. 60 IN MX 1 m."}, nil, []string{"m. 60 IN A 198.18.0.1"}}} {
		if err := r.DNS(d); err != nil {
			t.Fatal(err)
		}
	}
	v4, v6 := netip.MustParseAddr("198.18.0.1"), netip.MustParseAddr("fd5e:7267::1")
	for _, p := range []Pin{{"b", v4, netip.Addr{}}, {"a", v4, netip.Addr{}}, {"A", netip.Addr{}, v6}} {
		if err := r.Pin(p); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Close(false); err != nil {
		t.Fatal(err)
	}
	c := load(t, s, "x")
	if want := []Pin{{"a", v4, v6}, {"b", v4, netip.Addr{}}}; !cmp.Equal(want, c.Pins, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })) {
		t.Errorf("Pins = %v; want %v", c.Pins, want)
	}
	if len(c.DNS) != 2 || c.DNS[0].Additional[0] != "m. 60 IN A 198.18.0.1" || c.DNS[1].Rcode != "NXDOMAIN" || len(c.DNS[1].Authority) != 1 {
		t.Errorf("DNS = %+v in\n%s", c.DNS, read(t, dir, "x.json"))
	}
}

func TestCassetteAccessors(t *testing.T) {
	s, _ := newStore(t)
	recordAll(t, s, "x", RecordOptions{}, asked{req: get("/a?b"), res: ok(), answer: "a"})
	c := load(t, s, "x")
	i := c.Interactions[0]
	if c.Interaction(i.ID) != i || c.Interaction("none") != nil {
		t.Errorf("Interaction(%q) does not find it", i.ID)
	}
	if d := cmp.Diff([]string{"api.example.com"}, c.Hosts()); d != "" {
		t.Errorf("Hosts() (-want +got):\n%s", d)
	}
	if got, want := i.Line(), "GET http://api.example.com/a?b -> 200"; got != want {
		t.Errorf("Line() = %q; want %q", got, want)
	}
}
