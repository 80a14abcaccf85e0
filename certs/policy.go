package certs

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
)

// chromiums are where Chromium and what is made from it read the policies of a
// host, below /policies/managed, each with a sign that the product is there.
func chromiums() []struct{ dir, sign string } {
	return []struct{ dir, sign string }{
		{"/etc/chromium", "/etc/chromium"},
		{"/etc/chromium-browser", "/etc/chromium-browser"},
		{"/etc/opt/chrome", "/opt/google/chrome"},
		{"/etc/opt/chrome_for_testing", "/etc/opt/chrome_for_testing"},
		{"/etc/brave", "/etc/brave"},
	}
}

// coverChromium plans a policy that has Chromium trust our CA, and reports
// whether it could for any. CACertificates is understood since Chromium 131;
// browsers of that age read no bundle of the system's.
func (p *planner) coverChromium() bool {
	any := false
	for _, c := range chromiums() {
		if _, err := p.tree.resolve(c.sign); err != nil {
			continue
		}
		managed := filepath.Join(c.dir, "policies/managed")
		files := make(map[string][]byte)
		for _, path := range p.tree.glob(managed + "/*.json") {
			data, err := p.tree.read(path)
			if err == nil && bytes.Contains(data, []byte(`"CACertificates"`)) { // of several files one counts
				p.addPolicy(files, path, data, base64.StdEncoding.EncodeToString(p.cert.Raw), "CACertificates")
			}
		}
		if len(files) == 0 {
			p.addPolicy(files, managed+"/serge-net.json", nil, base64.StdEncoding.EncodeToString(p.cert.Raw), "CACertificates")
		}
		any = p.coverNearest(managed, files) || any
	}
	return any
}

// coverFirefox plans a policy that has each Firefox install our CA into the
// profile it runs with. One below /etc/firefox counts for all of them, and
// alone.
func (p *planner) coverFirefox() {
	const host = "/etc/firefox/policies/policies.json"
	found := p.directories([]string{"/usr/lib/firefox*", "/usr/lib64/firefox*", "/opt/firefox*"})
	_, err := p.tree.resolve(host)
	alone := err == nil
	for _, dir := range found {
		if distribution := filepath.Join(dir, "distribution"); p.tree.isDir(distribution) {
			p.coverPolicies(filepath.Join(distribution, "policies.json"))
		} else {
			alone = true
		}
	}
	if alone && len(found) > 0 {
		p.coverPolicies(host)
	}
}

// coverPolicies adds our CA to the Firefox policies at path.
func (p *planner) coverPolicies(path string) {
	files := make(map[string][]byte)
	data, err := p.tree.read(path)
	if err != nil {
		data = nil
	}
	p.addPolicy(files, path, data, p.alone, "policies", "Certificates", "Install")
	p.coverNearest(filepath.Dir(path), files)
}

// addPolicy puts into files, for path, the policies in data with value added
// to the list at keys.
func (p *planner) addPolicy(files map[string][]byte, path string, data []byte, value string, keys ...string) {
	out, err := withListed(data, value, keys...)
	if err != nil {
		p.note("%s: %v: left as it is", path, err)
		return
	}
	files[path] = out
}

// withListed is the JSON object in data, or an empty one, with value added to
// the list at keys.
func withListed(data []byte, value string, keys ...string) ([]byte, error) {
	top := make(map[string]any)
	if len(data) > 0 {
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		if err := d.Decode(&top); err != nil {
			return nil, err
		}
	}
	at := top
	for _, key := range keys[:len(keys)-1] {
		next, ok := at[key].(map[string]any)
		if !ok && at[key] != nil {
			return nil, fmt.Errorf("%s is no object", key)
		}
		if next == nil {
			next = make(map[string]any)
			at[key] = next
		}
		at = next
	}
	last := keys[len(keys)-1]
	list, ok := at[last].([]any)
	if !ok && at[last] != nil {
		return nil, fmt.Errorf("%s is no list", last)
	}
	at[last] = append(list, value)
	return json.Marshal(top)
}

// coverNearest covers dir, or where it does not exist the nearest directory
// above it that does, with what is in it and files, and reports whether it
// could. /etc itself is too much.
func (p *planner) coverNearest(dir string, files map[string][]byte) bool {
	for len(files) > 0 && dir != "/etc" && dir != string(filepath.Separator) {
		if !p.tree.isDir(dir) {
			dir = filepath.Dir(dir)
			continue
		}
		real, err := p.tree.resolve(dir)
		if err != nil || p.isCovered(real) {
			return false
		}
		placed := make(map[string][]byte, len(files))
		for path, data := range files {
			placed[real+path[len(dir):]] = data
		}
		if !p.cover(real, placed) {
			return false
		}
		p.covered = append(p.covered, real)
		return true
	}
	return false
}

// addFiles plans those of files that copyDir found nothing in the place of.
func (c *coverer) addFiles() {
	for _, path := range slices.Sorted(maps.Keys(c.files)) {
		c.mounts = append(c.mounts, Mount{Path: path, Data: c.files[path]})
	}
}
