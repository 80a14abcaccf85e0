package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// tree is every file below dir, by its path from there.
func tree(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		files[name], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestSameAgain holds equal recordings to equal files: what runs at the same
// time, and so comes in any order, is written in one. Every answer takes so long
// that all requests are made before the first is answered.
func TestSameAgain(t *testing.T) {
	r := newRig(t)
	var config strings.Builder
	slow := "http://" + testnet.WWW + "/slow?ms=1000"
	for i := range 50 {
		for _, url := range []string{slow, fmt.Sprintf("%s&n=%d", slow, i)} {
			fmt.Fprintf(&config, "url = %q\noutput = \"/dev/null\"\n", url)
		}
	}
	write(t, filepath.Join(r.dir, "parallel"), config.String())
	argv := []string{"curl", "-sS", "--parallel", "--parallel-immediate", "--parallel-max", "100", "-K", "parallel"}
	r.record("a", argv...)
	first := tree(t, filepath.Join(r.dir, "cassettes"))
	if o := r.record("a", argv...); !strings.Contains(o.stderr, "nothing changed") {
		t.Errorf("recording again says\n%s", o.stderr)
	}
	if d := cmp.Diff(first, tree(t, filepath.Join(r.dir, "cassettes"))); d != "" {
		t.Errorf("recorded over the first (-first +second):\n%s", d)
	}
	if err := os.RemoveAll(filepath.Join(r.dir, "cassettes")); err != nil {
		t.Fatal(err)
	}
	r.record("a", argv...)
	second := tree(t, filepath.Join(r.dir, "cassettes"))
	if d := cmp.Diff(settled(first), settled(second)); d != "" {
		t.Errorf("recorded anew (-first +second):\n%s", d)
	}
	if o := r.replay("a", argv...); !strings.Contains(o.stderr, "100 served (100 exact, 0 assumed), 0 missed, 0 unused") {
		t.Errorf("the replay says\n%s", o.stderr)
	}
}

// settled is files without the lines that say when: those of another run differ.
func settled(files map[string][]byte) map[string]string {
	out := map[string]string{}
	for name, b := range files {
		var kept []string
		for line := range strings.Lines(string(b)) {
			when := strings.TrimSpace(line)
			if !strings.HasPrefix(when, `"recorded_at"`) && !strings.HasPrefix(when, `"timing"`) && !strings.HasPrefix(when, `["Date"`) {
				kept = append(kept, line)
			}
		}
		out[name] = strings.Join(kept, "")
	}
	return out
}

// TestRepeats serves what was recorded several times in its order, and when it
// is used up, a safe method again and any other not.
func TestRepeats(t *testing.T) {
	r := newRig(t)
	count := "http://" + testnet.WWW + "/count"
	three := func(method string, n int) []string {
		argv := []string{"curl", "-sS", "-X", method}
		for range n {
			argv = append(argv, count)
		}
		return argv
	}
	recorded := r.record("get", three("GET", 3)...).stdout
	lines := strings.SplitAfter(recorded, "\n")
	if len(lines) != 4 {
		t.Fatalf("recorded %q; want three numbers", recorded)
	}
	if got := r.replay("get", three("GET", 4)...).stdout; got != recorded+lines[2] {
		t.Errorf("GET four times gave %q; want %q", got, recorded+lines[2])
	}
	if got := r.well("replay", "get", "--repeat", "cycle", "--", "curl", "-sS", count, count, count, count).stdout; got != recorded+lines[0] {
		t.Errorf("GET four times with --repeat cycle gave %q; want %q", got, recorded+lines[0])
	}
	recorded = r.record("post", three("POST", 2)...).stdout
	o := r.serge(append([]string{"replay", "post", "--"}, three("POST", 3)...)...)
	if !strings.HasPrefix(o.stdout, recorded) || o.code != 97 {
		t.Errorf("POST three times gave %q, exit code %d; want %q and a miss, 97", o.stdout, o.code, recorded)
	}
	for _, want := range []string{"miss: POST " + count + "\n  already served 2/2\n  nearest: POST " + count + " (served 2/2)\n"} {
		if !strings.Contains(o.stderr, want) {
			t.Errorf("no %q in\n%s", want, o.stderr)
		}
	}
}

// bigMemory is how much more memory in KiB a run with a big body may take than
// one with a small one: less than an eighth of the body.
const bigMemory = 24 << 10

// TestBigBody holds memory to a bound that the size of a body does not move.
func TestBigBody(t *testing.T) {
	size := int64(64 << 20)
	if os.Getenv("SERGE_TEST_ALL") != "" {
		size = 2 << 30
	}
	r := newRig(t)
	download := func(base string) func(int64) []string {
		return func(n int64) []string { return []string{"curl", "-sS", fmt.Sprintf("%s/bytes?n=%d&seed=7", base, n)} }
	}
	upload := func(n int64) []string {
		return []string{"curl", "-sS", "-H", "Expect:", "-T", fmt.Sprint(n), "http://" + testnet.WWW + "/echo"}
	}
	raw := func(n int64) []string {
		return []string{"bash", "-c", fmt.Sprintf("exec 3<>/dev/tcp/%s/4000; echo %d >&3; exec cat <&3", testnet.TCP, n)}
	}
	for name, argv := range map[string]func(int64) []string{
		"HTTP/1.1": download("http://" + testnet.WWW), "HTTP/2": download("https://" + testnet.H2), "echo": upload, "TCP": raw,
	} {
		t.Run(name, func(t *testing.T) {
			r := &rig{t: t, net: r.net, dir: t.TempDir()}
			if name == "TCP" {
				r.net.Serve("listening", debianPython, "-c", filesByName, tcpAddr(), r.dir)
			}
			if name == "echo" || name == "TCP" {
				r.random(t, 1<<10)
				r.random(t, size)
			}
			small := func(mode string) int64 { _, peak := r.fetch(t, mode, "small", argv(1<<10)); return peak }
			big := func(mode string) int64 {
				sum, peak := r.fetch(t, mode, "big", argv(size))
				if want := randomSum(t, size); sum != want {
					t.Errorf("%s: sha256 %x; want %x", mode, sum, want)
				}
				return peak
			}
			for _, mode := range []string{"record", "replay"} {
				was, is := small(mode), big(mode)
				t.Logf("%s: %d KiB at most for 1 KiB, %d KiB for %d MiB", mode, was, is, size>>20)
				if is-was > bigMemory {
					t.Errorf("%s: %d KiB of memory for %d MiB, %d KiB for 1 KiB; want at most %d KiB more", mode, is, size>>20, was, bigMemory)
				}
			}
		})
	}
}

// filesByName is a server of files: who says the name of one, in a line, gets it.
const filesByName = `
import socket, sys
l = socket.create_server((sys.argv[1], 4000))
print("listening", flush=True)
while True:
    c, _ = l.accept()
    with c, open(sys.argv[2] + "/" + c.makefile().readline().strip(), "rb") as f:
        c.sendfile(f)
`

// random makes a file of n bytes, called n, of what /bytes serves.
func (r *rig) random(t *testing.T, n int64) {
	t.Helper()
	f, err := os.Create(filepath.Join(r.dir, fmt.Sprint(n)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.CopyN(f, testnet.Random(7), n); err != nil {
		t.Fatal(err)
	}
}

// fetch runs argv in mode and returns the sha256 of what it prints and the most
// memory in KiB that serge-net or argv held: at least what this process holds,
// of which exec counts the memory too (getrusage(2)).
func (r *rig) fetch(t *testing.T, mode, name string, argv []string) (sum [sha256.Size]byte, peak int64) {
	t.Helper()
	cmd := r.net.Command(built.serge, append([]string{mode, name, "--"}, argv...)...)
	cmd.Dir = r.dir
	cmd.Env = append(cmd.Env, "CI=", "SERGE_UPSTREAM_CA="+r.net.CAFile)
	h := sha256.New()
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = h, &stderr
	debug.FreeOSMemory()
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", mode, err, stderr.String())
	}
	return [sha256.Size]byte(h.Sum(nil)), cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss
}

// randomSum is the sha256 of what /bytes serves.
func randomSum(t *testing.T, size int64) [sha256.Size]byte {
	t.Helper()
	h := sha256.New()
	if _, err := io.CopyN(h, testnet.Random(7), size); err != nil {
		t.Fatal(err)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// started starts serge-net with args in the background, and returns when its
// command has made the file ready. The command is to live for long: the test
// ends it.
func (r *rig) started(t *testing.T, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := r.net.Command(built.serge, args...)
	cmd.Dir = r.dir
	cmd.Env = append(cmd.Env, "CI=", "SERGE_UPSTREAM_CA="+r.net.CAFile)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.awaitFile(t, "ready")
	return cmd, &stderr
}

// awaitFile waits until the file name is there.
func (r *rig) awaitFile(t *testing.T, name string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for {
		if _, err := os.Stat(filepath.Join(r.dir, name)); err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("no file %s after 30 s", name)
		}
	}
}

// TestKilledRecording kills serge-net while it records: the next run saves what
// the command had received, says so, and records again.
func TestKilledRecording(t *testing.T) {
	r := newRig(t)
	script := "curl -sS " + hello + " >got; curl -sS http://" + testnet.WWW + "/json >>got; touch ready; exec sleep 60"
	killed, _ := r.started(t, "run", "--cassette", "k", "--", "sh", "-c", script)
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := killed.Wait(); err == nil || killed.ProcessState.ExitCode() != -1 {
		t.Fatalf("serge-net was not killed: %v", err)
	}
	if files := tree(t, filepath.Join(r.dir, "cassettes")); len(files) != 1 || files[".k.journal"] == nil {
		t.Errorf("a killed recorder leaves %d files; want the journal", len(files))
	}
	if o := r.well("list"); !strings.Contains(o.stdout, "being recorded, or cut off") {
		t.Errorf("list says\n%s", o.stdout)
	}
	greeting := "hello from " + testnet.WWW + "\n"
	ask := []string{"curl", "-sS", hello, "http://" + testnet.WWW + "/json"}
	r.check(t, says{args: append([]string{"replay", "k", "--"}, ask...), stdout: greeting + testnet.JSON,
		stderr: lines("a recording of k was cut off; recovered 2 interactions to cassettes/k.json",
			"replay k (2 interactions) by ebpf",
			"2 served (2 exact, 0 assumed), 0 missed, 0 unused, 0 escaped; isolated: yes; T s")})
	r.check(t, says{args: append([]string{"run", "--cassette", "k", "--"}, ask...), stdout: greeting + testnet.JSON,
		stderr: lines("cassette k is from a recording that did not end well; recording it again",
			"record k by ebpf", "recorded 2 interactions to cassettes/k.json; T s")})
	if files := tree(t, filepath.Join(r.dir, "cassettes")); len(files) != 1 || files["k.json"] == nil {
		t.Errorf("%d files are left; want the cassette", len(files))
	}
}

// TestKilledBesideOld has a complete cassette stay as it is, and be replayed,
// while it is recorded anew and when that is killed: what was recovered goes
// beside it.
func TestKilledBesideOld(t *testing.T) {
	r := newRig(t)
	r.record("k", "curl", "-sS", hello)
	old := tree(t, filepath.Join(r.dir, "cassettes"))["k.json"]
	killed, _ := r.started(t, "record", "k", "--", "sh", "-c", "curl -sS http://"+testnet.WWW+"/json >got; touch ready; exec sleep 60")
	replay := says{args: []string{"run", "--cassette", "k", "--", "curl", "-sS", hello}, stdout: "hello from " + testnet.WWW + "\n",
		stderr: lines("replay k (1 interaction) by ebpf",
			"1 served (1 exact, 0 assumed), 0 missed, 0 unused, 0 escaped; isolated: yes; T s")}
	r.check(t, replay)
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait() // killed
	recovered := replay
	recovered.stderr = lines("a recording of k was cut off; recovered 1 interaction to cassettes/.failed/k.json") + replay.stderr
	r.check(t, recovered)
	r.check(t, replay)
	files := tree(t, filepath.Join(r.dir, "cassettes"))
	if !bytes.Equal(old, files["k.json"]) || !bytes.Contains(files[".failed/k.json"], []byte("/json")) || len(files) != 2 {
		t.Errorf("%d files are left; want the old cassette as it was and what was recovered", len(files))
	}
}

// TestSecondRecorder refuses a second recorder of one cassette, naming the
// first, which goes on.
func TestSecondRecorder(t *testing.T) {
	r := newRig(t)
	first, said := r.started(t, "record", "s", "--", "sh", "-c", "curl -sS "+hello+" >got; touch ready; until [ -e done ]; do sleep 0.02; done")
	o := r.serge("record", "s", "--", "curl", "-sS", hello)
	want := fmt.Sprintf("error: cassette: is being recorded: s by process %d; wait for it, or choose another name with --cassette\n", first.Process.Pid)
	if o.code != 125 || !strings.Contains(o.stderr, want) {
		t.Errorf("exit code %d, want 125; no %q in\n%s", o.code, want, o.stderr)
	}
	write(t, filepath.Join(r.dir, "done"), "")
	if err := first.Wait(); err != nil {
		t.Fatalf("the first: %v\n%s", err, said)
	}
	if !strings.Contains(said.String(), "recorded 1 interaction to cassettes/s.json") {
		t.Errorf("the first says\n%s", said)
	}
}
