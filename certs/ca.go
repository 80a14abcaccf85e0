// Package certs makes a target trust us for the length of one run: a [CA] that
// lives in memory, a leaf for every name the target asks for, and a [Plan] of
// what the command is shown in place of the roots it would have used: files
// covered in its private mount namespace, else variables in its environment.
// Nothing on the host changes.
//
// A proxy has no command to show files to. Its CA is kept in a directory ([Keep]),
// and a [Store] tells how the system comes to trust it, and to forget it.
package certs

import (
	"container/list"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"sync"
	"time"
)

const (
	// Life is how long a CA and its leaves are valid from the start of a run.
	// Clients refuse leaves of 398 days (Chromium) and 825 days (Apple); a run
	// needs none of that.
	Life = 24 * time.Hour
	// skew is how long before the run they are valid already: a target may
	// have a clock of its own (libfaketime, a guest).
	skew = time.Hour
)

// CA signs the leaves of one run, or of every run of a proxy that keeps it. Its
// key is made in memory, is never written but by Keep, and has no accessor. All
// methods are safe for concurrent use.
type CA struct {
	cert    *x509.Certificate
	key     *ecdsa.PrivateKey
	leafKey *ecdsa.PrivateKey // one for all leaves: a key each would cost more than the signature
	leafID  []byte            // the leaves' SubjectKeyId
	life    time.Duration     // how long a leaf is valid at most

	mu     sync.Mutex
	leaves map[string]*list.Element // of *leaf, by leafKeyOf
	recent *list.List               // the leaf used last is in front
}

// NewCA makes a CA of its own for one run: P-256, with a subject that says
// serge-net and is unlike that of any other run.
func NewCA() (*CA, error) { return makeCA("serge-net run", Life) }

// makeCA makes a CA that is valid for life. Its name begins with name.
func makeCA(name string, life time.Duration) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the CA's key: %w", err)
	}
	id, err := keyID(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	form := &x509.Certificate{
		SerialNumber: serial(),
		Subject: pkix.Name{
			Organization: []string{"serge-net"},
			CommonName:   name + " " + hex.EncodeToString(id[:6]),
		},
		NotBefore:             now.Add(-skew),
		NotAfter:              now.Add(life),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
		SubjectKeyId:          id,
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("sign the CA: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse our CA: %w", err)
	}
	return signer(cert, key, life)
}

// signer is the CA that cert and key are, with leaves valid for life.
func signer(cert *x509.Certificate, key *ecdsa.PrivateKey, life time.Duration) (*CA, error) {
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the leaves' key: %w", err)
	}
	leafID, err := keyID(&leafKey.PublicKey)
	if err != nil {
		return nil, err
	}
	return &CA{
		cert: cert, key: key, leafKey: leafKey, leafID: leafID, life: life,
		leaves: make(map[string]*list.Element), recent: list.New(),
	}, nil
}

// Cert is the CA's certificate. It is shared: do not change it.
func (ca *CA) Cert() *x509.Certificate { return ca.cert }

// PEM is the CA's certificate as one PEM block.
func (ca *CA) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw})
}

// serial is a positive serial number of 127 random bits: RFC 5280, section
// 4.1.2.2 allows 20 bytes, and browsers refuse two certificates of one issuer
// with the same number.
func serial() *big.Int {
	var b [16]byte
	rand.Read(b[:]) // never fails: https://pkg.go.dev/crypto/rand#Read
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b[:])
}
