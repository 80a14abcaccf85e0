package certs

import (
	"path/filepath"
	"slices"
)

// bindPython plans our CA into the bundles that Python packages bring along,
// for the interpreters on the path and the virtual environment at hand. They
// are found without running one.
func (p *planner) bindPython() {
	var libs []string
	for _, prefix := range p.prefixes() {
		for _, lib := range p.tree.glob(filepath.Join(prefix, "lib/python3*")) {
			libs = append(libs, filepath.Join(lib, "site-packages"), filepath.Join(lib, "dist-packages"))
		}
	}
	for _, lib := range libs {
		for _, file := range []string{
			"certifi/cacert.pem",
			"pip/_vendor/certifi/cacert.pem",
			"botocore/cacert.pem",
			"httplib2/cacerts.txt",
			"grpc/_cython/_credentials/roots.pem",
		} {
			p.append(filepath.Join(lib, file))
		}
	}
}

// prefixes is where Python may be installed, each once.
func (p *planner) prefixes() []string {
	var found []string
	add := func(prefix string) {
		if filepath.IsAbs(prefix) && !slices.Contains(found, prefix) {
			found = append(found, prefix)
		}
	}
	for _, dir := range p.path() {
		for _, name := range []string{"python3", "python"} {
			real, err := p.tree.resolve(filepath.Join(dir, name))
			if err != nil {
				continue
			}
			// A virtual environment's interpreter is a link; its packages
			// are beside the link, those of the whole installation elsewhere.
			add(filepath.Dir(dir))
			add(filepath.Dir(filepath.Dir(real)))
		}
	}
	if slices.Contains(found, "/usr") {
		add("/usr/local") // Debian's pip installs there
	}
	add(p.env.value("VIRTUAL_ENV"))
	add(filepath.Join(p.Workdir, ".venv"))
	home := p.env.value("HOME")
	pyenv := p.env.value("PYENV_ROOT")
	if home != "" {
		add(filepath.Join(home, ".local"))
		if pyenv == "" {
			pyenv = filepath.Join(home, ".pyenv")
		}
	}
	if slices.Contains(p.path(), filepath.Join(pyenv, "shims")) {
		for _, version := range p.tree.glob(filepath.Join(pyenv, "versions/*")) {
			add(version)
		}
	}
	return found
}
