package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestUpstreamRoots(t *testing.T) {
	dir := t.TempDir()
	der, text := root(t)
	for name, content := range map[string]string{
		"good": "# ours\n" + text, "bad": text + "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
		"empty": "", "odd": string(encode([]byte{0x30, 0})),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if pool, err := UpstreamRoots(); pool != nil || err != nil {
		t.Errorf("UpstreamRoots() = %v, %v; want nil, which is the system's", pool, err)
	}
	plain, err := x509.SystemCertPool()
	if err != nil {
		t.Fatal(err)
	}
	pool, err := UpstreamRoots(filepath.Join(dir, "good"))
	if err != nil || pool.Equal(plain) {
		t.Errorf("UpstreamRoots(good) = the system's alone, %v", err)
	}
	cert, _ := x509.ParseCertificate(der)
	plain.AddCert(cert)
	if !pool.Equal(plain) {
		t.Error("UpstreamRoots(good) is not the system's and the file's")
	}
	for name, want := range map[string]string{
		"bad": fmt.Sprintf("bad:%d: certificate", 1+strings.Count(text, "\n")), "empty": "empty: holds no certificate", "odd": "odd:1: certificate is no X.509 certificate", "none": "none: no such file",
	} {
		if _, err := UpstreamRoots(filepath.Join(dir, name)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("UpstreamRoots(%s) = %v; want %q", name, err, want)
		}
	}
}

// refused is the error of a handshake as name with a server whose certificate
// form makes, signed by a CA that the client may trust, or by "self".
func refused(t *testing.T, form *x509.Certificate, name string, trust bool) error {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form.SerialNumber = big.NewInt(1)
	parent, signer := form, key
	ca := newCA(t)
	if form.Subject.CommonName != "self" {
		parent, signer = ca.cert, ca.key
	}
	der, err := x509.CreateCertificate(rand.Reader, form, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if trust {
		roots.AddCert(ca.Cert())
	}
	_, err, _ = handshake(t, &tls.Config{RootCAs: roots, ServerName: name}, &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key})
	return err
}

func TestExplain(t *testing.T) {
	past, now, later := time.Now().Add(-time.Hour), time.Now(), time.Now().Add(time.Hour)
	many := []string{"1.example", "2.example", "3.example", "4.example", "5.example", "6.example", "7.example"}
	for _, tt := range []struct {
		form  x509.Certificate
		name  string
		trust bool
		want  string
	}{
		{x509.Certificate{NotBefore: past.Add(-time.Hour), NotAfter: past, DNSNames: many}, "1.example", true,
			"certificate of h is expired since " + past.UTC().Format(time.DateTime) + " UTC"},
		{x509.Certificate{NotBefore: later, NotAfter: later.Add(time.Hour), DNSNames: many}, "1.example", true,
			"certificate of h is not valid before " + later.UTC().Format(time.DateTime) + " UTC"},
		{x509.Certificate{NotBefore: past, NotAfter: later, DNSNames: many}, "1.example", false,
			"certificate of h is signed by an unknown authority: CN=serge-net run "},
		{x509.Certificate{NotBefore: past, NotAfter: later, DNSNames: many, Subject: pkix.Name{CommonName: "self"}}, "1.example", true,
			"certificate of h is self-signed by CN=self"},
		{x509.Certificate{NotBefore: past, NotAfter: later, DNSNames: many, IPAddresses: []net.IP{{192, 0, 2, 1}}}, "x.example", true,
			"certificate of h is for other names: valid for 1.example, 2.example, 3.example, 4.example, 5.example and 3 more"},
		{x509.Certificate{NotBefore: past, NotAfter: later, DNSNames: many[:1], IPAddresses: []net.IP{{192, 0, 2, 1}}}, "x.example", true,
			"certificate of h is for other names: valid for 1.example, 192.0.2.1"},
		{x509.Certificate{NotBefore: past, NotAfter: later}, "x.example", true, "certificate of h is for other names: valid for none"},
		{x509.Certificate{NotBefore: past, NotAfter: later, DNSNames: many, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, "1.example", true,
			"certificate of h is invalid: x509: certificate specifies an incompatible key usage"},
	} {
		if got := Explain(refused(t, &tt.form, tt.name, tt.trust), "h"); !strings.HasPrefix(got, tt.want) {
			t.Errorf("Explain = %q; want %q", got, tt.want)
		}
	}
	ca := &x509.Certificate{IsCA: true, NotAfter: now, Subject: pkix.Name{CommonName: "a\x1b[1m" + strings.Repeat("x", 300)}}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{errors.New("connection\nreset"), "connection reset"},
		{x509.UnknownAuthorityError{}, "certificate of h is signed by an unknown authority"},
		{x509.HostnameError{}, "certificate of h is for other names: valid for none"},
		{x509.CertificateInvalidError{Cert: ca, Reason: x509.Expired}, "certificate of h's signer CN=a [1mxxx"},
		{x509.CertificateInvalidError{Reason: x509.TooManyIntermediates}, "certificate of h is invalid: x509: too many intermediates"},
	} {
		if got := Explain(tt.err, "h"); !strings.HasPrefix(got, tt.want) || (got == "") != (tt.want == "") {
			t.Errorf("Explain(%v) = %q; want %q", tt.err, got, tt.want)
		}
	}
}
