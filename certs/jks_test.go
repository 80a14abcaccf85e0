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

func TestWithTrustedKeepsKeytoolsEntries(t *testing.T) {
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
		got, err := withTrusted(data, ours)
		if err != nil {
			t.Errorf("withTrusted: %v", err)
			continue
		}
		if err := os.WriteFile(file, got, 0o600); err != nil {
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
	key := tlv(0x30, oid(12, 10, 1, 1), tlv(0xa0, tlv(0x30))) // a bag of another kind
	safe := tlv(0x30, oid(7, 1), tlv(0xa0, tlv(0x04, tlv(0x30, key, bags))))
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

func TestPKCS12(t *testing.T) {
	theirs, text := root(t)
	dir := t.TempDir()
	file, cert := filepath.Join(dir, "k"), filepath.Join(dir, "c.pem")
	if err := os.WriteFile(cert, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	keytool(t, file, "-importcert", "-noprompt", "-alias", "x", "-file", cert, "-storepass", "changeit", "-storetype", "PKCS12",
		"-J-Dkeystore.pkcs12.certProtectionAlgorithm=NONE", "-J-Dkeystore.pkcs12.macAlgorithm=NONE")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parsePKCS12(data)
	if d := cmp.Diff([][]byte{theirs}, got); err != nil || d != "" {
		t.Errorf("parsePKCS12 of keytool's: %v (-want +got):\n%s", err, d)
	}
	file += "2"
	keytool(t, file, "-importcert", "-noprompt", "-alias", "x", "-file", cert, "-storepass", "changeit", "-storetype", "PKCS12")
	if data, err = os.ReadFile(file); err != nil {
		t.Fatal(err)
	}
	if got, err := parsePKCS12(data); !errors.Is(err, errPassword) {
		t.Errorf("parsePKCS12 with a password = %d, %v; want errPassword", len(got), err)
	}
}

func FuzzTruststore(f *testing.F) {
	der, _ := root(f)
	f.Add(newJKS([][]byte{der}).encode(jksPassword))
	f.Add(pkcs12(der))
	f.Add([]byte("\xfe\xed\xfe\xed\x00\x00\x00\x02\xff\xff\xff\xff01234567890123456789"))
	f.Fuzz(func(t *testing.T, data []byte) {
		before, err := trustedIn(data)
		out, err2 := withTrusted(data, der)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("read: %v; added to: %v", err, err2)
		}
		if err != nil {
			return
		}
		after, err := trustedIn(out)
		if err != nil || len(after) != len(before)+1 || !bytes.Equal(after[len(before)], der) {
			t.Fatalf("%d trusted before, %d after, %v", len(before), len(after), err)
		}
	})
}
