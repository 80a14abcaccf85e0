package main

import (
	"strings"
	"testing"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// TestNested has a run inside a run: the inner one records what its command
// asks, the outer one what the inner asks in its place, and answers that in a
// replay. The inner is by netns: a command has no capability for another lane.
func TestNested(t *testing.T) {
	r := newRig(t)
	curl := []string{"curl", "-sS", "http://" + testnet.WWW + "/hello"}
	for _, outer := range backends()[1:] {
		inner := func(name string) []string {
			return append([]string{built.serge, "record", outer + name, "--backend", "netns", "--"}, curl...)
		}
		o := r.well(append([]string{"record", outer, "--backend", outer, "--"}, inner("-inner")...)...)
		if o.stdout != "hello from www.test.example\n" || strings.Count(o.stderr, "recorded 1 interaction to") != 2 {
			t.Errorf("in %s: it prints %q\n%s", outer, o.stdout, o.stderr)
		}
		if told := strings.Contains(o.stderr, "once by curl (pid "); told != (outer == "ebpf") {
			t.Errorf("in %s, the inner command's connection is told: %v\n%s", outer, told, o.stderr)
		}
		o = r.well(append([]string{"replay", outer, "--backend", outer, "--"}, inner("-again")...)...)
		if o.stdout != "hello from www.test.example\n" {
			t.Errorf("in %s, replayed: it prints %q\n%s", outer, o.stdout, o.stderr)
		}
		if outer == "ebpf" && !strings.Contains(o.stderr, "isolated: yes") {
			t.Errorf("the outer run is not isolated:\n%s", o.stderr)
		}
	}
}

// TestTmux starts a tmux inside of a run: its panes have their terminal, and are
// in the lane, though its server is a daemon.
func TestTmux(t *testing.T) {
	r := newRig(t)
	const script = `tmux -L "$0" -f /dev/null new-session -d -x 91 -y 27 \
'curl -sS http://` + testnet.WWW + `/hello > "$PANE"; stty size >> "$PANE"; tmux -L '"$0"' wait-for -S done' &&
tmux -L "$0" wait-for done && cat "$PANE"`
	for _, lane := range backends()[1:] {
		o := r.runWith([]string{"SERGE_UPSTREAM_CA=" + r.net.CAFile, "PANE=" + r.dir + "/" + lane, "TERM=xterm", "TMUX_TMPDIR=" + r.dir, "SHELL=/bin/sh"}, "",
			built.serge, "record", lane, "--backend", lane, "--", "sh", "-c", script, lane)
		if o.code != 0 || o.stdout != "hello from www.test.example\n27 91\n" || !strings.Contains(o.stderr, "recorded 1 interaction to") {
			t.Errorf("%s: exit code %d, it prints %q\n%s", lane, o.code, o.stdout, o.stderr)
		}
	}
}
