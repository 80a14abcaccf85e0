package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// A trace is what runs could leave behind on a machine, by kind.
type trace map[string][]string

// traceHere is what there is now: in the client's network namespace, and of
// ours anywhere.
func (r *rig) traceHere() trace {
	r.t.Helper()
	tr := trace{"mounts": slices.Collect(strings.Lines(mountsHere(r.t)))}
	for what, argv := range map[string][]string{
		"links": {"ip", "-o", "link"},
		// The kernel's own link-local address may come and become valid meanwhile.
		"addresses": {"sh", "-c", "ip -o address | grep -v fe80:"},
		"routes":    {"sh", "-c", "{ ip route show table all; ip rule; ip -6 rule; } | grep -v -e expires -e fe80:"},
		"rules":     {"sh", "-c", "iptables-save | grep -v ^# | sed 's/\\[.*//'; ip6tables-save | grep -v ^# | sed 's/\\[.*//'"},
	} {
		tr[what] = slices.Collect(strings.Lines(r.run(argv...).stdout))
	}
	filepath.WalkDir(cgroupMount(r.t), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), "serge-") && ownedHere(d.Name()) {
			tr["cgroups"] = append(tr["cgroups"], path)
		}
		return nil
	})
	namespaces := map[string]bool{}
	processes, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, exe := range processes {
		to, err := os.Readlink(exe)
		if err != nil || to != built.serge {
			continue
		}
		dir := filepath.Dir(exe)
		tr["processes"] = append(tr["processes"], dir)
		if ns, err := os.Readlink(dir + "/ns/net"); err == nil && !namespaces[ns] {
			namespaces[ns] = true
			tr["namespaces"] = append(tr["namespaces"], ns)
		}
	}
	files, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range files {
		tr["files"] = append(tr["files"], f.Name())
	}
	return tr
}

// ownedHere tells whether the process that named a cgroup was one of this
// test's: others may test at the same time.
func ownedHere(name string) bool {
	var pid int
	_, err := fmt.Sscanf(name, "serge-%d-", &pid)
	return err == nil && pid > os.Getpid()
}

// A visit is one of many runs.
type visit struct {
	lane, how string
	dir       string
}

// visit runs v in its directory and returns what is wrong with how it went.
func (r *rig) visit(v visit) error {
	hello := "curl -sS http://" + testnet.WWW + "/hello"
	name, script := "c", hello
	args := []string{"record"}
	switch v.how {
	case "replay":
		args[0] = "replay"
	case "SIGKILL", "SIGTERM":
		script += "; echo ready; exec sleep 100"
	}
	args = append(args, name, "--backend", v.lane, "--", "sh", "-c", script)
	cmd := r.net.Command(built.serge, args...)
	cmd.Dir = v.dir
	cmd.Env = append(cmd.Env, "CI=")
	var stderr bytes.Buffer
	out := &awaited{want: "ready\n", seen: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = out, &stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	late := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer late.Stop()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-out.seen:
		cmd.Process.Signal(map[string]os.Signal{"SIGKILL": unix.SIGKILL, "SIGTERM": unix.SIGTERM}[v.how])
		<-ended
	case err := <-ended:
		if err != nil {
			return fmt.Errorf("%w\n%s", err, stderr.String())
		}
	}
	if got := out.String(); !strings.HasPrefix(got, "hello from www.test.example\n") {
		return fmt.Errorf("it printed %q\n%s", got, stderr.String())
	}
	return nil
}

// awaited is a buffer that tells when it holds something.
type awaited struct {
	want string
	seen chan struct{}

	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (a *awaited) Write(b []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := strings.Contains(a.buf.String(), a.want)
	a.buf.Write(b)
	if !before && strings.Contains(a.buf.String(), a.want) {
		close(a.seen)
	}
	return len(b), nil
}

// String is all that was written.
func (a *awaited) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.buf.String()
}

// TestManyRuns has many runs, eight at a time, of every lane: recorded,
// replayed, ended by SIGTERM and by SIGKILL. Each goes well, and the machine is
// as it was.
func TestManyRuns(t *testing.T) {
	runs := 24
	if os.Getenv("SERGE_TEST_ALL") != "" {
		runs = 200
	}
	r := newRig(t)
	t.Setenv("TMPDIR", t.TempDir())
	r.record("c", "curl", "-sS", "http://"+testnet.WWW+"/hello")
	cassettes := filepath.Join(r.dir, "cassettes")
	dirs := t.TempDir()
	before := r.traceHere()
	lanes, hows := backends()[1:], []string{"record", "replay", "SIGTERM", "SIGKILL"}
	todo := make(chan visit)
	var working sync.WaitGroup
	for range 8 {
		working.Go(func() {
			for v := range todo {
				if err := r.visit(v); err != nil {
					t.Errorf("%s by %s: %v", v.how, v.lane, err)
				}
			}
		})
	}
	for i := range runs {
		v := visit{lanes[i%len(lanes)], hows[i/len(lanes)%len(hows)], filepath.Join(dirs, fmt.Sprint(i))}
		if err := os.CopyFS(filepath.Join(v.dir, "cassettes"), os.DirFS(cassettes)); err != nil {
			t.Fatal(err)
		}
		todo <- v
	}
	close(todo)
	working.Wait()
	var diff string
	tick := time.NewTicker(20 * time.Millisecond) // those that were killed take their time to be gone
	defer tick.Stop()
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); <-tick.C {
		if diff = cmp.Diff(before, r.traceHere()); diff == "" {
			return
		}
	}
	t.Errorf("the machine after %d runs (-before +after):\n%s", runs, diff)
}
