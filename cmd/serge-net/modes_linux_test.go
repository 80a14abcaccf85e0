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

// Answers that never change, that always do, and that tell of an origin which is
// not well.
const (
	counting = "http://" + testnet.WWW + "/count"
	unwell   = "http://" + testnet.WWW + "/status?code=503"
)

// ended is the lines of stderr after the first, which names the lane, without
// the program's name.
func ended(o outcome) string {
	_, rest, _ := strings.Cut(said(o), "\n")
	return strings.ReplaceAll(rest, "serge-net: ", "")
}

// curls is a command that asks for urls, and fails for no status.
func curls(urls ...string) []string { return append([]string{"--", "curl", "-sS"}, urls...) }

// in mode, run asks for urls, and is to say and to end so.
func (r *rig) mode(t *testing.T, mode string, code int, says string, urls ...string) outcome {
	t.Helper()
	o := r.serge(append([]string{"run", "--cassette", "m", "--mode", mode}, curls(urls...)...)...)
	if d := cmp.Diff(says, ended(o)); d != "" || o.code != code {
		t.Errorf("--mode %s: exit code %d, want %d; it says (-want +got):\n%s", mode, o.code, code, d)
	}
	return o
}

// cassetteFile is the cassette m as it is.
func (r *rig) cassetteFile(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, "cassettes", "m.json"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestModeRefresh asks all of the origin again, keeps what has not changed, and
// what was not asked for, to the byte, and says what has.
func TestModeRefresh(t *testing.T) {
	r := newRig(t)
	json := "http://" + testnet.WWW + "/json"
	was := strings.TrimSpace(r.mode(t, "record", 0, "recorded 3 interactions to cassettes/m.json; T s\n", counting, hello, json).stdout)
	count, _, _ := strings.Cut(was, "\n")
	before := r.cassetteFile(t)
	r.mode(t, "refresh", 0, "recorded 1 interaction: nothing changed in cassettes/m.json; T s\n", hello)
	if !bytes.Equal(before, r.cassetteFile(t)) {
		t.Errorf("a refresh that changed nothing wrote the cassette")
	}
	o := r.serge("run", "--cassette", "m", "--mode", "refresh", "--", "curl", "-sS", counting, hello)
	now, _, _ := strings.Cut(o.stdout, "\n")
	want := "recorded 2 interactions to cassettes/m.json; T s\nchanged: ~ GET " + counting + "\n    body line 1: " + count + " -> " + now + "\n"
	if got := ended(o); got != want || o.code != 0 || now == count {
		t.Errorf("exit code %d; it says\n%s\nwant\n%s", o.code, got, want)
	}
	changed := 0
	olds, news := strings.Split(string(before), "\n"), strings.Split(string(r.cassetteFile(t)), "\n")
	for n := range min(len(olds), len(news)) {
		if olds[n] != news[n] && !strings.Contains(olds[n], `"recorded_at"`) && !strings.Contains(olds[n], `"timing"`) && !strings.Contains(olds[n], `"Date"`) {
			changed++
		}
	}
	if changed != 1 || len(olds) != len(news) {
		t.Errorf("%d lines changed beside times, %d are %d; want the one with the count", changed, len(olds), len(news))
	}
	if got := r.replay("m", "curl", "-sS", json, hello, counting); got.stdout != testnet.JSON+"hello from "+testnet.WWW+"\n"+now+"\n" {
		t.Errorf("the refreshed cassette gives %q", got.stdout)
	}
}

// TestModeVerify compares what the origin says now with the cassette, and writes
// nothing.
func TestModeVerify(t *testing.T) {
	r := newRig(t)
	r.mode(t, "record", 0, "recorded 2 interactions to cassettes/m.json; T s\n", hello, counting)
	before := tree(t, r.dir)
	r.mode(t, "verify", 0, "verified m: 1 interaction, 0 changed, 0 not in the cassette, 1 not asked for; T s\n", hello)
	o := r.serge("run", "--cassette", "m", "--mode", "verify", "--unused", "fail", "--", "curl", "-sS", hello)
	if !strings.Contains(o.stderr, "unused: GET "+counting+" -> 200 (get-count-") || o.code != 98 {
		t.Errorf("with --unused fail: exit code %d; it says\n%s", o.code, o.stderr)
	}
	o = r.serge("run", "--cassette", "m", "--mode", "verify", "--", "curl", "-sS", counting, hello, unwell)
	for _, want := range []string{"changed: ~ GET " + counting + "\n    body line 1: ", "changed: + GET " + unwell + " -> 503\n",
		"verified m: 3 interactions, 1 changed, 1 not in the cassette, 0 not asked for; "} {
		if !strings.Contains(o.stderr, want) {
			t.Errorf("no %q in\n%s", want, o.stderr)
		}
	}
	if o.code != 98 {
		t.Errorf("exit code %d; want 98", o.code)
	}
	r.mode(t, "verify", 99, "verified m: 0 interactions, 0 changed, 0 not in the cassette, 2 not asked for; T s\n"+
		"nothing was asked for, though cassettes/m.json holds 2 interactions: did the command reach the network at all?\n", "--version", "-o", "/dev/null")
	if d := cmp.Diff(before, tree(t, r.dir)); d != "" {
		t.Errorf("verifying wrote (-before +after):\n%s", d)
	}
}

// TestModesThatAdd holds append to ask all of the origin and keep all, and new
// to serve what was recorded before this run, and nothing recorded in it.
func TestModesThatAdd(t *testing.T) {
	r := newRig(t)
	first := r.mode(t, "append", 0, "recorded 1 interaction to cassettes/m.json; T s\n", counting).stdout
	second := r.mode(t, "append", 0, "recorded 1 interaction to cassettes/m.json; T s\n", counting).stdout
	if first == second {
		t.Errorf("append served %q again", first)
	}
	if got := r.replay("m", "curl", "-sS", counting, counting).stdout; got != first+second {
		t.Errorf("both give %q; want %q", got, first+second)
	}
	post := []string{"-X", "POST", counting, counting, counting}
	o := r.mode(t, "new", 0, "recorded 3 interactions to cassettes/m.json; T s\n0 served (0 exact, 0 assumed), 0 missed, 2 unused, 0 escaped; isolated: no; T s\n", post...)
	if n := strings.Fields(o.stdout); len(n) != 3 || n[0] == n[1] || n[1] == n[2] {
		t.Errorf("new gave %v; want three answers of the origin's", n)
	}
	again := r.mode(t, "new", 0, "nothing new to record; T s\n3 served (3 exact, 0 assumed), 0 missed, 2 unused, 0 escaped; isolated: no; T s\n", post...)
	if again.stdout != o.stdout {
		t.Errorf("the next run was served %q; want %q", again.stdout, o.stdout)
	}
}

// TestModeRecord names what a replay should rather not repeat.
func TestModeRecord(t *testing.T) {
	r := newRig(t)
	r.mode(t, "record", 0, "recorded 2 interactions to cassettes/m.json; T s\nrecorded as it came: GET "+unwell+" -> 503\n", hello, unwell)
}

// TestModeWithoutCassette refuses what needs one, and takes the mode from the
// strongest place that has one.
func TestModeWithoutCassette(t *testing.T) {
	r := newRig(t)
	write(t, filepath.Join(r.dir, "serge-net.toml"), "[serge-net]\nmode = \"refresh\"\n")
	for mode, env := range map[string][]string{"refresh": nil, "verify": {"SERGE_MODE=verify"}, "replay": {"SERGE_MODE=replay"}} {
		o := r.runWith(env, "", built.serge, "run", "--cassette", "m", "--", "curl", "-sS", hello)
		want := lines("error: no cassette cassettes/m.json", "hint: record it first: serge-net record m -- curl -sS "+hello)
		if o.stderr != want || o.code != 125 {
			t.Errorf("%s: exit code %d; it says\n%swant\n%s", mode, o.code, o.stderr, want)
		}
	}
}

// TestDefaultOfTwo warns when the cassette that nobody named is another
// command's.
func TestDefaultOfTwo(t *testing.T) {
	r := newRig(t)
	r.well("run", "--", "curl", "-sS", hello)
	const warning = "warning: cassette default was recorded by curl, and this is sh; --cassette NAME gives each its own"
	for _, mode := range []string{"auto", "record"} {
		if o := r.well("run", "--mode", mode, "--", "sh", "-c", "curl -sS "+hello); !strings.Contains(o.stderr, warning) {
			t.Errorf("--mode %s: no warning in\n%s", mode, o.stderr)
		}
	}
	if o := r.well("run", "--", "curl", "-sS", hello); strings.Contains(o.stderr, "warning") {
		t.Errorf("the same command is warned:\n%s", o.stderr)
	}
}

// TestOrderAndUnused holds a command to the order of the recording, and to all
// of it.
func TestOrderAndUnused(t *testing.T) {
	r := newRig(t)
	json := "http://" + testnet.WWW + "/json"
	r.mode(t, "record", 0, "recorded 2 interactions to cassettes/m.json; T s\n", hello, json)
	for _, c := range []struct {
		name  string
		flags []string
		urls  []string
		code  int
		says  string
	}{
		{"in order", []string{"--order", "all", "--unused", "fail"}, []string{hello, json}, 0, ""},
		{"out of order", []string{"--order", "host"}, []string{json}, 97, "out of order: the next one recorded is GET " + hello + " -> 200"},
		{"no order", nil, []string{json, hello}, 0, ""},
		{"unused", []string{"--unused", "report"}, []string{hello}, 0, "unused: GET " + json + " -> 200 (get-json-"},
		{"unused fails", []string{"--unused", "fail"}, []string{hello}, 98, "unused: GET " + json + " -> 200 (get-json-"},
		{"unused is a number", nil, []string{hello}, 0, "1 unused"},
	} {
		o := r.serge(append(append([]string{"replay", "m"}, c.flags...), curls(c.urls...)...)...)
		if o.code != c.code || !strings.Contains(o.stderr, c.says) {
			t.Errorf("%s: exit code %d, want %d; no %q in\n%s", c.name, o.code, c.code, c.says, o.stderr)
		}
	}
}
