package certs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// existing is the paths that exist among those that patterns name, each once,
// in their order. In a pattern "~/" is the home directory, "$NAME" a variable
// of the command's, and "./" the working directory and each above it.
func (p *planner) existing(patterns []string) []string {
	var found []string
	add := func(path string) {
		if _, err := p.tree.resolve(path); err == nil && !slices.Contains(found, path) {
			found = append(found, path)
		}
	}
	for _, pattern := range patterns {
		if below, ok := strings.CutPrefix(pattern, "./"); ok {
			for dir := p.Workdir; ; dir = filepath.Dir(dir) {
				add(filepath.Join(dir, below))
				if dir == filepath.Dir(dir) {
					break
				}
			}
			continue
		}
		if home, ok := strings.CutPrefix(pattern, "~/"); ok {
			pattern = "$HOME/" + home
		}
		if name, below, _ := strings.Cut(pattern, "/"); strings.HasPrefix(name, "$") {
			dir := p.env.value(name[1:])
			if dir == "" {
				continue
			}
			pattern = p.absolute(filepath.Join(dir, below))
		}
		if !strings.Contains(pattern, "*") {
			add(pattern)
			continue
		}
		for _, path := range p.tree.glob(pattern) {
			add(path)
		}
	}
	return found
}

// places is the files among existing.
func (p *planner) places(patterns []string) []string {
	return slices.DeleteFunc(p.existing(patterns), p.tree.isDir)
}

// directories is the directories among existing.
func (p *planner) directories(patterns []string) []string {
	return slices.DeleteFunc(p.existing(patterns), func(path string) bool { return !p.tree.isDir(path) })
}

// absolute is path as the command would find it.
func (p *planner) absolute(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(p.Workdir, path)
}

// expanded is path, from a configuration file, without what stands for a
// directory.
func (p *planner) expanded(path string) string {
	if strings.Contains(path, "${") {
		path = os.Expand(path, p.env.value)
	}
	if home, ok := strings.CutPrefix(path, "~/"); ok {
		path = filepath.Join(p.env.value("HOME"), home)
	}
	return p.absolute(path)
}
