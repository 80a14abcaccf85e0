package cassette

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// An encrypted file is a header and then segments, each the AES-256-GCM of up to
// 64 KiB: all but the last are full, and only the last of an empty file is empty.
//
//	"SERGEENC" | u8 version | u8 kdf | u8 log2 KiB | u8 passes | salt 16 | id 16 | mac 16
//
// The key of a file and the first 7 bytes of its nonces come from the master key,
// the salt and the id, by HKDF; the rest of a nonce is the segment's number, u32
// big-endian, and 1 for the last, else 0. So a segment that is gone, doubled, of
// another file or at another place is found (STREAM: Hoang, Reyhanitabar, Rogaway
// and Vizár 2015). The mac, of HMAC-SHA256, tells a wrong key from a damaged file.
const (
	sealMagic   = "SERGEENC"
	sealVersion = 1
	idAt        = len(sealMagic) + 4 + 16
	macAt       = idAt + 16
	sealHead    = macAt + 16

	segmentSize = 64 << 10
	tagSize     = 16
	prefixSize  = 7
)

// errDamaged says that a file is not the one that was encrypted.
var errDamaged = errors.New("it was changed or damaged since it was encrypted")

// sealedSize is how long the encrypted form of n bytes is.
func sealedSize(n int64) int64 {
	return int64(sealHead) + n + tagSize*max(1, (n+segmentSize-1)/segmentSize)
}

// header is that of a new file or journal.
func (s *sealing) header() []byte {
	h := append([]byte(sealMagic), sealVersion, s.how, s.memory, s.passes)
	h = append(h, s.salt[:]...)
	id := make([]byte, macAt-idAt)
	rand.Read(id)
	h = append(h, id...)
	return append(h, s.mac(h)...)
}

// mac is that of the header h.
func (s *sealing) mac(h []byte) []byte {
	m := hmac.New(sha256.New, s.derive("header", nil, keySize))
	m.Write(h[:macAt])
	return m.Sum(nil)[:sealHead-macAt]
}

// unseal reads a header and gives what it was written by.
func (k *Key) unseal(h []byte) (*sealing, error) {
	switch {
	case len(h) < sealHead || string(h[:len(sealMagic)]) != sealMagic:
		return nil, fmt.Errorf("its header is cut: %w", errDamaged)
	case h[len(sealMagic)] != sealVersion:
		return nil, fmt.Errorf("%w: encrypted in format %d; this one reads %d", ErrVersion, h[len(sealMagic)], sealVersion)
	}
	d := kdf{how: h[9], memory: h[10], passes: h[11]}
	copy(d.salt[:], h[12:idAt])
	s, err := k.sealing(d)
	if err != nil {
		return nil, err
	}
	if !hmac.Equal(s.mac(h), h[macAt:sealHead]) {
		return nil, keyError("it is encrypted with another key than the one given")
	}
	return s, nil
}

// segments numbers and encrypts what is under one header.
type segments struct {
	aead  cipher.AEAD
	nonce [prefixSize + 5]byte
	n     uint32
}

// segments are those under the header h, for a purpose: "file" or "journal".
func (s *sealing) segments(purpose string, h []byte) *segments {
	b := s.derive(purpose, h[idAt:macAt], keySize+prefixSize)
	block, err := aes.NewCipher(b[:keySize])
	if err != nil {
		panic("cassette: " + err.Error()) // the key has the right size
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("cassette: " + err.Error()) // AES has the right block size
	}
	g := &segments{aead: aead}
	copy(g.nonce[:], b[keySize:])
	return g
}

// at is the nonce of segment n.
func (g *segments) at(n uint32, last bool) []byte {
	binary.BigEndian.PutUint32(g.nonce[prefixSize:], n)
	g.nonce[prefixSize+4] = 0
	if last {
		g.nonce[prefixSize+4] = 1
	}
	return g.nonce[:]
}

// seal appends the next segment to dst.
func (g *segments) seal(dst, plain []byte, last bool) ([]byte, error) {
	if g.n == math.MaxUint32 {
		return dst, errors.New("too large to be encrypted") // 256 TiB
	}
	dst = g.aead.Seal(dst, g.at(g.n, last), plain, nil)
	g.n++
	return dst, nil
}

// open appends what segment n is of to dst.
func (g *segments) open(dst, sealed []byte, n uint32, last bool) ([]byte, error) {
	out, err := g.aead.Open(dst, g.at(n, last), sealed, nil)
	if err != nil {
		return dst, errDamaged
	}
	return out, nil
}

// A sealer encrypts a file while it is written.
type sealer struct {
	to  io.Writer
	g   *segments
	buf []byte // plain text that is not written yet
	out []byte
}

// sealer starts an encrypted file on w. It is whole after Close, which does not
// close w.
func (s *sealing) sealer(w io.Writer) (*sealer, error) {
	h := s.header()
	_, err := w.Write(h)
	return &sealer{to: w, g: s.segments("file", h), buf: make([]byte, 0, segmentSize)}, err
}

// Write takes b; of it, a full segment that is not the last is written.
func (s *sealer) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if len(s.buf) == segmentSize {
			if err := s.flush(false); err != nil {
				return n - len(b), err
			}
		}
		k := min(len(b), segmentSize-len(s.buf))
		s.buf, b = append(s.buf, b[:k]...), b[k:]
	}
	return n, nil
}

// Close writes the last segment.
func (s *sealer) Close() error { return s.flush(true) }

func (s *sealer) flush(last bool) (err error) {
	if s.out, err = s.g.seal(s.out[:0], s.buf, last); err != nil {
		return err
	}
	s.buf = s.buf[:0]
	_, err = s.to.Write(s.out)
	return err
}

// An unsealer decrypts a file while it is read. What it gives is authentic; that
// it is the whole is known at its io.EOF.
type unsealer struct {
	from *bufio.Reader
	g    *segments
	n    uint32
	in   []byte
	out  []byte // decrypted and not read yet
	room []byte
	err  error
}

// unsealer decrypts r by k.
func (k *Key) unsealer(r io.Reader) (*unsealer, error) {
	h := make([]byte, sealHead)
	if n, err := io.ReadFull(r, h); err != nil {
		h = h[:n]
	}
	s, err := k.unseal(h)
	if err != nil {
		return nil, err
	}
	return &unsealer{from: bufio.NewReaderSize(r, segmentSize+tagSize+1), g: s.segments("file", h), in: make([]byte, segmentSize+tagSize)}, nil
}

// Read gives what comes next.
func (u *unsealer) Read(b []byte) (int, error) {
	for len(u.out) == 0 {
		if u.err != nil {
			return 0, u.err
		}
		u.next()
	}
	n := copy(b, u.out)
	u.out = u.out[n:]
	return n, nil
}

// next decrypts a segment. The one after which nothing comes must be the last.
func (u *unsealer) next() {
	n, err := io.ReadFull(u.from, u.in)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		u.err = err
		return
	}
	_, more := u.from.Peek(1)
	last := errors.Is(more, io.EOF)
	u.room, err = u.g.open(u.room[:0], u.in[:n], u.n, last)
	switch {
	case err != nil:
		u.err = err
		return
	case last && len(u.room) == 0 && u.n > 0:
		u.err = errDamaged // no writer ends so
		return
	case last:
		u.err = io.EOF
	}
	u.out = u.room
	u.n++
}
