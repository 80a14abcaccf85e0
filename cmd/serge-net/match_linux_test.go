package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// TestMatching has curl ask what is not recorded as it is: it is answered on
// evidence and says so, or misses, also in JSON, and is answered once that is
// accepted, or somebody else says what it is.
func TestMatching(t *testing.T) {
	r := newRig(t)
	echo := func(body string) []string {
		return []string{"curl", "-sS", "-H", "Content-Type: application/json", "-d", body, "https://" + testnet.WWW + "/echo"}
	}
	const recorded, live = `{"id":"0b0e6f1c-52a9-48a1-8c3e-9a520c2b1f60","n":1}`, `{"id":"a7d2c9e4-1b3f-4d5a-9e8c-7f6b5a4d3c21","n":1}`
	r.record("c", echo(recorded)...)
	o := r.replay("c", echo(live)...)
	if o.stdout != live || !strings.Contains(o.stderr, "1 served (0 exact, 1 assumed)") ||
		!strings.Contains(o.stderr, "assumed: POST https://"+testnet.WWW+"/echo  body.id (uuid never seen in a response)") {
		t.Errorf("another UUID: %q; want %q\n%s", o.stdout, live, o.stderr)
	}
	if o := r.serge(append([]string{"replay", "c", "--match", "exact", "--"}, echo(live)...)...); o.code != exitMissed {
		t.Errorf("another UUID, exact: exit code %d; want %d\n%s", o.code, exitMissed, o.stderr)
	}
	other := strings.Replace(recorded, "1}", "2}", 1)
	o = r.serge(append([]string{"replay", "c", "--"}, append(echo(other), "-H", "Accept: application/json")...)...)
	if o.code != exitMissed || !strings.Contains(o.stderr, "    body $.n: 1 -> 2\n  to accept: serge-net accept c --ignore-body '$.n'\n") || !strings.HasPrefix(o.stdout, `{"error":"miss","method":"POST"`) {
		t.Errorf("a miss: exit code %d, %q\n%s", o.code, o.stdout, o.stderr)
	}
	if o := r.well("accept", "c", "--last"); !strings.Contains(o.stdout, "ignore body $.n from now on, by the rules of cassettes/c.json") {
		t.Errorf("accept says %q", o.stdout)
	}
	if o := r.replay("c", echo(other)...); o.stdout != recorded {
		t.Errorf("accepted: %q; want %q\n%s", o.stdout, recorded, o.stderr)
	}
	script := filepath.Join(r.dir, "match.sh")
	const answers = "#!/bin/sh\nread -r question\necho \"$question\" >question\nid=$(echo \"$question\" | sed 's/.*\"candidates\":.{\"id\":\"\\([^\"]*\\)\".*/\\1/')\n" +
		"echo \"{\\\"question\\\":1,\\\"match\\\":\\\"$id\\\",\\\"because\\\":\\\"n is noise\\\"}\"\n"
	if err := os.WriteFile(script, []byte(answers), 0o755); err != nil {
		t.Fatal(err)
	}
	o = r.well(append([]string{"replay", "c", "--match-callback", "./match.sh", "--"}, echo(strings.Replace(other, "id", "key", 1))...)...)
	if o.stdout != recorded || !strings.Contains(o.stderr, "match callback: n is noise") {
		t.Errorf("by callback: %q; want %q\n%s", o.stdout, recorded, o.stderr)
	}
}

// TestLearning records twice a client that says another number each time: its
// third is answered.
func TestLearning(t *testing.T) {
	r := newRig(t)
	argv := []string{"sh", "-c", `curl -sS -H 'Content-Type: application/json' -d "{\"pid\":$$,\"n\":1}" https://` + testnet.WWW + `/echo`}
	o := r.well(append([]string{"record", "c", "--learn", "--"}, argv...)...)
	if !strings.Contains(o.stderr, "learned: volatile request.body.json/pid for POST https://"+testnet.WWW+"/echo, which differed in 2 of 2 recordings") {
		t.Errorf("record says\n%s", o.stderr)
	}
	if o = r.replay("c", argv...); !strings.Contains(o.stderr, "body.pid (learned: differed in 2 of 2 recordings)") {
		t.Errorf("replay says\n%s", o.stderr)
	}
}
