package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// hello is a URL for tests that need any.
const hello = "http://" + testnet.WWW + "/hello"

// took is how long a run took, which no test holds.
var took = regexp.MustCompile(`\d+\.\d s\b`)

// said is o's stderr without what varies.
func said(o outcome) string { return took.ReplaceAllString(o.stderr, "T s") }

// lines joins lines, each of which serge-net says.
func lines(ls ...string) string {
	var b strings.Builder
	for _, l := range ls {
		if !strings.HasPrefix(l, " ") {
			b.WriteString("serge-net: ")
		}
		b.WriteString(l + "\n")
	}
	return b.String()
}

// A says is what a run is to say and to end with.
type says struct {
	name   string
	env    []string
	args   []string
	code   int
	stdout string
	stderr string
}

// check runs c and compares all of it.
func (r *rig) check(t *testing.T, c says) {
	t.Helper()
	env := append([]string{"SERGE_UPSTREAM_CA=" + r.net.CAFile}, c.env...)
	o := r.runWith(env, "", append([]string{built.serge}, c.args...)...)
	if o.code != c.code {
		t.Errorf("exit code %d; want %d", o.code, c.code)
	}
	if d := cmp.Diff(c.stdout, o.stdout); d != "" {
		t.Errorf("stdout (-want +got):\n%s", d)
	}
	if d := cmp.Diff(c.stderr, said(o)); d != "" {
		t.Errorf("stderr (-want +got):\n%s", d)
	}
}

// TestMessages holds what a person sees, and the exit codes, to the letter. The
// cases build on each other.
func TestMessages(t *testing.T) {
	r := newRig(t)
	curl := func(url string) []string { return []string{"--", "curl", "-sS", url} }
	args := func(a []string, more ...string) []string { return append(a, more...) }
	if err := os.WriteFile(filepath.Join(r.dir, "script"), []byte("#!/no/such/interpreter\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	page := "http://" + testnet.WWW + "/method?page="
	for _, c := range []says{
		{name: "record", args: args([]string{"record", "login"}, curl(page+"2")...), stdout: "GET /method?page=2\n",
			stderr: lines("record login by ebpf", "recorded 1 interaction to cassettes/login.json; T s")},
		{name: "record again", args: args([]string{"record", "login"}, curl(page+"2")...), stdout: "GET /method?page=2\n",
			stderr: lines("record login by ebpf", "recorded 1 interaction: nothing changed in cassettes/login.json; T s")},
		{name: "replay", args: args([]string{"replay", "login"}, curl(page+"2")...), stdout: "GET /method?page=2\n",
			stderr: lines("replay login (1 interaction) by ebpf",
				"1 served (1 exact, 0 assumed), 0 missed, 0 unused, 0 escaped; isolated: yes; T s")},
		{name: "miss", args: []string{"replay", "login", "--", "curl", "-sS", "-o", "/dev/null", page + "3"}, code: 97,
			stderr: lines("replay login (1 interaction) by ebpf",
				"miss: GET "+page+"3",
				"  nearest: GET "+page+"2 (served 0/1)",
				"    query page: 2 -> 3",
				"  to accept: serge-net accept login --ignore-query page",
				"  to record: serge-net run --mode new --cassette login -- …",
				"0 served (0 exact, 0 assumed), 1 missed, 1 unused, 0 escaped; isolated: no; T s")},
		{name: "as the miss says", args: args([]string{"replay", "login", "--ignore-query", "page"}, curl(page+"3")...), stdout: "GET /method?page=2\n",
			stderr: lines("replay login (1 interaction) by ebpf",
				"1 served (1 exact, 0 assumed), 0 missed, 0 unused, 0 escaped; isolated: yes; T s")},
		{name: "another host", args: []string{"replay", "login", "--", "curl", "-sS", "-o", "/dev/null", "http://" + testnet.H2 + "/"}, code: 97,
			stderr: lines("replay login (1 interaction) by ebpf",
				"miss: GET http://"+testnet.H2+"/",
				"  no recording for this host",
				"  recorded hosts: "+testnet.WWW,
				"  to record: serge-net run --mode new --cassette login -- …",
				"0 served (0 exact, 0 assumed), 1 missed, 1 unused, 0 escaped; isolated: no; T s")},
		{name: "nothing served", args: []string{"replay", "login", "--", "true"}, code: 99,
			stderr: lines("replay login (1 interaction) by ebpf",
				"0 served (0 exact, 0 assumed), 0 missed, 1 unused, 0 escaped; isolated: yes; T s",
				"nothing was served, though cassettes/login.json holds 1 interaction: did the command reach the network at all?")},
		{name: "own code wins", args: []string{"replay", "login", "-q", "--", "false"}, code: 1,
			stderr: lines("nothing was served, though cassettes/login.json holds 1 interaction: did the command reach the network at all?")},
		{name: "quiet", args: args([]string{"replay", "login", "-q"}, curl(page+"2")...), stdout: "GET /method?page=2\n"},
		{name: "nothing to record", args: []string{"record", "none", "--", "sh", "-c", "echo out; echo err >&2"}, stdout: "out\n",
			stderr: lines("record none by ebpf") + "err\n" + lines("nothing to record: the command made no exchange; T s")},
		{name: "signal", args: []string{"record", "none", "-q", "--", "sh", "-c", "kill -TERM $$"}, code: 143},
		{name: "not found", args: []string{"record", "none", "--", "no-such-command"}, code: 127,
			stderr: lines("error: run no-such-command: no such command")},
		{name: "not executable", args: []string{"record", "none", "--", "/etc/passwd"}, code: 126,
			stderr: lines("error: run /etc/passwd: it cannot be executed")},
		{name: "no interpreter", args: []string{"record", "none", "--", "./script"}, code: 127,
			stderr: lines("record none by ebpf", "nothing to record: the command made no exchange; T s",
				"error: run ./script: exec ./script: no such file or directory")},
		{name: "passthrough", args: args([]string{"run", "--mode", "passthrough"}, curl(hello)...), stdout: "hello from " + testnet.WWW + "\n",
			stderr: lines("passthrough by ebpf", "passed through, nothing recorded; T s")},
		{name: "on-miss passthrough", args: args([]string{"replay", "login", "--on-miss", "passthrough"}, curl(hello)...), stdout: "hello from " + testnet.WWW + "\n",
			stderr: lines("replay login (1 interaction) by ebpf; misses go to the network, by --on-miss passthrough",
				"not recorded, passed on: GET "+hello,
				"0 served (0 exact, 0 assumed), 0 missed, 1 unused, 0 escaped; isolated: no; T s")},
		{name: "new", args: args([]string{"run", "--mode", "new", "--cassette", "login"}, curl(hello)...), stdout: "hello from " + testnet.WWW + "\n",
			stderr: lines("new login (1 interaction) by ebpf",
				"recorded 1 interaction to cassettes/login.json; T s",
				"0 served (0 exact, 0 assumed), 0 missed, 1 unused, 0 escaped; isolated: no; T s")},
	} {
		t.Run(c.name, func(t *testing.T) { r.check(t, c) })
	}
}

// TestLog has what serge-net says in a file, beside what was there.
func TestLog(t *testing.T) {
	r := newRig(t)
	log := filepath.Join(r.dir, "run.log")
	write(t, log, "before\n")
	r.check(t, says{args: []string{"record", "a", "--log", "run.log", "-v", "--", "curl", "-sS", hello}, stdout: "hello from " + testnet.WWW + "\n"})
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	stepped := regexp.MustCompile(`serge-net: step: \w+ after \d+ ms\n`)
	if n := len(stepped.FindAll(b, -1)); n < len(steps()) {
		t.Errorf("the log has %d steps; want those of the run, %v, and of its diversion\n%s", n, steps(), b)
	}
	said := stepped.ReplaceAllString(string(b), "")
	got := regexp.MustCompile(`\(pid \d+\)|\([\d.:]+\)`).ReplaceAllString(took.ReplaceAllString(said, "T s"), "(…)")
	want := "before\n" + lines("record a by ebpf", "connection: curl (…) to "+testnet.WWW+":80 (…)", "recorded 1 interaction to cassettes/a.json; T s")
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("the log (-want +got):\n%s", d)
	}
}

// TestSettings has flags before the environment, that before the file, that
// before the default, and the older names work.
func TestSettings(t *testing.T) {
	r := newRig(t)
	deep := filepath.Join(r.dir, "a", "b")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(r.dir, "matgto.toml"), "[matgto]\ncassette_dir = \"tapes\"\ncassette = \"file\"\n")
	r.dir = deep
	for _, c := range []struct {
		name string
		env  []string
		args []string
		want string // the cassette, from the directory of the file
	}{
		{"file", nil, nil, "tapes/file.json"},
		{"older environment", []string{"MATGTO_CASSETTE=older"}, nil, "tapes/older.json"},
		{"environment", []string{"SERGE_CASSETTE=env", "MATGTO_CASSETTE=older"}, nil, "tapes/env.json"},
		{"flag", []string{"SERGE_CASSETTE=env"}, []string{"--cassette", "flag"}, "tapes/flag.json"},
		{"directory", []string{"MATGTO_CASSETTE_DIR=here"}, nil, "a/b/here/file.json"},
	} {
		env := append([]string{"SERGE_MODE=record", "SERGE_QUIET=true"}, c.env...)
		args := append(append([]string{built.serge, "run"}, c.args...), "--", "curl", "-sS", hello)
		if o := r.runWith(env, "", args...); o.code != 0 || o.stderr != "" {
			t.Errorf("%s: exit code %d\n%s", c.name, o.code, o.stderr)
		}
		if _, err := os.Stat(filepath.Join(deep, "../..", c.want)); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestListAndShow looks at what was recorded.
func TestListAndShow(t *testing.T) {
	r := newRig(t)
	r.record("api", "curl", "-sS", hello, "http://"+testnet.WWW+"/json")
	r.record("login/first", "curl", "-sS", "-H", "Authorization: Bearer hidden", hello)
	write(t, filepath.Join(r.dir, "cassettes/bad.json"), "{\n")
	label := regexp.MustCompile(`get-hello-[0-9a-f]{4}\.1`)
	id, secret := label.FindString(r.well("show", "api").stdout), label.FindString(r.well("show", "login/first").stdout)
	if id == "" || secret == "" {
		t.Fatal("show names no interaction get-hello-….1")
	}
	for _, c := range []struct {
		args []string
		code int
		has  []string // in stdout, or in stderr if code is not 0
	}{
		{[]string{"list"}, 0, []string{"NAME", "api          2", "login/first  1", "complete"}},
		{[]string{"list", "--json"}, 0, []string{`"name": "api"`, `"interactions": 2`, `"hosts": [`, `"` + testnet.WWW + `"`}},
		{[]string{"list"}, 0, []string{"bad          0             - ", "unreadable: serge-net validate bad says why"}},
		{[]string{"list", "--cassette-dir", "nowhere", "--json"}, 0, []string{"[]"}},
		{[]string{"show", "api"}, 0, []string{"api: 2 interactions, recorded ", "GET " + hello + " -> 200", "GET http://" + testnet.WWW + "/json -> 200"}},
		{[]string{"show", "api", id}, 0, []string{"GET " + hello + " HTTP/1.1\nHost: " + testnet.WWW, "\n200 OK\n", "\n\nhello from " + testnet.WWW + "\n"}},
		{[]string{"show", "login/first", secret}, 0, []string{"Authorization: Bearer {{secret:auth#1}}"}},
		{[]string{"show", "api", id[:len(id)-1] + "2"}, 125, []string{"error: cassette api has no interaction", "hint: did you mean " + id + "?"}},
		{[]string{"show", "api", "x"}, 125, []string{"hint: serge-net show api lists them"}},
		{[]string{"show", "apo"}, 125, []string{"error: no cassette cassettes/apo.json", "hint: did you mean api?"}},
		{[]string{"show"}, 125, []string{"error: no cassette named"}},
	} {
		o := r.serge(c.args...)
		if o.code != c.code {
			t.Errorf("%v: exit code %d; want %d\n%s", c.args, o.code, c.code, o.stderr)
		}
		text := o.stdout
		if c.code != 0 {
			text = o.stderr
		}
		for _, want := range c.has {
			if !strings.Contains(text, want) {
				t.Errorf("%v: no %q in\n%s", c.args, want, text)
			}
		}
	}
}

// TestModes holds auto to what it means in each case, and failed and cut off
// recordings to what becomes of them.
func TestModes(t *testing.T) {
	r := newRig(t)
	curl := []string{"--", "curl", "-sS", hello}
	run := func(args ...string) []string { return append([]string{"run", "--cassette", "m"}, args...) }
	greeting := "hello from " + testnet.WWW + "\n"
	fails := []string{"--", "sh", "-c", "curl -sS " + hello + "?again; exit 3"}
	for _, c := range []says{
		{name: "CI never records", env: []string{"CI=true"}, args: run(curl...), code: 125,
			stderr: lines("error: no cassette cassettes/m.json, and CI=true never records",
				"hint: record it where the network is and commit it: serge-net record m -- curl -sS "+hello)},
		{name: "first recording fails", args: run("--", "sh", "-c", "curl -sS "+hello+"; exit 3"), code: 3, stdout: greeting,
			stderr: lines("record m by ebpf", "recorded 1 interaction to cassettes/m.json; T s",
				"the command failed: cassettes/m.json is marked incomplete")},
		{name: "incomplete is recorded again", args: run(curl...), stdout: greeting,
			stderr: lines("cassette m is from a recording that did not end well; recording it again",
				"record m by ebpf", "recorded 1 interaction to cassettes/m.json; T s")},
		{name: "complete is replayed", args: run(curl...), stdout: greeting,
			stderr: lines("replay m (1 interaction) by ebpf",
				"1 served (1 exact, 0 assumed), 0 missed, 0 unused, 0 escaped; isolated: yes; T s")},
		{name: "in CI too", env: []string{"CI=true"}, args: run(append([]string{"-q"}, curl...)...), stdout: greeting},
		{name: "failed command", args: append([]string{"record", "m"}, fails...), code: 3, stdout: greeting,
			stderr: lines("record m by ebpf", "recorded 1 interaction to cassettes/.failed/m.json; T s",
				"the command failed: cassettes/m.json stays as it was")},
		{name: "the old one stayed", args: run(append([]string{"-q"}, curl...)...), stdout: greeting},
		{name: "nothing to replay", args: append([]string{"replay", "other"}, curl...), code: 125,
			stderr: lines("error: no cassette cassettes/other.json", "hint: record it first: serge-net record other -- curl -sS "+hello)},
		{name: "a name that is nearly there", args: append([]string{"replay", "mm"}, curl...), code: 125,
			stderr: lines("error: no cassette cassettes/mm.json", "hint: did you mean m? serge-net list shows what there is")},
	} {
		t.Run(c.name, func(t *testing.T) { r.check(t, c) })
	}
}

// TestOwner gives what a run under sudo wrote, and nothing else, to its caller.
func TestOwner(t *testing.T) {
	r := newRig(t)
	others := []string{"tapes/other.json", "tapes/deep/other.json", "tapes/deep/b.bodies/other.bin"}
	for _, p := range others {
		path := filepath.Join(r.dir, p)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, path, "{}")
	}
	env := []string{"SUDO_UID=4711", "SUDO_GID=4712", "SERGE_CASSETTE_DIR=tapes"}
	big := "http://" + testnet.WWW + "/bytes?n=100000"
	for _, name := range []string{"new/a", "deep/b"} {
		r.check(t, says{env: env, args: []string{"record", name, "-q", "--log", "log", "--", "curl", "-sS", "-o", "/dev/null", big}})
	}
	owner := map[string]string{"tapes": "0:0", "tapes/deep": "0:0", "tapes/deep/b.bodies": "0:0",
		"log": "4711:4712", "tapes/new": "4711:4712", "tapes/new/a.json": "4711:4712", "tapes/new/a.bodies": "4711:4712", "tapes/deep/b.json": "4711:4712"}
	for _, p := range others {
		owner[p] = "0:0"
	}
	for p, want := range owner {
		if got := strings.TrimSpace(r.run("stat", "-c", "%u:%g", p).stdout); got != want {
			t.Errorf("%s belongs to %s; want %s", p, got, want)
		}
	}
	if got := r.run("sh", "-c", "stat -c %u:%g tapes/new/a.bodies/*").stdout; got != "4711:4712\n" {
		t.Errorf("the body belongs to %q", got)
	}
}
