package certs

import (
	"errors"
	"fmt"
)

// The DER tags that tell a certificate's outline: X.690, section 8.
const (
	tagInteger  = 0x02
	tagBits     = 0x03
	tagSequence = 0x30
	tagVersion  = 0xa0 // [0]
)

var errTruncated = errors.New("is cut off, or no DER")

// element takes the first DER value off b: its tag, what it holds, and what
// follows. Tags above 30 and lengths of 2^31 or more are no part of a
// certificate.
func element(b []byte) (tag byte, value, rest []byte, err error) {
	if len(b) < 2 || b[0]&0x1f == 0x1f {
		return 0, nil, nil, errTruncated
	}
	tag, size, head := b[0], int(b[1]), 2
	if size >= 0x80 {
		n := size & 0x7f
		if n == 0 || n > 4 || len(b) < 2+n {
			return 0, nil, nil, errTruncated
		}
		size, head = 0, 2+n
		for _, c := range b[2:head] {
			size = size<<8 | int(c)
		}
		if size < 0x80 || b[2] == 0 || size > 1<<31-1 {
			return 0, nil, nil, errTruncated
		}
	}
	if size > len(b)-head {
		return 0, nil, nil, errTruncated
	}
	return tag, b[head : head+size], b[head+size:], nil
}

// certificate is the one certificate in b, of which it checks the outline
// (RFC 5280, section 4.1): enough to tell what would have a client refuse a
// whole bundle, at a hundredth of what parsing takes. With more, what follows
// it is cut off: OpenSSL's TRUSTED CERTIFICATE has its settings there.
func certificate(b []byte, more bool) ([]byte, error) {
	tag, inner, rest, err := element(b)
	switch {
	case err != nil:
		return nil, err
	case tag != tagSequence:
		return nil, errors.New("is no DER sequence")
	case len(rest) > 0 && !more:
		return nil, fmt.Errorf("has %d bytes after the certificate", len(rest))
	}
	tag, tbs, signature, err := element(inner)
	if err != nil || tag != tagSequence || !outlined(signature, tagSequence, tagBits) {
		return nil, errors.New("is no X.509 certificate")
	}
	if tag, _, after, err := element(tbs); err == nil && tag == tagVersion {
		tbs = after
	}
	// serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo
	if !outlined(tbs, tagInteger, tagSequence, tagSequence, tagSequence, tagSequence, tagSequence) {
		return nil, errors.New("is no X.509 certificate")
	}
	return b[:len(b)-len(rest)], nil
}

// outlined reports whether b begins with values of tags.
func outlined(b []byte, tags ...byte) bool {
	for _, want := range tags {
		tag, _, rest, err := element(b)
		if err != nil || tag != want {
			return false
		}
		b = rest
	}
	return true
}
