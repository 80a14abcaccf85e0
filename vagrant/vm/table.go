//go:build linux

package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// A table is what became of all kernels.
type table struct {
	runs    []bootRun
	which   string // of the tests, a regexp
	date    time.Time
	program string // serge-net's commit
	qemu    string // its version
}

// newTable is the table of runs, made now.
func newTable(ctx context.Context, which string, runs []bootRun) *table {
	return &table{
		runs: runs, which: which, date: time.Now().UTC(),
		program: firstLine(ctx, "git", "describe", "--tags", "--always"),
		qemu:    firstLine(ctx, "qemu-system-x86_64", "--version"),
	}
}

// firstLine is the first line that a command prints; "unknown" if it fails.
func firstLine(ctx context.Context, name string, args ...string) string {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

// matrix is the table of kernels and lanes, in Markdown.
func (t *table) matrix() string {
	var b strings.Builder
	fmt.Fprintf(&b, "| kernel | lane | %s |\n|---|---|%s\n", strings.Join(users(), " | "), strings.Repeat("---|", len(users())))
	for _, r := range t.runs {
		if r.Trouble != "" {
			fmt.Fprintf(&b, "| %s | | %s | | |\n", r.Kernel.Release, cellText(r.Trouble))
		}
		for _, lane := range r.lanes() {
			fmt.Fprintf(&b, "| %s | %s |", r.Kernel.Release, lane)
			for _, u := range users() {
				fmt.Fprintf(&b, " %s |", r.cell(lane, u))
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// lanes are those that r has cells of, in order.
func (r *bootRun) lanes() []string {
	var lanes []string
	for _, e := range r.Events {
		if e.Cell != nil && (len(lanes) == 0 || lanes[len(lanes)-1] != e.Cell.Lane) {
			lanes = append(lanes, e.Cell.Lane)
		}
	}
	return lanes
}

// cell is what became of lane as user.
func (r *bootRun) cell(lane, user string) string {
	for _, e := range r.Events {
		if e.Cell != nil && e.Cell.Lane == lane && e.Cell.As == user {
			if e.Cell.Works {
				return "works"
			}
			return cellText(e.Cell.Why)
		}
	}
	return "not reached"
}

// longest is how much of a reason a cell shows, in bytes.
const longest = 160

// cellText is s as a table's cell can hold it.
func cellText(s string) string {
	s = strings.Join(strings.Fields(strings.ReplaceAll(s, "|", "/")), " ")
	if len(s) > longest {
		s = strings.ToValidUTF8(s[:longest], "") + "…"
	}
	return s
}

// tests is the table of the tests that ran, in Markdown.
func (t *table) tests() string {
	var b strings.Builder
	fmt.Fprintf(&b, "| kernel | package | took | tests of %s%s |\n|---|---|---|---|\n", strings.Join(testPackages, ", "), t.selection())
	for _, r := range t.runs {
		var said []string
		for _, e := range r.Events {
			if e.Tests != nil {
				said = append(said, e.Tests.String())
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %.0f s | %s |\n", r.Kernel.Release, r.Kernel.Version, r.Took.Seconds(), strings.Join(said, "; "))
	}
	return b.String()
}

// mostNamed is how many failed tests a cell names.
const mostNamed = 5

// selection says which tests ran, where that was not all.
func (t *table) selection() string {
	if t.which == "." {
		return ""
	}
	return ", those that match `" + strings.ReplaceAll(t.which, "|", `\|`) + "`"
}

// String is r in a table's cell.
func (r *testResult) String() string {
	s := fmt.Sprintf("%s: %d passed", r.Package, r.Passed)
	if r.Skipped > 0 {
		s += fmt.Sprintf(", %d skipped", r.Skipped)
	}
	if n := len(r.Failed); n > 0 {
		s += fmt.Sprintf(", %d failed: %s", n, strings.Join(r.Failed[:min(n, mostNamed)], ", "))
		if n > mostNamed {
			s += ", …"
		}
	}
	if r.Why != "" {
		s += ", " + cellText(r.Why)
	}
	return s
}

// document is docs/kernels.md.
func (t *table) document() string {
	return fmt.Sprintf(`# Kernels

<!-- Written by make vm-test. Do not edit. -->

Which lane works in which of Debian's kernels: for root, for an ordinary user, and for one who was given two capabilities
and a cgroup. *Works* means that serge-net recorded a program in that kernel (HTTP and HTTPS, by name and by address, IPv4
and IPv6), the origin was stopped, the same program was replayed and printed the same bytes, and no process and no cgroup
was left. Anything else is what serge-net said.

%s
The lanes' own tests, as root:

%s
Made on %s with serge-net %s by %s, two emulated processors (TCG, no KVM), 2 GiB, no network. What the mirror of the
machine's apt had was tried; [vagrant/vm](../vagrant/vm) is the program, and the kernels are of Debian's cloud flavour, whose
network options are those of the others. A machine that boots with them can differ: AppArmor profiles, sysctls and seccomp
filters that a distribution adds are not here. serge-net doctor says what works on yours.
`, t.matrix(), t.tests(), t.date.Format("2006-01-02"), t.program, t.qemu)
}

// oldest is the first series that serge-net supports, as its README says.
const oldest = "5.14"

// broken are what serge-net promises and a kernel did not keep: as root every
// lane that is built works, in netns that needs no privilege every user's does,
// and all tests pass.
func (t *table) broken() []error {
	var errs []error
	for _, r := range t.runs {
		if r.Trouble != "" {
			errs = append(errs, fmt.Errorf("%s: %s", r.Kernel.Release, r.Trouble))
			continue
		}
		if compareVersions(r.Kernel.Version, oldest) < 0 {
			continue
		}
		for _, e := range r.Events {
			switch {
			case e.Cell != nil && !e.Cell.Works && e.Cell.Why != notBuilt && promised(e.Cell):
				errs = append(errs, fmt.Errorf("%s: %s as %s: %s", r.Kernel.Release, e.Cell.Lane, e.Cell.As, e.Cell.Why))
			case e.Tests != nil && (len(e.Tests.Failed) > 0 || e.Tests.Why != ""):
				errs = append(errs, fmt.Errorf("%s: %s", r.Kernel.Release, e.Tests))
			}
		}
	}
	return errs
}

// promised says whether the documentation promises that c works.
func promised(c *cell) bool {
	return c.As == asRoot || c.Lane == "netns" || c.Lane == "ebpf" && c.As == asCaps
}
