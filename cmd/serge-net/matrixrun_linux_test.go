package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// command is p as argv: of a shell, whose $1 is the origin, an https URL without
// a path.
func (m *matrix) command(p matrixClient, origin string) []string {
	return []string{"sh", "-c", p.get, "sh", origin}
}

// with is the environment of a run in place, and p's own setting for the CA
// whose settings are in dir, unless that is "".
func (m *matrix) with(place *place, p matrixClient, dir string) []string {
	env := append(slices.Clone(m.env), "HOME="+place.dir, "TMPDIR="+place.dir)
	if dir != "" {
		env = append(env, strings.ReplaceAll(p.own, "$OWN", dir))
	}
	return env
}

// has tells whether there is what a program needs: a file below install's
// directory, else a command.
func (m *matrix) has(needs string) bool {
	if m.dir != "" {
		if _, err := os.Stat(filepath.Join(m.dir, needs)); err == nil {
			return true
		}
	}
	o := m.runWith(m.env, "", "sh", "-c", "command -v "+needs)
	return o.code == 0
}

// version is what p says of itself: the first number with a dot in it.
func (m *matrix) version(p matrixClient) string {
	o := m.runWith(append(slices.Clone(m.env), "HOME="+m.places[0].dir), "", "sh", "-c", p.version)
	return regexp.MustCompile(`\d+(\.\d+)+|$`).FindString(o.stdout + o.stderr)
}

// got tells whether o is that of a program which got what it asked for.
func got(p matrixClient, o outcome) bool {
	return o.code == 0 && (p.silent || strings.Contains(o.stdout, `"testnet"`))
}

// direct runs p without us: it must reject the origin, and accept it by its own
// setting.
func (m *matrix) direct(p matrixClient) string {
	place := m.places[len(m.places)-1]
	argv := slices.Concat(place.enter, m.command(p, m.origin))
	var o outcome
	if n := m.asked(func() { o = place.runWith(m.with(place, p, ""), "", argv...) }); n > 0 {
		return "trusts the origin without its CA"
	}
	if p.own == "" {
		return cellNone
	}
	if n := m.asked(func() { o = place.runWith(m.with(place, p, m.ca), "", argv...) }); n == 0 || !got(p, o) {
		return m.fault("its own setting", o)
	}
	return cellPassed
}

// cassette is the name of p's cassette.
func (p matrixClient) cassette() string {
	return strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(p.name), "-"), "-")
}

// record records p in place.
func (m *matrix) record(place *place, p matrixClient) string {
	var o outcome
	argv := append([]string{"record", p.cassette(), "--"}, m.command(p, m.origin)...)
	n := m.asked(func() { o = place.serge(m.with(place, p, ""), argv...) })
	switch {
	case p.remedy != "":
		return m.named(place, p, o)
	case n == 0 || !got(p, o):
		return m.fault("record", o)
	}
	return cellPassed
}

// named is the verdict on a program that cannot be convinced: the report says
// who rejected whom, and what to do.
func (m *matrix) named(place *place, p matrixClient, o outcome) string {
	_, port, _ := strings.Cut(strings.TrimPrefix(m.origin, "https://"), ":")
	host := strings.TrimSuffix(strings.TrimPrefix(m.origin, "https://"), ":"+port)
	for _, s := range []string{"rejected: " + p.process, host + ":" + port, "--bypass " + host, p.remedy} {
		if !strings.Contains(o.stderr, s) {
			return fmt.Sprintf("rejected, and the report has no %q", s)
		}
	}
	bypassed := place.serge(m.with(place, p, ""), append([]string{"record", "bypass", "--bypass", host, "--"}, m.command(p, m.origin)...)...)
	if strings.Contains(bypassed.stderr, "rejected: ") {
		return m.fault("bypass", bypassed)
	}
	return cellNamed
}

// replay replays what place recorded of p. There is no network.
func (m *matrix) replay(place *place, p matrixClient) string {
	argv := append([]string{"replay", p.cassette(), "--"}, m.command(p, m.origin)...)
	o := place.serge(m.with(place, p, ""), argv...)
	if !got(p, o) || !regexp.MustCompile(`\n?serge-net: .*[1-9]\d* served`).MatchString(o.stderr) {
		return m.fault("replay", o)
	}
	return cellPassed
}

// by finds out what makes p trust us: it is recorded without the variables that
// we set.
func (m *matrix) by(p matrixClient) string {
	place := m.places[2]
	argv := []string{"record", p.cassette() + "-by", "--", "env"}
	for _, name := range m.ours {
		argv = append(argv, "-u", name)
	}
	var o outcome
	n := m.asked(func() { o = place.serge(m.with(place, p, ""), append(argv, m.command(p, m.origin)...)...) })
	switch {
	case p.remedy != "":
		return "nothing"
	case n > 0 && got(p, o):
		return "files"
	}
	return "variables"
}

// variables are those that a command has by us: added or changed.
func (m *matrix) variables() []string {
	place := m.places[2]
	env := append(slices.Clone(m.env), "HOME="+place.dir, "TMPDIR="+place.dir)
	before := strings.Split(place.runWith(env, "", "env").stdout, "\n")
	var names []string
	for _, kv := range strings.Split(place.serge(env, "record", "variables", "--", "env").stdout, "\n") {
		name, _, ok := strings.Cut(kv, "=")
		if ok && !slices.Contains(before, kv) && !strings.HasPrefix(name, "SERGE_") && !slices.Contains([]string{"HOME", "TMPDIR", "PWD", "_"}, name) {
			names = append(names, name)
		}
	}
	return names
}

// keeps tells whether p goes on to trust an origin by the CA of its user's own
// setting: we let that origin's bytes pass.
func (m *matrix) keeps(p matrixClient) string {
	if p.own == "" || p.remedy != "" {
		return cellNone
	}
	place := m.places[len(m.places)-1]
	_, port, _ := strings.Cut(strings.TrimPrefix(m.otherOrigin, "https://"), ":")
	argv := append([]string{"record", p.cassette() + "-other", "--bypass", port, "--"}, m.command(p, m.otherOrigin)...)
	var o outcome
	if n := m.asked(func() { o = place.serge(m.with(place, p, m.other), argv...) }); n == 0 || !got(p, o) {
		return m.fault("another CA", o)
	}
	return cellPassed
}

// fault is a cell for what failed: the whole is logged.
func (m *matrix) fault(what string, o outcome) string {
	t := m.places[0].t
	t.Logf("%s: exit code %d\n%s\n%s", what, o.code, o.stdout, o.stderr)
	if strings.Contains(o.stderr, "rejected: ") {
		return what + ": rejects us"
	}
	return fmt.Sprintf("%s: exit code %d", what, o.code)
}
