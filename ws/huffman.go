package ws

import "math/bits"

// maxCode is the most bits of a code of DEFLATE (RFC 1951, section 3.2.7).
const maxCode = 15

// quickBits is how many bits of a code are looked up at once. Longer codes are
// rare by construction and are searched bit by bit.
const quickBits = 9

// huffman decodes one of a block's codes.
type huffman struct {
	quick   [1 << quickBits]uint16 // symbol<<4 | length; 0 for codes that are longer or none
	count   [maxCode + 1]uint16    // codes of each length
	symbols [288]uint16            // in the order of their codes
}

// set makes h the code in which symbol i has lengths[i] bits, 0 for a symbol
// that is not used. It reports false for what is not a prefix code that uses
// all bit sequences. Two that do not are allowed, as zlib does (inftrees.c):
// no code at all, and, if partial, a single one of one bit.
func (h *huffman) set(lengths []uint8, partial bool) bool {
	h.count = [maxCode + 1]uint16{}
	for _, n := range lengths {
		h.count[n]++
	}
	h.count[0] = 0
	var first, index [maxCode + 2]uint16
	left, used := 1, 0
	for n := 1; n <= maxCode; n++ {
		left = left<<1 - int(h.count[n])
		if left < 0 {
			return false
		}
		used += int(h.count[n])
		first[n+1] = (first[n] + h.count[n]) << 1
		index[n+1] = index[n] + h.count[n]
	}
	if left > 0 && used > 0 && !(partial && used == 1 && h.count[1] == 1) {
		return false
	}
	clear(h.quick[:])
	next := index
	for sym, n := range lengths {
		if n == 0 {
			continue
		}
		i := next[n]
		next[n]++
		h.symbols[i] = uint16(sym)
		if n <= quickBits {
			h.fill(first[n]+i-index[n], n, sym)
		}
	}
	return true
}

// fill enters a code of n bits wherever it begins what is looked up. Codes are
// sent from their highest bit, all else from its lowest.
func (h *huffman) fill(code uint16, n uint8, sym int) {
	at := int(bits.Reverse16(code) >> (16 - n))
	for ; at < len(h.quick); at += 1 << n {
		h.quick[at] = uint16(sym)<<4 | uint16(n)
	}
}

// decode returns the symbol whose code b begins with and the length of that
// code, 0 if b begins with none.
func (h *huffman) decode(b uint64) (sym, n uint) {
	if e := h.quick[b&(1<<quickBits-1)]; e != 0 {
		return uint(e >> 4), uint(e & 0xF)
	}
	var code, first, index uint
	for n := uint(1); n <= maxCode; n++ {
		code |= uint(b & 1)
		b >>= 1
		count := uint(h.count[n])
		if code < first+count {
			return uint(h.symbols[index+code-first]), n
		}
		index += count
		first = (first + count) << 1
		code <<= 1
	}
	return 0, 0
}
