package ws

import "encoding/binary"

// dynamic is the definition of a dynamic block's codes (RFC 1951, section 3.2.7).
type dynamic struct {
	order     [19]uint8 // lengths of the code for lengths
	norder    int       // how many of them are sent
	at        int       // how many were
	lengths   [286 + 30]uint8
	nlit, n   int // how many of lengths are for literals and lengths, and are in all
	atLengths int
}

// begin takes the three counts.
func (d *dynamic) begin(counts uint) error {
	*d = dynamic{
		nlit:   int(counts&0x1F) + 257,
		norder: int(counts>>10) + 4,
	}
	ndist := int(counts>>5&0x1F) + 1
	if d.nlit > 286 || ndist > 30 {
		return corrupt("number of codes")
	}
	d.n = d.nlit + ndist
	return nil
}

// addOrder adds a length of the code for lengths, and reports whether it was the last.
func (d *dynamic) addOrder(n uint8) bool {
	places := [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
	d.order[places[d.at]] = n
	d.at++
	return d.at == d.norder
}

// addLength adds what sym with its extra bits says, and reports whether these
// were the last.
func (d *dynamic) addLength(sym, extra uint) (bool, error) {
	length, times := uint8(sym), 1
	switch sym {
	case 16:
		if d.atLengths == 0 {
			return false, corrupt("nothing to repeat")
		}
		length, times = d.lengths[d.atLengths-1], 3+int(extra)
	case 17:
		length, times = 0, 3+int(extra)
	case 18:
		length, times = 0, 11+int(extra)
	}
	if d.atLengths+times > d.n {
		return false, corrupt("too many lengths")
	}
	for range times {
		d.lengths[d.atLengths] = length
		d.atLengths++
	}
	if d.atLengths < d.n {
		return false, nil
	}
	if d.lengths[endOfBlock] == 0 {
		return false, corrupt("no code for the end of a block")
	}
	return true, nil
}

// endOfBlock is the symbol that ends a block. Those below are bytes, those
// above are lengths of matches.
const endOfBlock = 256

// span is what a symbol for lengths or distances begins at, and how many bits
// are added to it.
type span struct {
	base  uint16
	extra uint8
}

// matchLengths and distances are the tables of RFC 1951, section 3.2.5.
var (
	matchLengths = [29]span{
		{3, 0}, {4, 0}, {5, 0}, {6, 0}, {7, 0}, {8, 0}, {9, 0}, {10, 0}, {11, 1}, {13, 1},
		{15, 1}, {17, 1}, {19, 2}, {23, 2}, {27, 2}, {31, 2}, {35, 3}, {43, 3}, {51, 3}, {59, 3},
		{67, 4}, {83, 4}, {99, 4}, {115, 4}, {131, 5}, {163, 5}, {195, 5}, {227, 5}, {258, 0},
	}
	distances = [30]span{
		{1, 0}, {2, 0}, {3, 0}, {4, 0}, {5, 1}, {7, 1}, {9, 2}, {13, 2}, {17, 3}, {25, 3},
		{33, 4}, {49, 4}, {65, 5}, {97, 5}, {129, 6}, {193, 6}, {257, 7}, {385, 7}, {513, 8}, {769, 8},
		{1025, 9}, {1537, 9}, {2049, 10}, {3073, 10}, {4097, 11}, {6145, 11},
		{8193, 12}, {12289, 12}, {16385, 13}, {24577, 13},
	}
)

// setFixed makes the codes those of RFC 1951, section 3.2.6.
func (f *Inflater) setFixed() {
	var lit [288]uint8
	for i := range lit {
		switch {
		case i < 144:
			lit[i] = 8
		case i < 256:
			lit[i] = 9
		case i < 280:
			lit[i] = 7
		default:
			lit[i] = 8
		}
	}
	var dist [32]uint8
	for i := range dist {
		dist[i] = 5
	}
	f.fixed = f.lit.set(lit[:], false) && f.dist.set(dist[:], false)
}

// longest is the most bits that one step of symbols takes: two codes, and what
// is added to a length and to a distance.
const longest = maxCode + 5 + maxCode + 13

// symbols inflates until the end of the block or of in, and reports whether it
// was the former.
func (f *Inflater) symbols(in []byte, emit func([]byte) error) ([]byte, bool, error) {
	for {
		if f.nhold < longest {
			if len(in) >= 8 {
				// The bits above nhold are those that the next turn reads again.
				f.hold |= binary.LittleEndian.Uint64(in) << f.nhold
				in = in[(63-f.nhold)>>3:]
				f.nhold |= 56
				f.hold &= 1<<f.nhold - 1
			} else {
				in = f.refill(in)
			}
		}
		sym, n := f.lit.decode(f.hold)
		if n == 0 || n > f.nhold {
			return in, false, f.short(maxCode, "no such code")
		}
		switch {
		case sym < endOfBlock:
			f.take(n)
			f.window[f.pos] = byte(sym)
			if f.pos++; f.pos == f.size {
				if err := f.flush(emit); err != nil {
					return in, false, err
				}
			}
		case sym == endOfBlock:
			f.take(n)
			f.end()
			return in, true, nil
		default:
			if ok, err := f.match(sym, n, emit); err != nil || !ok {
				return in, false, err
			}
		}
	}
}

// short is the error, if any, where what is held begins with no code that it
// is long enough for: with enough bits, nothing that comes can change that.
func (f *Inflater) short(enough uint, why string) error {
	if f.nhold < enough {
		return nil
	}
	return corrupt(why)
}

// match takes a match whose length is sym's, of n bits, and copies it. It
// reports false if there are not enough bits.
func (f *Inflater) match(sym, n uint, emit func([]byte) error) (bool, error) {
	if sym -= endOfBlock + 1; sym >= uint(len(matchLengths)) {
		return false, corrupt("reserved length")
	}
	l := matchLengths[sym]
	b := f.hold >> n
	length := int(l.base) + int(b&(1<<l.extra-1))
	b >>= l.extra
	n += uint(l.extra)
	sym, m := f.dist.decode(b)
	if m == 0 || n+m > f.nhold {
		return false, f.short(n+maxCode, "no such code")
	}
	if sym >= uint(len(distances)) {
		return false, corrupt("reserved distance")
	}
	d := distances[sym]
	dist := int(d.base) + int(b>>m&(1<<d.extra-1))
	n += m + uint(d.extra)
	if n > f.nhold {
		return false, nil
	}
	f.take(n)
	return true, f.copyMatch(length, dist, emit)
}

// copyMatch repeats length bytes from dist bytes ago.
func (f *Inflater) copyMatch(length, dist int, emit func([]byte) error) error {
	if dist > f.size || dist > f.pos && !f.full {
		return corrupt("distance beyond the window")
	}
	w := f.window
	for length > 0 {
		from := f.pos - dist
		if from < 0 {
			from += f.size
		}
		// What is copied is not to go over the ring's end, nor into itself.
		n := min(length, dist, f.size-f.pos, f.size-from)
		copy(w[f.pos:f.pos+n], w[from:from+n])
		length -= n
		if f.pos += n; f.pos == f.size {
			if err := f.flush(emit); err != nil {
				return err
			}
		}
	}
	return nil
}
