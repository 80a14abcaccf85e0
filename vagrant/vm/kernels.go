//go:build linux

package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A kernel is one of Debian's, in its cloud flavour: the same sources and
// network options as the others, and a fifth of the modules.
type kernel struct {
	Release  string // uname -r
	Version  string // the package's
	packages []string
}

// meta is the package that depends on a release's kernel.
const meta = "linux-image-cloud-amd64"

var (
	// imageName has the uname -r. Meta-packages of a series have only x.y.
	imageName = regexp.MustCompile(`^linux-image-([0-9]+\.[0-9]+\.[0-9]+.*-cloud-amd64)$`)
	// partName are the packages that a kernel is in: one, lately three.
	partName = regexp.MustCompile(`^linux-(image|binary|modules)-[0-9].*-cloud-amd64$`)
	// leadingSeries is the x.y of a version.
	leadingSeries = regexp.MustCompile(`^([0-9]+)\.([0-9]+)`)
)

// releases are Debian's, from the oldest that mirrors keep. Code names, because
// not every release has an alias, and mirrors refresh aliases later.
func releases() []string { return []string{"bullseye", "bookworm", "trixie", "forky", "sid"} }

// suites are those of releases in the archive of security updates, or in the other one.
func suites(security bool) []string {
	var all []string
	for _, r := range releases() {
		switch {
		case security && r != "sid":
			all = append(all, r+"-security")
		case !security && r == "sid":
			all = append(all, r)
		case !security:
			all = append(all, r, r+"-backports")
		}
	}
	return all
}

// An archive is what the Debian mirror of this machine's apt has, of every
// suite, in a directory of its own: this machine's lists are not touched.
type archive struct{ dir string }

// openArchive fetches the lists. A suite that the mirror has not is left out.
func openArchive(ctx context.Context, dir string) (*archive, error) {
	a := &archive{dir}
	for _, d := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	mirrors, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN)", "Created-By: Packages").Output()
	if err != nil {
		return nil, fmt.Errorf("ask apt for its mirrors: %w", told(err))
	}
	var lines strings.Builder
	for _, uri := range debianMirrors(string(mirrors)) {
		for _, s := range suites(strings.Contains(uri, "security")) {
			fmt.Fprintf(&lines, "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n", uri, s)
		}
	}
	if lines.Len() == 0 {
		return nil, errors.New("apt knows no Debian mirror: run apt-get update first, on Debian")
	}
	if err := os.WriteFile(filepath.Join(dir, "sources.list"), []byte(lines.String()), 0o644); err != nil {
		return nil, err
	}
	// It fails for a suite that is missing, with the others fetched.
	if out, err := a.command(ctx, "apt-get", "update", "-qq").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "vm: some suites are left out: %s\n", out)
	}
	return a, nil
}

// debianMirrors are the distinct URIs of Debian's own in what indextargets printed.
func debianMirrors(targets string) []string {
	var uris []string
	for line := range strings.Lines(targets) {
		if f := strings.Fields(line); len(f) == 2 && f[1] == "Debian" && !slices.Contains(uris, f[0]) {
			uris = append(uris, f[0])
		}
	}
	return uris
}

// command is an apt program that sees the archive alone.
func (a *archive) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	o := []string{
		"-o", "Dir::Etc::SourceList=" + filepath.Join(a.dir, "sources.list"), "-o", "Dir::Etc::SourceParts=/dev/null",
		"-o", "Dir::State::Lists=" + filepath.Join(a.dir, "lists"), "-o", "Dir::Cache=" + filepath.Join(a.dir, "cache"),
		"-o", "Acquire::Languages=none", "-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
		"-o", "APT::Sandbox::User=root",
	}
	return exec.CommandContext(ctx, name, append(o, args...)...)
}

// show is what apt-cache show says of packages.
func (a *archive) show(ctx context.Context, names ...string) ([]stanza, error) {
	out, err := a.command(ctx, "apt-cache", append([]string{"show"}, names...)...).Output()
	if err != nil {
		return nil, fmt.Errorf("apt-cache show %s: %w", strings.Join(names, " "), told(err))
	}
	return stanzas(string(out)), nil
}

// kernels are the newest of each series that is asked for, oldest first.
func (a *archive) kernels(ctx context.Context, series string) ([]kernel, error) {
	out, err := a.command(ctx, "apt-cache", "search", "--names-only", partName.String()).Output()
	if err != nil {
		return nil, fmt.Errorf("apt-cache search: %w", told(err))
	}
	var names []string
	for s := bufio.NewScanner(strings.NewReader(string(out))); s.Scan(); {
		name, _, _ := strings.Cut(s.Text(), " ")
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil, errors.New("the mirror has no kernels")
	}
	all, err := a.show(ctx, names...)
	if err != nil {
		return nil, err
	}
	metas, err := a.show(ctx, meta)
	if err != nil {
		return nil, err
	}
	return choose(all, metas, series)
}

// choose takes the newest of each wanted series of which the mirror has all
// parts. The series of the releases are those of metas.
func choose(parts, metas []stanza, series string) ([]kernel, error) {
	wanted := strings.Split(series, ",")
	if series == "releases" {
		wanted = nil
		for _, m := range metas {
			wanted = append(wanted, seriesOf(m.Version))
		}
	}
	there := make(map[string]bool)
	for _, s := range parts {
		there[s.Package+"="+s.Version] = true
	}
	newest := make(map[string]kernel)
	for _, s := range parts {
		name := imageName.FindStringSubmatch(s.Package)
		of := seriesOf(s.Version)
		if name == nil || series != "all" && !slices.Contains(wanted, of) {
			continue
		}
		k := kernel{Release: name[1], Version: s.Version, packages: []string{s.Package + "=" + s.Version}}
		for _, d := range s.Depends {
			if partName.MatchString(d) {
				k.packages = append(k.packages, d+"="+s.Version)
			}
		}
		if slices.ContainsFunc(k.packages, func(p string) bool { return !there[p] }) {
			continue // mirrors forget some parts before others
		}
		if old, ok := newest[of]; !ok || compareVersions(k.Version, old.Version) > 0 {
			newest[of] = k
		}
	}
	var kernels []kernel
	for _, k := range newest {
		kernels = append(kernels, k)
	}
	slices.SortFunc(kernels, func(a, b kernel) int { return compareVersions(a.Version, b.Version) })
	if len(kernels) == 0 {
		return nil, fmt.Errorf("the mirror has no kernel of series %s", series)
	}
	return kernels, nil
}

// fetch downloads the packages of k into dir, those that are not there yet.
func (a *archive) fetch(ctx context.Context, k kernel, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if there, _ := filepath.Glob(filepath.Join(dir, "*.deb")); len(there) == len(k.packages) {
		return nil
	}
	cmd := a.command(ctx, "apt-get", append([]string{"download", "-qq"}, k.packages...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("download %s: %w: %s", strings.Join(k.packages, " "), err, out)
	}
	return nil
}

// seriesOf is the x.y of a version.
func seriesOf(version string) string { return leadingSeries.FindString(version) }

// compareVersions compares the numbers of two kernel versions in order. What is
// not a number separates: the revisions ~bpo and +deb say nothing about age.
func compareVersions(a, b string) int {
	return slices.CompareFunc(numbers(a), numbers(b), cmp.Compare[int])
}

func numbers(version string) []int {
	upstream, _, _ := strings.Cut(version, "~")
	var ns []int
	for _, f := range strings.FieldsFunc(upstream, func(r rune) bool { return r < '0' || r > '9' }) {
		n, _ := strconv.Atoi(f) // digits only; a number too large counts as 0
		ns = append(ns, n)
	}
	return ns
}

// A stanza is one package in apt-cache show.
type stanza struct {
	Package, Version string
	Depends          []string // names only, first alternatives
}

// stanzas parses apt-cache show (deb822(5)).
func stanzas(text string) []stanza {
	var all []stanza
	for block := range strings.SplitSeq(text, "\n\n") {
		var s stanza
		for line := range strings.Lines(block) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			switch key {
			case "Package":
				s.Package = value
			case "Version":
				s.Version = value
			case "Depends":
				for d := range strings.SplitSeq(value, ",") {
					name, _, _ := strings.Cut(strings.TrimSpace(d), " ")
					s.Depends = append(s.Depends, name)
				}
			}
		}
		if s.Package != "" && s.Version != "" {
			all = append(all, s)
		}
	}
	return all
}

// told is err with what the program wrote to stderr.
func told(err error) error {
	var e *exec.ExitError
	if errors.As(err, &e) && len(e.Stderr) > 0 {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(e.Stderr)))
	}
	return err
}
