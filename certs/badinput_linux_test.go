package certs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestBadRoots has a file of the user's be all that a file of roots can be: the
// good certificates in it are trusted, and what is wrong is said, by file.
func TestBadRoots(t *testing.T) {
	_, system := root(t)
	der, corp := root(t)
	broken := "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
	for _, tt := range []struct {
		name  string
		data  string
		odd   func(path string) error // makes something else than a file
		roots string                  // what is trusted of it
		note  string
	}{
		{name: "CRLF", data: strings.ReplaceAll(corp, "\n", "\r\n"), roots: "corp"},
		{name: "BOM", data: "\xef\xbb\xbf" + corp, roots: "corp"},
		{name: "DER", data: string(der), roots: "corp"},
		{name: "NUL bytes", data: "\x00\x00" + corp + "\x00\x00\x00", roots: "corp"},
		{name: "trailing garbage", data: corp + "\xff\xfe garbage -----BEGIN", roots: "corp"},
		{name: "no newline at the end", data: strings.TrimSpace(corp), roots: "corp"},
		{name: "twice", data: corp + corp, roots: "corp"},
		{name: "a broken one before", data: broken + corp, roots: "corp", note: ":1: certificate is cut off, or no DER"},
		{name: "cut off", data: corp[:len(corp)/2], note: ":1: certificate has no END"},
		{name: "empty", data: "", note: ": holds no certificate"},
		{name: "a key", data: "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", note: ": holds no certificate"},
		{name: "UTF-16", data: "\xff\xfe-\x00-\x00", note: ": holds no certificate"},
		{name: "a FIFO", odd: func(path string) error { return syscall.Mkfifo(path, 0o644) }, note: ": is not a regular file"},
		{name: "huge", odd: func(path string) error {
			return firstOf(os.WriteFile(path, nil, 0o644), os.Truncate(path, maxFile+1))
		}, note: ": is larger than 64 MiB"},
		{name: "a loop of links", odd: func(path string) error { return os.Symlink(filepath.Base(path), path) }, note: "too many links"},
		{name: "a directory", odd: func(path string) error {
			return firstOf(os.Mkdir(path, 0o755), os.WriteFile(path+"/a.pem", []byte(corp), 0o644))
		}, roots: "corp"},
		{name: "broken links", odd: func(path string) error {
			return firstOf(os.Mkdir(path, 0o755), os.Symlink("nowhere", path+"/0123abcd.0"))
		}},
		{name: "unreadable", odd: func(path string) error { return os.WriteFile(path, []byte(corp), 0) }, note: ": permission denied"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name == "unreadable" && os.Geteuid() == 0 {
				tt.note, tt.roots = "", "corp" // root may
			}
			tree := makeTree(t, files{"/etc/ssl/certs/ca-certificates.crt": system})
			path := filepath.Join(tree, "corp.pem")
			if tt.odd == nil {
				tt.odd = func(path string) error { return os.WriteFile(path, []byte(tt.data), 0o644) }
			}
			if err := tt.odd(path); err != nil {
				t.Fatal(err)
			}
			ca := newCA(t)
			p, err := NewPlan(PlanConfig{CA: ca.PEM(), Env: []string{"SSL_CERT_FILE=/corp.pem"}, Root: tree, Workdir: "/", Mounts: true})
			if err != nil {
				t.Fatal(err)
			}
			want := [][]byte{pemDER(t, system)}
			if tt.roots == "corp" {
				want = append(want, der)
			}
			var got bundle
			n, faults := got.addPEM("", []byte(readBy(t, p, "SSL_CERT_FILE")))
			if d := cmp.Diff(append(want, ca.Cert().Raw), got.ders); d != "" || n != len(want)+1 || len(faults) > 0 {
				t.Errorf("%d trusted, %v (-want +got):\n%s", n, faults, d)
			}
			notes := strings.Join(p.Notes, "\n")
			if (notes == "") != (tt.note == "") || !strings.Contains(notes, tt.note) || tt.note != "" && !strings.HasPrefix(notes, "SSL_CERT_FILE=/corp.pem") {
				t.Errorf("notes = %q; want %q", notes, tt.note)
			}
		})
	}
}

// pemDER is the certificate in text.
func pemDER(t *testing.T, text string) []byte {
	t.Helper()
	var b bundle
	if n, faults := b.addPEM("", []byte(text)); n != 1 || len(faults) > 0 {
		t.Fatalf("%d certificates, %v", n, faults)
	}
	return b.ders[0]
}

// TestBadSystem has the system's own bundle with a certificate that is none:
// OpenSSL would read no further than to that, and so not to ours.
func TestBadSystem(t *testing.T) {
	_, first := root(t)
	_, second := root(t)
	p, ca := plan(t, true, files{
		"/etc/ssl/certs/ca-certificates.crt": first + string(encode([]byte{0x30, 3, 2, 1, 1})) + second,
	})
	want := first + second + string(ca.PEM())
	if got := string(at(t, p, "/etc/ssl/certs/ca-certificates.crt").Data); got != want {
		t.Errorf("the bundle has %q; want the good ones", got)
	}
	note := fmt.Sprintf("/etc/ssl/certs/ca-certificates.crt:%d: certificate is no X.509 certificate", 1+strings.Count(first, "\n"))
	if d := cmp.Diff([]string{note}, p.Notes); d != "" {
		t.Errorf("notes (-want +got):\n%s", d)
	}
	file := filepath.Join(t.TempDir(), "bundle.pem")
	if err := os.WriteFile(file, at(t, p, "/etc/ssl/certs/ca-certificates.crt").Data, 0o600); err != nil {
		t.Fatal(err)
	}
	if out := openssl(t, "storeutl", "-noout", "-certs", file); !strings.Contains(out, "Total found: 3") {
		t.Errorf("openssl reads: %s", out)
	}
}

// TestManyRoots has 10,000 roots, each with a file and two links.
func TestManyRoots(t *testing.T) {
	der, _ := root(t)
	fs := files{}
	var all bytes.Buffer
	for i := range 10_000 {
		d := bytes.Clone(der)
		copy(d[20:], fmt.Sprintf("%08d", i)) // within the serial number
		text := string(encode(d))
		all.WriteString(text)
		fs[fmt.Sprintf("/usr/share/ca/%d.crt", i)] = text
		fs[fmt.Sprintf("/etc/ssl/certs/%d.pem", i)] = fmt.Sprintf("-> /usr/share/ca/%d.crt", i)
		fs[fmt.Sprintf("/etc/ssl/certs/%08x.0", i)] = fmt.Sprintf("-> %d.pem", i)
	}
	fs["/etc/ssl/certs/ca-certificates.crt"] = all.String()
	p, ca := plan(t, true, fs)
	if got := string(at(t, p, "/etc/ssl/certs/ca-certificates.crt").Data); got != all.String()+string(ca.PEM()) {
		t.Errorf("the bundle has %d bytes; want %d and our CA", len(got), all.Len())
	}
	if links := len(p.Mounts); links < 20_000 || len(p.Notes) > 0 {
		t.Errorf("%d mounts, notes %q; want all links", links, p.Notes)
	}
}

// TestKeyAmongCertificates: what only its owner may read is not laid open.
func TestKeyAmongCertificates(t *testing.T) {
	_, text := root(t)
	tree := makeTree(t, files{"/etc/ssl/certs/ca-certificates.crt": text, "/etc/ssl/certs/key.pem": "key"})
	if err := os.Chmod(filepath.Join(tree, "etc/ssl/certs/key.pem"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := NewPlan(PlanConfig{CA: newCA(t).PEM(), Root: tree, Workdir: "/", Mounts: true})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{"key.pem": true, "ca-certificates.crt": false} {
		if m := at(t, p, "/etc/ssl/certs/"+path); m.Private != want {
			t.Errorf("%s is private: %t; want %t", path, m.Private, want)
		}
	}
}

func FuzzCertificate(f *testing.F) {
	der, _ := root(f)
	f.Add(der, false)
	f.Add(append(der, 0x30, 0), true)
	f.Add([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff}, true)
	f.Fuzz(func(t *testing.T, data []byte, more bool) {
		got, err := certificate(data, more)
		if err != nil {
			return
		}
		if !bytes.HasPrefix(data, got) || !more && len(got) != len(data) {
			t.Fatalf("%d of %d bytes", len(got), len(data))
		}
		if again, err := certificate(got, false); err != nil || len(again) != len(got) {
			t.Fatalf("read again: %d of %d bytes, %v", len(again), len(got), err)
		}
	})
}
