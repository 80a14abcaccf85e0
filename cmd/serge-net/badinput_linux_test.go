package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// A bad is what a user may get wrong, and the one error that tells of it.
type bad struct {
	name  string
	files map[string]string // what is there, by path
	env   []string
	args  []string // of serge-net; with mode replay and a command if they are flags only
	want  string   // stderr without "serge-net: " before each line
}

// bads are the errors that a run begins with.
func bads() []bad {
	const good = `{"version": "1.0", "interactions": []}`
	remedy := "; mend it, or restore it from version control, or record again"
	named := "hint: a cassette is named as a file below --cassette-dir is, without its ending: api, login/first"
	cassette := func(text string) map[string]string { return map[string]string{"cassettes/c.json": text} }
	request := `"request": {"method": "GET", "url": "http://a.example/"}`
	missing := `{"interactions": [{` + request + `, "response": {"status": 200, "body": {"file": "ab.bin", "sha256": "ab", "size": 9}}}]}`
	return []bad{
		{name: "not JSON", files: cassette("{\n  nonsense\n}\n"), want: "error: load cassette: cassettes/c.json:2:3: "},
		{name: "truncated", files: cassette(good[:20]), want: "error: load cassette: cassettes/c.json:1:20: "},
		{name: "empty", files: cassette(""), want: "error: load cassette: cassettes/c.json:1:1: "},
		{name: "not an object", files: cassette("[]"), want: "error: load cassette: cassettes/c.json: a cassette is a JSON object" + remedy},
		{name: "not UTF-8", files: cassette("{\"name\": \"\xff\"}"), want: "error: load cassette: cassettes/c.json:1:11: not UTF-8" + remedy},
		{name: "later version", files: cassette(`{"version": "9.1"}`),
			want: "error: load cassette: cassettes/c.json: cassette: written by a newer version: format 9.1 needs a serge-net that reads 9.x; this one reads up to 1.0"},
		{name: "no version", files: cassette(`{"version": "new"}`), want: `error: load cassette: cassettes/c.json: /version: "new" is not a version` + remedy},
		{name: "no request", files: cassette(`{"interactions": [{"request": {}}]}`),
			want: `error: load cassette: cassettes/c.json: /interactions/0/request: method "" and url "" do not name a request` + remedy},
		{name: "no response", files: cassette(`{"interactions": [{` + request + `}]}`),
			want: "error: load cassette: cassettes/c.json: /interactions/0: neither response nor error is there" + remedy},
		{name: "body file gone", files: cassette(missing),
			want: "error: load cassette: cassettes/c.json: interaction 1, GET http://a.example/: its body c.bodies/ab.bin: no such file or directory" + remedy},
		{name: "body file cut", files: map[string]string{"cassettes/c.json": missing, "cassettes/c.bodies/ab.bin": "short"},
			want: "error: load cassette: cassettes/c.json: interaction 1, GET http://a.example/: its body c.bodies/ab.bin has 5 bytes, not 9" + remedy},

		{name: "record over a later version", files: cassette(`{"version": "9.1"}`), args: []string{"record", "c", "--", "true"},
			want: "error: load cassette: cassettes/c.json: cassette: written by a newer version: format 9.1 needs"},
		{name: "journal of another version", files: map[string]string{"cassettes/.c.journal": "something else"}, args: []string{"run", "--cassette", "c", "--", "true"},
			want: "error: recover the recording of c that was cut off: not a journal of this version: it begins with \"somethin\"; if it is of no use, remove cassettes/.c.journal\n"},
		{name: "directory is a file", files: map[string]string{"cassettes": ""},
			want: "error: open cassette directory: open cassettes: not a directory\nhint: --cassette-dir names a directory, which the first recording makes"},
		{name: "leads out", args: []string{"replay", "../x", "--", "true"},
			want: "error: cassette: not a cassette's name: \"../x\" leads out of the cassette directory\n" + named},
		{name: "absolute", args: []string{"record", "/tmp/x", "--", "true"},
			want: "error: cassette: not a cassette's name: \"/tmp/x\" is absolute; names are relative to the cassette directory\n" + named},
		{name: "ending", args: []string{"record", "x.json", "--", "true"},
			want: "error: cassette: not a cassette's name: \"x.json\" ends in .json; leave that out\n" + named},
		{name: "no name", args: []string{"record", "", "--", "true"}, want: "error: cassette: not a cassette's name: \"\" is empty\n" + named},

		{name: "no CA", args: []string{"--upstream-ca", "none.pem"},
			want: "error: --upstream-ca: read roots: open none.pem: no such file or directory\nhint: it names a file with certificates in PEM"},
		{name: "CA is no PEM", files: map[string]string{"ca.pem": "hello\n"}, args: []string{"--upstream-ca", "ca.pem"},
			want: "error: --upstream-ca: read roots: ca.pem: holds no certificate in PEM\nhint: it names a file with certificates in PEM"},
		{name: "bypass", args: []string{"--bypass", "10.0.0.0/99"},
			want: "error: --bypass \"10.0.0.0/99\": neither host, address, prefix nor port\nhint: a host name, *.example.com, an address, a prefix such as 10.0.0.0/8, or a port"},
		{name: "loopback", args: []string{"--intercept-loopback", "8080,http"},
			want: "error: --intercept-loopback: \"http\" is no port\nhint: ports are numbers from 1 to 65535, with commas between"},
		{name: "log", args: []string{"--log", "no/such/log"},
			want: "error: --log: open no/such/log: no such file or directory\nhint: it names a file that can be written, in a directory that is there"},
		{name: "unknown flag", args: []string{"--casette-dir", "x"}, want: "error: unknown flag: --casette-dir\nhint: did you mean --cassette-dir?"},
		{name: "wrong choice", args: []string{"--repeat", "cyle"},
			want: "error: --repeat: \"cyle\" is not one of auto, never, last, first, cycle\nhint: did you mean cycle?"},
		{name: "wrong form", args: []string{"--on-miss", "status:200"},
			want: "error: --on-miss: \"status:200\" is not one of fail, passthrough, record, reset, status:400…599\n"},
		{name: "wrong latency", args: []string{"--latency", "200"},
			want: "error: --latency: \"200\" is not one of none, recorded, xF, DUR, DUR±DUR, lognormal:DUR,SIGMA\n"},
		{name: "wrong age", args: []string{"--max-age", "month"}, want: "error: --max-age: \"month\" is not one of 0, DUR\n"},
		{name: "wrong age of its own", files: cassette(`{"max_age": "soon"}`),
			want: "error: cassette cassettes/c.json: /max_age: cassette: not an age: \"soon\"; one is 720h, 30d or 12w, and 0 is none\n"},
		{name: "environment", env: []string{"SERGE_MODE=recrod"}, args: []string{"run", "--", "true"},
			want: "error: SERGE_MODE: \"recrod\" is not one of auto, record, replay, new, append, refresh, verify, passthrough\nhint: did you mean record?"},
		{name: "unknown key", files: map[string]string{"serge-net.toml": "[serge-net]\nmode = \"auto\"\ncasette_dir = \"x\"\n"},
			want: "error: DIR/serge-net.toml:3: unknown key \"serge-net.casette_dir\"\nhint: did you mean \"cassette_dir\"?"},
		{name: "TOML", files: map[string]string{"matgto.toml": "[matgto\n"}, want: "error: DIR/matgto.toml:1:"},
		{name: "value of a key", files: map[string]string{"serge-net.toml": "[serge-net]\non_miss = \"fial\"\n"},
			want: "error: DIR/serge-net.toml: on_miss: \"fial\" is not one of fail, passthrough, record, reset, status:400…599\nhint: did you mean fail?"},
		{name: "no command", args: []string{"replay", "c", "--"}, want: "error: no command to run\nhint: serge-net replay NAME [flags] -- CMD ARGS…"},
		{name: "no dashes", args: []string{"run", "curl", hello}, want: "error: no -- before the command\nhint: serge-net run [flags] -- curl " + hello},
	}
}

// TestBadInput holds each error to be one, to say what, where and what to do,
// and to leave the directory as it was.
func TestBadInput(t *testing.T) {
	net := newRig(t).net
	for _, b := range bads() {
		t.Run(b.name, func(t *testing.T) {
			r := &rig{t: t, net: net, dir: t.TempDir()}
			for name, text := range b.files {
				path := filepath.Join(r.dir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				write(t, path, text)
			}
			args := b.args
			if len(args) == 0 || strings.HasPrefix(args[0], "-") {
				args = append(append([]string{"replay", "c"}, b.args...), "--", "true")
			}
			before := tree(t, r.dir)
			o := r.runWith(b.env, "", append([]string{built.serge}, args...)...)
			if o.code != 125 || o.stdout != "" {
				t.Errorf("exit code %d, want 125; stdout %q", o.code, o.stdout)
			}
			got := strings.ReplaceAll(strings.ReplaceAll(o.stderr, "serge-net: ", ""), r.dir, "DIR")
			if !strings.HasPrefix(got, b.want) || strings.Count(got, "error: ") != 1 {
				t.Errorf("it says\n%s\nwant one error that begins with\n%s", got, b.want)
			}
			if d := cmp.Diff(before, tree(t, r.dir)); d != "" {
				t.Errorf("the directory (-before +after):\n%s", d)
			}
		})
	}
}

// TestUnwritable cannot record where nothing can be written, and can replay.
func TestUnwritable(t *testing.T) {
	r := newRig(t)
	r.record("c", "curl", "-sS", hello)
	readOnly := func(args string) outcome {
		return r.run("unshare", "-m", "sh", "-ec", "mount --bind cassettes cassettes; mount -o remount,ro,bind cassettes; exec "+built.serge+" "+args)
	}
	o := readOnly("record c -- curl -sS " + hello)
	if want := "serge-net: error: open journal cassettes/.c.journal: read-only file system\nserge-net: hint: a recording needs a --cassette-dir that can be written; a replay does not\n"; o.code != 125 || o.stderr != want {
		t.Errorf("record: exit code %d, want 125\n%swant\n%s", o.code, o.stderr, want)
	}
	write(t, filepath.Join(r.dir, "cassettes/.c.journal"), "left behind")
	if o := readOnly("replay c -- curl -sS " + hello); o.code != 0 || o.stdout != "hello from "+testnet.WWW+"\n" {
		t.Errorf("replay: exit code %d, stdout %q\n%s", o.code, o.stdout, o.stderr)
	} else if want := "serge-net: open journal cassettes/.c.journal: read-only file system\n"; !strings.HasPrefix(o.stderr, want) {
		t.Errorf("replay says\n%swant\n%s", o.stderr, want)
	}
}

// TestFullDisk fills the disk while it records: the command does not notice, the
// exit code is 96, and what fitted is there when there is room again.
func TestFullDisk(t *testing.T) {
	r := newRig(t)
	if err := os.Mkdir(filepath.Join(r.dir, "cassettes"), 0o755); err != nil {
		t.Fatal(err)
	}
	bytes := "http://" + testnet.WWW + "/bytes?n=1048576"
	script := strings.Join([]string{
		"mount -t tmpfs -o size=256k none cassettes",
		built.serge + " record full -- curl -sS " + hello + " -o hello '" + bytes + "' -o big",
		"echo $? $(stat -c %s big)",
		built.serge + " show full",
		"mount -o remount,size=8m cassettes",
		built.serge + " replay full -- curl -sS " + hello,
	}, "\n")
	o := r.run("unshare", "-m", "sh", "-c", script)
	if want := "96 1048576\nhello from " + testnet.WWW + "\n"; o.stdout != want {
		t.Errorf("stdout %q; want %q", o.stdout, want)
	}
	const full = "write journal: write cassettes/.full.journal: no space left on device"
	want := lines("record full by ebpf",
		"not recorded: record full: "+full,
		"  the command goes on; what was recorded until then stays readable",
		"error: record full: cassette: recording is incomplete: write cassette cassettes/full.json: write cassettes/.full.new: no space left on device; "+
			"before that, record full: "+full+"; what was recorded is kept in cassettes/.full.journal and recovered by the next run",
		"error: no cassette cassettes/full.json",
		"hint: a recording of it is under way, or was cut off: then the next run recovers it",
		"a recording of full was cut off; recovered 1 interaction to cassettes/full.json",
		"replay full (1 interaction) by ebpf",
		"1 served (1 exact, 0 assumed), 0 missed, 0 unused, 0 escaped; isolated: yes; T s")
	if d := cmp.Diff(want, said(o)); d != "" {
		t.Errorf("stderr (-want +got):\n%s", d)
	}
}

// TestNoLane leaves nothing where serge-net may not divert, and says what to do.
func TestNoLane(t *testing.T) {
	r := newRig(t)
	if err := os.Chmod(r.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(r.dir), 0o755); err != nil {
		t.Fatal(err)
	}
	// An ordinary user, with no capability, where nobody may have a user namespace.
	user := []string{"setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "unshare", "-Ur",
		"sh", "-c", `echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --inh-caps -all --bounding-set -all "$@"`, "sh",
		built.serge, "record", "deep/er", "--cassette-dir", "a/b"}
	for _, c := range []struct {
		backend, want string
	}{
		{"auto", "serge-net: hint: "},
		{"ebpf", "serge-net: hint: start with sudo, or "},
		{"netns", "serge-net: hint: sudo sysctl user.max_user_namespaces=10000, or start with sudo"},
	} {
		o := r.run(append(user, "--backend", c.backend, "--", "true")...)
		if o.code != 125 || strings.Count(o.stderr, "serge-net: error: ") != 1 || !strings.Contains(o.stderr, c.want) {
			t.Errorf("%s: exit code %d, want 125 and an error with %q\n%s", c.backend, o.code, c.want, o.stderr)
		}
		if left := r.run("find", ".", "-mindepth", "1").stdout; left != "" {
			t.Errorf("%s: left behind:\n%s", c.backend, left)
		}
	}
	if o := r.serge("run", "--mode", "passthrough", "--", "true"); o.code != 0 {
		t.Errorf("passthrough: exit code %d\n%s", o.code, o.stderr)
	}
	if left := r.run("find", ".", "-mindepth", "1").stdout; left != "" {
		t.Errorf("passthrough left behind:\n%s", left)
	}
}
