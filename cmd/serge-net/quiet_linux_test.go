package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// TestQuiet records a program that does eight things at a time, again and again:
// compressed bodies, cookies, bearer tokens, event streams and forms whose
// boundary is made up each time. Nothing of the cassette changes but where it is
// asked to.
func TestQuiet(t *testing.T) {
	r := newRig(t)
	var config []string
	add := func(path string, more ...string) {
		lines := append([]string{fmt.Sprintf("url = %q", "https://"+testnet.WWW+path), `output = "/dev/null"`}, more...)
		config = append(config, strings.Join(lines, "\n"))
	}
	for i := range 8 {
		add(fmt.Sprintf("/gzip?n=%d", i))
		add(fmt.Sprintf("/sse?n=3&gap=5&who=%d", i))
		add(fmt.Sprintf("/login?n=%d", i))
		add(fmt.Sprintf("/cookie?n=%d", i), fmt.Sprintf("header = %q", "Cookie: mine=0123456789abcdef"))
		for token := range testnet.Tokens() {
			add(fmt.Sprintf("/me?n=%d", i), fmt.Sprintf("header = %q", "Authorization: Bearer "+token))
		}
		add("/echo", fmt.Sprintf("form = \"a=%d\"", i), `form = "b=two words"`)
		add("/hello")
	}
	write(t, filepath.Join(r.dir, "parallel"), strings.Join(config, "\nnext\n"))
	argv := []string{"curl", "-sS", "--no-progress-meter", "--parallel", "--parallel-max", "8", "-K", "parallel"}
	again := func(flags ...string) outcome {
		return r.well(append(append(append([]string{"record", "quiet"}, flags...), "--"), argv...)...)
	}
	cassettes := filepath.Join(r.dir, "cassettes")
	again()
	first := tree(t, cassettes)
	for round := range 3 {
		o := again()
		if !strings.Contains(o.stderr, "nothing changed") {
			t.Errorf("round %d says\n%s", round, o.stderr)
		}
		if d := cmp.Diff(first, tree(t, cassettes)); d != "" {
			t.Fatalf("round %d (-first +again):\n%s", round, d)
		}
	}
	text := string(first["quiet.json"])
	for _, want := range []string{`"encoding": "gzip", "of": "sha256:`, `"multipart": [`, `"sse": [`, "{{secret:cookie#1}}", "{{secret:auth#2}}"} {
		if !strings.Contains(text, want) && !strings.Contains(strings.Join(strings.Fields(text), " "), want) {
			t.Errorf("the cassette has no %s:\n%.6000s", want, text)
		}
	}
	if o := r.replay("quiet", argv...); !strings.Contains(o.stderr, "64 served") || !strings.Contains(o.stderr, "0 missed, 0 unused") {
		t.Errorf("the replay says\n%s", o.stderr)
	}
	again("--exact-timing")
	if exact := tree(t, cassettes); bytes.Equal(exact["quiet.json"], first["quiet.json"]) {
		t.Error("--exact-timing left the old times")
	}
}

// TestKept holds what --bodies and --conn-info have a recording keep.
func TestKept(t *testing.T) {
	r := newRig(t)
	argv := []string{"curl", "-sS", "--compressed", "http://" + testnet.WWW + "/gzip"}
	want := r.record("full", argv...).stdout
	r.well(append([]string{"record", "lean", "--bodies", "view", "--conn-info", "full", "--"}, argv...)...)
	files := tree(t, filepath.Join(r.dir, "cassettes"))
	full, lean := string(files["full.json"]), string(files["lean.json"])
	if strings.Contains(full, `"peer"`) || !strings.Contains(full, `"of": "sha256:`) {
		t.Errorf("by default there is\n%s", full)
	}
	if !strings.Contains(lean, `"wire": {"encoding": "gzip"}`) || !strings.Contains(lean, `"command": "curl"`) || !strings.Contains(lean, `:80", "pid": `) {
		t.Errorf("with --bodies view and --conn-info full there is\n%s", lean)
	}
	if got := r.replay("lean", argv...).stdout; got != want {
		t.Errorf("encoded anew, it is %q; want %q", got, want)
	}
	edited := strings.Replace(full, `"name": "testnet"`, `"name": "by hand"`, 1)
	write(t, filepath.Join(r.dir, "cassettes", "full.json"), edited)
	if got := r.replay("full", argv...).stdout; got != strings.Replace(want, "testnet", "by hand", 1) || got == want {
		t.Errorf("edited, it is %q; want %q changed", got, want)
	}
	if o := r.well(append([]string{"record", "lean", "--bodies", "view", "--conn-info", "full", "--"}, argv...)...); !strings.Contains(o.stderr, "nothing changed") {
		t.Errorf("recording it again says\n%s", o.stderr)
	}
}
