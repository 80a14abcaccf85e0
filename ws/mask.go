package ws

import "encoding/binary"

// Mask masks src into dst, which is as long and may be the same bytes, or
// unmasks it, which is the same (RFC 6455, section 5.3). Of the payload that
// key is for, src begins at byte at.
func Mask(dst, src []byte, key [4]byte, at uint64) {
	var k [8]byte
	for i := range k {
		k[i] = key[(at+uint64(i))&3]
	}
	word := binary.LittleEndian.Uint64(k[:])
	dst = dst[:len(src)]
	// Four words a turn keep the loop's own cost out of the way.
	for len(src) >= 32 && len(dst) >= 32 {
		d, s := dst[:32], src[:32]
		binary.LittleEndian.PutUint64(d, binary.LittleEndian.Uint64(s)^word)
		binary.LittleEndian.PutUint64(d[8:], binary.LittleEndian.Uint64(s[8:])^word)
		binary.LittleEndian.PutUint64(d[16:], binary.LittleEndian.Uint64(s[16:])^word)
		binary.LittleEndian.PutUint64(d[24:], binary.LittleEndian.Uint64(s[24:])^word)
		dst, src = dst[32:], src[32:]
	}
	for len(src) >= 8 {
		binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(src)^word)
		dst, src = dst[8:], src[8:]
	}
	for i, c := range src {
		dst[i] = c ^ k[i&7]
	}
}
