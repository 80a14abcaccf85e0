package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// askTwin asks for answers of each kind: text, repeats, a large body, by curl and
// by Python.
const askTwin = `
u=http://` + testnet.WWW + `
curl -sS $u/count; curl -sS $u/count
curl -sS "$u/slow?ms=1"
curl -sS $u/bytes?n=300000 | sha256sum
curl -sS --compressed https://` + testnet.WWW + `/count
python3 -c 'import urllib.request; print(urllib.request.urlopen("'$u'/count").read())'
`

// TestConvert records straight into MessagePack, by a flag, the environment and
// the configuration, replays it to real clients, and converts it there and back.
func TestConvert(t *testing.T) {
	r := newRig(t)
	cassettes := filepath.Join(r.dir, "cassettes")
	want := r.well("record", "x", "--format", "msgpack", "--", "sh", "-c", askTwin).stdout
	twin := tree(t, cassettes)
	if len(twin) != 1 || !bytes.HasPrefix(twin["x.smpk"], []byte("SERGEMPK")) {
		t.Fatalf("--format msgpack wrote %d files", len(twin))
	}
	replays := func(name, form string) {
		t.Helper()
		o := r.replay(name, "sh", "-c", askTwin)
		if d := cmp.Diff(want, o.stdout); d != "" || !strings.Contains(o.stderr, "6 served (6 exact, 0 assumed), 0 missed, 0 unused") {
			t.Errorf("from %s (-recorded +replayed):\n%s\n%s", form, d, o.stderr)
		}
	}
	replays("x", "msgpack")
	if o := r.well("convert", "x", "--to", "json"); o.stdout != "cassettes/x.smpk -> cassettes/x.json\n" {
		t.Errorf("convert says %q", o.stdout)
	}
	text := tree(t, cassettes)
	replays("x", "json")
	r.well("convert", "x", "--to", "msgpack", "-o", "y")
	replays("y", "msgpack again")
	r.well("convert", "y", "--to", "json")
	for name, b := range tree(t, cassettes) {
		if was, ok := text[strings.Replace(name, "y.", "x.", 1)]; !ok || !bytes.Equal(was, b) {
			t.Errorf("%s is not what it was before the conversion", name)
		}
	}
	if o := r.well("convert", "y", "--to", "json"); !strings.Contains(o.stdout, "is json already") {
		t.Errorf("a second conversion says %q", o.stdout)
	}
	if o := r.well("list"); !strings.Contains(o.stdout, "x ") || !strings.Contains(o.stdout, "y ") {
		t.Errorf("list says\n%s", o.stdout)
	}
	write(t, filepath.Join(r.dir, "serge-net.toml"), "[serge-net]\nformat = \"msgpack\"\n")
	r.record("toml", "curl", "-sS", "http://"+testnet.WWW+"/count")
	r.well("run", "--mode", "new", "--cassette", "toml", "--on-miss", "record", "--", "curl", "-sS", "http://"+testnet.WWW+"/count?more")
	if o := r.well("show", "toml"); !strings.Contains(o.stdout, "2 interactions") {
		t.Errorf("after an addition show says\n%s", o.stdout)
	}
	for _, name := range []string{"toml.smpk", "x.json"} {
		if _, err := os.Stat(filepath.Join(cassettes, name)); err != nil {
			t.Error(err)
		}
	}
	write(t, filepath.Join(cassettes, "toml.json"), "{}")
	for _, tt := range []struct{ args, want string }{
		{"replay toml -- true", "is there twice: as cassettes/toml.json and as cassettes/toml.smpk"},
		{"convert x", "no format named"},
		{"convert x --to yaml", "not one of json, "},
		{"convert none --to json", "no cassette"},
		{"convert x --to msgpack -o y", "file already exists\nserge-net: hint: --output"},
	} {
		if o := r.serge(strings.Fields(tt.args)...); o.code != exitStart || !strings.Contains(o.stderr, tt.want) {
			t.Errorf("serge-net %s: exit code %d, want %d and %q\n%s", tt.args, o.code, exitStart, tt.want, o.stderr)
		}
	}
}
