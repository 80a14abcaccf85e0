package certs

import (
	"bytes"
	"crypto/sha1"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

// attribute is one AttributeTypeAndValue of a name, RFC 5280, section 4.1.2.4.
type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// subjectHash is the number by which OpenSSL 1.0 and later looks a certificate
// up in a directory, as `openssl x509 -hash` prints it: the first four bytes,
// little-endian, of a SHA-1 over the canonical subject (X509_NAME_hash and
// x509_name_canon in OpenSSL's crypto/x509).
func subjectHash(rawSubject []byte) (string, error) {
	var sets []asn1.RawValue
	if _, err := asn1.Unmarshal(rawSubject, &sets); err != nil {
		return "", fmt.Errorf("read a subject: %w", err)
	}
	h := sha1.New()
	for _, set := range sets {
		var parts [][]byte
		for rest := set.Bytes; len(rest) > 0; {
			var a attribute
			var err error
			if rest, err = asn1.Unmarshal(rest, &a); err != nil {
				return "", fmt.Errorf("read a subject: %w", err)
			}
			if s, ok := canonical(a.Value); ok {
				a.Value = asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(s)}
			}
			b, err := asn1.Marshal(a)
			if err != nil {
				return "", fmt.Errorf("write a subject: %w", err)
			}
			parts = append(parts, b)
		}
		slices.SortFunc(parts, bytes.Compare)
		b, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: bytes.Join(parts, nil)})
		if err != nil {
			return "", fmt.Errorf("write a subject: %w", err)
		}
		h.Write(b)
	}
	return fmt.Sprintf("%08x", binary.LittleEndian.Uint32(h.Sum(nil))), nil
}

// canonical is v in UTF-8, in lower case where it is ASCII, with runs of white
// space made one space and none at its ends, and whether v is a string at all.
func canonical(v asn1.RawValue) (string, bool) {
	var s string
	switch v.Tag {
	case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String, 26: // VisibleString
		s = string(v.Bytes)
	case asn1.TagT61String: // read as Latin-1, as OpenSSL does
		for _, b := range v.Bytes {
			s += string(rune(b))
		}
	case asn1.TagBMPString:
		var u []uint16
		for b := v.Bytes; len(b) > 1; b = b[2:] {
			u = append(u, binary.BigEndian.Uint16(b))
		}
		s = string(utf16.Decode(u))
	default:
		return "", false
	}
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return r == ' ' || '\t' <= r && r <= '\r'
	}), " ")
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s), true
}
