package certs

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
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

// A namedStore is the truststore that a JVM's options name.
type namedStore struct{ path, password string }

// truststoreOption takes a JVM's options apart: the truststore they name, if
// any, and the options but for those about it.
func truststoreOption(options string) (store namedStore, rest []string) {
	for _, o := range splitOptions(options) {
		name, value, _ := strings.Cut(unquoted(o), "=")
		switch name {
		case trustOption:
			store.path = value
		case trustOption + "Password":
			store.password = value
		case trustOption + "Type", trustOption + "Provider":
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

// readJava reads the truststores that the user's JVM options name, in variables
// and in the files of build tools.
func (p *planner) readJava() {
	for _, name := range optionVariables() {
		store, _ := truststoreOption(p.env.value(name))
		p.readTruststore(name, store)
	}
	for _, file := range p.places([]string{
		"$GRADLE_USER_HOME/gradle.properties", "~/.gradle/gradle.properties", "./gradle.properties",
		"./.mvn/jvm.config", "./.mvn/maven.config",
	}) {
		data, err := p.tree.read(file)
		if err != nil {
			p.note("%s: %v", file, cause(err))
			continue
		}
		store, _ := truststoreOption(gradleOptions(string(data)))
		if p.readTruststore(file, store) {
			p.stores = append(p.stores, store)
		}
	}
}

// gradleOptions is the properties in text that Gradle makes a JVM's options
// (Gradle's manual, "Build Environment"), and its other lines as they are.
func gradleOptions(text string) string {
	var options []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		name, value, _ := strings.Cut(line, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if property, ok := strings.CutPrefix(name, "systemProp."); ok {
			line = "-D" + property + "=" + value
		} else if name == "org.gradle.jvmargs" {
			line = value
		}
		if !strings.HasPrefix(line, "#") {
			options = append(options, line)
		}
	}
	return strings.Join(options, "\n")
}

// readTruststore adds what the truststore that as names trusts, and reports
// whether there is one.
func (p *planner) readTruststore(as string, store namedStore) bool {
	if store.path == "" || store.path == "NONE" {
		return false
	}
	data, err := p.tree.read(p.expanded(store.path))
	if err != nil {
		p.note("%s: %s: %v", as, store.path, cause(err))
		return false
	}
	ks, err := p.openTruststore(data, store.password)
	if err != nil {
		p.note("%s: %s: %v: its roots are left out%s", as, store.path, err, remedy(err, store.path))
		return false
	}
	p.roots.addDER(ks.trusted)
	return true
}

// remedy is what a person can do about an error of openTruststore's for path,
// for the end of a line.
func remedy(err error, path string) string {
	if errors.Is(err, errPassword) {
		return "; to have its own read: keytool -storepasswd -new " + jksPassword + " -keystore " + path
	}
	return ""
}

// openTruststore is the truststore in data, opened by password, by the usual
// one or by none. What took no password of the user's own is kept in the cache
// as a Java keystore: PKCS #12 is slow by design.
func (p *planner) openTruststore(data []byte, password string) (*jks, error) {
	if isJKS(data) {
		return parseJKS(data)
	}
	sum := sha256.Sum256(data)
	name := hex.EncodeToString(sum[:]) + ".jks"
	if kept := p.cache.read(name); kept != nil {
		if ks, err := parseJKS(kept); err == nil {
			return ks, nil
		}
	}
	ks, err := openTruststore(data, jksPassword, "")
	switch {
	case err == nil:
		p.cache.write(name, ks.encode(jksPassword))
	case errors.Is(err, errPassword) && password != "":
		return openTruststore(data, password)
	}
	return ks, err
}

// setJava points JVMs at a truststore by option: those for which the user has
// named one, and without mounts all.
func (p *planner) setJava() {
	placed := ""
	for _, name := range optionVariables() {
		store, rest := truststoreOption(p.env.value(name))
		if store.path == "NONE" || store.path == "" && (p.Mounts || name != "JAVA_TOOL_OPTIONS") {
			continue
		}
		if placed == "" {
			placed = p.placeTruststore()
		}
		option := trustOption + "=" + placed
		if strings.ContainsAny(placed, " \t") {
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
		ks, err := p.openTruststore(data, "")
		if err != nil {
			p.note("%s: %v: its roots are left out%s", path, err, remedy(err, path))
			continue
		}
		all.addDER(ks.trusted)
	}
	ks := newJKS(all.ders)
	ks.trust(alias, p.cert.Raw)
	return p.place("truststore.jks", ks.encode(jksPassword))
}

// bindTruststores plans our CA into the truststores of the JDKs found, and
// those that the files of build tools name.
func (p *planner) bindTruststores() {
	for _, path := range p.truststores() {
		p.bind(path, p.withOurs)
	}
	for _, store := range p.stores {
		p.bind(p.expanded(store.path), func(path string, data []byte) []byte {
			return p.trusting(path, data, store.password)
		})
	}
}

// trusting is the truststore in data, the content of path, with our CA. It is
// a Java keystore; JVMs take one for PKCS #12 too, if they are told that it is
// (java.security, keystore.type.compat).
func (p *planner) trusting(path string, data []byte, password string) []byte {
	ks, err := p.openTruststore(data, password)
	switch {
	case errors.Is(err, errKeys):
		p.note("%s: %v: left as it is; keep keys apart from the certificates that are trusted", path, err)
		return data
	case err != nil:
		p.note("%s: %v: the command finds the system's roots in it%s", path, err, remedy(err, path))
		ks = newJKS(p.roots.ders)
	}
	ks.trust(alias, p.cert.Raw)
	if password == "" {
		password = jksPassword
	}
	return ks.encode(password)
}
