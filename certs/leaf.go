package certs

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxLeaves bounds the leaves that are kept: about 2 KiB each. A target that
// asks for more names than this pays 0.2 ms for some of them again.
const maxLeaves = 1024

// maxCommonName is how long a common name may be: RFC 5280, appendix A.1, ub-common-name.
const maxCommonName = 64

// ErrName is wrapped in the error for a name that no certificate can hold.
var ErrName = errors.New("not a host name or address")

// leaf is a certificate made or being made.
type leaf struct {
	key  string
	mint func() (*tls.Certificate, error) // makes it once, for all who wait
}

// Leaf returns a certificate for name: the SNI, else the pinned name, else the
// address. It is valid for names too, which are copied from the origin's
// certificate: DNS names, wildcards among them, and addresses; those that no
// certificate can hold are left out. It is valid as long as the CA, one of a
// kept CA for KeptLeafLife. The certificate is cached and shared: do not change it. Many goroutines that ask
// for one name wait for one minting.
func (ca *CA) Leaf(name string, names []string) (*tls.Certificate, error) {
	l := ca.leaf(name, names)
	cert, err := l.mint()
	if err == nil && ca.stale(cert.Leaf) {
		ca.forget(l)
		cert, err = ca.leaf(name, names).mint()
	}
	if err != nil {
		ca.forget(l)
		return nil, fmt.Errorf("leaf for %q: %w", name, err)
	}
	return cert, nil
}

// stale tells whether c, of a CA that is kept, has lived for the most part.
func (ca *CA) stale(c *x509.Certificate) bool {
	return c.NotAfter.Before(ca.cert.NotAfter) && time.Until(c.NotAfter) < ca.life/3
}

// leaf finds the leaf for name and names, or enters one that is yet to be minted.
func (ca *CA) leaf(name string, names []string) *leaf {
	key := name + "\x00" + strings.Join(names, "\x00")
	ca.mu.Lock()
	defer ca.mu.Unlock()
	if e, ok := ca.leaves[key]; ok {
		ca.recent.MoveToFront(e)
		return e.Value.(*leaf)
	}
	names = slices.Clone(names) // minted later, when the caller may have reused his
	l := &leaf{key: key, mint: sync.OnceValues(func() (*tls.Certificate, error) {
		return ca.mint(name, names)
	})}
	ca.leaves[key] = ca.recent.PushFront(l)
	if ca.recent.Len() > maxLeaves {
		oldest := ca.recent.Remove(ca.recent.Back()).(*leaf)
		delete(ca.leaves, oldest.key)
	}
	return l
}

// forget drops l, so that a name which failed is not kept in place of one that did not.
func (ca *CA) forget(l *leaf) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	if e, ok := ca.leaves[l.key]; ok && e.Value.(*leaf) == l {
		ca.recent.Remove(e)
		delete(ca.leaves, l.key)
	}
}

// mint signs a certificate for name and names.
func (ca *CA) mint(name string, names []string) (*tls.Certificate, error) {
	since, until := ca.cert.NotBefore, ca.cert.NotAfter
	if now := time.Now(); now.Add(ca.life).Before(until) {
		since, until = now.Add(-skew), now.Add(ca.life)
	}
	form := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{Organization: []string{"serge-net"}},
		NotBefore:             since,
		NotAfter:              until,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		SubjectKeyId:          ca.leafID,
	}
	first, err := addName(form, name)
	if err != nil {
		return nil, err
	}
	if len(first) <= maxCommonName {
		form.Subject.CommonName = first
	}
	for _, n := range names {
		_, _ = addName(form, n) // the origin's odd names are no reason to refuse the one asked for
	}
	der, err := x509.CreateCertificate(rand.Reader, form, ca.cert, &ca.leafKey.PublicKey, ca.key)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse our own: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: ca.leafKey, Leaf: cert}, nil
}

// addName adds name to the subject alternative names of c, once, and returns it as added.
func addName(c *x509.Certificate, name string) (string, error) {
	if ip, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		ip = ip.WithZone("").Unmap()
		b := net.IP(ip.AsSlice())
		if !slices.ContainsFunc(c.IPAddresses, b.Equal) {
			c.IPAddresses = append(c.IPAddresses, b)
		}
		return ip.String(), nil
	}
	host, err := hostName(name)
	if err != nil {
		return "", err
	}
	if !slices.Contains(c.DNSNames, host) {
		c.DNSNames = append(c.DNSNames, host)
	}
	return host, nil
}

// hostName is name as a certificate holds it: lower case, without the root's
// dot. Names come off the wire, where an internationalised one is punycode
// already (RFC 6066, section 3; RFC 5280, section 7.2), so other bytes are
// refused. Underscores and a leading "*." are let through: they occur.
func hostName(name string) (string, error) {
	host := strings.ToLower(strings.TrimSuffix(name, "."))
	// RFC 1035, section 2.3.4: 253 bytes without the root, 63 a label.
	if host == "" || len(host) > 253 {
		return "", ErrName
	}
	for i, label := range strings.Split(host, ".") {
		wild := i == 0 && label == "*"
		if label == "" || len(label) > 63 || !wild && strings.ContainsFunc(label, notInLabel) {
			return "", ErrName
		}
	}
	return host, nil
}

// notInLabel reports whether r is no part of a lower-case label.
func notInLabel(r rune) bool {
	return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-' || r == '_')
}

// keyID is a SubjectKeyId for pub: the leftmost 160 bits of a SHA-256 of the
// key, RFC 7093, section 2, method 1.
func keyID(pub *ecdsa.PublicKey) ([]byte, error) {
	b, err := pub.Bytes()
	if err != nil {
		return nil, fmt.Errorf("encode a public key: %w", err)
	}
	sum := sha256.Sum256(b)
	return sum[:20], nil
}
