package certs

import (
	"path/filepath"
	"slices"
	"strings"
)

// environ is a process's environment: NAME=value, in order.
type environ []string

// newEnviron is env as our own copy.
func newEnviron(env []string) environ { return slices.Clone(environ(env)) }

// value is what name is set to, "" if it is not. As getenv does, it takes the
// first of several.
func (e environ) value(name string) string {
	for _, kv := range e {
		if k, v, _ := strings.Cut(kv, "="); k == name {
			return v
		}
	}
	return ""
}

// set gives name a value, in its place if it has one.
func (e *environ) set(name, value string) {
	kv := name + "=" + value
	is := func(kv string) bool { return strings.HasPrefix(kv, name+"=") }
	i := slices.IndexFunc(*e, is)
	if i < 0 {
		*e = append(*e, kv)
		return
	}
	(*e)[i] = kv
	*e = append((*e)[:i+1], slices.DeleteFunc((*e)[i+1:], is)...)
}

// need says when a variable is set.
type need uint8

const (
	always  need = iota // some program reads nothing else
	unbound             // where no mount is possible
	kept                // where the user has set it
)

// variable is one that names roots.
type variable struct {
	name string
	need need
}

// replacing is the variables that name all roots a program shall trust: each
// is pointed at all of them, with ours. Source: the programs' own manuals;
// which are always needed was measured.
func replacing() []variable {
	return []variable{
		{"SSL_CERT_FILE", always},                    // OpenSSL, Go, httpx, rustls-native-certs
		{"REQUESTS_CA_BUNDLE", always},               // requests and what vendors it
		{"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", always}, // gRPC's C core
		{"CURL_CA_BUNDLE", unbound},
		{"AWS_CA_BUNDLE", unbound},
		{"PIP_CERT", unbound},
		{"GIT_SSL_CAINFO", unbound},
		{"CARGO_HTTP_CAINFO", unbound},
		{"HTTPLIB2_CA_CERTS", unbound},
		{"PERL_LWP_SSL_CA_FILE", unbound},
		{"CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", unbound},
		{"NIX_SSL_CERT_FILE", unbound},
		{"CONDA_SSL_VERIFY", kept},
		{"HTTPS_CA_FILE", kept}, // Perl's Crypt::SSLeay
		{"NPM_CONFIG_CAFILE", kept},
		{"npm_config_cafile", kept},
		{"YARN_HTTPS_CA_FILE_PATH", kept},
		{"BUNDLE_SSL_CA_CERT", kept},
		{"COMPOSER_CAFILE", kept},
		{"HEX_CACERTS_PATH", kept},
		{"JULIA_SSL_CA_ROOTS_PATH", kept},
		{"PGSSLROOTCERT", kept},
	}
}

// adding is the variables that name roots to trust besides a program's own.
func adding() []variable {
	return []variable{
		{"NODE_EXTRA_CA_CERTS", always}, // Node, Deno, Bun
		{"DENO_CERT", unbound},
	}
}

// readUser reads the roots that the user's variables of the replacing kind name.
func (p *planner) readUser() {
	for _, v := range replacing() {
		if path := p.env.value(v.name); path != "" {
			p.readRoots(v.name+"="+path, path)
		}
	}
	for _, dir := range filepath.SplitList(p.env.value("SSL_CERT_DIR")) {
		if dir != "" {
			p.readRoots("SSL_CERT_DIR="+dir, dir)
		}
	}
	p.readSettings()
	p.readJava()
}

// wanted reports whether v is to be set.
func (p *planner) wanted(v variable) bool {
	return v.need == always || v.need == unbound && !p.Mounts || p.env.value(v.name) != "" || slices.Contains(p.beaten, v.name)
}

// setVariables sets the variables that name PEM files.
func (p *planner) setVariables() {
	all := p.place("roots.pem", p.merged())
	for _, v := range replacing() {
		if p.wanted(v) {
			p.env.set(v.name, all)
		}
	}
	p.alone = p.place("ca.pem", p.CA)
	for _, v := range adding() {
		switch theirs := p.env.value(v.name); {
		case theirs != "":
			p.env.set(v.name, p.added(v.name, theirs))
		case p.wanted(v):
			p.env.set(v.name, p.alone)
		}
	}
	// libpq would bind what it proves to the certificate that it sees, which is ours:
	// the server would refuse that.
	p.env.set("PGCHANNELBINDING", "disable")
	if dirs := p.env.value("SSL_CERT_DIR"); dirs != "" {
		p.env.set("SSL_CERT_DIR", dirs+string(filepath.ListSeparator)+p.hashedDir())
	}
}

// added is a file of the certificates that the user's variable name adds, and ours.
func (p *planner) added(name, path string) string {
	var theirs bundle
	as := name + "=" + path
	data, err := p.tree.read(p.absolute(path))
	if err != nil {
		p.note("%s: %v", as, cause(err))
	}
	_, faults := theirs.addPEM(as, data)
	for _, err := range faults {
		p.note("%v", err)
	}
	for _, der := range theirs.ders {
		if !p.roots.seen[string(der)] {
			p.adds.add(der, encode(der))
		}
	}
	file := strings.ToLower(strings.ReplaceAll(name, "_", "-")) + ".pem"
	return p.place(file, joined(theirs.text, p.CA))
}

// hashedDir is a directory in which our CA is found by the hash of its subject.
func (p *planner) hashedDir() string {
	return filepath.Dir(p.place(filepath.Join("certs", p.hash+".0"), p.CA))
}
