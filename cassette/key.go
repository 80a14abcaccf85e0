package cassette

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/crypto/argon2"
)

// ErrKey is what errors are that a key would mend: a cassette is encrypted, or is
// to be, and there is no key, or it is not the one.
var ErrKey = errors.New("cassette: no key for it")

// A keyError is an ErrKey, in words of its own.
type keyError string

func (e keyError) Error() string { return string(e) }

// Is tells that e is ErrKey.
func (e keyError) Is(target error) bool { return target == ErrKey }

// errNoKey is of a cassette that is encrypted, where there is no key.
const errNoKey keyError = "it is encrypted, and no key is given"

// keySize is that of AES-256, in bytes.
const keySize = 32

// passphraseLeast is how many bytes a passphrase has at least. Argon2 makes
// guessing slow, but not of what is guessed first.
const passphraseLeast = 8

// The ways from what a person gives to the master key.
const (
	kdfNone   = iota // the 32 bytes themselves
	kdfArgon2        // Argon2id
)

// What Argon2id costs here: the second choice of RFC 9106, section 4, 64 MiB
// and 3 passes. Measured: 0.1 s on a core of 2020.
const (
	argonMemory = 16 // log2 of KiB
	argonPasses = 3
	argonLanes  = 4
)

// The most that a header may ask for, so that a file cannot stop a program: 1
// GiB and 16 passes.
const (
	argonMemoryMost = 20
	argonPassesMost = 16
)

// A Key encrypts and decrypts cassettes. It is safe for concurrent use.
type Key struct {
	raw        []byte // 32 bytes, or nil
	passphrase string

	mu      sync.Mutex
	masters map[kdf][]byte // what was derived, since that is slow
}

// A kdf says how a cassette's master key is made of a Key.
type kdf struct {
	how, memory, passes byte
	salt                [16]byte
}

// ParseKey reads a key: 32 bytes in hex or base64 are the key itself, anything
// else of 8 bytes or more is a passphrase. Space around it does not count.
func ParseKey(text string) (*Key, error) {
	text = strings.TrimSpace(text)
	k := &Key{masters: map[kdf][]byte{}}
	for _, decode := range []func(string) ([]byte, error){hex.DecodeString, base64.StdEncoding.DecodeString,
		base64.RawStdEncoding.DecodeString, base64.URLEncoding.DecodeString, base64.RawURLEncoding.DecodeString} {
		if b, err := decode(text); err == nil && len(b) == keySize {
			k.raw = b
			return k, nil
		}
	}
	switch {
	case text == "":
		return nil, errors.New("it is empty")
	case len(text) < passphraseLeast:
		return nil, fmt.Errorf("a passphrase of %d bytes is guessed at once: at least %d", len(text), passphraseLeast)
	}
	k.passphrase = text
	return k, nil
}

// fresh is a sealing of its own for a new cassette.
func (k *Key) fresh() (*sealing, error) {
	if k == nil {
		return nil, keyError("to encrypt it takes a key, and none is given")
	}
	d := kdf{how: kdfNone}
	if k.raw == nil {
		d = kdf{how: kdfArgon2, memory: argonMemory, passes: argonPasses}
	}
	rand.Read(d.salt[:])
	return k.sealing(d)
}

// sealing is what k makes of d.
func (k *Key) sealing(d kdf) (*sealing, error) {
	switch {
	case k == nil:
		return nil, errNoKey
	case d.how == kdfNone && k.raw == nil:
		return nil, keyError("it is encrypted with a key of 32 bytes, and the one given is a passphrase")
	case d.how == kdfArgon2 && k.raw != nil:
		return nil, keyError("it is encrypted with a passphrase, and the key given is one of 32 bytes")
	case d.how > kdfArgon2 || d.memory > argonMemoryMost || d.passes > argonPassesMost || d.how == kdfArgon2 && d.passes == 0:
		return nil, errors.New("it is encrypted in a way that this version does not know")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	master := k.masters[d]
	switch {
	case master != nil:
	case d.how == kdfNone:
		master = k.raw
	default:
		master = argon2.IDKey([]byte(k.passphrase), d.salt[:], uint32(d.passes), 1<<d.memory, argonLanes, keySize)
		k.masters[d] = master
	}
	return &sealing{d, master}, nil
}

// A sealing is what the files of one cassette are encrypted by: it, its bodies
// and its journal.
type sealing struct {
	kdf
	master []byte
}

// derive is n bytes for a purpose, and for one file, or for all if id is empty.
func (s *sealing) derive(purpose string, id []byte, n int) []byte {
	b, err := hkdf.Key(sha256.New, s.master, append(s.salt[:len(s.salt):len(s.salt)], id...), "serge-net cassette "+purpose, n)
	if err != nil {
		panic("cassette: hkdf: " + err.Error()) // n is a constant within its bounds
	}
	return b
}

// sealedEnd ends the name of an encrypted body's file.
const sealedEnd = "enc"

// bodyName is the name of the file of a body with this sha256, in hex. Who has
// no key learns nothing from it, not even of a body that they know.
func (s *sealing) bodyName(sum string) string {
	mac := hmac.New(sha256.New, s.derive("body names", nil, keySize))
	mac.Write([]byte(sum))
	return hex.EncodeToString(mac.Sum(nil)[:8]) + "." + sealedEnd
}
