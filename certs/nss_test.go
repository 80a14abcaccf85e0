package certs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// certutil is NSS's program, which reads and writes what the tests compare with.
func certutil(t *testing.T, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("certutil")
	if err != nil {
		missing(t, "certutil")
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		t.Errorf("certutil %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// planNSS plans for a home with an NSS database that prepare has made.
func planNSS(t *testing.T, prepare func(db string), certutil string) (*Plan, *CA, string) {
	t.Helper()
	_, text := root(t)
	tree := makeTree(t, files{"/etc/ssl/certs/ca-certificates.crt": text, "/home/.pki/nssdb/": ""})
	db := filepath.Join(tree, "home/.pki/nssdb")
	prepare(db)
	ca := newCA(t)
	scratch := filepath.Join(t.TempDir(), "scratch")
	p, err := NewPlan(PlanConfig{
		CA: ca.PEM(), Env: []string{"HOME=/home"}, Root: tree, Workdir: "/", Mounts: true,
		Certutil: certutil, Scratch: scratch, Dir: filepath.Join(t.TempDir(), "certs"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(scratch); err == nil {
		t.Error("what certutil worked on is left")
	}
	return p, ca, db
}

// TestNSS has our CA and the user's own in a copy of the user's NSS database,
// which stays as it is.
func TestNSS(t *testing.T) {
	_, text := root(t)
	cert := filepath.Join(t.TempDir(), "corp.pem")
	if err := os.WriteFile(cert, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	program, err := exec.LookPath("certutil")
	if err != nil {
		missing(t, "certutil")
	}
	for name, made := range map[string]bool{"a database": true, "an empty directory": false} {
		t.Run(name, func(t *testing.T) {
			p, _, db := planNSS(t, func(db string) {
				if made {
					certutil(t, "-N", "--empty-password", "-d", "sql:"+db)
					certutil(t, "-A", "-d", "sql:"+db, "-n", "corporate", "-t", "C,,", "-i", cert)
				}
			}, program)
			if len(p.Notes) > 0 {
				t.Errorf("notes = %q; want none", p.Notes)
			}
			if m := at(t, p, "/home/.pki/nssdb"); !m.Dir || !m.Private {
				t.Errorf("%+v; want a private cover", m)
			}
			copied := t.TempDir()
			for _, m := range p.Mounts {
				if name, ok := strings.CutPrefix(m.Path, "/home/.pki/nssdb/"); ok {
					if !m.Private {
						t.Errorf("%s is not private", m.Path)
					}
					if err := os.WriteFile(filepath.Join(copied, name), m.Data, 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			list := certutil(t, "-L", "-d", "sql:"+copied)
			if !strings.Contains(list, alias+" ") || strings.Contains(list, "corporate") != made || strings.Count(list, "C,,") != strings.Count(list, ",,") {
				t.Errorf("the copy has:\n%s", list)
			}
			if made && strings.Contains(certutil(t, "-L", "-d", "sql:"+db), alias) {
				t.Error("the user's own database has our CA")
			}
		})
	}
}

// TestNSSTrouble notes what is wrong, unless a policy tells browsers.
func TestNSSTrouble(t *testing.T) {
	program, err := exec.LookPath("certutil")
	if err != nil {
		missing(t, "certutil")
	}
	corrupt := func(db string) {
		if err := os.WriteFile(filepath.Join(db, "cert9.db"), []byte("no database"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	protected := func(db string) {
		pass := filepath.Join(t.TempDir(), "pass")
		if err := os.WriteFile(pass, []byte("secret99"), 0o600); err != nil {
			t.Fatal(err)
		}
		certutil(t, "-N", "-f", pass, "-d", "sql:"+db)
	}
	for _, tt := range []struct {
		name, certutil, want string
		prepare              func(db string)
	}{
		{"no certutil", "", "no certutil to copy it", corrupt},
		{"corrupt", program, "certutil: exit status 255: ", corrupt},
		{"under a password", program, "certutil: exit status 255: ", protected},
	} {
		p, _, _ := planNSS(t, tt.prepare, tt.certutil)
		if len(p.Notes) != 1 || !strings.HasPrefix(p.Notes[0], "/home/.pki/nssdb: ") || !strings.Contains(p.Notes[0], tt.want) {
			t.Errorf("%s: notes = %q; want %q", tt.name, p.Notes, tt.want)
		}
		for _, m := range p.Mounts {
			if strings.HasPrefix(m.Path, "/home") {
				t.Errorf("%s: %s is planned", tt.name, m.Path)
			}
		}
	}
}
