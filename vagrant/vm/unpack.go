//go:build linux

package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// moduleDirs are the directories of modules that lanes and tests may need: all
// of netfilter, so that what a lane asks the kernel for is loaded on demand as
// on any machine.
var moduleDirs = []string{
	"kernel/net/netfilter/", "kernel/net/ipv4/", "kernel/net/ipv6/", "kernel/net/unix/", "kernel/net/sched/",
	"kernel/net/core/", "kernel/fs/overlayfs/",
}

// moduleNames are the single modules beside them.
var moduleNames = []string{"veth", "dummy", "tun", "vsock", "vsock_loopback", "sctp", "af_packet", "ifb"}

// unpack unpacks k's packages below dir, lists its modules' dependencies, and
// returns the kernel image and the modules as files of the initramfs.
func unpack(ctx context.Context, k kernel, dir string) (image string, modules []file, err error) {
	root := filepath.Join(dir, "root")
	debs, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil {
		return "", nil, err
	}
	for _, deb := range debs {
		if out, err := exec.CommandContext(ctx, "dpkg-deb", "-x", deb, root).CombinedOutput(); err != nil {
			return "", nil, fmt.Errorf("unpack %s: %w: %s", deb, err, out)
		}
	}
	image, err = one(filepath.Join(root, "boot/vmlinuz-*"), filepath.Join(root, "usr/lib/modules/*/vmlinuz"))
	if err != nil {
		return "", nil, err
	}
	top, err := one(filepath.Join(root, "lib/modules", k.Release), filepath.Join(root, "usr/lib/modules", k.Release))
	if err != nil {
		return "", nil, err
	}
	if err := depmod(ctx, root, k.Release, top); err != nil {
		return "", nil, err
	}
	modules, err = moduleFiles(top, k.Release)
	return image, modules, err
}

// depmod writes the lists of dependencies and aliases into top. It knows only
// lib/modules, so that it is shown top there.
func depmod(ctx context.Context, root, release, top string) error {
	shown := filepath.Join(root, "shown", "lib", "modules")
	if err := os.MkdirAll(shown, 0o755); err != nil {
		return err
	}
	link := filepath.Join(shown, release)
	if err := os.RemoveAll(link); err != nil {
		return err
	}
	if err := os.Symlink(top, link); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "depmod", "-b", filepath.Join(root, "shown"), release).CombinedOutput(); err != nil {
		return fmt.Errorf("depmod %s: %w: %s", release, err, out)
	}
	return nil
}

// one is the one path that exists among those that match.
func one(patterns ...string) (string, error) {
	for _, p := range patterns {
		found, err := filepath.Glob(p)
		if err != nil {
			return "", err
		}
		if len(found) == 1 {
			return found[0], nil
		}
	}
	return "", fmt.Errorf("find one of %s: %w", strings.Join(patterns, ", "), fs.ErrNotExist)
}

// moduleFiles are the wanted modules below top with all that they depend on,
// and the lists that modprobe reads.
func moduleFiles(top, release string) ([]file, error) {
	dep, err := os.ReadFile(filepath.Join(top, "modules.dep"))
	if err != nil {
		return nil, err
	}
	to := "usr/lib/modules/" + release + "/"
	var files []file
	for _, name := range closure(parseDep(string(dep)), wantedModule) {
		files = append(files, fromHost(to+name, filepath.Join(top, name)))
	}
	lists, err := filepath.Glob(filepath.Join(top, "modules.*"))
	if err != nil {
		return nil, err
	}
	for _, l := range lists {
		files = append(files, fromHost(to+filepath.Base(l), l))
	}
	return files, nil
}

// wantedModule says whether the module at path is wanted for itself.
func wantedModule(path string) bool {
	name, _, _ := strings.Cut(filepath.Base(path), ".")
	return slices.Contains(moduleNames, name) ||
		slices.ContainsFunc(moduleDirs, func(dir string) bool { return strings.HasPrefix(path, dir) })
}

// parseDep parses modules.dep(5): a module's path, and the paths of those that
// it needs.
func parseDep(text string) map[string][]string {
	needs := make(map[string][]string)
	for line := range strings.Lines(text) {
		if name, rest, ok := strings.Cut(line, ":"); ok {
			needs[name] = strings.Fields(rest)
		}
	}
	return needs
}

// closure are the modules that are wanted, and all that they need, sorted.
func closure(needs map[string][]string, wanted func(string) bool) []string {
	seen := make(map[string]bool)
	var add func(string)
	add = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		for _, n := range needs[name] {
			add(n)
		}
	}
	for name := range needs {
		if wanted(name) {
			add(name)
		}
	}
	var names []string
	for name := range seen {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
