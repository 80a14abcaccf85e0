package main

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	matrixTable = flag.String("write", "", "file to write the table of TestMatrix to, with every client in it")
	matrixOnly  = flag.String("clients", "", "regexp: of TestMatrix only the clients whose name it matches")
)

// A place is a lane and a user to run serge-net as.
type place struct {
	*rig
	lane, user string
	env        []string
}

// String is how the table names p.
func (p *place) String() string { return p.lane + ", " + p.user }

// serge runs serge-net in p, with the internet's CA trusted upstream.
func (p *place) serge(env []string, args ...string) outcome {
	p.t.Helper()
	env = slices.Concat([]string{"SERGE_UPSTREAM_CA=" + p.net.CAFile, "SERGE_BACKEND=" + p.lane}, p.env, env)
	return p.runWith(env, "", slices.Concat(p.enter, []string{built.serge}, args)...)
}

// A matrix is what TestMatrix tries its clients in.
type matrix struct {
	*shelf
	dir    string   // what install brought
	places []*place // the last one is the ordinary user's netns
	env    []string // of every run
	ca     string   // a directory with what tells programs to trust the internet's CA alone
	other  string   // the same for the CA of shelf.other
	ours   []string // the variables that serge-net sets
}

// A verdict is what became of one client.
type verdict struct {
	matrixClient
	version string
	direct  string   // whether its own setting has it trust the origin's CA, without us
	cells   []string // by place
	by      string   // what makes it trust us
	other   string   // whether it goes on to trust its user's CA
}

// What a cell can say beside why not.
const (
	cellPassed = "yes"
	cellNone   = "–"
)

// TestMatrix has every client that we know of trust us: each in record and, with
// the network gone, in replay, in two lanes, as root and as an ordinary user. It
// holds each to fail without us, and to go on to trust another CA that its user
// had it trust. What their roots are in on the host is as before afterwards. What
// make test runs of it is what TestClients has not.
func TestMatrix(t *testing.T) {
	all := os.Getenv("SERGE_TEST_ALL") != "" || *matrixTable != "" || *matrixOnly != ""
	only, err := regexp.Compile(*matrixOnly)
	if err != nil {
		t.Fatal(err)
	}
	dir := ""
	if all {
		dir = install(t)
	}
	m := newMatrix(t, dir)
	trees := []string{"/etc/ssl", "/etc/java-17-openjdk", "/etc/chromium", "/etc/firefox", "/usr/lib/firefox-esr"}
	if all {
		found, _ := filepath.Glob(filepath.Join(dir, "python/venv/lib/*/site-packages/certifi")) // the pattern is good
		trees = append(trees, append(found, filepath.Join(dir, "node"))...)
	}
	before := checksums(t, trees)
	var verdicts []verdict
	for _, p := range matrixClients() {
		if !all && !p.core || !only.MatchString(p.name) {
			continue
		}
		t.Run(p.name+", "+p.from, func(t *testing.T) { verdicts = append(verdicts, m.try(t, p)) })
	}
	if d := cmp.Diff(before, checksums(t, trees)); d != "" {
		t.Errorf("changed (-before +after):\n%s", d)
	}
	if *matrixTable != "" {
		old, err := os.ReadFile(*matrixTable)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if err := os.WriteFile(*matrixTable, []byte(m.markdown(string(old), verdicts)), 0o644); err != nil {
			t.Error(err)
		}
	}
}

// newMatrix lays everything out. install's directory is "" for the core.
func newMatrix(t *testing.T, dir string) *matrix {
	r := newRig(t)
	m := &matrix{shelf: newShelf(r), dir: dir, ca: openTo(t, 0), other: openTo(t, 0)}
	m.settings(m.ca, r.net.CAFile)
	m.settings(m.other, m.otherCA)
	user, socket := r.inAs(t, "netns", nobody), r.agent()
	seat := r.seat(nobody, socket)
	setpriv := user.enter
	root := func() *rig { return &rig{t: t, net: r.net, dir: openTo(t, 0)} }
	m.places = []*place{
		{root(), "ebpf", "root", nil},
		{seat.rig, "ebpf", "user", []string{"SERGE_AGENT=" + socket}},
		{root(), "netns", "root", nil},
		{user, "netns", "user", nil},
	}
	seat.enter = append([]string{"sh", "-c", `echo $$ > "$1/cgroup.procs" && shift && exec "$@"`, "sh", seat.cgroup}, setpriv...)
	m.env = []string{"CLIENTS=" + dir, "LC_ALL=C.UTF-8", "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
	m.ours = m.variables()
	return m
}

// try finds out all about p.
func (m *matrix) try(t *testing.T, p matrixClient) verdict {
	v := verdict{matrixClient: p}
	for _, place := range m.places {
		place.t = t
	}
	if p.absent != "" || p.needs != "" && !m.has(p.needs) {
		v.absent = p.absent
		if v.absent == "" {
			v.absent = "not installed: no " + p.needs
			t.Error(v.absent)
		}
		return v
	}
	v.version = m.version(p)
	v.direct = m.direct(p)
	for _, place := range m.places {
		v.cells = append(v.cells, m.record(place, p))
	}
	m.net.Gone()
	for i, place := range m.places {
		if v.cells[i] == cellPassed {
			v.cells[i] = m.replay(place, p)
		}
	}
	m.net.Back()
	v.by = m.by(p)
	v.other = m.keeps(p)
	for i, cell := range append(slices.Clone(v.cells), v.direct, v.other) {
		if want := p.wants(); !slices.Contains(want, cell) {
			t.Errorf("%s: %s; want %q", append(m.names(), "direct", "another CA")[i], cell, want)
		}
	}
	return v
}

// install installs what the registries have for the matrix, and returns the
// directory: MATRIX_DIR, or one in /var/cache, as every user is to read it.
func install(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("MATRIX_DIR")
	if dir == "" {
		dir = "/var/cache/serge-net-matrix"
	}
	cook(t, "testdata/matrix", dir)
	return dir
}

// cook follows the recipes below from, each in a directory of dir, once for each of
// its states.
func cook(t *testing.T, from, dir string) {
	t.Helper()
	recipes, err := filepath.Glob(from + "/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range recipes {
		to := filepath.Join(dir, filepath.Base(from))
		stamp := digest(t, from)
		if b, err := os.ReadFile(filepath.Join(to, "installed")); err == nil && string(b) == stamp {
			continue
		}
		cmd := exec.CommandContext(t.Context(), "sh", "-c", `umask 022 && rm -rf "$2" && mkdir -p "$2" && cp -r "$1/." "$2" && cd "$2" && { [ ! -x install.sh ] || ./install.sh; } && printf %s "$3" >installed`,
			"sh", from, to, stamp)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("install %s: %v\n%s", from, err, out)
		}
	}
}

// digest is the hash of every file below dir.
func digest(t *testing.T, dir string) string {
	t.Helper()
	h := sha256.New()
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(filepath.Join(dir, name))
		fmt.Fprintf(h, "%s %d\n%s", name, len(b), b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// settings writes to dir what a user has who wants the CA in the file pem to be
// trusted: by the environment variables of matrixClient.own.
func (m *matrix) settings(dir, pem string) {
	m.t.Helper()
	b, err := os.ReadFile(pem)
	if err != nil {
		m.t.Fatal(err)
	}
	ca := filepath.Join(dir, "ca.pem")
	write(m.t, ca, string(b))
	write(m.t, filepath.Join(dir, "wgetrc"), "ca_certificate="+ca+"\n")
	write(m.t, filepath.Join(dir, "apt.conf"), `Acquire::https::CaInfo "`+ca+"\";\n")
	if err := os.Mkdir(filepath.Join(dir, "php"), 0o755); err != nil {
		m.t.Fatal(err)
	}
	write(m.t, filepath.Join(dir, "php/ca.ini"), "curl.cainfo="+ca+"\nopenssl.cafile="+ca+"\n")
	out, err := exec.CommandContext(m.t.Context(), "keytool", "-importcert", "-noprompt", "-alias", "own",
		"-file", ca, "-keystore", filepath.Join(dir, "ca.jks"), "-storepass", "changeit", "-storetype", "JKS").CombinedOutput()
	if err != nil {
		m.t.Fatalf("keytool: %v\n%s", err, out)
	}
}

// asked is how many requests the shelf gets while do runs.
func (m *matrix) asked(do func()) int64 {
	before := m.hits.Load()
	do()
	return m.hits.Load() - before
}
