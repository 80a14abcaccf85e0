//go:build linux

package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// programs are what lanes and tests call.
func programs() []string {
	return strings.Fields(`bash dash mount umount unshare nsenter setpriv kmod ip ss xtables-nft-multi xtables-legacy-multi
		awk cat chmod chown cp env false grep head id kill ln ls mkdir mv ps pwd readlink rm rmdir sed seq setsid sleep sort
		stat stty tail test timeout touch tr true tty uname wc xargs`)
}

// links are other names of programs.
func links() map[string]string {
	all := map[string]string{"sh": "dash", "modprobe": "kmod"}
	for _, family := range []string{"iptables", "ip6tables"} {
		for _, program := range []string{"", "-save", "-restore"} {
			all[family+program] = "xtables-nft-multi"
			all[family+"-legacy"+program] = "xtables-legacy-multi"
		}
	}
	return all
}

// hostPrograms are the programs with the libraries that they load.
func hostPrograms() ([]file, error) {
	var files []file
	seen := make(map[string]bool)
	for _, p := range programs() {
		host, err := exec.LookPath(p)
		if err != nil {
			return nil, fmt.Errorf("find a program for the initramfs: %w", err)
		}
		files = append(files, fromHost("usr/bin/"+p, host))
		if err := addLibraries(host, seen); err != nil {
			return nil, err
		}
	}
	for _, dir := range libraryDirs() {
		extensions, _ := filepath.Glob(filepath.Join(dir, "xtables", "*.so")) // loaded by name
		for _, e := range extensions {
			seen[e] = true
		}
	}
	for lib := range seen {
		files = append(files, fromHost(merged(lib), lib))
	}
	for from, to := range links() {
		files = append(files, symlink("usr/bin/"+from, to))
	}
	files = append(files, symlink("usr/sbin/modprobe", "../bin/kmod")) // CONFIG_MODPROBE_PATH
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.path, b.path) })
	return files, nil
}

// merged is where a library stands in a system whose /lib is /usr/lib.
func merged(host string) string {
	p := strings.TrimPrefix(host, "/")
	if strings.HasPrefix(p, "usr/") {
		return p
	}
	return "usr/" + p
}

// libraryDirs are where the dynamic linker looks (ld.so(8)), on Debian.
func libraryDirs() []string {
	dirs, _ := filepath.Glob("/usr/lib/*-linux-gnu")
	return append(dirs, "/usr/lib64", "/lib64", "/usr/lib")
}

// addLibraries adds to seen what the program or library at path loads.
func addLibraries(path string, seen map[string]bool) error {
	f, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	defer f.Close()
	if s := f.Section(".interp"); s != nil {
		interp, err := s.Data()
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		seen[strings.TrimRight(string(interp), "\x00")] = true
	}
	names, err := f.ImportedLibraries()
	if errors.Is(err, elf.ErrNoSymbols) {
		return nil // static
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	for _, name := range names {
		lib, err := findLibrary(name)
		if err != nil {
			return fmt.Errorf("find what %s loads: %w", path, err)
		}
		if seen[lib] {
			continue
		}
		seen[lib] = true
		if err := addLibraries(lib, seen); err != nil {
			return err
		}
	}
	return nil
}

// findLibrary is the path of a library.
func findLibrary(name string) (string, error) {
	for _, dir := range libraryDirs() {
		p := filepath.Join(dir, name)
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, fs.ErrNotExist)
}
