package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// sameStreams records and replays argv, without a network, which prints the same both
// times, with all of want in it. It returns the cassette.
func (r *rig) sameStreams(argv []string, want ...string) string {
	r.t.Helper()
	first := r.record("c", argv...)
	text, err := os.ReadFile(filepath.Join(r.dir, "cassettes", "c.json"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.net.Gone()
	defer r.net.Back()
	again := r.replay("c", argv...)
	if diff := cmp.Diff(first.stdout, again.stdout); diff != "" {
		r.t.Errorf("replayed otherwise (-recorded +replayed):\n%s\n%s", diff, again.stderr)
	}
	for _, w := range want {
		if !strings.Contains(first.stdout, w) {
			r.t.Errorf("recorded, it prints\n%s\nwant %q in it\n%s", first.stdout, w, first.stderr)
		}
	}
	return string(text)
}

// TestStreams has clients read streams as their events come: they see the same in a
// replay, and the cassette shows what it was.
func TestStreams(t *testing.T) {
	r := newRig(t)
	python := func(base string, scenes ...string) []string {
		return append([]string{debianPython, r.source("stream_client.py"), base}, scenes...)
	}
	words := []string{
		"{'data': '1'}\n204\n{'data': '2'}\n", "{'id': '6', 'event': 'tick', 'data': '{\"id\":6}'}\n204 {'Last-Event-ID': '6'}\n", "ReadTimeout\ndata: {\"n\":1}\n\nRemoteProtocolError\n[0, 1, 2]\n[0, 1, 2, 3]\n", "204 \n200 news 3\n", "done\n", "The quick brown fox jumps over the lazy dog,\nTrue ghp_ 40\n",
	}
	node := []string{"{ n: 2, done: true }\n", "data: 2\n", "AbortError\n"}
	java := []string{"data: 1\n204\n\n", "{\"n\":2,\"done\":true}\n"}
	www, h2 := "http://"+testnet.WWW, "https://"+testnet.H2
	for _, c := range []struct {
		name  string
		argv  []string
		want  []string // of what both print
		holds []string // of the cassette
	}{
		{"httpx", python(www, "acked", "reconnect", "leave", "silence", "cut", "lines", "poll", "chat", "secret"), words, []string{
			`{"id": "5", "event": "tick", "json": {"id": 5}}`, `["Last-Event-ID", "4"]`, `"rest": "data: {\"n\""`, `"end": "truncated"`,
			`"end": "read_timeout"`, `"encoding": "gzip"`, `{"n": 1, "done": false}`, `{"json": {"token": "{{secret:key#1}}"}}`, `{"data": "[DONE]"}`,
		}},
		{"httpx over HTTP/2", python(h2, "acked", "leave", "cut", "chat"), nil, []string{`"end": "read_timeout"`, `"pieces": [[`}},
		{"Node fetch", []string{"node", r.source("stream_client.mjs"), "https://" + testnet.WWW}, node, []string{`"end": "read_timeout"`}},
		{"Java", []string{"java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", built.java, "StreamLines", h2}, java, []string{`"end": "read_timeout"`}},
		{"curl", []string{"sh", "-c", "curl -sSN " + www + "/stream/ids; curl -sSN -m 0.5 -w %{http_code} " + h2 + "/stream/endless || echo = $?"}, []string{"data: 2\n\n200= 28\n"}, []string{`"end": "read_timeout"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := r.in(t, "")
			text := r.sameStreams(c.argv, c.want...)
			for _, h := range c.holds {
				if !strings.Contains(text, h) {
					t.Errorf("the cassette has no %s:\n%s", h, text)
				}
			}
			if strings.Contains(text, testnet.StreamToken[:20]) {
				t.Error("the cassette has the token")
			}
			if o := r.well("validate", "c"); !strings.Contains(o.stdout, "0 findings") {
				t.Errorf("validate: %s%s", o.stdout, o.stderr)
			}
		})
	}
}

// TestStreamOpenAtTheEnd interrupts a run with streams that are open: what came of
// them is recorded, and a replay keeps them open.
func TestStreamOpenAtTheEnd(t *testing.T) {
	r := newRig(t)
	for name, base := range map[string]string{"HTTP1": "http://" + testnet.WWW, "HTTP2": "https://" + testnet.H2} {
		cmd, stderr := r.started(t, "record", name, "--", "curl", "-sSN", "-o", "ready", base+"/stream/endless?n=1")
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil {
			t.Error("interrupted, it ends well")
		}
		o := r.well("replay", name, "--", "sh", "-c", "curl -sSN -m 1.5 '"+base+"/stream/endless?n=1' || echo = $?")
		if !strings.HasSuffix(o.stdout, "data: 0\n\n= 28\n") {
			t.Errorf("%s: replayed: %q\n%s\n%s", name, o.stdout, o.stderr, stderr)
		}
		if err := os.Remove(filepath.Join(r.dir, "ready")); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStreamsMixed has what goes on to the origin because it is not recorded reach
// the client as it comes, and be recorded.
func TestStreamsMixed(t *testing.T) {
	r := newRig(t)
	for name, argv := range map[string][]string{
		"HTTP1": {"http://" + testnet.WWW, "acked", "leave"},
		"HTTP2": {"https://" + testnet.H2, "acked"},
	} {
		t.Run(name, func(t *testing.T) {
			r := r.in(t, "")
			argv = append([]string{debianPython, r.source("stream_client.py")}, argv...)
			r.record("c", "true")
			first := r.well(append([]string{"run", "--mode", "new", "--cassette", "c", "--"}, argv...)...)
			again := r.replay("c", argv...)
			if diff := cmp.Diff(first.stdout, again.stdout); diff != "" || !strings.Contains(first.stdout, "'data': '2'") {
				t.Errorf("recorded %q; replayed otherwise (-recorded +replayed):\n%s\n%s", first.stdout, diff, again.stderr)
			}
		})
	}
}
