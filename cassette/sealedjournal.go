package cassette

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"sync"
)

// The journal of an encrypted cassette is
//
//	"SERGEJN\x02" | u32 pid | the header of an encrypted file | segments
//
// and a segment is its length, u32, and what is encrypted as in a file, never as
// the last. Together they are a journal. Each is on its way to the disk before an
// answer is, so they are of any size up to 64 KiB.
const (
	sealedJournalMagic = "SERGEJN\x02"
	sealedJournalHead  = len(sealedJournalMagic) + 4 + sealHead
)

// A scribe encrypts a journal while it is written. What Write was given is in the
// kernel's hands when it returns.
type scribe struct {
	to  io.Writer
	g   *segments
	out []byte
}

// scribe starts an encrypted journal on w.
func (s *sealing) scribe(w io.Writer) (*scribe, error) {
	h := s.header()
	b := binary.LittleEndian.AppendUint32([]byte(sealedJournalMagic), uint32(os.Getpid()))
	_, err := w.Write(append(b, h...))
	return &scribe{to: w, g: s.segments("journal", h)}, err
}

// Write encrypts b and hands it on at once.
func (s *scribe) Write(b []byte) (int, error) {
	s.out = s.out[:0]
	for piece := range slices.Chunk(b, segmentSize) {
		s.out = binary.LittleEndian.AppendUint32(s.out, uint32(len(piece)+tagSize))
		var err error
		if s.out, err = s.g.seal(s.out, piece, false); err != nil {
			return 0, err
		}
	}
	n, err := s.to.Write(s.out)
	if err == nil && n < len(s.out) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

// A transcript is an encrypted journal as it would be if it were not. It is safe
// for concurrent use. At a segment that is damaged it ends.
type transcript struct {
	file io.ReaderAt
	g    *segments
	all  []passage
	size int64

	mu   sync.Mutex
	last int // which passage text is of; -1: of none
	in   []byte
	text []byte
}

// A passage is where a segment is: its first byte, of the file and of the text.
type passage struct{ at, from int64 }

// openJournal is the journal in file, of size bytes, and its length, decrypted by
// k if it is encrypted: then by what it is.
func (k *Key) openJournal(file io.ReaderAt, size int64) (io.ReaderAt, int64, *sealing, error) {
	h := make([]byte, sealedJournalHead)
	n, err := file.ReadAt(h, 0)
	if int64(n) < min(size, int64(len(h))) {
		return nil, 0, nil, fmt.Errorf("read journal: %w", err)
	}
	if len(sealedJournalMagic) > n || string(h[:len(sealedJournalMagic)]) != sealedJournalMagic {
		return file, size, nil, nil
	}
	if n < len(h) { // its writer was killed at its first write
		return file, 0, nil, nil
	}
	h = h[sealedJournalHead-sealHead:]
	s, err := k.unseal(h)
	if err != nil {
		return nil, 0, nil, err
	}
	t := &transcript{file: file, g: s.segments("journal", h), last: -1}
	t.measure(size)
	return t, t.size, s, nil
}

// measure finds where segments are, as far as their lengths can be.
func (t *transcript) measure(size int64) {
	var length [4]byte
	for at := int64(sealedJournalHead); len(t.all) < math.MaxUint32; {
		if _, err := t.file.ReadAt(length[:], at); err != nil {
			return
		}
		n := int64(binary.LittleEndian.Uint32(length[:]))
		if n <= tagSize || n > segmentSize+tagSize || at+4+n > size {
			return
		}
		t.all = append(t.all, passage{at + 4, t.size})
		t.size += n - tagSize
		at += 4 + n
	}
}

// ReadAt reads the text.
func (t *transcript) ReadAt(b []byte, off int64) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for n < len(b) {
		i, found := slices.BinarySearchFunc(t.all, off, func(p passage, off int64) int { return int(min(max(p.from-off, -1), 1)) })
		if !found {
			i--
		}
		if i < 0 || off >= t.size {
			return n, io.EOF
		}
		if err := t.turn(i); err != nil {
			return n, err
		}
		k := copy(b[n:], t.text[off-t.all[i].from:])
		n, off = n+k, off+int64(k)
	}
	return n, nil
}

// turn makes text that of passage i.
func (t *transcript) turn(i int) error {
	if t.last == i {
		return nil
	}
	t.last = -1
	end := t.size
	if i+1 < len(t.all) {
		end = t.all[i+1].from
	}
	t.in = slices.Grow(t.in[:0], segmentSize+tagSize)[:end-t.all[i].from+tagSize]
	if _, err := t.file.ReadAt(t.in, t.all[i].at); err != nil {
		return err
	}
	var err error
	if t.text, err = t.g.open(t.text[:0], t.in, uint32(i), false); err != nil {
		return err
	}
	t.last = i
	return nil
}
