package certs

import (
	"slices"
	"strings"
)

// A setting is where a program's own configuration names roots: a PEM file,
// used in place of the program's usual ones.
type setting struct {
	files []string // that may have it: see [planner.existing]
	// The section it is in, in brackets; "" is any.
	section string
	key     string
	// The variable that beats it: it names the roots too.
	variable string
}

// settings are those of programs that are often given a company's CA that way.
// Source: the programs' own manuals.
func settings() []setting {
	return []setting{
		{[]string{"$GIT_CONFIG_GLOBAL", "~/.gitconfig", "$XDG_CONFIG_HOME/git/config", "~/.config/git/config", "/etc/gitconfig", "./.git/config"}, "http", "sslCAInfo", "GIT_SSL_CAINFO"},
		{[]string{"$PIP_CONFIG_FILE", "$VIRTUAL_ENV/pip.conf", "$XDG_CONFIG_HOME/pip/pip.conf", "~/.config/pip/pip.conf", "~/.pip/pip.conf", "/etc/pip.conf", "/etc/xdg/pip/pip.conf"}, "", "cert", "PIP_CERT"},
		{[]string{"$NPM_CONFIG_USERCONFIG", "$npm_config_userconfig", "~/.npmrc", "./.npmrc", "/etc/npmrc", "/usr/etc/npmrc", "/usr/local/etc/npmrc", "~/.yarnrc", "./.yarnrc"}, "", "cafile", "npm_config_cafile"},
		{[]string{"~/.yarnrc.yml", "./.yarnrc.yml"}, "", "httpsCaFilePath", "YARN_HTTPS_CA_FILE_PATH"},
		{[]string{"$CARGO_HOME/config.toml", "~/.cargo/config.toml", "~/.cargo/config", "./.cargo/config.toml", "./.cargo/config"}, "http", "cainfo", "CARGO_HTTP_CAINFO"},
		{[]string{"$AWS_CONFIG_FILE", "~/.aws/config"}, "", "ca_bundle", "AWS_CA_BUNDLE"},
		{[]string{"~/.bundle/config", "./.bundle/config"}, "", "BUNDLE_SSL_CA_CERT", "BUNDLE_SSL_CA_CERT"},
		{[]string{"$CONDARC", "~/.condarc", "~/.config/conda/.condarc", "$CONDA_PREFIX/.condarc", "/etc/conda/.condarc"}, "", "ssl_verify", "CONDA_SSL_VERIFY"},
		{[]string{"$COMPOSER_HOME/config.json", "~/.config/composer/config.json", "~/.composer/config.json"}, "", "cafile", "COMPOSER_CAFILE"},
		{[]string{"~/.config/gcloud/properties"}, "core", "custom_ca_certs_file", "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE"},
		{[]string{"$CURL_HOME/.curlrc", "$XDG_CONFIG_HOME/curlrc", "$XDG_CONFIG_HOME/.curlrc", "~/.config/curlrc", "~/.curlrc"}, "", "cacert", ""},
		{[]string{"$WGETRC", "~/.wgetrc", "/etc/wgetrc"}, "", "ca_certificate", ""},
		{[]string{"$APT_CONFIG", "/etc/apt/apt.conf", "/etc/apt/apt.conf.d/*"}, "", "Acquire::https::CaInfo", ""},
	}
}

// readSettings reads the roots that the user's configuration files name, and
// remembers the files that have them.
func (p *planner) readSettings() {
	for _, s := range settings() {
		for _, file := range p.places(s.files) {
			data, err := p.tree.read(file)
			if err != nil {
				p.note("%s: %v", file, cause(err))
				continue
			}
			for _, path := range s.named(string(data)) {
				path = p.expanded(path)
				p.readRoots(file+": "+s.key+" "+path, path)
				if real, err := p.tree.resolve(path); err == nil && !slices.Contains(p.named, real) {
					p.named = append(p.named, real)
				}
				if s.variable != "" && !p.Mounts && p.env.value(s.variable) == "" {
					p.beaten = append(p.beaten, s.variable)
				}
			}
		}
	}
}

// named is the paths that s has in text, which is one of the many formats of
// lines: key = value, "key": value, key value, --key value.
func (s setting) named(text string) []string {
	var paths []string
	section := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if head, ok := strings.CutPrefix(line, "["); ok {
			head, _, _ = strings.Cut(head, "]")
			section, _, _ = strings.Cut(head, " ") // git's [http "https://a.example"]
			continue
		}
		if s.section != "" && !strings.EqualFold(section, s.section) {
			continue
		}
		switch value := s.value(line); strings.ToLower(value) {
		case "", "true", "false", "truststore", "<truststore>": // conda's other values
		default:
			paths = append(paths, value)
		}
	}
	return paths
}

// value is what line, without space at its ends, sets s to, or "".
func (s setting) value(line string) string {
	line = strings.TrimLeft(line, `"'-`)
	if len(line) <= len(s.key) || !strings.EqualFold(line[:len(s.key)], s.key) {
		return ""
	}
	rest := line[len(s.key):]
	value := strings.TrimLeft(rest, "\"' \t=:")
	if value == rest { // the beginning of another key
		return ""
	}
	if before, _, ok := strings.Cut(value, " #"); ok {
		value = before
	}
	return strings.Trim(value, "\"' \t,;")
}
