package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// runtimeLimit is how long one runtime is tried, and as long for by what it
// trusts, and runtimesAtOnce how many are
// at a time: a JVM takes a second of CPU to compile a page of Java.
const (
	runtimeLimit   = 10 * time.Second
	runtimesAtOnce = 2
)

// A runtimeFinding is whether a runtime trusts a run.
type runtimeFinding struct {
	Name   string `json:"name"`
	Path   string `json:"path"`
	Tried  bool   `json:"tried"`
	Trusts bool   `json:"trusts"`
	By     string `json:"by,omitempty"` // "mount", a variable, or "environment": several together
	MS     int64  `json:"ms"`           // how long the try took
	Why    string `json:"why,omitempty"`
	Hint   string `json:"hint,omitempty"`
}

// A trial is what runtimes are tried by: an origin that no program knows, and a
// directory that is removed.
type trial struct {
	origin  *demoOrigin
	dir     string
	private bool // commands see mounts
}

// tryRuntimes has each runtime on the path ask an origin of our own through a
// run that keeps nothing. It tells of each that is done.
func tryRuntimes(ctx context.Context, private bool, done func(name string, n, of int)) ([]runtimeFinding, error) {
	dir, err := os.MkdirTemp(memoryDir(), "serge-net-doctor-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	t := &trial{dir: dir, private: private}
	if t.origin, err = startDemoOrigin(); err != nil {
		return nil, err
	}
	defer t.origin.stop()
	if err := t.write(); err != nil {
		return nil, err
	}
	var found []attempt
	for _, a := range attempts() {
		if path, err := exec.LookPath(a.program); err == nil {
			a.path = path
			found = append(found, a)
		}
	}
	all := make([]*runtimeFinding, len(found))
	places := make(chan struct{}, runtimesAtOnce)
	var trying sync.WaitGroup
	var mu sync.Mutex
	finished := 0
	for n, a := range found {
		places <- struct{}{}
		trying.Go(func() {
			defer func() { <-places }()
			all[n] = t.try(ctx, a)
			mu.Lock()
			defer mu.Unlock()
			finished++
			done(a.name, finished, len(found))
		})
	}
	trying.Wait()
	out := []runtimeFinding{}
	for _, f := range all {
		if f != nil {
			out = append(out, *f)
		}
	}
	return out, nil
}

// write writes the files that clients read.
func (t *trial) write() error {
	for name, text := range map[string]string{"Ask.java": askJava, "ca.pem": string(t.origin.ca.PEM())} {
		if err := os.WriteFile(filepath.Join(t.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// errAbsent is what a client that is not installed ends with: exit code exitAbsent.
var errAbsent = errors.New("it is not installed")

// try is what becomes of a; nil where a library of it is not installed.
func (t *trial) try(ctx context.Context, a attempt) *runtimeFinding {
	f := &runtimeFinding{Name: a.name, Path: a.path}
	if why := a.cannot(); why != "" {
		f.Why = why
		return f
	}
	limited, cancel := context.WithTimeout(ctx, runtimeLimit)
	defer cancel()
	start := time.Now()
	rejected, err := t.ask(limited, a, nil)
	late := limited.Err() != nil
	f.MS = max(time.Since(start).Milliseconds(), 1)
	switch f.Tried = true; {
	case errors.Is(err, errAbsent):
		return nil
	case late:
		f.Why, f.Hint = fmt.Sprintf("it did not end within %v", runtimeLimit), "try it by itself: serge-net run --mode passthrough -- …"
	case rejected:
		kind, _ := kindOf(filepath.Base(a.program))
		f.Why, f.Hint = "it does not trust the run's certificate", process{kind: kind}.remedy(nil)
	case err != nil:
		f.Why = err.Error()
	default:
		f.Trusts, f.By = true, t.reason(ctx, a)
	}
	return f
}

// reason is what a trusts by, learnt by taking the rest away: "mount" if
// it does with no variable of ours, else the one variable that it does with.
func (t *trial) reason(ctx context.Context, a attempt) string {
	ctx, cancel := context.WithTimeout(ctx, runtimeLimit)
	defer cancel()
	if t.private {
		if _, err := t.ask(ctx, a, []string{}); err == nil {
			return "mount"
		}
	}
	for _, v := range a.variables {
		if _, err := t.ask(ctx, a, []string{v}); err == nil {
			return v
		}
	}
	if ctx.Err() == nil {
		if _, err := t.ask(ctx, a, nil); err == nil {
			return "environment"
		}
	}
	return "" // it was not learnt in time
}

// ask runs a once, with those variables of ours that only names, or all if it is
// nil. It tells whether our certificate was rejected. Without an error the origin
// was asked.
func (t *trial) ask(ctx context.Context, a attempt, only []string) (rejected bool, err error) {
	dir, err := os.MkdirTemp(t.dir, "try-*")
	if err != nil {
		return false, err
	}
	path := "/" + filepath.Base(dir)
	argv, stdin := a.argv(t.origin, path, t.dir)
	argv[0] = a.path
	if err := os.WriteFile(filepath.Join(dir, "in"), []byte(stdin), 0o600); err != nil {
		return false, err
	}
	in, err := os.Open(filepath.Join(dir, "in"))
	if err != nil {
		return false, err
	}
	defer in.Close()
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		return false, err
	}
	defer out.Close()
	var said bytes.Buffer
	flags := &runFlags{backend: "auto", dns: "pin", hostPort: []string{"auto"}, publish: []string{"none"}, engineFlags: engineFlags{
		mode: "passthrough", cassette: "doctor", rack: rack{dir: filepath.Join(dir, "none")}, onMiss: "fail",
		repeat: "auto", shiftDates: "on", upstreamCA: []string{filepath.Join(t.dir, "ca.pem")},
	}}
	r := newRunner(flags, argv, newReport(&said, true))
	r.conf, r.stdin, r.stdout, r.stderr, r.beside = t.origin.conf(), in, out, out, true
	r.env = func(env []string) []string { return append(reduced(env, os.Environ(), only), a.env(dir)...) }
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	var asked atomic.Bool
	defer t.origin.await(path, func() { asked.Store(true); cancel() })() // what it does with the answer does not matter
	err = r.run(running)
	var e *exit
	switch {
	case asked.Load():
		return false, nil
	case errors.As(err, &e) && e.Code == exitAbsent:
		return false, errAbsent
	case ctx.Err() != nil:
		return false, ctx.Err()
	case r.report.rejected():
		return true, errors.New("it does not trust us")
	case err != nil && e == nil:
		return false, err
	}
	return false, fmt.Errorf("it did not ask: exit code %d: %s", e.Code, lastWords(filepath.Join(dir, "out")))
}

// reduced is env, a command's environment, with only those variables that differ
// from ours that only names; the others are as in ours. A nil only names all.
func reduced(env, ours, only []string) []string {
	if only == nil {
		return env
	}
	var all []string
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		if slices.Contains(ours, e) || slices.Contains(only, name) {
			all = append(all, e)
		}
	}
	for _, e := range ours {
		name, _, _ := strings.Cut(e, "=")
		if valueOf(env, name) != "" && valueOf(all, name) == "" {
			all = append(all, e)
		}
	}
	return all
}

// lastWords is the last line of the file at path that is one, for messages.
func lastWords(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// printRuntimes writes the findings as a person reads them.
func printRuntimes(w io.Writer, all []runtimeFinding) {
	for _, f := range all {
		switch {
		case f.Trusts && f.By == "":
			fmt.Fprintf(w, "%s\ttrusts us\tby what was not learnt in time (%s)\n", f.Name, f.Path)
		case f.Trusts:
			fmt.Fprintf(w, "%s\ttrusts us\tby %s (%s)\n", f.Name, f.By, f.Path)
		case !f.Tried:
			fmt.Fprintf(w, "%s\tnot tried\t%s\n", f.Name, f.Why)
		default:
			fmt.Fprintf(w, "%s\tno\t%s (%s)\n", f.Name, f.Why, f.Path)
		}
		printHint(w, f.Hint)
	}
}
