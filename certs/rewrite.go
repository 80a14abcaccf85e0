package certs

import (
	"fmt"
	"path/filepath"
	"strings"
)

// A rewrite is a configuration file that takes the place of the user's own,
// for programs that no variable tells where roots are. It has all that the
// user's has, and a line for the roots at its end, which beats theirs.
type rewrite struct {
	variable string   // names our file, or with name the directory it is in
	name     string   // that the program looks for
	files    []string // of the user's: the first that exists is the one it reads
	form     string   // of the line
}

// rewrites are wget's, curl's and apt's.
func rewrites() []rewrite {
	return []rewrite{
		{"WGETRC", "", []string{"$WGETRC", "~/.wgetrc"}, "ca_certificate = %s\n"},
		{"CURL_HOME", ".curlrc", []string{"$CURL_HOME/.curlrc", "$XDG_CONFIG_HOME/curlrc", "$XDG_CONFIG_HOME/.curlrc", "~/.config/curlrc", "~/.curlrc"}, "cacert = \"%s\"\n"},
		{"APT_CONFIG", "", []string{"$APT_CONFIG"}, "Acquire::https::CaInfo \"%s\";\n"},
	}
}

// setRewrites has programs read our configuration files, where no mount can
// have them find us in the files that they read.
func (p *planner) setRewrites() {
	all := p.env.value("SSL_CERT_FILE")
	for _, r := range rewrites() {
		var theirs []byte
		if found := p.places(r.files); len(found) > 0 {
			theirs, _ = p.tree.read(found[0]) // what is wrong with it is noted
		}
		if r.name == ".curlrc" && len(theirs) == 0 {
			continue // curl reads CURL_CA_BUNDLE
		}
		path := p.place(filepath.Join(strings.ToLower(r.variable), r.name), joined(theirs, fmt.Appendf(nil, r.form, all)))
		if r.name != "" {
			path = filepath.Dir(path)
		}
		p.env.set(r.variable, path)
	}
	ini := fmt.Appendf(nil, "curl.cainfo=\"%s\"\nopenssl.cafile=\"%s\"\n", all, all)
	dir := filepath.Dir(p.place(filepath.Join("php", "serge-net.ini"), ini))
	// An empty part is PHP's own directory.
	p.env.set("PHP_INI_SCAN_DIR", p.env.value("PHP_INI_SCAN_DIR")+string(filepath.ListSeparator)+dir)
}
