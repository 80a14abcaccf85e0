//go:build linux

// Vm boots Debian's kernels under qemu, without KVM, and says which lanes work
// in them. It is what `make vm-test` runs.
//
//	go run ./vagrant/vm [-series all|releases|6.1,6.12] [-tests REGEXP] [-write docs/kernels.md]
//
// For each kernel that the machine's own Debian mirror has, it unpacks the
// packages (nothing is installed), makes an initramfs of the kernel's netfilter
// and tunnel modules, serge-net, the tests of redirect and bpf, and the few
// programs that they call, and boots it with two emulated processors and no
// network. The initramfs's /init is this same program: it records and replays
// through every lane as three users, runs the tests, writes what it found as
// JSON lines on the second serial port, and powers off. A kernel that panics, or
// that does not power off in time, is reported as such.
//
// It exits with 1 if a kernel that serge-net supports does less than the
// documentation says. It needs apt, dpkg-deb, depmod and qemu-system-x86_64.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

// An options is what the command line asks for.
type options struct {
	series string
	write  string
	work   string
	tests  string
	limit  time.Duration
}

func main() {
	switch {
	case os.Getpid() == 1:
		guest() // powers off
	case len(os.Args) > 1 && os.Args[1] == clientRole:
		os.Exit(client(os.Args[2:]))
	}
	var o options
	flag.StringVar(&o.series, "series", "releases", "`kernels`: releases (what each Debian release boots by default), all (the newest of each x.y), or a list of x.y")
	flag.StringVar(&o.write, "write", "", "write the table to this `file`")
	flag.StringVar(&o.work, "work", "", "keep downloads, consoles and results in this `directory`; they are temporary otherwise")
	flag.StringVar(&o.tests, "tests", ".", "run the tests inside that match this `regexp`, as go test -run does")
	flag.DurationVar(&o.limit, "limit", 25*time.Minute, "how long one kernel may run")
	flag.Parse()
	if strings.ContainsAny(o.tests, " \"'") {
		fmt.Fprintln(os.Stderr, "vm: -tests goes on the kernel's command line: no blanks and quotes")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := o.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
		os.Exit(1)
	}
}

// run boots the kernels and prints the table.
func (o options) run(ctx context.Context) error {
	if o.work == "" {
		dir, err := os.MkdirTemp("", "serge-net-vm-*")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		o.work = dir
	}
	kernels, err := o.kernels(ctx)
	if err != nil {
		return err
	}
	built, err := build(ctx, filepath.Join(o.work, "build"))
	if err != nil {
		return err
	}
	var runs []bootRun
	for _, k := range kernels {
		r, err := o.boot(ctx, k, built)
		if err != nil {
			return fmt.Errorf("%s: %w", k.Release, err)
		}
		fmt.Printf("%s: %s, %.0f s\n", k.Release, r.verdict(), r.Took.Seconds())
		runs = append(runs, *r)
	}
	table := newTable(ctx, o.tests, runs)
	fmt.Print("\n", table.matrix())
	if o.write != "" {
		if err := os.WriteFile(o.write, []byte(table.document()), 0o644); err != nil {
			return err
		}
	}
	return errors.Join(table.broken()...)
}

// kernels finds the kernels and says which.
func (o options) kernels(ctx context.Context) ([]kernel, error) {
	a, err := openArchive(ctx, filepath.Join(o.work, "apt"))
	if err != nil {
		return nil, err
	}
	kernels, err := a.kernels(ctx, o.series)
	if err != nil {
		return nil, err
	}
	for _, k := range kernels {
		if err := a.fetch(ctx, k, o.dir(k)); err != nil {
			return nil, err
		}
	}
	return kernels, nil
}

// dir is where the files of k are.
func (o options) dir(k kernel) string { return filepath.Join(o.work, k.Release) }

// boot makes k's initramfs and runs it.
func (o options) boot(ctx context.Context, k kernel, built []file) (*bootRun, error) {
	dir := o.dir(k)
	image, modules, err := unpack(ctx, k, dir)
	if err != nil {
		return nil, err
	}
	initrd := filepath.Join(dir, "initramfs")
	if err := writeInitramfs(initrd, append(modules, built...)); err != nil {
		return nil, err
	}
	m := machine{image: image, initrd: initrd, dir: dir, tests: o.tests, limit: o.limit}
	r, err := runQemu(ctx, k, m)
	if err != nil || len(r.Events) > 0 || r.Trouble == "" {
		return r, err
	}
	// A kernel that patches itself while another processor runs it can trap in
	// emulation: "Oops: int3", QEMU 7.2. Nothing of ours ran yet.
	fmt.Fprintf(os.Stderr, "vm: %s, before init: %s; again\n", k.Release, r.Trouble)
	return runQemu(ctx, k, m)
}

// testPackages are the packages whose tests run inside.
var testPackages = []string{"bpf", "redirect"}

// build compiles what the kernels are tried with, and returns it as files of
// the initramfs, with the programs of this machine that it calls.
func build(ctx context.Context, dir string) ([]file, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	steps := [][]string{
		{"build", "-o", filepath.Join(dir, "init"), "./vagrant/vm"},
		{"build", "-o", filepath.Join(dir, "serge-net"), "./cmd/serge-net"},
	}
	for _, p := range testPackages {
		steps = append(steps, []string{"test", "-c", "-o", filepath.Join(dir, p+".test"), "./" + p})
	}
	for _, s := range steps {
		cmd := exec.CommandContext(ctx, "go", s...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("go %s: %w\n%s", strings.Join(s, " "), err, out)
		}
	}
	files := []file{fromHost("init", filepath.Join(dir, "init")), fromHost("usr/bin/serge-net", filepath.Join(dir, "serge-net"))}
	for _, p := range testPackages {
		files = append(files, fromHost("tests/"+p+".test", filepath.Join(dir, p+".test")))
	}
	programs, err := hostPrograms()
	if err != nil {
		return nil, err
	}
	return append(append(files, skeleton()...), programs...), nil
}
