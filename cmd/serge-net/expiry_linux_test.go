package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// backdated makes the cassette m so many days old, and more of what is in it.
func (r *rig) backdated(t *testing.T, days int, more string) {
	t.Helper()
	at := time.Now().UTC().AddDate(0, 0, -days).Format("2006-01-02T15:04:05.000Z")
	text := regexp.MustCompile(`"recorded_at": "[^"]*"`).ReplaceAllString(string(r.cassetteFile(t)), `"recorded_at": "`+at+`"`+more)
	if err := os.WriteFile(filepath.Join(r.dir, "cassettes", "m.json"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestExpiry does with an old cassette what --expired says, by the age that was
// said for the run, else by the cassette's own.
func TestExpiry(t *testing.T) {
	r := newRig(t)
	r.mode(t, "record", 0, "recorded 1 interaction to cassettes/m.json; T s\n", hello)
	const (
		old    = "cassette cassettes/m.json is 40 days old, and may be 30 days"
		remedy = "refresh it where the network is: serge-net run --mode refresh --cassette m -- curl -sS " + hello
		served = "1 served (1 exact, 0 assumed), 0 missed, 0 unused, 0 escaped; isolated: yes; T s"
		replay = "replay m (1 interaction) by ebpf"
	)
	young := string(r.cassetteFile(t))
	warned := lines("warning: "+old, "  "+remedy, replay, served)
	for _, c := range []struct {
		name  string
		own   string
		env   []string
		flags []string
		code  int
		want  string
	}{
		{"no bound", "", nil, nil, 0, lines(replay, served)},
		{"young enough", "", nil, []string{"--max-age", "41d"}, 0, lines(replay, served)},
		{"warn", "", nil, []string{"--max-age", "30d"}, 0, warned},
		{"environment", "", []string{"SERGE_MAX_AGE=720h"}, nil, 0, warned},
		{"its own", `, "max_age": "30d"`, nil, nil, 0, warned},
		{"its own is outdone", `, "max_age": "30d"`, nil, []string{"--max-age", "0"}, 0, lines(replay, served)},
		{"fail", "", nil, []string{"--max-age", "30d", "--expired", "fail"}, 125, lines("error: "+old, "hint: "+remedy)},
		{"in CI", "", []string{"CI=true"}, []string{"--max-age", "30d", "--expired", "refresh"}, 0,
			lines("warning: "+old+"; not refreshed: CI=true never records", replay, served)},
		{"replay", "", nil, []string{"--mode", "replay", "--max-age", "30d", "--expired", "refresh"}, 0,
			lines("warning: "+old+"; not refreshed: --mode replay does not", replay, served)},
		{"refresh", "", nil, []string{"--max-age", "30d", "--expired", "refresh"}, 0,
			lines(old+"; refreshing it", "refresh m (1 interaction) by ebpf", "recorded 1 interaction to cassettes/m.json; T s")},
	} {
		write(t, filepath.Join(r.dir, "cassettes", "m.json"), young)
		r.backdated(t, 40, c.own)
		before := string(r.cassetteFile(t))
		env := append([]string{"SERGE_UPSTREAM_CA=" + r.net.CAFile}, c.env...)
		o := r.runWith(env, "", append(append([]string{built.serge, "run", "--cassette", "m"}, c.flags...), curls(hello)...)...)
		if got := said(o); got != c.want || o.code != c.code {
			t.Errorf("%s: exit code %d, want %d; it says\n%swant\n%s", c.name, o.code, c.code, got, c.want)
		}
		if changed := string(r.cassetteFile(t)) != before; changed != (c.name == "refresh") {
			t.Errorf("%s: the cassette changed: %v", c.name, changed)
		}
	}
	write(t, filepath.Join(r.dir, "cassettes", "m.json"), young)
	r.backdated(t, 40, "")
	if o := r.well("run", "--cassette", "m", "--max-age", "30d", "--expired", "refresh", "--", "curl", "-sS", hello); !strings.Contains(o.stderr, "refreshing it") {
		t.Errorf("an expired cassette is not refreshed:\n%s", o.stderr)
	}
	if o := r.well("run", "--cassette", "m", "--max-age", "30d", "--expired", "fail", "--", "curl", "-sS", hello); !strings.Contains(o.stderr, "replay m") {
		t.Errorf("a refreshed cassette is not as new:\n%s", o.stderr)
	}
}

// TestExpiryOffline replays an expired cassette where no origin answers.
func TestExpiryOffline(t *testing.T) {
	r := newRig(t)
	r.mode(t, "record", 0, "recorded 1 interaction to cassettes/m.json; T s\n", hello)
	r.backdated(t, 40, "")
	b := strings.ReplaceAll(string(r.cassetteFile(t)), `"port": 80`, `"port": 9`)
	write(t, filepath.Join(r.dir, "cassettes", "m.json"), b)
	o := r.serge("run", "--cassette", "m", "--max-age", "30d", "--expired", "refresh", "--", "curl", "-sS", hello)
	if !strings.Contains(o.stderr, "not refreshed: none of its origins can be reached") || !strings.Contains(o.stderr, "replay m") {
		t.Errorf("without the network: exit code %d, it says\n%s", o.code, o.stderr)
	}
}

// TestOverdue warns once of a signed link that was good when it was recorded.
func TestOverdue(t *testing.T) {
	r := newRig(t)
	signed := time.Now().UTC().AddDate(0, 0, -30).Truncate(time.Second)
	link := "https://b.example/k?X-Amz-Date=" + signed.Format("20060102T150405Z") + "&X-Amz-Expires=60&X-Amz-SignedHeaders=host"
	echo := "http://" + testnet.WWW + "/echo"
	ask := []string{"-d", link, echo, echo}
	r.mode(t, "record", 0, "recorded 2 interactions to cassettes/m.json; T s\n", ask...)
	r.backdated(t, 40, "")
	o := r.serge(append([]string{"replay", "m"}, curls(ask...)...)...)
	want := "warning: served a signed link that expired " + signed.Add(time.Minute).Format(time.RFC3339) + ": POST " + echo + " (post-echo-"
	if o.stdout != link+link || o.code != 0 || strings.Count(o.stderr, want) != 1 || !strings.Contains(o.stderr, ", and 1 more like it\n  what is signed cannot be moved to today; if the command refuses it, give it a fake clock: faketime '"+signed.Format(time.DateTime)+"' …\n") {
		t.Errorf("exit code %d, stdout %q; it says\n%s\nwant\n%s", o.code, o.stdout, o.stderr, want)
	}
}
