package certs

import (
	"fmt"
	"path/filepath"
	"strings"
)

// configFile is a program's own configuration, for programs that no variable
// tells where roots are: the variable names a file, which replaces another.
type configFile struct {
	variable string
	usual    string // below the home directory: what the variable replaces; "" is nothing
	key      string // of the setting
	form     string // of a line with it
}

// configFiles are wget's and apt's.
func configFiles() []configFile {
	return []configFile{
		{"WGETRC", ".wgetrc", "ca_certificate", "ca_certificate = %s\n"},
		{"APT_CONFIG", "", "Acquire::https::CaInfo", "Acquire::https::CaInfo \"%s\";\n"},
	}
}

// read is the user's own file, or nothing, and the roots that it names.
func (f configFile) read(p *planner) (data []byte, roots string) {
	path := p.env.value(f.variable)
	if path == "" && f.usual != "" && p.env.value("HOME") != "" {
		path = filepath.Join(p.env.value("HOME"), f.usual)
	}
	if path == "" {
		return nil, ""
	}
	data, err := p.tree.read(path)
	if err != nil {
		if p.env.value(f.variable) != "" {
			p.note("%s=%s: %v", f.variable, path, cause(err))
		}
		return nil, ""
	}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if len(line) > len(f.key) && strings.EqualFold(line[:len(f.key)], f.key) {
			roots = strings.Trim(line[len(f.key):], " \t=\";")
		}
	}
	return data, roots
}

// readConfigFiles reads the roots that the user's configuration files name.
func (p *planner) readConfigFiles() {
	for _, f := range configFiles() {
		if _, roots := f.read(p); roots != "" {
			p.readRoots(f.key+" "+roots, roots)
		}
	}
}

// setConfigFiles replaces the configuration files that name roots, and without
// mounts those that could.
func (p *planner) setConfigFiles() {
	for _, f := range configFiles() {
		data, roots := f.read(p)
		if p.Mounts && roots == "" {
			continue
		}
		line := fmt.Appendf(nil, f.form, p.env.value("SSL_CERT_FILE"))
		p.env.set(f.variable, p.place(strings.ToLower(f.variable), joined(data, line)))
	}
	if !p.Mounts {
		all := p.env.value("SSL_CERT_FILE")
		ini := fmt.Appendf(nil, "curl.cainfo=\"%s\"\nopenssl.cafile=\"%s\"\n", all, all)
		dir := filepath.Dir(p.place(filepath.Join("php", "serge-net.ini"), ini))
		// An empty part is PHP's own directory.
		p.env.set("PHP_INI_SCAN_DIR", p.env.value("PHP_INI_SCAN_DIR")+string(filepath.ListSeparator)+dir)
	}
}
