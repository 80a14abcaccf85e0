package certs

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// A Store is what a system's own programs trust by, and how to change it: Anchor
// is written or removed, and then the command run.
type Store struct {
	Name      string
	Anchor    string   // the file that is, by being there, to be trusted; "": the command is all
	Root      bool     // only the superuser may change it
	Trust     []string // the command that makes it trusted
	Forget    []string // the command that makes it forgotten
	Overrides string   // what Forget reads in place of Conf: that, and a line; "": nothing
	Conf      string
	Line      string
}

// ErrNoStore is returned for a system whose store is not known.
var ErrNoStore = errors.New("no store of this system's is known")

// anchors are the stores of Linux distributions: by the directory whose files are
// trusted, and what makes it so.
var anchors = []struct {
	name, dir, ending string
	command           []string
}{
	{"Debian's", "/usr/local/share/ca-certificates", ".crt", []string{"update-ca-certificates"}},
	{"Fedora's", "/etc/pki/ca-trust/source/anchors", ".pem", []string{"update-ca-trust", "extract"}},
	{"Arch's", "/etc/ca-certificates/trust-source/anchors", ".crt", []string{"update-ca-trust"}},
	{"openSUSE's", "/etc/pki/trust/anchors", ".pem", []string{"update-ca-certificates"}},
}

// debianConf is the file that tells update-ca-certificates what to leave out.
const debianConf = "/etc/ca-certificates.conf"

// SystemStore is the store of system, a GOOS, for ca, whose certificate is in the
// file cert. exists tells which directories there are.
func SystemStore(system string, ca *CA, cert string, exists func(dir string) bool) (Store, error) {
	sum := sha1.Sum(ca.cert.Raw) // by which both systems name a certificate
	thumb := hex.EncodeToString(sum[:])
	switch system {
	case "darwin":
		return Store{
			Name:   "your keychain",
			Trust:  []string{"security", "add-trusted-cert", "-r", "trustRoot", cert},
			Forget: []string{"security", "delete-certificate", "-t", "-Z", thumb},
		}, nil
	case "windows":
		return Store{
			Name:   "your certificate store",
			Trust:  []string{"certutil", "-user", "-addstore", "Root", cert},
			Forget: []string{"certutil", "-user", "-delstore", "Root", thumb},
		}, nil
	case "linux":
		return linuxStore(ca, exists)
	}
	return Store{}, fmt.Errorf("%w: %s", ErrNoStore, system)
}

// linuxStore is that of the distribution.
func linuxStore(ca *CA, exists func(dir string) bool) (Store, error) {
	for _, a := range anchors {
		if !exists(a.dir) {
			continue
		}
		file := "serge-net-" + ca.Fingerprint()[:16] + a.ending
		s := Store{Name: a.name + " CA certificates", Anchor: filepath.Join(a.dir, file), Root: true, Trust: a.command, Forget: a.command}
		if a.dir == anchors[0].dir {
			// It does not notice by itself that a local file is gone, and would leave
			// its links. A line in its configuration says so; ours is a copy of that.
			s.Conf, s.Line, s.Overrides = debianConf, "!"+file, "--certsconf"
		}
		return s, nil
	}
	return Store{}, fmt.Errorf("%w: none of the directories that Debian, Fedora, Arch and openSUSE have", ErrNoStore)
}

// Holds tells whether s has ca, as far as a file tells that.
func (s Store) Holds(ca *CA) bool {
	b, err := os.ReadFile(s.Anchor)
	return s.Anchor != "" && err == nil && bytes.Equal(b, ca.PEM())
}

// Install has s trust ca: run runs a command.
func (s Store) Install(ca *CA, run func(argv []string) error) error {
	if s.Anchor != "" && !s.Holds(ca) {
		if err := place(filepath.Dir(s.Anchor), filepath.Base(s.Anchor), ca.PEM(), 0o644, os.Rename); err != nil {
			return err
		}
	}
	return run(s.Trust)
}

// Uninstall has s forget its CA: run runs a command. Twice is no error.
func (s Store) Uninstall(run func(argv []string) error) error {
	if s.Anchor != "" {
		if err := os.Remove(s.Anchor); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if s.Overrides == "" {
		return run(s.Forget)
	}
	conf, err := os.ReadFile(s.Conf)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "serge-net-ca-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "conf")
	text := append(append(conf, '\n'), s.Line+"\n"...)
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return err
	}
	return run(append(s.Forget[:len(s.Forget):len(s.Forget)], s.Overrides, path))
}
