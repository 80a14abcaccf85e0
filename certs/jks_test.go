package certs

import (
	"bytes"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// keytool runs the JDK's keytool on the store in file.
func keytool(t *testing.T, file string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("keytool"); err != nil {
		missing(t, "keytool")
	}
	cmd := exec.Command("keytool", append(args, "-J-Xshare:auto", "-J-XX:TieredStopAtLevel=1", "-keystore", file)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("keytool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// fingerprint is der's as keytool prints it.
func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return strings.ToUpper(strings.ReplaceAll(fmt.Sprintf("% x", sum), " ", ":"))
}

func TestJKSReadByKeytool(t *testing.T) {
	one, _ := root(t)
	two, _ := root(t)
	ks := newJKS([][]byte{one, two})
	ks.trust("root-1", one) // an alias that is taken
	file := filepath.Join(t.TempDir(), "k.jks")
	if err := os.WriteFile(file, ks.encode(jksPassword), 0o600); err != nil {
		t.Fatal(err)
	}
	out := keytool(t, file, "-list", "-v", "-storepass", jksPassword)
	for _, want := range []string{
		"Your keystore contains 3 entries", "Alias name: root-1\n", "Alias name: root-2\n", "Alias name: root-1-2\n",
		fingerprint(one), fingerprint(two), "Keystore type: JKS",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("keytool -list does not say %q:\n%s", want, out)
		}
	}
}

func TestTrustKeepsKeytoolsEntries(t *testing.T) {
	ours, _ := root(t)
	theirs, text := root(t)
	for _, tt := range []struct{ kind, password string }{{"jks", jksPassword}, {"jks", "another one"}} {
		dir := t.TempDir()
		file, cert := filepath.Join(dir, "k"), filepath.Join(dir, "c.pem")
		if err := os.WriteFile(cert, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		keytool(t, file, "-genkeypair", "-keyalg", "EC", "-alias", "key", "-dname", "CN=k",
			"-storetype", tt.kind, "-storepass", tt.password, "-keypass", tt.password)
		keytool(t, file, "-importcert", "-noprompt", "-alias", alias, "-file", cert, "-storepass", tt.password)
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		ks, err := openTruststore(data)
		if err != nil {
			t.Errorf("openTruststore: %v", err)
			continue
		}
		ks.trust(alias, ours)
		if err := os.WriteFile(file, ks.encode(jksPassword), 0o600); err != nil {
			t.Fatal(err)
		}
		out := keytool(t, file, "-list", "-v", "-storepass", jksPassword)
		for _, want := range []string{
			"contains 3 entries", "PrivateKeyEntry", fingerprint(ours), fingerprint(theirs), "Alias name: serge-net-2",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("keytool -list does not say %q:\n%s", want, out)
			}
		}
	}
}

// pkcs12 is a truststore as a JDK brings it: PKCS #12 without a password.
func pkcs12(ders ...[]byte) []byte {
	var bags []byte
	for _, der := range ders {
		cert := tlv(0x30, oid(9, 22, 1), tlv(0xa0, tlv(0x04, der)))
		name := tlv(0x31, tlv(0x30, oid(9, 20), tlv(0x31, tlv(0x1e, []byte("\x00r")))))
		bags = append(bags, tlv(0x30, oid(12, 10, 1, 3), tlv(0xa0, cert), name)...)
	}
	crl := tlv(0x30, oid(12, 10, 1, 4), tlv(0xa0, tlv(0x30))) // a bag of another kind
	safe := tlv(0x30, oid(7, 1), tlv(0xa0, tlv(0x04, tlv(0x30, crl, bags))))
	return tlv(0x30, []byte{2, 1, 3}, tlv(0x30, oid(7, 1), tlv(0xa0, tlv(0x04, tlv(0x30, safe)))))
}

// tlv is a DER value of tag that holds parts.
func tlv(tag byte, parts ...[]byte) []byte {
	v := asn1.RawValue{Class: int(tag >> 6), IsCompound: tag&0x20 != 0, Tag: int(tag & 0x1f), Bytes: bytes.Join(parts, nil)}
	b, err := asn1.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// oid is an object identifier below 1.2.840.113549.1, in DER.
func oid(arcs ...byte) []byte {
	return append([]byte{6, byte(7 + len(arcs)), 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1}, arcs...)
}

// trustedIn is what the truststore in data trusts.
func trustedIn(data []byte, passwords ...string) ([][]byte, error) {
	ks, err := openTruststore(data, passwords...)
	if err != nil {
		return nil, err
	}
	return ks.trusted, nil
}

// TestPKCS12 reads what keytool and openssl write: without a password, and
// under one by each of the ciphers that they have used.
func TestPKCS12(t *testing.T) {
	theirs, text := root(t)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	if err := os.WriteFile(cert, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	openssl(t, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
	imported := func(options ...string) func(file string) {
		return func(file string) {
			keytool(t, file, append([]string{"-importcert", "-noprompt", "-alias", "x", "-file", cert,
				"-storepass", "password", "-storetype", "PKCS12"}, options...)...)
		}
	}
	exported := func(options ...string) func(file string) {
		return func(file string) {
			openssl(t, append([]string{"pkcs12", "-export", "-nokeys", "-in", cert, "-out", file, "-passout", "pass:pässword"}, options...)...)
		}
	}
	for _, tt := range []struct {
		name  string
		write func(file string)
		err   error // without the password
	}{
		{"keytool, plain", imported("-J-Dkeystore.pkcs12.certProtectionAlgorithm=NONE", "-J-Dkeystore.pkcs12.macAlgorithm=NONE"), nil},
		{"keytool, PBES2", imported(), errPassword},
		{"keytool, RC2", imported("-J-Dkeystore.pkcs12.legacy"), errPassword},
		{"keytool, 3DES", imported("-J-Dkeystore.pkcs12.certProtectionAlgorithm=PBEWithSHA1AndDESede"), errPassword},
		{"keytool, AES-128 and SHA-512", imported("-J-Dkeystore.pkcs12.certProtectionAlgorithm=PBEWithHmacSHA512AndAES_128"), errPassword},
		{"openssl, PBES2", exported(), errPassword},
		{"openssl, RC2", exported("-legacy"), errPassword},
		{"openssl, AES-192", exported("-certpbe", "aes-192-cbc"), errPassword},
	} {
		file := filepath.Join(dir, strings.ReplaceAll(tt.name, " ", "_"))
		tt.write(file)
		data, err := os.ReadFile(file)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if _, err := parsePKCS12(data, jksPassword, ""); !errors.Is(err, tt.err) {
			t.Errorf("%s: with other passwords: %v; want %v", tt.name, err, tt.err)
		}
		got, err := parsePKCS12(data, jksPassword, "password", "pässword")
		if d := cmp.Diff([][]byte{theirs}, got); err != nil || d != "" {
			t.Errorf("%s: %v (-want +got):\n%s", tt.name, err, d)
		}
	}
	file := filepath.Join(dir, "keys")
	openssl(t, "req", "-x509", "-new", "-key", key, "-out", cert, "-subj", "/CN=k")
	openssl(t, "pkcs12", "-export", "-in", cert, "-inkey", key, "-out", file, "-passout", "pass:")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parsePKCS12(data, jksPassword, ""); !errors.Is(err, errKeys) {
		t.Errorf("with a key: %v; want errKeys", err)
	}
}

func FuzzTruststore(f *testing.F) {
	der, _ := root(f)
	f.Add(newJKS([][]byte{der}).encode(jksPassword))
	f.Add(pkcs12(der))
	f.Add([]byte("\xfe\xed\xfe\xed\x00\x00\x00\x02\xff\xff\xff\xff01234567890123456789"))
	sealed, err := filepath.Glob("testdata/*.p12")
	if err != nil || len(sealed) == 0 {
		f.Fatalf("%d PKCS #12 files, %v", len(sealed), err)
	}
	for _, file := range sealed {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		ks, err := openTruststore(data, jksPassword, "")
		if err != nil {
			return
		}
		before := len(ks.trusted)
		ks.trust(alias, der)
		after, err := trustedIn(ks.encode(jksPassword))
		if err != nil || len(after) != before+1 || !bytes.Equal(after[before], der) {
			t.Fatalf("%d trusted before, %d after, %v", before, len(after), err)
		}
	})
}
