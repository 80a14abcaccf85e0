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
	p.bindTools()
}

// bindTools plans our CA into the bundles of programs on the path that bring
// a Python of their own: Google's and Amazon's command lines.
func (p *planner) bindTools() {
	for _, tool := range []struct{ name, bundle string }{
		{"gcloud", "../../lib/third_party/certifi/cacert.pem"},
		{"gcloud", "../../platform/gsutil/third_party/certifi/certifi/cacert.pem"},
		{"aws", "../../dist/awscli/botocore/cacert.pem"},
		{"aws", "../awscli/botocore/cacert.pem"},
	} {
		for _, dir := range p.path() {
			if real, err := p.tree.resolve(filepath.Join(dir, tool.name)); err == nil {
				p.append(filepath.Join(real, tool.bundle))
			}
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
	for _, dir := range p.directories([]string{
		"$VIRTUAL_ENV", "$CONDA_PREFIX", "./.venv", "./venv", "./env",
		p.Workdir + "/.tox/*", p.Workdir + "/.nox/*",
		"$PIPX_HOME/venvs/*", "~/.local/share/pipx/venvs/*", "~/.local/share/uv/tools/*",
	}) {
		add(dir)
	}
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
