package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/serge-net/serge-net/redirect"
	"github.com/serge-net/serge-net/redirect/testnet"
)

// steppedArg makes the test binary a run of serge-net to which something
// happens at a step.
const steppedArg = "serge-test-stepped"

// stepped runs "record c" with the flags args[2:], and sends itself the signal
// args[1] at the step args[0], one of ours or of the diversion's. To its group, if
// there is a minus before it.
func stepped(args []string) int {
	var f runFlags
	c := &cobra.Command{Use: "run", SilenceUsage: true, SilenceErrors: true, RunE: func(c *cobra.Command, argv []string) error {
		f.mode, f.cassette = "record", "c"
		r := newRunner(&f, argv, newReport(os.Stderr, false))
		reached := func(name string) {
			var signal int
			fmt.Sscan(args[1], &signal)
			switch {
			case args[0] == "all":
				fmt.Println(name)
			case args[0] == name && signal < 0:
				unix.Kill(0, unix.Signal(-signal))
			case args[0] == name:
				unix.Kill(os.Getpid(), unix.Signal(signal))
			}
		}
		r.reached = func(s step) { reached(string(s)) }
		r.diverting = func(s redirect.Step, _, _ int) { reached(string(s)) }
		return r.run(context.Background())
	}}
	f.register(c)
	c.SetArgs(args[2:])
	return exitCode(c.Execute(), os.Stderr)
}

// step runs serge-net as stepped says, to its end, and finds nothing that it left
// but the cassette's journal, and what a diversion leaves to the next start.
func (r *rig) step(t *testing.T, s, signal, backend string) *life {
	t.Helper()
	l := &life{rig: r, temp: t.TempDir(), stderr: filepath.Join(r.dir, "stderr"), mounts: mountsHere(t)}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	l.cmd = r.net.Command(exe, steppedArg, s, signal, "--backend", backend, "--", "curl", "-sS", "http://"+testnet.WWW+"/hello")
	l.cmd.Dir = r.dir
	l.cmd.Env = append(l.cmd.Env, "TMPDIR="+l.temp, "CI=")
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stderr, err := os.Create(l.stderr)
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	l.cmd.Stdout, l.cmd.Stderr = stderr, stderr
	if err := l.cmd.Run(); l.cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return l
}

// backendsHere are the lanes that are tried in every run of the tests, or all.
func backendsHere() []string {
	if os.Getenv("SERGE_TEST_ALL") != "" {
		return backends()[1:]
	}
	return []string{redirect.EBPF.String()}
}

// TestSteps holds the list of a run's steps: each comes, in order.
func TestSteps(t *testing.T) {
	r := newRig(t)
	l := (&rig{t: t, net: r.net, dir: t.TempDir()}).step(t, "all", "0", "ebpf")
	var got []step
	for line := range strings.Lines(l.said()) {
		if s := step(strings.TrimSpace(line)); slices.Contains(steps(), s) {
			got = append(got, s)
		}
	}
	if diff := cmp.Diff(steps(), got); diff != "" {
		t.Errorf("steps (-want +got):\n%s\n%s", diff, l.said())
	}
}

// TestStepsKilled kills serge-net at each step of a run, and finds no process,
// cgroup, mount or file, but for a journal that the next run recovers.
func TestStepsKilled(t *testing.T) {
	all := newRig(t)
	for _, backend := range backendsHere() {
		for i, s := range steps() {
			t.Run(backend+" "+string(s), func(t *testing.T) {
				r := &rig{t: t, net: all.net, dir: t.TempDir()}
				l := r.step(t, string(s), "9", backend)
				if l.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != unix.SIGKILL {
					t.Fatalf("the step was never reached:\n%s", l.said())
				}
				if s == trusted {
					// The lane starts at the same time: its cgroup may be there, and
					// init not yet. The next start removes it.
					r.well("run", "--mode", "passthrough", "--", "true")
				}
				l.nothingLeft()
				l.noRules()
				r.recoverable(t)
				want := "hello from " + testnet.WWW + "\n"
				if i >= slices.Index(steps(), finished) { // it was recorded: no network is needed
					if o := r.well("replay", "c", "--", "curl", "-sS", "http://"+testnet.WWW+"/hello"); o.stdout != want {
						t.Errorf("what was recorded replays as %q\n%s\n%s", o.stdout, o.stderr, l.said())
					}
					return
				}
				if o := r.well("record", "c", "--", "curl", "-sS", "http://"+testnet.WWW+"/hello"); o.stdout != want {
					t.Errorf("the next run says %q\n%s", o.stdout, o.stderr)
				}
				r.well("show", "c")
			})
		}
	}
}

// noRules fails the test unless rules of ours are gone within a time.
func (l *life) noRules() {
	l.t.Helper()
	l.eventually("rules are left", func() bool {
		return !strings.Contains(l.run("sh", "-c", "iptables-save; ip6tables-save").stdout, "SERGE-")
	})
}

// recoverable fails the test if there are other files than a cassette that is
// whole and a journal.
func (r *rig) recoverable(t *testing.T) {
	t.Helper()
	filepath.WalkDir(filepath.Join(r.dir, "cassettes"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		switch {
		case e.Name() == "c.json":
			r.well("show", "c")
		case strings.Contains(e.Name(), "recording") || strings.Contains(e.Name(), "journal"):
		default:
			t.Errorf("%s is left", path)
		}
		return nil
	})
}

// TestStepsInterrupted presses Ctrl-C at each step of start-up: the command does
// not run, and nothing is left.
func TestStepsInterrupted(t *testing.T) {
	all := newRig(t)
	for _, lane := range redirect.Lanes() {
		starting := lane.Steps()[:slices.Index(lane.Steps(), redirect.Armed)+1]
		for _, s := range starting {
			t.Run(lane.String()+" "+string(s), func(t *testing.T) {
				r := &rig{t: t, net: all.net, dir: t.TempDir()}
				l := r.step(t, string(s), "-2", lane.String())
				if code := l.cmd.ProcessState.ExitCode(); code != 130 || !strings.Contains(l.said(), "serge-net: error: interrupt: the command was not started") {
					t.Errorf("exit code %d; want 130\n%s", code, l.said())
				}
				l.nothingLeft()
				l.noRules()
				if _, err := os.Stat(filepath.Join(r.dir, "cassettes")); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("cassettes: %v; want none", err)
				}
			})
		}
	}
}
