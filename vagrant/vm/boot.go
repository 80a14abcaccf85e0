//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// A machine is what one kernel runs on.
type machine struct {
	image, initrd string
	dir           string // for console and results
	tests         string // a regexp
	limit         time.Duration
}

// A bootRun is what became of one kernel.
type bootRun struct {
	Kernel  kernel
	Took    time.Duration
	Events  []event
	Trouble string // a panic, a hang, or whatever kept it from its end; "" if it powered off in order
}

// testsVariable tells the guest which tests to run: what the kernel does not know
// of its command line, init has in its environment.
const testsVariable = "SERGE_VM_TESTS"

// memory is the guest's, in MiB: the initramfs, twice while it is unpacked, and
// what the tests use.
const memory = 2048

// runQemu boots k and waits until it powers off, or the time is over.
//
// The processor is emulated (TCG): so it runs alike with and without
// /dev/kvm, in containers and on CI. max has what Debian's kernels use; five-level
// page tables are left out, for they only cost time.
func runQemu(ctx context.Context, k kernel, m machine) (*bootRun, error) {
	console, results := filepath.Join(m.dir, "console"), filepath.Join(m.dir, "results")
	for _, name := range []string{console, results} {
		if err := os.RemoveAll(name); err != nil {
			return nil, err
		}
	}
	limited, cancel := context.WithTimeout(ctx, m.limit)
	defer cancel()
	cmd := exec.CommandContext(limited, "qemu-system-x86_64",
		"-accel", "tcg,thread=multi", "-cpu", "max,la57=off", "-smp", "2", "-m", fmt.Sprint(memory),
		"-kernel", m.image, "-initrd", m.initrd,
		"-append", "console=ttyS0 loglevel=5 panic=-1 oops=panic mitigations=off random.trust_cpu=on "+testsVariable+"="+m.tests,
		"-no-reboot", "-nodefaults", "-nic", "none", "-display", "none", "-monitor", "none",
		"-serial", "file:"+console, "-serial", "file:"+results)
	var said bytes.Buffer
	cmd.Stderr = &said
	start := time.Now()
	err := cmd.Run()
	r := &bootRun{Kernel: k, Took: time.Since(start)}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if f, e := os.Open(results); e == nil {
		r.Events = readEvents(f)
		f.Close()
	}
	log, _ := os.ReadFile(console) // none if qemu did not start
	switch {
	case limited.Err() != nil:
		r.Trouble = fmt.Sprintf("did not end within %v, after: %s", m.limit, lastLine(log))
	case err != nil:
		return nil, errors.Join(fmt.Errorf("qemu: %w", err), errors.New(said.String()))
	default:
		r.Trouble = r.unfinished(log)
	}
	return r, nil
}

// crash is how the kernel says on its console that it cannot go on, or that
// something in it is broken.
var crash = regexp.MustCompile(`(Kernel panic - .*|BUG: .*|Oops: .*|general protection fault.*|WARNING: .*|rcu: .* stall.*|INFO: task .* blocked.*)`)

// unfinished is why a kernel that stopped did not stop in order.
func (r *bootRun) unfinished(console []byte) string {
	for _, e := range r.Events {
		if e.Failed != "" {
			return e.Failed
		}
		if e.Done {
			if c := crash.Find(console); c != nil {
				return "the kernel says: " + string(c)
			}
			return ""
		}
	}
	if c := crash.Find(console); c != nil {
		return string(c)
	}
	return "stopped before its end, after: " + lastLine(console)
}

// lastLine is the last line of a console that is not empty.
func lastLine(console []byte) string {
	lines := strings.Split(strings.TrimSpace(string(console)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// verdict is r in a few words.
func (r *bootRun) verdict() string {
	if r.Trouble != "" {
		return r.Trouble
	}
	var works, tried, failed int
	for _, e := range r.Events {
		switch {
		case e.Cell != nil && e.Cell.Why != notBuilt:
			tried++
			if e.Cell.Works {
				works++
			}
		case e.Tests != nil:
			failed += len(e.Tests.Failed)
		}
	}
	return fmt.Sprintf("%d of %d lanes and users work, %d tests failed", works, tried, failed)
}
