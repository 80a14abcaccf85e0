package certs

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
)

// PlanConfig says whom a Plan is for. CA and Env are needed.
type PlanConfig struct {
	CA      []byte   // the CA that the target shall trust, PEM: see [CA.PEM]
	Env     []string // the command's environment, as os.Environ has it
	Workdir string   // the command's working directory; "" is ours
	Root    string   // where its file system is for us; "" is "/"
	Mounts  bool     // it can have a private mount namespace; without effect but on Linux
	// Cache is a directory for what is slow to read and the same in every run,
	// made if it is missing; "" is none. Nothing of this run is kept in it, and
	// nothing that took a password of the user's to read. Runs may share it.
	Cache string
	// Certutil is the path of NSS's program of that name; "" is none. It works
	// in Scratch, a directory that NewPlan makes and removes, in memory at best.
	Certutil, Scratch string
	// Dir is where files are written that no mount can bring: all of them
	// without Mounts, and with Mounts where the host has no directory of
	// certificates. It must be the Plan's own: Close removes it.
	Dir string
}

// Mount is one thing to do in the command's private mount namespace, in the
// order in which a Plan lists them. Path is absolute and without links.
//
// With Dir an empty tmpfs covers Path, which is a directory; what is to be in
// it follows. Below a covered directory, Path is made: a symbolic link to
// Link, unless that is "", else a file with Data, 0644, in directories that
// are made as needed, 0755. Elsewhere Path is a file that exists, and one
// with Data is bound over it; with Append one with what it has, then Data.
type Mount struct {
	Path   string
	Dir    bool
	Link   string
	Append bool
	Data   []byte
	// Private is for the command's user alone: a file is 0600, and a Dir 0700
	// and to be written to, though what is written is gone with the command.
	Private bool
}

// Plan is what makes a command trust a CA beside all that it trusted before.
type Plan struct {
	Mounts []Mount
	Env    []string // the command's whole environment
	// Extra is the roots, in PEM, that variables of the user's named and the
	// system does not have: a target that trusted them directly expects us to.
	Extra []byte
	Notes []string // what was at fault in the user's files, one line each

	dir string // what Close removes; "" if nothing was written
}

// Close removes the files that the plan wrote. It is for the time when the
// command and all its children are gone. Twice is no error.
func (p *Plan) Close() error {
	if p.dir == "" {
		return nil
	}
	if err := os.RemoveAll(p.dir); err != nil {
		return fmt.Errorf("remove the certificates of this run: %w", err)
	}
	p.dir = ""
	return nil
}

// planner is a Plan in the making.
type planner struct {
	PlanConfig
	tree tree
	env  environ
	cert *x509.Certificate // of CA
	hash string            // of its subject

	covered []string          // the directories to cover, without links
	store   string            // where our own files go; in covered, or Dir
	hashed  []string          // the directories in which OpenSSL looks for hashes, without links
	bound   map[string]bool   // the files that have a Mount of their own
	read    map[string]bool   // the files and directories that roots is from
	roots   bundle            // the system's, then Extra
	alone   string            // the file with our CA alone, for the command
	extra   int               // where Extra begins in roots.text
	adds    bundle            // what variables of the adding kind name, the rest of Extra
	mended  map[string][]byte // the good certificates of bundles that have others, by path without links
	named   []string          // the files that settings name, without links
	beaten  []string          // the variables that are to beat settings
	stores  []namedStore      // the truststores that build tools' files name
	jdks    []string          // the truststores of JDKs; nil: not looked for yet
	cache   cache
	nss     nssCopies
	notes   []string
	mounts  []Mount
	files   []Mount // to be written, without a mount
}

// NewPlan finds out what the command would trust and plans to add cfg.CA.
// Nothing that the user's files have wrong is an error: it is a note, and the
// rest is used. With cfg.Mounts it writes nothing, as a rule; what it writes
// otherwise is gone after Close, and if it returns an error.
func NewPlan(cfg PlanConfig) (*Plan, error) {
	p, err := newPlanner(cfg)
	if err != nil {
		return nil, fmt.Errorf("plan the command's trust: %w", err)
	}
	if p.Mounts {
		p.startNSS()
	}
	plan, err := p.plan()
	if err := errors.Join(err, p.waitNSS()); err != nil {
		return nil, fmt.Errorf("plan the command's trust: %w", err)
	}
	return plan, nil
}

// plan is NewPlan, but for what goes on beside it.
func (p *planner) plan() (*Plan, error) {
	p.readSystem()
	p.readUser()
	if p.Mounts {
		p.findCovered()
	}
	if p.store == "" {
		if p.Dir == "" {
			return nil, errors.New("no directory of certificates to cover, and none to write to")
		}
		p.store = p.Dir
	}
	p.setVariables()
	p.setJava()
	if p.Mounts {
		p.bindLoose()
		p.bindPython()
		told := p.coverChromium()
		p.coverFirefox()
		p.coverNSS(told)
	} else {
		p.setRewrites()
	}
	plan := &Plan{Mounts: p.mounts, Env: p.env, Extra: joined(p.roots.text[p.extra:], p.adds.text), Notes: p.notes}
	if len(p.files) > 0 {
		plan.dir = p.Dir
		if err := write(p.Dir, p.files); err != nil {
			return nil, errors.Join(err, plan.Close())
		}
	}
	return plan, nil
}

// newPlanner fills in the defaults of cfg and reads its CA.
func newPlanner(cfg PlanConfig) (*planner, error) {
	if cfg.Root == "" {
		cfg.Root = string(filepath.Separator)
	}
	cfg.Mounts = cfg.Mounts && runtime.GOOS == "linux"
	if cfg.Workdir == "" {
		dir, err := os.Getwd()
		if err != nil {
			return nil, err
		}
		cfg.Workdir = dir
	}
	var ours bundle
	n, faults := ours.addPEM("our CA", cfg.CA)
	if n != 1 || len(faults) > 0 {
		return nil, errors.Join(fmt.Errorf("our CA: %d certificates in PEM, not one", n), errors.Join(faults...))
	}
	cert, err := x509.ParseCertificate(ours.ders[0])
	if err != nil {
		return nil, fmt.Errorf("our CA: %w", err)
	}
	hash, err := subjectHash(cert.RawSubject)
	if err != nil {
		return nil, fmt.Errorf("our CA: %w", err)
	}
	return &planner{
		PlanConfig: cfg, tree: newTree(cfg.Root), env: newEnviron(cfg.Env),
		cert: cert, hash: hash, read: make(map[string]bool), bound: make(map[string]bool),
		mended: make(map[string][]byte), cache: cache{cfg.Cache},
	}, nil
}

// write makes dir and files in it.
func write(dir string, files []Mount) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // whatever the umask: the command may be another user
		return err
	}
	for _, f := range files {
		if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(f.Path, f.Data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// place has the command find data in a file of ours, and returns its path. In
// a covered directory it is a directory further down, which programs that
// read all of the upper one do not look into.
func (p *planner) place(name string, data []byte) string {
	if p.store == p.Dir {
		path := filepath.Join(p.store, name)
		p.files = append(p.files, Mount{Path: path, Data: data})
		return path
	}
	path := filepath.Join(p.store, "serge-net", name)
	p.mounts = append(p.mounts, Mount{Path: path, Data: data})
	return path
}

// merged is all roots that any of the user's programs trusts, and our CA.
func (p *planner) merged() []byte { return joined(p.roots.text, p.CA) }

// note keeps what is wrong with a file of the user's, once.
func (p *planner) note(format string, args ...any) {
	if n := fmt.Sprintf(format, args...); !slices.Contains(p.notes, n) {
		p.notes = append(p.notes, n)
	}
}

// systemBundles are the well-known bundles: Go's crypto/x509/root_linux.go has
// all but SUSE's own.
func systemBundles() []string {
	return []string{
		"/etc/ssl/certs/ca-certificates.crt",                // Debian, Alpine, Arch
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL 7
		"/etc/pki/tls/certs/ca-bundle.crt",                  // RHEL 6
		"/var/lib/ca-certificates/ca-bundle.pem",            // SUSE
		"/etc/ssl/ca-bundle.pem",                            // OpenSUSE
		"/etc/pki/tls/cacert.pem",                           // OpenELEC
		"/etc/ssl/cert.pem",                                 // Alpine, macOS
	}
}

// readSystem reads the roots of the system: what the well-known bundles have.
func (p *planner) readSystem() {
	for _, path := range systemBundles() {
		if _, err := p.tree.resolve(path); err == nil {
			p.readRoots(path, path)
		}
	}
	const dir = "/etc/ssl/certs"
	if real, err := p.tree.resolve(dir); err == nil {
		if len(p.roots.ders) == 0 {
			p.readRoots(dir, dir)
		}
		p.read[real] = true // a bundle has all that is in it: update-ca-certificates(8)
	}
	if len(p.roots.ders) == 0 {
		p.note("no root certificates found on this system: what passes us untouched may not be trusted")
	}
	p.extra = len(p.roots.text)
}

// readRoots adds what path has, a file or a directory of them, once. As is how
// the user knows it.
func (p *planner) readRoots(as, path string) {
	real, err := p.tree.resolve(p.absolute(path))
	if err != nil {
		p.note("%s: %v", as, cause(err))
		return
	}
	if p.read[real] {
		return
	}
	p.read[real] = true
	if p.tree.isDir(real) {
		p.readRootsIn(real)
		return
	}
	data, err := p.tree.read(real)
	if err != nil {
		p.note("%s: %v", as, cause(err))
		return
	}
	n, faults := p.addRoots(as, data)
	switch {
	case n == 0:
		p.note("%s: holds no certificate", as)
	case faults > 0:
		var b bundle
		b.addPEM(as, data)
		p.mended[real] = b.text
	}
}

// readRootsIn adds what the files in dir have that programs would read there.
func (p *planner) readRootsIn(dir string) {
	for _, pattern := range []string{"*.pem", "*.crt", "*.cer", "*.[0-9]"} {
		for _, file := range p.tree.glob(filepath.Join(dir, pattern)) {
			real, err := p.tree.resolve(file)
			if err != nil || p.read[real] {
				continue
			}
			p.read[real] = true
			if data, err := p.tree.read(real); err == nil {
				p.addRoots(file, data)
			}
		}
	}
}

// addRoots adds the certificates in data, PEM or one in DER, notes what is
// wrong with it, and returns how many were right and how many not.
func (p *planner) addRoots(as string, data []byte) (good, bad int) {
	if der, err := certificate(data, false); err == nil {
		p.roots.add(der, encode(der))
		return 1, 0
	}
	n, faults := p.roots.addPEM(as, data)
	const most = 3
	for i, err := range faults {
		if i == most {
			p.note("%s: %d more certificates like that", as, len(faults)-most)
			break
		}
		p.note("%v", err)
	}
	return n, len(faults)
}
