package certs

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"
	"unicode/utf16"
)

// The object identifiers of RFC 8018, appendix C, RFC 7292, appendix C, and
// NIST's for AES.
const (
	oidPBES2      = "1.2.840.113549.1.5.13"
	oidPBKDF2     = "1.2.840.113549.1.5.12"
	oidAES128     = "2.16.840.1.101.3.4.1.2"
	oidAES192     = "2.16.840.1.101.3.4.1.22"
	oidAES256     = "2.16.840.1.101.3.4.1.42"
	oidHMACSHA1   = "1.2.840.113549.2.7"
	oidHMACSHA256 = "1.2.840.113549.2.9"
	oidHMACSHA384 = "1.2.840.113549.2.10"
	oidHMACSHA512 = "1.2.840.113549.2.11"
	oidPBE3DES    = "1.2.840.113549.1.12.1.3"
	oidPBERC2of40 = "1.2.840.113549.1.12.1.6"
)

// maxRounds bounds the work of deriving a key: keytool writes 10,000 rounds,
// OpenSSL 2,048.
const maxRounds = 1_000_000

// unsealed is what the EncryptedData of RFC 5652, section 8, in der holds. A
// wrong password is an errPassword, as a rule: what it decrypts to has a good
// padding one time in 256.
func unsealed(der []byte, password string) ([]byte, error) {
	var sealed struct {
		Version int
		Info    struct {
			Type      asn1.ObjectIdentifier
			Algorithm pkix.AlgorithmIdentifier
			Content   []byte `asn1:"tag:0"`
		}
	}
	if err := parse(der, &sealed); err != nil {
		return nil, fmt.Errorf("has bad encrypted contents: %w", err)
	}
	c, iv, err := blockCipher(sealed.Info.Algorithm, password)
	if err != nil {
		return nil, err
	}
	b := sealed.Info.Content
	if len(b) == 0 || len(b)%c.BlockSize() != 0 || len(iv) != c.BlockSize() {
		return nil, errors.New("has encrypted contents of an odd size")
	}
	plain := make([]byte, len(b))
	cipher.NewCBCDecrypter(c, iv).CryptBlocks(plain, b)
	pad := int(plain[len(plain)-1])
	if pad == 0 || pad > c.BlockSize() {
		return nil, errPassword
	}
	for _, p := range plain[len(plain)-pad:] {
		if int(p) != pad {
			return nil, errPassword
		}
	}
	return plain[:len(plain)-pad], nil
}

// blockCipher is the cipher that a names, its key made from password, and its
// initial vector.
func blockCipher(a pkix.AlgorithmIdentifier, password string) (c cipher.Block, iv []byte, err error) {
	switch a.Algorithm.String() {
	case oidPBES2:
		return pbes2(a.Parameters.FullBytes, password)
	case oidPBE3DES, oidPBERC2of40:
	default:
		return nil, nil, fmt.Errorf("is encrypted with %v, which we do not know", a.Algorithm)
	}
	var params struct {
		Salt   []byte
		Rounds int
	}
	if err := parse(a.Parameters.FullBytes, &params); err != nil {
		return nil, nil, fmt.Errorf("has bad parameters: %w", err)
	}
	if params.Rounds < 1 || params.Rounds > maxRounds {
		return nil, nil, fmt.Errorf("asks for %d rounds", params.Rounds)
	}
	iv = pkcs12Key(2, password, params.Salt, params.Rounds, 8)
	if a.Algorithm.String() == oidPBERC2of40 {
		return newRC2(pkcs12Key(1, password, params.Salt, params.Rounds, 5)), iv, nil
	}
	c, err = des.NewTripleDESCipher(pkcs12Key(1, password, params.Salt, params.Rounds, 24))
	return c, iv, err
}

// pbes2 is the cipher of RFC 8018, section 6.2.
func pbes2(der []byte, password string) (cipher.Block, []byte, error) {
	var params struct {
		KDF struct {
			Algorithm asn1.ObjectIdentifier
			Params    struct {
				Salt   []byte
				Rounds int
				Size   int                      `asn1:"optional"`
				PRF    pkix.AlgorithmIdentifier `asn1:"optional"`
			}
		}
		Cipher struct {
			Algorithm asn1.ObjectIdentifier
			IV        []byte
		}
	}
	if err := parse(der, &params); err != nil {
		return nil, nil, fmt.Errorf("has bad parameters: %w", err)
	}
	kdf := params.KDF.Params
	size := map[string]int{oidAES128: 16, oidAES192: 24, oidAES256: 32}[params.Cipher.Algorithm.String()]
	prf := map[string]func() hash.Hash{
		"": sha1.New, oidHMACSHA1: sha1.New, oidHMACSHA256: sha256.New, oidHMACSHA384: sha512.New384, oidHMACSHA512: sha512.New,
	}[kdf.PRF.Algorithm.String()]
	switch {
	case params.KDF.Algorithm.String() != oidPBKDF2 || size == 0 || prf == nil:
		return nil, nil, fmt.Errorf("is encrypted with %v, %v and %v, which we do not know",
			params.KDF.Algorithm, kdf.PRF.Algorithm, params.Cipher.Algorithm)
	case kdf.Rounds < 1 || kdf.Rounds > maxRounds:
		return nil, nil, fmt.Errorf("asks for %d rounds", kdf.Rounds)
	}
	key, err := pbkdf2.Key(prf, password, kdf.Salt, kdf.Rounds, size)
	if err != nil {
		return nil, nil, err
	}
	c, err := aes.NewCipher(key)
	return c, params.Cipher.IV, err
}

// pkcs12Key derives size bytes for the purpose that id tells (1 is a key, 2 an
// initial vector) with SHA-1: RFC 7292, appendix B.2. The password is in
// UTF-16, with a zero at its end.
func pkcs12Key(id byte, password string, salt []byte, rounds, size int) []byte {
	const v = sha1.BlockSize
	var pass []byte
	for _, u := range append(utf16.Encode([]rune(password)), 0) {
		pass = append(pass, byte(u>>8), byte(u))
	}
	in := append(filled(salt, v), filled(pass, v)...)
	d := make([]byte, v)
	for i := range d {
		d[i] = id
	}
	var key []byte
	for {
		a := sha1.Sum(append(d[:v:v], in...))
		for range rounds - 1 {
			a = sha1.Sum(a[:])
		}
		if key = append(key, a[:]...); len(key) >= size {
			return key[:size]
		}
		b := filled(a[:], v)[:v]
		for j := 0; j < len(in); j += v { // in[j:j+v] += b + 1, big-endian
			carry := 1
			for k := v - 1; k >= 0; k-- {
				carry += int(in[j+k]) + int(b[k])
				in[j+k], carry = byte(carry), carry>>8
			}
		}
	}
}

// filled is b repeated up to a multiple of v bytes.
func filled(b []byte, v int) []byte {
	if len(b) == 0 {
		return nil
	}
	out := make([]byte, (len(b)+v-1)/v*v)
	for i := range out {
		out[i] = b[i%len(b)]
	}
	return out
}
