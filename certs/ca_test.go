package certs

import (
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newCA(t testing.TB) *CA {
	t.Helper()
	ca, err := NewCA()
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func TestNewCA(t *testing.T) {
	before := time.Now()
	ca := newCA(t)
	c := ca.Cert()
	if !c.IsCA || !c.BasicConstraintsValid || c.KeyUsage&x509.KeyUsageCertSign == 0 || len(c.SubjectKeyId) == 0 {
		t.Errorf("IsCA %t, key usage %b, SubjectKeyId %x; want a CA that may sign", c.IsCA, c.KeyUsage, c.SubjectKeyId)
	}
	if got := c.NotBefore.Sub(before).Round(time.Minute); got != -time.Hour {
		t.Errorf("NotBefore is %v from now; want -1h", got)
	}
	if got := c.NotAfter.Sub(before).Round(time.Minute); got != 24*time.Hour {
		t.Errorf("NotAfter is %v from now; want 24h", got)
	}
	if s := c.Subject.String(); !strings.Contains(s, "serge-net run ") {
		t.Errorf("Subject = %q; want it to name serge-net and the run", s)
	}
	if ca.key.Curve != elliptic.P256() {
		t.Errorf("curve %v; want P-256", ca.key.Curve.Params().Name)
	}
	block, rest := pem.Decode(ca.PEM())
	if block == nil || len(rest) != 0 || !cmp.Equal(block.Bytes, c.Raw) {
		t.Errorf("PEM() = %q; want the one certificate", ca.PEM())
	}
	if other := newCA(t).Cert(); other.Subject.String() == c.Subject.String() {
		t.Errorf("two CAs share the subject %q", c.Subject)
	}
}

func TestLeafNames(t *testing.T) {
	ca := newCA(t)
	long := strings.Repeat("a", 60) + ".example.com"
	for _, tt := range []struct {
		name    string
		names   []string
		dns     []string
		ips     []string
		cn      string
		invalid bool
	}{
		{name: "example.com", dns: []string{"example.com"}, cn: "example.com"},
		{name: "Example.COM.", dns: []string{"example.com"}, cn: "example.com"},
		{name: "a.example.com", names: []string{"*.example.com", "a.example.com", "192.0.2.1", "2001:db8::1"},
			dns: []string{"a.example.com", "*.example.com"}, ips: []string{"192.0.2.1", "2001:db8::1"}, cn: "a.example.com"},
		{name: "192.0.2.7", names: []string{"one.example", "::ffff:192.0.2.7"}, dns: []string{"one.example"}, ips: []string{"192.0.2.7"}, cn: "192.0.2.7"},
		{name: "[2001:db8::2]", ips: []string{"2001:db8::2"}, cn: "2001:db8::2"},
		{name: "fe80::1%eth0", ips: []string{"fe80::1"}, cn: "fe80::1"},
		{name: "under_score.example", names: []string{"bad name", "", "ünïcode.example", "ok.example"},
			dns: []string{"under_score.example", "ok.example"}, cn: "under_score.example"},
		{name: "xn--bcher-kva.example", dns: []string{"xn--bcher-kva.example"}, cn: "xn--bcher-kva.example"},
		{name: "localhost", dns: []string{"localhost"}, cn: "localhost"},
		{name: long, dns: []string{long}, cn: ""},
		{name: "", invalid: true},
		{name: ".", invalid: true},
		{name: "a..b", invalid: true},
		{name: "bücher.example", invalid: true},
		{name: "a b", invalid: true},
		{name: "a\x00b.example", invalid: true},
		{name: "a.*.example", invalid: true},
		{name: strings.Repeat("a", 64) + ".example", invalid: true},
		{name: strings.Repeat("abc.", 64) + "example", invalid: true},
	} {
		cert, err := ca.Leaf(tt.name, tt.names)
		if tt.invalid {
			if !errors.Is(err, ErrName) {
				t.Errorf("Leaf(%q) = %v; want ErrName", tt.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("Leaf(%q) = %v", tt.name, err)
			continue
		}
		l := cert.Leaf
		var ips []string
		for _, ip := range l.IPAddresses {
			ips = append(ips, ip.String())
		}
		if d := cmp.Diff(tt.dns, l.DNSNames); d != "" {
			t.Errorf("Leaf(%q) DNS names (-want +got):\n%s", tt.name, d)
		}
		if d := cmp.Diff(tt.ips, ips); d != "" {
			t.Errorf("Leaf(%q) addresses (-want +got):\n%s", tt.name, d)
		}
		if l.Subject.CommonName != tt.cn {
			t.Errorf("Leaf(%q) common name %q; want %q", tt.name, l.Subject.CommonName, tt.cn)
		}
		if string(l.AuthorityKeyId) != string(ca.Cert().SubjectKeyId) || len(l.SubjectKeyId) == 0 {
			t.Errorf("Leaf(%q) key ids: authority %x, subject %x", tt.name, l.AuthorityKeyId, l.SubjectKeyId)
		}
	}
	if len(ca.leaves) != ca.recent.Len() || ca.recent.Len() != 10 {
		t.Errorf("%d leaves cached, %d in order; want the 10 valid ones", len(ca.leaves), ca.recent.Len())
	}
}

func TestLeafCache(t *testing.T) {
	ca := newCA(t)
	first, err := ca.Leaf("a.example", nil)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := ca.Leaf("a.example", nil); again != first {
		t.Error("the second Leaf of a name is another one")
	}
	if more, _ := ca.Leaf("a.example", []string{"b.example"}); more == first {
		t.Error("a leaf with other names is the same one")
	}
	for i := range maxLeaves {
		ca.leaf(fmt.Sprintf("%d.example", i), nil) // entered, not minted
	}
	if n := ca.recent.Len(); n != maxLeaves || len(ca.leaves) != n {
		t.Errorf("%d leaves in order, %d cached; want %d", n, len(ca.leaves), maxLeaves)
	}
	if again, _ := ca.Leaf("a.example", nil); again == first {
		t.Error("the leaf used longest ago was kept")
	}
}

func TestLeafConcurrent(t *testing.T) {
	ca := newCA(t)
	const names, askers = 7, 64
	got := make([]*tls.Certificate, askers)
	var wg sync.WaitGroup
	for i := range askers {
		wg.Go(func() {
			cert, err := ca.Leaf(fmt.Sprintf("%d.example", i%names), []string{"*.example"})
			if err != nil {
				t.Error(err)
			}
			got[i] = cert
			if _, err := ca.Leaf("not a name", nil); err == nil {
				t.Error("Leaf of no name succeeded")
			}
		})
	}
	wg.Wait()
	for i, cert := range got {
		if cert != got[i%names] {
			t.Errorf("asker %d got a leaf of its own: one minting per name", i)
		}
	}
}

// handshake connects a client with conf to a server that presents cert, over
// loopback, and returns what the client and the server say.
func handshake(t *testing.T, conf *tls.Config, cert *tls.Certificate) (tls.ConnectionState, error, error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, c := range []net.Conn{a, b} {
		if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	server := tls.Server(b, &tls.Config{Certificates: []tls.Certificate{*cert}})
	done := make(chan error, 1)
	go func() {
		err := server.Handshake()
		if err == nil {
			_, err = io.WriteString(server, "x")
		}
		done <- err
	}()
	client := tls.Client(a, conf)
	err = client.Handshake()
	if err == nil {
		_, err = io.ReadFull(client, make([]byte, 1))
	}
	a.Close()
	return client.ConnectionState(), err, <-done
}

func TestHandshake(t *testing.T) {
	ca := newCA(t)
	roots := x509.NewCertPool()
	roots.AddCert(ca.Cert())
	for _, name := range []string{"a.example.com", "192.0.2.1", "2001:db8::1", "under_score.example.com", strings.Repeat("long.", 20) + "example"} {
		for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			cert, err := ca.Leaf(name, []string{"*.example.org"})
			if err != nil {
				t.Fatal(err)
			}
			for _, as := range []string{name, "b.example.org"} {
				conf := &tls.Config{RootCAs: roots, ServerName: as, MinVersion: v, MaxVersion: v}
				state, cerr, serr := handshake(t, conf, cert)
				if cerr != nil || serr != nil || state.Version != v {
					t.Errorf("leaf for %s as %s over %s: client %v, server %v", name, as, tls.VersionName(v), cerr, serr)
				}
			}
		}
	}
	cert, _ := ca.Leaf("a.example.com", nil)
	if _, err, _ := handshake(t, &tls.Config{RootCAs: roots, ServerName: "b.example.com"}, cert); err == nil {
		t.Error("a client took a leaf for another name")
	}
}

// missing skips a test whose program is not installed; as root, where make test
// installs it, it fails.
func missing(t *testing.T, program string) {
	t.Helper()
	if os.Geteuid() == 0 {
		t.Fatalf("%s is not on the path; make test installs it", program)
	}
	t.Skipf("%s is not on the path", program)
}

// openssl runs the openssl command, which tests of what other programs read
// take from the path.
func openssl(t *testing.T, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		missing(t, "openssl")
	}
	out, err := exec.Command("openssl", args...).CombinedOutput()
	if err != nil {
		t.Errorf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestOpenSSLVerifies(t *testing.T) {
	ca := newCA(t)
	cert, err := ca.Leaf("a.example.com", []string{"*.example.com", "192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	caFile, leafFile := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "leaf.pem")
	leaf := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})
	for name, data := range map[string][]byte{caFile: ca.PEM(), leafFile: leaf} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, who := range [][2]string{{"-verify_hostname", "a.example.com"}, {"-verify_hostname", "b.example.com"}, {"-verify_ip", "192.0.2.1"}} {
		openssl(t, "verify", "-x509_strict", "-purpose", "sslserver", "-no-CApath", "-no-CAstore",
			"-CAfile", caFile, who[0], who[1], leafFile)
	}
}

func BenchmarkLeaf(b *testing.B) {
	ca := newCA(b)
	names := []string{"*.example.com", "example.com"}
	b.Run("cached", func(b *testing.B) {
		for b.Loop() {
			if _, err := ca.Leaf("a.example.com", names); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("minted", func(b *testing.B) {
		for b.Loop() {
			if _, err := ca.mint("a.example.com", names); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// subjectOf is the subject of the certificate in der, as encoded.
func subjectOf(t *testing.T, der []byte) []byte {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c.RawSubject
}
