package certs

import (
	"path/filepath"
	"slices"
	"strings"
)

// jdkPlaces are where JDKs are installed: by distributions, by hand, and by
// version managers.
func jdkPlaces() []string {
	return []string{
		"/usr/lib/jvm/*", "/usr/lib64/jvm/*", "/usr/java/*", "/usr/local/*jdk*", "/usr/local/java/*",
		"/opt/java/*", "/opt/*jdk*", "/opt/*jre*", "/opt/*/jbr",
		"/usr/local/sdkman/candidates/java/*", "$SDKMAN_DIR/candidates/java/*", "~/.sdkman/candidates/java/*",
		"~/.jdks/*", "~/.gradle/jdks/*", "~/.jabba/jdk/*",
		"$ASDF_DATA_DIR/installs/java/*", "~/.asdf/installs/java/*",
		"$MISE_DATA_DIR/installs/java/*", "~/.local/share/mise/installs/java/*",
		"/home/linuxbrew/.linuxbrew/opt/openjdk*/libexec", "$CONDA_PREFIX/lib/jvm", "$JDK_HOME",
	}
}

// truststores is the truststores of the JDKs found: JAVA_HOME's, the path's,
// and what is installed in the usual places. jssecacerts comes before cacerts
// where a JDK has both: JSSE Reference Guide, "Creating an X509TrustManager".
func (p *planner) truststores() []string {
	if p.jdks == nil {
		p.jdks = p.findTruststores()
	}
	return p.jdks
}

// findTruststores looks for them.
func (p *planner) findTruststores() []string {
	homes := p.variablesLike("JAVA_HOME")
	for _, dir := range p.path() {
		if java, err := p.tree.resolve(filepath.Join(dir, "java")); err == nil {
			homes = append(homes, filepath.Dir(filepath.Dir(java)))
		}
	}
	homes = append(homes, p.directories(jdkPlaces())...)
	found := []string{}
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

// variablesLike is the absolute paths in name and in the variables that begin
// with it: GitHub's runners have JAVA_HOME_17_X64.
func (p *planner) variablesLike(name string) []string {
	var values []string
	for _, kv := range p.env {
		k, v, _ := strings.Cut(kv, "=")
		if (k == name || strings.HasPrefix(k, name+"_")) && filepath.IsAbs(v) && !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	return values
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
