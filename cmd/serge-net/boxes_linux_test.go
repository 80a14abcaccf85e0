package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// TestEncryptedRun records under a key, replays, and kills a recorder: no file
// holds a word of what passed, the command does not see the key, and git shows
// what changed to who has it.
func TestEncryptedRun(t *testing.T) {
	r := newRig(t)
	key := keyVariable + "=" + strings.Repeat("5eed", 16)
	serge := func(args ...string) outcome {
		t.Helper()
		o := r.runWith([]string{"SERGE_UPSTREAM_CA=" + r.net.CAFile, "HOME=" + r.dir, key}, "", append([]string{built.serge}, args...)...)
		if o.code != 0 {
			t.Fatalf("%q: exit code %d\n%s", args, o.code, o.stderr)
		}
		return o
	}
	big := "http://" + testnet.WWW + "/bytes?n=100000&seed=7"
	script := "curl -sS " + hello + "; curl -sS -o /dev/null '" + big + "'; env | grep -c ^SERGE_KEY || true"
	recorded := serge("record", "c", "--encrypt", "--", "sh", "-c", script)
	if want := "hello from " + testnet.WWW + "\n0\n"; recorded.stdout != want {
		t.Errorf("recording, the command printed %q; want %q", recorded.stdout, want)
	}
	if !strings.Contains(recorded.stderr, "recorded 2 interactions to cassettes/c.json.enc") {
		t.Errorf("the report says\n%s", recorded.stderr)
	}
	replayed := serge("replay", "c", "--", "sh", "-c", script)
	if replayed.stdout != recorded.stdout || !strings.Contains(replayed.stderr, "2 served (2 exact") {
		t.Errorf("replay printed %q\n%s", replayed.stdout, replayed.stderr)
	}
	r.opaque(t)
	if o := r.serge("replay", "c", "--", "true"); o.code != exitStart || !strings.Contains(o.stderr, "it is encrypted, and no key is given") {
		t.Errorf("without the key: exit code %d\n%s", o.code, o.stderr)
	}

	r.gitShows(t, key, serge)

	cmd := r.net.Command(built.serge, "record", "c", "--", "sh", "-c", script+"; touch ready; exec sleep 60")
	cmd.Dir = r.dir
	cmd.Env = append(cmd.Env, "CI=", key, "SERGE_UPSTREAM_CA="+r.net.CAFile)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.awaitFile(t, "ready")
	cmd.Process.Kill()
	_ = cmd.Wait() // killed
	r.opaque(t)
	if o := serge("repair"); !strings.Contains(o.stdout, "c: saved 2 interactions to cassettes/.failed/c.json.enc; the recording is incomplete") {
		t.Errorf("repair says %s", o.stdout)
	}
	r.opaque(t)
}

// opaque holds that no file of cassettes says what passed.
func (r *rig) opaque(t *testing.T) {
	t.Helper()
	for name, b := range tree(t, filepath.Join(r.dir, "cassettes")) {
		for _, word := range []string{"hello from", testnet.WWW, "interactions", "curl"} {
			if bytes.Contains(b, []byte(word)) {
				t.Errorf("%s holds %q", name, word)
			}
		}
	}
}

// gitShows has git diff an encrypted cassette whose rules are changed.
func (r *rig) gitShows(t *testing.T, key string, serge func(...string) outcome) {
	t.Helper()
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=a", "-c", "user.email=a@a.example"}, args...)...)
		cmd.Dir = r.dir
		cmd.Env = append(os.Environ(), key, "PATH="+built.dir+":"+os.Getenv("PATH"), "HOME="+r.dir, "GIT_CONFIG_NOSYSTEM=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	git("init", "-q")
	o := serge("init")
	_, set, _ := strings.Cut(o.stdout, "\n  git config ")
	name, value, _ := strings.Cut(strings.TrimSpace(set), " ")
	git("config", name, strings.Trim(value, "'"))
	git("add", "-A")
	git("commit", "-q", "-m", "one")
	serge("accept", "c", "--bypass", "shown.example")
	diff := git("diff")
	if !strings.Contains(diff, "\n+") || !strings.Contains(diff, "shown.example") {
		t.Errorf("git diff says\n%s", diff)
	}
	if strings.Contains(diff, "Binary files") || strings.Contains(diff, ".bodies") {
		t.Errorf("git diff shows what nobody can read:\n%s", diff)
	}
}

// TestDiskFull records where the disk gets full, in the journal or while the
// cassette is made of it: the command is not disturbed, the old cassette stays,
// and when there is space again nothing that fitted is lost.
func TestDiskFull(t *testing.T) {
	r := newRig(t)
	url := "http://" + testnet.WWW + "/bytes?n=600000&seed=7"
	for _, c := range []struct{ name, size, cause, repaired string }{
		{"while recording", "300k", "write journal: write cassettes/.c.journal: no space left on device",
			"c: saved 0 interactions to cassettes/.failed/c.json; the recording is incomplete; 1 exchange under way lost; the last "},
		{"while making the cassette", "1000k", "no space left on device; what was recorded is kept in cassettes/.c.journal and recovered by the next run",
			"c: saved 1 interaction to cassettes/c.json; begun"},
	} {
		r := &rig{t: t, net: r.net, dir: t.TempDir()}
		script := `mkdir cassettes && mount -t tmpfs -o size=` + c.size + ` tmpfs cassettes || exit 1
$S record c -- curl -sS ` + hello + ` >/dev/null || exit 1
sha256sum <cassettes/c.json >before
$S record c -- curl -sS -o got '` + url + `'; echo code $?
wc -c <got
sha256sum <cassettes/c.json | cmp - before && echo untouched
$S replay c -- curl -sS ` + hello + `
ls -A cassettes
mount -o remount,size=4m cassettes
$S repair; echo code $?
find cassettes -type f | sort
$S validate`
		env := []string{"S=" + built.serge, "SERGE_UPSTREAM_CA=" + r.net.CAFile, "HOME=" + r.dir}
		o := r.runWith(env, "", "unshare", "-m", "sh", "-c", script)
		for _, want := range []string{"code 96\n600000\nuntouched\nhello from " + testnet.WWW + "\n", "\n" + c.repaired, "0 findings"} {
			if !strings.Contains(o.stdout, want) {
				t.Errorf("%s: no %q in\n%s\n%s", c.name, want, o.stdout, o.stderr)
			}
		}
		if !strings.Contains(o.stderr, c.cause) {
			t.Errorf("%s: no %q in\n%s", c.name, c.cause, o.stderr)
		}
	}
}
