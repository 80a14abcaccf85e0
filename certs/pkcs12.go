package certs

import (
	"encoding/asn1"
	"errors"
	"fmt"
)

// The object identifiers of RFC 5652, section 4 and 8, and RFC 7292, section 4.2.3.
const (
	oidData      = "1.2.840.113549.1.7.1"
	oidEncrypted = "1.2.840.113549.1.7.6"
	oidKeyBag    = "1.2.840.113549.1.12.10.1.1"
	oidShrouded  = "1.2.840.113549.1.12.10.1.2" // a key under a password
	oidCertBag   = "1.2.840.113549.1.12.10.1.3"
	oidX509      = "1.2.840.113549.1.9.22.1"
)

var (
	errPassword = errors.New("is protected by a password")
	errKind     = errors.New("is neither a Java keystore nor PKCS #12")
	errKeys     = errors.New("is PKCS #12 with private keys")
)

// content is a ContentInfo, RFC 7292, section 4; a SafeBag and a CertBag have
// the same form. Value.Bytes is the DER within the explicit tag 0. Attributes
// are a SafeBag's alone.
type content struct {
	Type       asn1.ObjectIdentifier
	Value      asn1.RawValue
	Attributes asn1.RawValue `asn1:"optional"`
}

// parsePKCS12 is the certificates in a PKCS #12 file. One of those passwords
// opens what in it is encrypted; a JDK's own cacerts since version 18 needs none.
// A file with private keys is an errKeys: its certificates are no truststore.
func parsePKCS12(data []byte, passwords ...string) ([][]byte, error) {
	var file struct {
		Version int
		Safe    content
		Mac     asn1.RawValue `asn1:"optional"`
	}
	if err := parse(data, &file); err != nil {
		return nil, errKind // what asn1 says of other formats helps nobody
	}
	var safes []content
	if err := parseData(file.Safe, &safes, nil); err != nil {
		return nil, err
	}
	var ders [][]byte
	for _, safe := range safes {
		var bags []content
		if err := parseData(safe, &bags, passwords); err != nil {
			return nil, err
		}
		for _, bag := range bags {
			switch bag.Type.String() {
			case oidKeyBag, oidShrouded:
				return nil, errKeys
			case oidCertBag:
			default:
				continue
			}
			var cert content
			if err := parse(bag.Value.Bytes, &cert); err != nil {
				return nil, fmt.Errorf("has a bad certificate: %w", err)
			}
			var der []byte
			if err := parse(cert.Value.Bytes, &der); err != nil {
				return nil, fmt.Errorf("has a bad certificate: %w", err)
			}
			if cert.Type.String() == oidX509 {
				ders = append(ders, der)
			}
		}
	}
	return ders, nil
}

// parseData reads into v what c holds, plain or under one of passwords.
func parseData(c content, v any, passwords []string) error {
	switch c.Type.String() {
	case oidEncrypted:
		err := errPassword
		for _, password := range passwords {
			var plain []byte
			if plain, err = unsealed(c.Value.Bytes, password); err == nil && parse(plain, v) == nil {
				return nil
			}
			if err == nil { // the padding was good by chance
				err = errPassword
			}
			if !errors.Is(err, errPassword) {
				break
			}
		}
		return err
	case oidData:
	default:
		return fmt.Errorf("holds %v, not plain data", c.Type)
	}
	var octets []byte
	if err := parse(c.Value.Bytes, &octets); err != nil {
		return fmt.Errorf("has bad contents: %w", err)
	}
	if err := parse(octets, v); err != nil {
		return fmt.Errorf("has bad contents: %w", err)
	}
	return nil
}

// parse reads the one DER value in data into v.
func parse(data []byte, v any) error {
	rest, err := asn1.Unmarshal(data, v)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes too many", len(rest))
	}
	return err
}
