package certs

import (
	"path/filepath"
	"strings"
)

// optionVariables hold options for a JVM. Only the first is read by every JVM.
func optionVariables() []string {
	return []string{
		"JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "JAVA_OPTS",
		"MAVEN_OPTS", "GRADLE_OPTS", "SBT_OPTS",
	}
}

// trustOption begins the options that say which truststore to use.
const trustOption = "-Djavax.net.ssl.trustStore"

// truststoreOption takes a JVM's options apart: the truststore they name, ""
// if none, and the options but for those about it.
func truststoreOption(options string) (store string, rest []string) {
	for _, o := range splitOptions(options) {
		name, value, _ := strings.Cut(unquoted(o), "=")
		switch name {
		case trustOption:
			store = value
		case trustOption + "Type", trustOption + "Password", trustOption + "Provider":
		default:
			rest = append(rest, o)
		}
	}
	return store, rest
}

// splitOptions splits options at white space, but not within quotes, which
// are left in: JDK tool specification, "JDK_JAVA_OPTIONS".
func splitOptions(options string) []string {
	var quote rune
	return strings.FieldsFunc(options, func(r rune) bool {
		switch {
		case quote == 0 && (r == '"' || r == '\''):
			quote = r
		case r == quote:
			quote = 0
		}
		return quote == 0 && strings.ContainsRune(" \t\n\r\v\f", r)
	})
}

// unquoted is s without quotes.
func unquoted(s string) string {
	var quote rune
	return strings.Map(func(r rune) rune {
		switch {
		case quote == 0 && (r == '"' || r == '\''):
			quote = r
			return -1
		case r == quote:
			quote = 0
			return -1
		}
		return r
	}, s)
}

// readJava reads the truststores that the user's JVM options name.
func (p *planner) readJava() {
	for _, name := range optionVariables() {
		store, _ := truststoreOption(p.env.value(name))
		if store == "" || store == "NONE" {
			continue
		}
		path := store
		if !filepath.IsAbs(path) {
			path = filepath.Join(p.Workdir, path)
		}
		p.readTruststore(name+": "+store, path)
	}
}

// readTruststore adds what the truststore at path trusts.
func (p *planner) readTruststore(as, path string) {
	data, err := p.tree.read(path)
	if err != nil {
		p.note("%s: %v", as, cause(err))
		return
	}
	ders, err := trustedIn(data)
	if err != nil {
		p.note("%s: %v: its roots are left out", as, err)
	}
	p.roots.addDER(ders)
}

// setJava points JVMs at a truststore by option: those for which the user has
// named one, and without mounts all.
func (p *planner) setJava() {
	store := ""
	for _, name := range optionVariables() {
		theirs, rest := truststoreOption(p.env.value(name))
		if theirs == "NONE" || theirs == "" && (p.Mounts || name != "JAVA_TOOL_OPTIONS") {
			continue
		}
		if store == "" {
			store = p.placeTruststore()
		}
		option := trustOption + "=" + store
		if strings.ContainsAny(store, " \t") {
			option = `"` + option + `"`
		}
		p.env.set(name, strings.Join(append(rest, option, trustOption+"Type=JKS"), " "))
	}
}

// placeTruststore places a truststore of all merged roots and, since it is
// used in the place of theirs, those of the JDKs found.
func (p *planner) placeTruststore() string {
	all := bundle{}
	all.addDER(p.roots.ders)
	for _, path := range p.truststores() {
		data, err := p.tree.read(path)
		if err != nil {
			continue
		}
		ders, err := trustedIn(data)
		if err != nil {
			p.note("%s: %v: its roots are left out", path, err)
			continue
		}
		all.addDER(ders)
	}
	ks := newJKS(all.ders)
	ks.trust(alias, p.cert.Raw)
	return p.place("truststore.jks", ks.encode(jksPassword))
}

// truststores is the truststores of the JDKs found: JAVA_HOME's, the path's,
// and what is installed in the usual places. jssecacerts comes before cacerts
// where a JDK has both: JSSE Reference Guide, "Creating an X509TrustManager".
func (p *planner) truststores() []string {
	var homes []string
	if home := p.env.value("JAVA_HOME"); filepath.IsAbs(home) {
		homes = append(homes, home)
	}
	for _, dir := range p.path() {
		if java, err := p.tree.resolve(filepath.Join(dir, "java")); err == nil {
			homes = append(homes, filepath.Dir(filepath.Dir(java)))
		}
	}
	patterns := []string{"/usr/lib/jvm/*", "/usr/java/*", "/opt/java/*"}
	if home := p.env.value("HOME"); filepath.IsAbs(home) {
		patterns = append(patterns, filepath.Join(home, ".sdkman/candidates/java/*"), filepath.Join(home, ".jdks/*"))
	}
	for _, pattern := range patterns {
		homes = append(homes, p.tree.glob(pattern)...)
	}
	var found []string
	seen := make(map[string]bool)
	for _, home := range homes {
		for _, place := range []string{"lib/security", "jre/lib/security", "../lib/security"} {
			for _, name := range []string{"jssecacerts", "cacerts"} {
				real, err := p.tree.resolve(filepath.Join(home, place, name))
				if err == nil && !seen[real] {
					seen[real] = true
					found = append(found, filepath.Join(home, place, name))
				}
			}
		}
	}
	return found
}

// path is the absolute directories of the command's PATH.
func (p *planner) path() []string {
	var dirs []string
	for _, dir := range filepath.SplitList(p.env.value("PATH")) {
		if filepath.IsAbs(dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}
