package secret

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// window is how many bytes the index looks at together, and so the least that a
// probe's text has.
const window = 4

// fold makes letters of both cases the same, and keeps other bytes apart well
// enough: a probe looks again.
const fold = 0x20202020

// A verdict is what a probe says of a place.
type verdict uint8

const (
	no   verdict = iota // it is none
	yes                 // it is one
	more                // what is there does not tell
)

// A probe knows one thing that a secret can begin with.
type probe struct {
	text string // what it begins with, of window bytes at least
	// try looks at b from at on, where the first bytes of text are up to case.
	// Before at is what went before. If final, b is all there is.
	try func(b []byte, at int, final bool) (Finding, verdict)
}

// An index finds the places that any probe is to look at. A byte of text costs a
// few instructions on filter; where that says yes table, and then probes, are
// asked.
type index struct {
	filter *[1 << (filterBits - 3)]uint8 // of a Bloom filter with one function
	table  []slot                        // by window, hashed with open addressing
	used   int                           // slots
	starts map[uint32]bool               // the first one, two and three bytes of all
}

// A slot is what begins with a window, which is folded and so not zero.
type slot struct {
	window uint32
	probes []probe
}

// filterBits is the size of the filter: 2^17 bits are 16 KiB, half of the first
// cache of the processors of today, and 30 times the windows of a Set.
const filterBits = 17

// spread makes a hash of a window: the golden ratio's share of 2^32.
const spread = 0x9E3779B1

// newIndex returns the index of all.
func newIndex(all []probe) *index {
	x := &index{filter: new([1 << (filterBits - 3)]uint8), table: make([]slot, 1<<13), starts: map[uint32]bool{}}
	x.grow(all)
	return x
}

// grow adds probes. The table stays at most half full.
func (x *index) grow(news []probe) {
	for _, p := range news {
		w := binary.LittleEndian.Uint32([]byte(p.text)) | fold
		h := w * spread >> (32 - filterBits)
		x.filter[h>>3] |= 1 << (h & 7)
		s := x.slot(w)
		if s.window == 0 {
			s.window = w
			x.used++
		}
		s.probes = append(s.probes, p)
		for n := 1; n < window; n++ {
			x.starts[start([]byte(p.text[:n]))] = true
		}
		if 2*x.used > len(x.table) {
			old := x.table
			x.table = make([]slot, 2*len(old))
			for _, s := range old {
				if s.window != 0 {
					*x.slot(s.window) = s
				}
			}
		}
	}
}

// slot is that of the window w, or the empty one where it would be.
func (x *index) slot(w uint32) *slot {
	mask := uint32(len(x.table) - 1)
	for at := w * spread >> 8 & mask; ; at = (at + 1) & mask {
		if s := &x.table[at]; s.window == w || s.window == 0 {
			return s
		}
	}
}

// start is the key of up to three bytes that a probe may begin with.
func start(b []byte) uint32 {
	k := uint32(len(b))
	for _, c := range b {
		k = k<<8 | uint32(c|0x20)
	}
	return k
}

// next is the first place of b from i on at which a probe may begin, and which;
// or where less than a window is left.
func (x *index) next(b []byte, i int) (int, []probe) {
	f := x.filter
	for ; i+8 <= len(b); i += 4 {
		v := binary.LittleEndian.Uint64(b[i:]) | fold<<32 | fold
		h0 := uint32(v) * spread >> (32 - filterBits)
		h1 := uint32(v>>8) * spread >> (32 - filterBits)
		h2 := uint32(v>>16) * spread >> (32 - filterBits)
		h3 := uint32(v>>24) * spread >> (32 - filterBits)
		hits := f[h0>>3]>>(h0&7)&1 | f[h1>>3]>>(h1&7)&1<<1 | f[h2>>3]>>(h2&7)&1<<2 | f[h3>>3]>>(h3&7)&1<<3
		for hits != 0 {
			n := bits.TrailingZeros8(hits)
			if s := x.slot(uint32(v >> (8 * n))); s.window != 0 {
				return i + n, s.probes
			}
			hits &= hits - 1
		}
	}
	for ; i+window <= len(b); i++ {
		if s := x.slot(binary.LittleEndian.Uint32(b[i:]) | fold); s.window != 0 {
			return i, s.probes
		}
	}
	return i, nil
}

// scan is Set.scan of what begins with something known.
func (x *index) scan(b []byte, from int, final bool) (found []Finding, decided int) {
	last := len(b) - window
	for i := from; ; i++ {
		var probes []probe
		if i, probes = x.next(b, i); i > last {
			break
		}
		f, v := longest(probes, b, i, final)
		switch v {
		case more:
			decided = max(from, i-1)
			return untangled(found, decided), decided
		case yes:
			found = append(found, f)
			i = max(i, f.To-1)
		}
	}
	if final {
		return untangled(found, len(b)), len(b)
	}
	decided = len(b)
	if len(b) > from && value64(b[len(b)-1]) >= 0 {
		decided-- // in base64 it may be part of what comes
	}
	if n := len(found); n > 0 {
		from = max(from, found[n-1].To)
	}
	for i := max(from, last+1); i < len(b); i++ {
		if x.starts[start(b[i:])] {
			decided = max(from, i-1)
			break
		}
	}
	return untangled(found, decided), decided
}

// longest asks probes of what is at i: the longest finding counts.
func longest(probes []probe, b []byte, i int, final bool) (best Finding, v verdict) {
	for _, p := range probes {
		f, got := p.try(b, i, final)
		switch {
		case got == more && len(b)-i < Most:
			return f, more
		case got == yes && (v != yes || f.To > best.To):
			best, v = f, yes
		}
	}
	return best, v
}

// matches says whether text, up to case if any, is at b[at:].
func matches(b []byte, at int, text string, final bool, any bool) verdict {
	rest := b[at:]
	for i := range len(text) {
		if i == len(rest) {
			if final {
				return no
			}
			return more
		}
		c, d := rest[i], text[i]
		if c != d && (!any || lower(c) != lower(d)) {
			return no
		}
	}
	return yes
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// An alphabet is the set of bytes that something is made of.
type alphabet [256]bool

func letters(set string) *alphabet {
	var a alphabet
	for i := 0; i < len(set); i++ {
		if i+2 < len(set) && set[i+1] == '~' { // a range: a~z
			for c := int(set[i]); c <= int(set[i+2]); c++ {
				a[c] = true
			}
			i += 2
			continue
		}
		a[set[i]] = true
	}
	return &a
}

// run is where the bytes of a end that begin at b[at:].
func (a *alphabet) run(b []byte, at int) int {
	for at < len(b) && a[b[at]] {
		at++
	}
	return at
}

// opens says whether something may begin at b[at:]: what is before is no part of
// a word, or an escape.
func opens(b []byte, at int) bool {
	if at == 0 || !wordly(b[at-1]) {
		return true
	}
	switch {
	case at >= 2 && b[at-2] == '\\' && slices.Contains([]byte("nrtbf"), b[at-1]):
		return true // "\n"
	case at >= 3 && b[at-3] == '%' && hexadecimal(b[at-2]) && hexadecimal(b[at-1]):
		return true // "%3D"
	case at >= 6 && b[at-6] == '\\' && b[at-5] == 'u':
		return true // "\u0026"
	}
	return false
}

func wordly(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}

func hexadecimal(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}
