package certs

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// root is a root certificate of a test's own, DER and PEM.
func root(t testing.TB) (der []byte, text string) {
	t.Helper()
	ca := newCA(t)
	return ca.Cert().Raw, string(ca.PEM())
}

func TestBlocks(t *testing.T) {
	der, good := root(t)
	_, other := root(t)
	trusted := string(pem.EncodeToMemory(&pem.Block{Type: "TRUSTED CERTIFICATE", Bytes: append(bytes.Clone(der), 0x30, 0)}))
	trailing := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: append(bytes.Clone(der), 1)}))
	for _, tt := range []struct {
		name, in string
		found    int
		faults   string
	}{
		{"nothing", "", 0, ""},
		{"text", "no certificates\nhere\n", 0, ""},
		{"one", good, 1, ""},
		{"two, text between", "# first\n" + good + "\n# second\n" + other, 2, ""},
		{"the same twice", good + good, 1, ""},
		{"no newline between", strings.TrimSpace(good) + other, 2, ""},
		{"CRLF", strings.ReplaceAll(good, "\n", "\r\n"), 1, ""},
		{"indented", strings.ReplaceAll(good, "\n", "\n  "), 1, ""},
		{"old label", strings.ReplaceAll(good, "CERTIFICATE", "X509 CERTIFICATE"), 1, ""},
		{"trusted, the same again", trusted + good, 1, ""},
		{"key and certificate", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n" + good, 1, ""},
		{"not base64", "\n\n" + strings.Replace(good, "M", "!", 1) + other, 1, "f:3: certificate illegal base64 data at input byte 0"},
		{"no end", good + "-----BEGIN CERTIFICATE-----\nAAAA\n" + other, 2, fmt.Sprintf("f:%d: certificate has no END", 1+strings.Count(good, "\n"))},
		{"cut off", good[:len(good)-40], 0, "f:1: certificate has no END"},
		{"bytes after", "\n" + trailing, 0, "f:2: certificate has 1 bytes after the certificate"},
		{"no sequence", "-----BEGIN CERTIFICATE-----\nBAEA\n-----END CERTIFICATE-----\n", 0, "f:1: certificate is no DER sequence"},
		{"empty", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", 0, "f:1: certificate is cut off, or no DER"},
		{"half a mark", "-----BEGIN ", 0, ""},
		{"half a label", "-----BEGIN CERT\n" + good, 1, ""},
	} {
		var b bundle
		_, faults := b.addPEM("f", []byte(tt.in))
		var got []string
		for _, err := range faults {
			got = append(got, err.Error())
		}
		if len(b.ders) != tt.found || strings.Join(got, "\n") != tt.faults {
			t.Errorf("%s: %d found, %q; want %d, %q", tt.name, len(b.ders), got, tt.found, tt.faults)
		}
		var again bundle
		if n, faults := again.addPEM("again", b.text); n != tt.found || len(faults) > 0 {
			t.Errorf("%s: what was found reads as %d, %v", tt.name, n, faults)
		}
	}
}

func TestBundleLarge(t *testing.T) {
	der, _ := root(t)
	const n = 10_000
	var text []byte
	for i := range n { // unlike in the serial number, as far as a bundle looks
		d := bytes.Clone(der)
		copy(d[20:], fmt.Sprintf("%08d", i))
		text = append(text, encode(d)...)
	}
	var b bundle
	found, faults := b.addPEM("f", append(text, text...))
	if found != 2*n || len(faults) > 0 || len(b.ders) != n || !bytes.Equal(b.text, text) {
		t.Errorf("%d found, %d faults, %d kept; want %d kept", found, len(faults), len(b.ders), n)
	}
}

func TestSubjectHash(t *testing.T) {
	dir := t.TempDir()
	for i, args := range [][]string{
		{"-subj", "/C=CH/O=  Two   Spaces /CN=MiXeD Case"},
		{"-utf8", "-subj", "/O=Übermäßig/CN=Zoë"},
		{"-multivalue-rdn", "-subj", "/O=b+OU=a/CN=x"},
		{"-subj", "/emailAddress=A@b.example/DC=example/CN=y"},
		{"-nameopt", "multiline", "-subj", "/CN=*.example"},
	} {
		file := fmt.Sprintf("%s/%d.pem", dir, i)
		openssl(t, append([]string{"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
			"-nodes", "-keyout", os.DevNull, "-out", file}, args...)...)
		checkHash(t, file)
	}
	file := dir + "/ours.pem"
	if err := os.WriteFile(file, newCA(t).PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	checkHash(t, file)
	for _, in := range []string{"", "\x30\x02\x31", "\x30\x04\x31\x02\x30\x05"} {
		if h, err := subjectHash([]byte(in)); err == nil {
			t.Errorf("subjectHash(%x) = %s", in, h)
		}
	}
}

func TestSubjectHashStrings(t *testing.T) {
	// The same name in each kind of string: T61, BMP and UTF-8 of "É B".
	var first string
	for _, value := range []string{"\x14\x03\xc9 B", "\x1e\x06\x00\xc9\x00 \x00B", "\x0c\x04\xc3\x89 B", "\x0c\x06 \xc3\x89 \tb"} {
		attr := "\x06\x03\x55\x04\x03" + value
		set := fmt.Sprintf("\x31%c\x30%c%s", len(attr)+2, len(attr), attr)
		h, err := subjectHash([]byte(fmt.Sprintf("\x30%c%s", len(set), set)))
		if first == "" {
			first = h
		}
		if err != nil || h != first {
			t.Errorf("subjectHash of %q = %s, %v; want %s", value, h, err, first)
		}
	}
}

// checkHash compares our hash of the certificate in file with OpenSSL's.
func checkHash(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	got, err := subjectHash(subjectOf(t, block.Bytes))
	if want := openssl(t, "x509", "-noout", "-hash", "-in", file); got != want || err != nil {
		t.Errorf("subjectHash(%s) = %s, %v; want %s", openssl(t, "x509", "-noout", "-subject", "-in", file), got, err, want)
	}
}

func FuzzBlocks(f *testing.F) {
	der, good := root(f)
	f.Add([]byte(good + "text\n" + good))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----"))
	f.Add([]byte("-----BEGIN -----BEGIN CERTIFICATE-----\n!"))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "TRUSTED CERTIFICATE", Bytes: append(der, 0x30, 0)}))
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		last := 1
		var b bundle
		for c := range blocks(data) {
			if c.line < last || c.line > 1+bytes.Count(data, []byte{'\n'}) {
				t.Fatalf("line %d after %d", c.line, last)
			}
			last = c.line
			if c.err == nil {
				b.add(c.der, c.text)
			}
		}
		if !bytes.Equal(before, data) {
			t.Fatal("the input was changed")
		}
		var again bundle
		if n, faults := again.addPEM("", b.text); n != len(b.ders) || len(faults) > 0 || !cmp.Equal(again.ders, b.ders) {
			t.Fatalf("%d certificates read again as %d: %v\n%q", len(b.ders), n, faults, b.text)
		}
	})
}
