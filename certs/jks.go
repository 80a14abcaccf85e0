package certs

import (
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unicode/utf16"
)

// A Java keystore (JKS), as sun.security.provider.JavaKeyStore reads it: a
// magic number, a version, a count, the entries, and a SHA-1 over a password,
// a phrase and all of that. Trusted certificates are in the clear, and a
// keystore loaded without a password is not checked, so one that we write
// serves every program that names no password, or this one.
const (
	jksMagic    = 0xfeedfeed
	jksVersion  = 2
	jksKey      = 1 // tag of a private key and its chain
	jksTrusted  = 2 // tag of a trusted certificate
	jksPassword = "changeit"
	jksPhrase   = "Mighty Aphrodite"
	jksDigest   = sha1.Size
)

// alias is the name of our CA in a truststore.
const alias = "serge-net"

var errShort = errors.New("ends within an entry")

// jks is a keystore taken apart: its entries as they are, and what it trusts.
type jks struct {
	count   uint32
	entries []byte
	aliases map[string]bool
	trusted [][]byte // DER
}

// isJKS reports whether data begins as a Java keystore does.
func isJKS(data []byte) bool {
	return len(data) >= 4 && binary.BigEndian.Uint32(data) == jksMagic
}

// parseJKS takes a keystore apart. Its digest is not checked: that takes the
// password, which we need for nothing else.
func parseJKS(data []byte) (*jks, error) {
	if !isJKS(data) || len(data) < 12+jksDigest {
		return nil, errors.New("is no Java keystore")
	}
	if v := binary.BigEndian.Uint32(data[4:]); v != jksVersion {
		return nil, fmt.Errorf("is a Java keystore of version %d, not %d", v, jksVersion)
	}
	ks := &jks{count: binary.BigEndian.Uint32(data[8:]), aliases: make(map[string]bool)}
	size := len(data) - jksDigest
	ks.entries = data[12:size:size] // what is added to it must not overwrite the digest
	r := jksReader{b: ks.entries}
	for range ks.count {
		tag := r.number(4)
		ks.aliases[string(r.take(r.number(2)))] = true
		r.take(8) // when it was made
		certs := uint64(1)
		if tag == jksKey {
			r.take(r.number(4))
			certs = r.number(4)
		} else if tag != jksTrusted && r.err == nil {
			return nil, fmt.Errorf("has an entry of kind %d", tag)
		}
		for i := uint64(0); i < certs && r.err == nil; i++ {
			r.take(r.number(2)) // "X.509"
			der := r.take(r.number(4))
			if tag == jksTrusted {
				ks.trusted = append(ks.trusted, der)
			}
		}
		if r.err != nil {
			return nil, r.err
		}
	}
	if len(r.b) != 0 {
		return nil, fmt.Errorf("has %d bytes after its last entry", len(r.b))
	}
	return ks, nil
}

// jksReader reads big-endian numbers and pieces until one is missing.
type jksReader struct {
	b   []byte
	err error
}

// take returns the next n bytes, which it shares.
func (r *jksReader) take(n uint64) []byte {
	if r.err != nil || n > uint64(len(r.b)) {
		r.err = errShort
		return nil
	}
	piece := r.b[:n:n]
	r.b = r.b[n:]
	return piece
}

// number returns the next n bytes as a number.
func (r *jksReader) number(n uint64) uint64 {
	var v uint64
	for _, b := range r.take(n) {
		v = v<<8 | uint64(b)
	}
	return v
}

// trust adds a certificate to ks under a name like alias that is free.
func (ks *jks) trust(alias string, der []byte) {
	free := alias
	for i := 2; ks.aliases[free]; i++ {
		free = fmt.Sprintf("%s-%d", alias, i)
	}
	if ks.aliases == nil {
		ks.aliases = make(map[string]bool)
	}
	ks.aliases[free] = true
	b := binary.BigEndian.AppendUint32(ks.entries, jksTrusted)
	b = appendUTF(b, free)
	b = binary.BigEndian.AppendUint64(b, uint64(time.Now().UnixMilli()))
	b = appendUTF(b, "X.509")
	b = binary.BigEndian.AppendUint32(b, uint32(len(der)))
	ks.entries = append(b, der...)
	ks.trusted = append(ks.trusted, der)
	ks.count++
}

// encode is ks as a file, for those who load it with password or without one.
func (ks *jks) encode(password string) []byte {
	b := make([]byte, 0, 12+len(ks.entries)+jksDigest)
	b = binary.BigEndian.AppendUint32(b, jksMagic)
	b = binary.BigEndian.AppendUint32(b, jksVersion)
	b = binary.BigEndian.AppendUint32(b, ks.count)
	b = append(b, ks.entries...)
	h := sha1.New()
	for _, u := range utf16.Encode([]rune(password)) {
		h.Write([]byte{byte(u >> 8), byte(u)})
	}
	h.Write([]byte(jksPhrase))
	h.Write(b)
	return h.Sum(b)
}

// appendUTF appends s, which is ASCII, as Java's DataOutput.writeUTF writes it.
func appendUTF(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

// newJKS is a keystore that trusts ders.
func newJKS(ders [][]byte) *jks {
	ks := &jks{}
	for i, der := range ders {
		ks.trust(fmt.Sprintf("root-%d", i+1), der)
	}
	return ks
}

// openTruststore takes the truststore in data apart: a Java keystore, of which
// every entry stays as it is, or a PKCS #12 file that one of passwords opens.
func openTruststore(data []byte, passwords ...string) (*jks, error) {
	if isJKS(data) {
		return parseJKS(data)
	}
	ders, err := parsePKCS12(data, passwords...)
	if err != nil {
		return nil, err
	}
	return newJKS(ders), nil
}
