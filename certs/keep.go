package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

const (
	// KeptLife is how long a CA that is kept is valid: two years. A system that
	// trusts it trusts whoever has its key; it is to end before it is forgotten.
	KeptLife = 2 * 365 * 24 * time.Hour
	// KeptLeafLife is how long its leaves are: under the 398 days that Chromium
	// and the 825 that Apple's clients accept, https://support.apple.com/HT210176.
	KeptLeafLife = 90 * 24 * time.Hour
)

const (
	keyFile  = "ca-key.pem" // the key and the certificate: one file, so that they belong together
	certFile = "ca.pem"     // the certificate alone, for clients
)

// ErrExposed is wrapped where others than the owner may read a CA's key.
var ErrExposed = errors.New("others may read the CA's key")

// ErrExpired is wrapped where a CA that is kept has come to its end.
var ErrExpired = errors.New("the CA is expired")

// Kept returns the CA that dir keeps. Without one the error wraps fs.ErrNotExist.
func Kept(dir string) (*CA, error) {
	path := filepath.Join(dir, keyFile)
	info, err := os.Lstat(path)
	if err != nil {
		return nil, fmt.Errorf("kept CA: %w", err)
	}
	// Windows has no such mode: there the directory, in the user's own, is what guards it.
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("kept CA: %s has mode %04o: %w", path, info.Mode().Perm(), ErrExposed)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("kept CA: %w", err)
	}
	ca, err := parseKept(text)
	if err != nil {
		return nil, fmt.Errorf("kept CA: %s: %w", path, err)
	}
	return ca, nil
}

// parseKept reads a key file.
func parseKept(text []byte) (*CA, error) {
	var cert *x509.Certificate
	var key *ecdsa.PrivateKey
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		var err error
		switch block.Type {
		case "CERTIFICATE":
			cert, err = x509.ParseCertificate(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		}
		if err != nil {
			return nil, err
		}
	}
	switch {
	case cert == nil || key == nil:
		return nil, errors.New("it does not hold a certificate and its key")
	case !cert.IsCA || !key.PublicKey.Equal(cert.PublicKey):
		return nil, errors.New("its certificate is not a CA's with its key")
	case time.Now().After(cert.NotAfter):
		return nil, fmt.Errorf("%w since %s", ErrExpired, cert.NotAfter.UTC().Format(time.DateOnly))
	}
	return signer(cert, key, KeptLeafLife)
}

// Keep returns the CA that dir keeps, and has it keep a new one if there is
// none, which made tells. dir is made for its owner alone. Two that do so at once
// get the same CA.
func Keep(dir string) (ca *CA, made bool, err error) {
	ca, err = Kept(dir)
	if errors.Is(err, fs.ErrNotExist) {
		ca, made, err = keep(dir)
	}
	if err != nil {
		return nil, false, err
	}
	if was, err := os.ReadFile(CertPath(dir)); err != nil || !bytes.Equal(was, ca.PEM()) {
		if err := place(dir, certFile, ca.PEM(), 0o644, os.Rename); err != nil {
			return nil, false, fmt.Errorf("keep a CA: %w", err)
		}
	}
	return ca, made, nil
}

// keep makes a CA in dir, unless another does at this moment.
func keep(dir string) (*CA, bool, error) {
	ca, err := makeCA("serge-net proxy", KeptLife)
	if err != nil {
		return nil, false, err
	}
	ca.life = KeptLeafLife
	key, err := x509.MarshalECPrivateKey(ca.key)
	if err != nil {
		return nil, false, fmt.Errorf("keep a CA: %w", err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: key}), ca.PEM()...)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, false, fmt.Errorf("keep a CA: %w", err)
	}
	err = place(dir, keyFile, text, 0o600, os.Link) // which replaces nothing
	if errors.Is(err, fs.ErrExist) {
		ca, err = Kept(dir)
		return ca, false, err
	}
	if err != nil {
		return nil, false, fmt.Errorf("keep a CA: %w", err)
	}
	return ca, true, nil
}

// place writes text to a file of its own in dir and then has put bring that,
// whole, to name.
func place(dir, name string, text []byte, mode fs.FileMode, put func(from, to string) error) error {
	temp := filepath.Join(dir, "."+name+"-"+rand.Text())
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer os.Remove(temp) // after a rename there is none
	_, err = f.Write(text)
	if err := errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil { // the umask may have taken more away
		return err
	}
	return put(temp, filepath.Join(dir, name))
}

// CertPath is where dir has the certificate of the CA that it keeps.
func CertPath(dir string) string { return filepath.Join(dir, certFile) }

// KeptPaths are the files that Keep may write in dir.
func KeptPaths(dir string) []string {
	return []string{filepath.Join(dir, keyFile), filepath.Join(dir, certFile)}
}

// Fingerprint is the SHA-256 of the CA's certificate, in hex.
func (ca *CA) Fingerprint() string {
	sum := sha256.Sum256(ca.cert.Raw)
	return hex.EncodeToString(sum[:])
}
