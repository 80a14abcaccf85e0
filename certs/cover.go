package certs

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// findCovered decides which directories to cover: those from which programs
// read roots, whatever the distribution, each once and none below another.
func (p *planner) findCovered() {
	p.hashed = p.resolved(append([]string{"/etc/ssl/certs", "/etc/pki/tls/certs"}, hashedPlaces()...))
	dirs := p.resolved(append([]string{
		"/etc/ssl/certs",                            // Debian, Alpine, Arch; a link on Fedora and SUSE
		"/etc/pki/tls/certs",                        // Fedora, RHEL
		"/etc/pki/ca-trust/extracted",               // Fedora, RHEL
		"/var/lib/ca-certificates",                  // SUSE
		"/etc/ca-certificates/extracted",            // Arch
		"/etc/pki/ca-trust/source/anchors",          // what p11-kit reads for GnuTLS: Fedora,
		"/etc/pki/trust/anchors",                    // SUSE,
		"/etc/ca-certificates/trust-source/anchors", // Arch
	}, hashedPlaces()...))
	for i, dir := range dirs {
		inside := func(other string) bool { return other != dir && within(dir, other) }
		if !slices.Contains(dirs[:i], dir) && !slices.ContainsFunc(dirs, inside) {
			p.covered = append(p.covered, dir)
		}
	}
	p.covered = slices.DeleteFunc(p.covered, func(dir string) bool { return !p.cover(dir, nil) })
	for _, dir := range dirs {
		if p.store == "" && p.isCovered(dir) {
			p.store = dir
		}
	}
}

// resolved is the directories that patterns name, without links.
func (p *planner) resolved(patterns []string) []string {
	dirs := p.directories(patterns)
	for i, dir := range dirs {
		dirs[i], _ = p.tree.resolve(dir) // it exists
	}
	return dirs
}

// isCovered reports whether path, which has no links, is below a covered directory.
func (p *planner) isCovered(path string) bool {
	return slices.ContainsFunc(p.covered, func(dir string) bool { return within(path, dir) })
}

// cover plans a tmpfs over dir that has all that dir has, and our CA where it
// holds roots. Files, by path, take the place of what dir has, or stand beside
// it. It reports whether it could.
func (p *planner) cover(dir string, files map[string][]byte) bool {
	c := coverer{planner: p, files: maps.Clone(files)}
	before := len(p.mounts)
	p.mounts = append(p.mounts, Mount{Path: dir, Dir: true})
	if err := c.copyDir(dir); err != nil {
		p.note("%s: %v: left as it is", dir, cause(err))
		p.mounts = p.mounts[:before]
		return false
	}
	c.addFiles()
	return true
}

// coverer copies one directory to be covered.
type coverer struct {
	*planner
	files   map[string][]byte // in the place of what is there; not used yet
	entries int
}

var errTooMany = fmt.Errorf("has more than %d entries", maxEntries)

// isHashName reports whether name is one that OpenSSL looks for in a directory:
// the hash of a subject, and a number that tells equal ones apart.
func isHashName(name string) bool {
	hash, number, _ := strings.Cut(name, ".")
	_, err := strconv.ParseUint(hash, 16, 32)
	_, err2 := strconv.ParseUint(number, 10, 8)
	return len(hash) == 8 && err == nil && err2 == nil
}

// copyDir plans what dir has: links as links, files with their content.
func (c *coverer) copyDir(dir string) error {
	entries, err := os.ReadDir(c.tree.host(dir))
	if err != nil {
		return err
	}
	if c.entries += len(entries); c.entries > maxEntries {
		return errTooMany
	}
	hashed, names := false, make(map[string]bool, len(entries))
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		names[e.Name()] = true
		hashed = hashed || isHashName(e.Name())
		switch {
		case e.IsDir():
			err = c.copyDir(path)
		case e.Type()&os.ModeSymlink != 0:
			err = c.copyLink(path)
		case e.Type().IsRegular():
			c.copyFile(path)
		}
		if err != nil {
			return err
		}
	}
	if hashed || c.isHashed(dir) {
		c.addHashed(dir, names)
	} else if filepath.Base(dir) == "anchors" {
		c.mounts = append(c.mounts, Mount{Path: filepath.Join(dir, caFile), Data: c.CA})
	}
	return nil
}

// caFile is our CA alone, where programs read a whole directory.
const caFile = "serge-net-ca.pem"

// isHashed reports whether dir is one in which OpenSSL looks for hashes, were
// it empty.
func (p *planner) isHashed(dir string) bool { return slices.Contains(p.hashed, dir) }

// addHashed adds our CA to dir, which has names, under the hash of its
// subject, and a bundle where programs would look for one in vain.
func (c *coverer) addHashed(dir string, names map[string]bool) {
	c.mounts = append(c.mounts, Mount{Path: filepath.Join(dir, caFile), Data: c.CA})
	n := 0
	for names[fmt.Sprintf("%s.%d", c.hash, n)] {
		n++
	}
	link := filepath.Join(dir, fmt.Sprintf("%s.%d", c.hash, n))
	c.mounts = append(c.mounts, Mount{Path: link, Link: caFile})
	const usual = "ca-certificates.crt"
	if c.isHashed(dir) && !names[usual] {
		c.mounts = append(c.mounts, Mount{Path: filepath.Join(dir, usual), Data: c.merged()})
	}
}

// copyLink plans the link at path as it is, unless it leads a program out of
// what is covered to a bundle without our CA.
func (c *coverer) copyLink(path string) error {
	target, err := os.Readlink(c.tree.host(path))
	if err != nil {
		return err
	}
	if isBundle(path) || isTruststore(path) {
		if real, err := c.tree.resolve(path); err == nil && !c.isCovered(real) {
			c.copyFile(path)
			return nil
		}
	}
	c.mounts = append(c.mounts, Mount{Path: path, Link: target})
	return nil
}

// copyFile plans the file at path, with our CA if it is a collection of roots.
// One that we may not read the command may not read either, as a rule.
func (c *coverer) copyFile(path string) {
	if data, ok := c.files[path]; ok {
		c.mounts = append(c.mounts, Mount{Path: path, Data: data})
		delete(c.files, path)
		return
	}
	f, err := c.tree.open(path)
	if err != nil {
		c.note("%s: %v", path, cause(err))
		return
	}
	defer f.Close()
	data, mode, err := contentOf(f)
	if err != nil {
		c.note("%s: %v", path, cause(err))
		return
	}
	// A key among the certificates stays its owner's.
	c.mounts = append(c.mounts, Mount{Path: path, Data: c.withOurs(path, data), Private: mode.Perm()&0o004 == 0})
}

// isBundle reports whether path is named as a file of many roots.
func isBundle(path string) bool {
	switch filepath.Base(path) {
	case "ca-certificates.crt", "ca-bundle.crt", "ca-bundle.pem", "tls-ca-bundle.pem", "ca-bundle.trust.crt", "cert.pem":
		return true
	}
	return false
}

// isTruststore reports whether path is named as a Java truststore.
func isTruststore(path string) bool {
	switch filepath.Base(path) {
	case "cacerts", "jssecacerts", "java-cacerts":
		return true
	}
	return false
}

// withOurs is data, the content of path, with our CA added if path is a
// collection of roots. A bundle with faults is without them: a client would
// read no further than to the first.
func (p *planner) withOurs(path string, data []byte) []byte {
	real, err := p.tree.resolve(path)
	switch {
	case isJKS(data) || isTruststore(path):
		return p.trusting(path, data, "")
	case err == nil && p.mended[real] != nil:
		return joined(p.mended[real], p.CA)
	case isBundle(path), err == nil && slices.Contains(p.named, real):
		return joined(data, p.CA)
	}
	return data
}

// bindLoose plans a file over each collection of roots that is in no covered
// directory.
func (p *planner) bindLoose() {
	for _, path := range append(systemBundles(), "/etc/pki/java/cacerts") {
		p.bind(path, p.withOurs)
	}
	for _, path := range p.named {
		p.append(path)
	}
	p.bindOpenSSL()
	p.bindTruststores()
}

// bind plans a file over the one that path leads to, once, unless it is
// covered: its content as with gives it.
func (p *planner) bind(path string, with func(path string, data []byte) []byte) {
	real, ok := p.unbound(path)
	if !ok {
		return
	}
	data, err := p.tree.read(real)
	if err != nil {
		p.note("%s: %v", path, cause(err))
		return
	}
	p.mounts = append(p.mounts, Mount{Path: real, Data: with(path, data)})
}

// append plans our CA at the end of the bundle that path leads to, once,
// unless it is covered. A host has dozens of them, which nobody need read here.
func (p *planner) append(path string) {
	real, ok := p.unbound(path)
	if !ok {
		return
	}
	f, err := p.tree.open(real)
	if err != nil {
		p.note("%s: %v", path, cause(err))
		return
	}
	f.Close()
	p.mounts = append(p.mounts, Mount{Path: real, Append: true, Data: joined([]byte{'\n'}, p.CA)})
}

// unbound is the file that path leads to, and whether it is to be bound over:
// it is there, not covered, and was not asked for before.
func (p *planner) unbound(path string) (string, bool) {
	real, err := p.tree.resolve(path)
	if err != nil || p.bound[real] || p.isCovered(real) {
		return "", false
	}
	p.bound[real] = true
	return real, true
}
