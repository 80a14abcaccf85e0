package cassette

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
)

// matcherVersion is of the keys that an index holds. It goes up when the
// canonical form changes: an index of another version is not used.
const matcherVersion = 3

// A key is what requests are found by, from the widest to the narrowest. Two
// requests of equal keys may still differ: who finds one by it compares.
type key struct {
	route uint64 // the host, in the upper half, and the bucket
	loose uint64 // the canonical form but for what may differ on evidence
	canon uint64 // the canonical form
	alike uint64 // what sums leave out, and the outcome: see likeness
}

// An entry is one interaction in an index.
type entry struct {
	key
	answer uint64 // what does not vary in the answer
	nth    uint32 // place in the cassette, from 0
	size   uint32 // of its record's payload in bytes
	at     int64  // of the record in the file
}

// entrySize is how many bytes an entry takes in a file, and pageSize how many
// entries are read at a time.
const (
	entrySize = 56
	pageSize  = 32
	fenceSize = 32
)

func (k key) compare(o key) int {
	return cmp.Or(cmp.Compare(k.route, o.route), cmp.Compare(k.loose, o.loose), cmp.Compare(k.canon, o.canon), cmp.Compare(k.alike, o.alike))
}

// group is k of all that are equal to it but for what sums leave out.
func (k key) group() key {
	k.alike = 0
	return k
}

// after is the first key behind all that begin as k does, up to its last part
// that is not zero. The last key of all is behind none, and is not used.
func (k key) after() key {
	for _, part := range []*uint64{&k.alike, &k.canon, &k.loose, &k.route} {
		if *part != 0 {
			if *part++; *part != 0 {
				break
			}
		}
	}
	return k
}

// digest is eight bytes of the sha256 of s.
func digest(s []byte) uint64 {
	sum := sha256.Sum256(s)
	return binary.LittleEndian.Uint64(sum[:])
}

// routeKey is the key of a bucket, which is a route.
func routeKey(bucket string) uint64 {
	_, rest, _ := strings.Cut(bucket, "://")
	return hostKey(hostOf("x://"+rest))<<32 | digest([]byte(bucket))>>32
}

// hostKey is the upper half of the keys of the routes of host.
func hostKey(host string) uint64 { return digest([]byte(host)) >> 32 }

// sumKey is the key of a sum. It is not zero.
func sumKey(sum [sha256.Size]byte) uint64 { return binary.LittleEndian.Uint64(sum[:]) | 1 }

// groupKey is the key of those that are equal to f.
func (f *form) groupKey() key {
	return key{route: routeKey(f.bucket), loose: sumKey(f.loose), canon: sumKey(f.sum)}
}

// entryOf is i, whose form is f, in an index, but for where it is.
func entryOf(i *Interaction, f *form) entry {
	e := entry{key: f.groupKey(), answer: binary.LittleEndian.Uint64([]byte(i.answer()))}
	e.alike = digest([]byte(likeness(i, f))) | 1
	return e
}

// append appends e as a file has it, little-endian.
func (e *entry) append(b []byte) []byte {
	for _, v := range []uint64{e.route, e.loose, e.canon, e.alike, e.answer} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = binary.LittleEndian.AppendUint32(b, e.nth)
	b = binary.LittleEndian.AppendUint32(b, e.size)
	return binary.LittleEndian.AppendUint64(b, uint64(e.at))
}

// readKey reads a key from its first bytes.
func readKey(b []byte) key {
	n := func(at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
	return key{n(0), n(8), n(16), n(24)}
}

func readEntry(b []byte) entry {
	return entry{
		key:    readKey(b),
		answer: binary.LittleEndian.Uint64(b[32:]),
		nth:    binary.LittleEndian.Uint32(b[40:]),
		size:   binary.LittleEndian.Uint32(b[44:]),
		at:     int64(binary.LittleEndian.Uint64(b[48:])),
	}
}

// sortEntries puts es in the order of an index: by key, then by place.
func sortEntries(es []entry) {
	slices.SortFunc(es, func(a, b entry) int { return cmp.Or(a.compare(b.key), cmp.Compare(a.nth, b.nth)) })
}

// A section is sorted entries, in memory or in a file. It is safe for
// concurrent use.
type section struct {
	n    int
	held []entry // in memory

	file   io.ReaderAt // else
	off    int64
	fences []key // the first key of every page
	before int64 // where the segment before it is, 0 if there is none
}

// page reads the entries of page p.
func (s *section) page(p int, buf []byte) ([]byte, error) {
	n := min(pageSize, s.n-p*pageSize)
	b := buf[:n*entrySize]
	if _, err := s.file.ReadAt(b, s.off+int64(p)*pageSize*entrySize); err != nil {
		return nil, fmt.Errorf("read index at %d: %w", s.off, err)
	}
	return b, nil
}

// A cursor reads the entries of a section, a page at a time. It is used by one
// goroutine.
type cursor struct {
	*section
	p   int // the page in b, from 1; 0: none
	b   []byte
	buf [pageSize * entrySize]byte
}

// at is the i-th entry.
func (c *cursor) at(i int) (entry, error) {
	if c.held != nil {
		return c.held[i], nil
	}
	if p := i/pageSize + 1; p != c.p {
		b, err := c.page(p-1, c.buf[:])
		if err != nil {
			return entry{}, err
		}
		c.p, c.b = p, b
	}
	return readEntry(c.b[i%pageSize*entrySize:]), nil
}

// search is where the first entry is whose key is k or behind it.
func (c *cursor) search(k key) (int, error) {
	if c.held != nil {
		return sort.Search(c.n, func(i int) bool { return c.held[i].compare(k) >= 0 }), nil
	}
	p := sort.Search(len(c.fences), func(i int) bool { return c.fences[i].compare(k) >= 0 })
	if p == 0 {
		return 0, nil
	}
	from, to := (p-1)*pageSize, min(p*pageSize, c.n)
	if _, err := c.at(from); err != nil {
		return 0, err
	}
	i := sort.Search(to-from, func(i int) bool { return readKey(c.b[i*entrySize:]).compare(k) >= 0 })
	return from + i, nil
}
