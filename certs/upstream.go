package certs

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// UpstreamRoots is what we trust origins by: the system's roots, as our own
// environment has them, and those in files, PEM, all of which must be readable
// and hold nothing but good certificates. Without files it is nil: crypto/x509
// then reads the system's when it first verifies, and parsing them all takes as
// long as the rest of a start.
func UpstreamRoots(files ...string) (*x509.CertPool, error) {
	if len(files) == 0 {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("read the system's roots: %w", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read roots: %w", err)
		}
		var b bundle
		n, faults := b.addPEM(file, data)
		if len(faults) > 0 {
			return nil, fmt.Errorf("read roots: %w", errors.Join(faults...))
		}
		if n == 0 {
			return nil, fmt.Errorf("read roots: %s: holds no certificate in PEM", file)
		}
		for _, der := range b.ders {
			cert, err := x509.ParseCertificate(der)
			if err != nil {
				return nil, fmt.Errorf("read roots: %s: %w", file, err)
			}
			pool.AddCert(cert)
		}
	}
	return pool, nil
}

// Explain is one line that says why the certificate of host was refused, by
// the error of a TLS handshake. Other errors are returned as they read.
func Explain(err error, host string) string {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	of := "certificate of " + host
	switch {
	case err == nil:
		return ""
	case errors.As(err, &invalid):
		return of + explainInvalid(invalid)
	case errors.As(err, &unknown):
		return of + explainUnknown(unknown.Cert)
	case errors.As(err, &name):
		return of + " is for other names: valid for " + namesIn(name.Certificate)
	}
	return oneLine(err.Error())
}

// explainInvalid says what is wrong with a certificate that is not valid here and now.
func explainInvalid(err x509.CertificateInvalidError) string {
	if err.Cert == nil {
		return " is invalid: " + oneLine(err.Error())
	}
	who := ""
	if err.Cert.IsCA {
		who = "'s signer " + shown(err.Cert.Subject.String())
	}
	switch {
	case err.Reason == x509.Expired && time.Now().Before(err.Cert.NotBefore):
		return who + " is not valid before " + err.Cert.NotBefore.UTC().Format(time.DateTime) + " UTC"
	case err.Reason == x509.Expired:
		return who + " is expired since " + err.Cert.NotAfter.UTC().Format(time.DateTime) + " UTC"
	}
	return who + " is invalid: " + oneLine(err.Error())
}

// explainUnknown says who signed a certificate whose signer nobody vouches for.
func explainUnknown(c *x509.Certificate) string {
	switch {
	case c == nil:
		return " is signed by an unknown authority"
	case string(c.RawIssuer) == string(c.RawSubject):
		return " is self-signed by " + shown(c.Subject.String())
	}
	return " is signed by an unknown authority: " + shown(c.Issuer.String())
}

// namesIn is the names that c is valid for, the first few of them.
func namesIn(c *x509.Certificate) string {
	if c == nil {
		return "none"
	}
	names := c.DNSNames
	for _, ip := range c.IPAddresses {
		names = append(names[:len(names):len(names)], ip.String())
	}
	const most = 5
	switch {
	case len(names) == 0:
		return "none"
	case len(names) > most:
		return shown(strings.Join(names[:most], ", ")) + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return shown(strings.Join(names, ", "))
}

// shown is a name out of a certificate, which anybody may have written, fit
// for a terminal.
func shown(s string) string {
	const most = 200
	if s == "" {
		return "nobody"
	}
	if len(s) > most {
		s = s[:most] + "…"
	}
	return oneLine(s)
}

// oneLine is s with everything that is not printable made a space.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || 0x80 <= r && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}
