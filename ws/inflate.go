package ws

// The sizes of the LZ77 window of DEFLATE, as powers of two (RFC 7692, section 7.1.2).
const (
	MinWindowBits = 8
	MaxWindowBits = 15
)

// Inflater decompresses the messages of one direction. It takes them in pieces
// and gives them in pieces, and holds a window and no more: compress/flate
// reads from an io.Reader, to which the rest of a message that has not arrived
// cannot be given but by a goroutine or by holding the message.
//
// It is not safe for use by several goroutines at once.
type Inflater struct {
	takeover bool
	window   []byte // a ring
	size     int    // of window once it is made
	pos      int    // where the next byte goes
	start    int    // where what was not emitted begins
	full     bool   // the window has wrapped since the last reset

	hold  uint64 // bits that were read and not used, from the lowest
	nhold uint

	state  state
	final  bool // the block is, or was, a stream's last
	begun  bool // the message has payload
	stored int  // bytes left of a stored block
	err    error

	lit, dist huffman
	fixed     bool // lit and dist are those of RFC 1951, section 3.2.6
	dynamic   dynamic
}

// state is what the bits to come are.
type state uint8

const (
	atBlock   state = iota // a block's header
	atStored               // the length of a stored block
	inStored               // its bytes
	atDynamic              // how many lengths define the codes of a dynamic block
	inOrder                // the lengths of the code for lengths
	inLengths              // the lengths
	inBlock                // symbols
)

// NewInflater returns an Inflater of what was compressed with a window of
// 1<<bits bytes, bits from MinWindowBits to MaxWindowBits. takeover says that
// messages may refer to those before them. Whoever only watches uses
// MaxWindowBits: most endpoints do, whatever was negotiated, so that a peer
// that sends what it should not works with them.
func NewInflater(bits int, takeover bool) *Inflater {
	checkBits(bits)
	return &Inflater{takeover: takeover, size: 1 << bits}
}

// checkBits panics for a window that the negotiation cannot have agreed on.
func checkBits(bits int) {
	if bits < MinWindowBits || bits > MaxWindowBits {
		panic("ws: window bits out of range")
	}
}

// Feed inflates b, a piece of a message's payload, and calls emit with pieces
// of the message, which are valid only until emit returns. What is emitted is
// all that b's bytes tell. An error of emit ends the Feed and is returned; any
// other is an *Error. Either is final.
func (f *Inflater) Feed(b []byte, emit func([]byte) error) error {
	if len(b) == 0 || f.err != nil {
		return f.err
	}
	f.begun = true
	if f.window == nil {
		f.window = make([]byte, f.size)
	}
	f.err = f.run(b, emit)
	// What was inflated before an error is the message's, too. Where the error
	// is emit's there is nothing left to flush.
	if err := f.flush(emit); err != nil {
		f.err = err
	}
	return f.err
}

// End ends a message. It emits what the end tells, and returns an *Error if
// that is not where the compressed data can end.
//
// Two forms that RFC 7692 does not have are taken, because they mean one thing
// only: no payload at all for an empty message (section 7.2.3.6 has a byte of
// zero), and a final block without the empty one behind it (section 7.2.3.4).
func (f *Inflater) End(emit func([]byte) error) error {
	if f.err != nil {
		return f.err
	}
	if f.begun && !(f.idle() && f.final) {
		// Section 7.2.2: what the sender removed.
		if err := f.Feed([]byte{0, 0, 0xff, 0xff}, emit); err != nil {
			return err
		}
		if !f.idle() {
			f.err = corrupt("message ends within a block")
			return f.err
		}
	}
	f.begun, f.final = false, false
	if !f.takeover {
		f.pos, f.start, f.full = 0, 0, false
	}
	return nil
}

// corrupt is the Error of what is not DEFLATE.
func corrupt(why string) *Error {
	return &Error{CodeInvalid, "compressed data: " + why}
}

// idle reports whether f is between blocks, at a byte's beginning.
func (f *Inflater) idle() bool { return f.state == atBlock && f.nhold == 0 }

// take removes n bits from what is held. There are as many.
func (f *Inflater) take(n uint) uint {
	v := uint(f.hold & (1<<n - 1))
	f.hold >>= n
	f.nhold -= n
	return v
}

// refill adds to what is held until it has 57 bits at least or in is empty.
func (f *Inflater) refill(in []byte) []byte {
	for f.nhold <= 56 && len(in) > 0 {
		f.hold |= uint64(in[0]) << f.nhold
		f.nhold += 8
		in = in[1:]
	}
	return in
}

// run goes from state to state until in and what is held have no more to tell.
// Each step takes all of its bits or none: none is longer than 57.
func (f *Inflater) run(in []byte, emit func([]byte) error) error {
	for {
		var ok bool
		var err error
		switch f.state {
		case inBlock:
			in, ok, err = f.symbols(in, emit)
		case inStored:
			in, ok, err = f.copyStored(in, emit)
		default:
			in = f.refill(in)
			ok, err = f.define()
		}
		if err != nil || !ok {
			return err
		}
	}
}

// define takes one step of what is before a block's symbols. It reports false
// if there are not enough bits.
func (f *Inflater) define() (bool, error) {
	switch f.state {
	case atBlock:
		return f.block()
	case atStored:
		return f.storedLength()
	case atDynamic:
		if f.nhold < 14 {
			return false, nil
		}
		f.state = inOrder
		return true, f.dynamic.begin(f.take(14))
	case inOrder:
		if f.nhold < 3 {
			return false, nil
		}
		if f.dynamic.addOrder(uint8(f.take(3))) {
			f.state = inLengths
			if !f.lit.set(f.dynamic.order[:], false) {
				return false, corrupt("lengths of the code for lengths")
			}
		}
		return true, nil
	}
	return f.length()
}

// block takes a block's header.
func (f *Inflater) block() (bool, error) {
	if f.nhold < 3 {
		return false, nil
	}
	f.final = f.take(1) == 1
	switch f.take(2) {
	case 0:
		f.take(f.nhold & 7)
		f.state = atStored
	case 1:
		if !f.fixed {
			f.setFixed()
		}
		f.state = inBlock
	case 2:
		f.fixed = false
		f.state = atDynamic
	default:
		return false, corrupt("reserved type of block")
	}
	return true, nil
}

// end ends a block. A final one ends at a byte's end, and so where what is
// held has a whole number of bytes.
func (f *Inflater) end() {
	f.state = atBlock
	if f.final {
		f.take(f.nhold & 7)
	}
}

func (f *Inflater) storedLength() (bool, error) {
	if f.nhold < 32 {
		return false, nil
	}
	n, not := f.take(16), f.take(16)
	if n != not^0xffff {
		return false, corrupt("length of a stored block")
	}
	f.stored, f.state = int(n), inStored
	return true, nil
}

// copyStored copies what there is of a stored block.
func (f *Inflater) copyStored(in []byte, emit func([]byte) error) ([]byte, bool, error) {
	for f.stored > 0 {
		if f.nhold > 0 {
			f.window[f.pos] = byte(f.take(8))
			f.pos++
			f.stored--
		} else {
			n := copy(f.window[f.pos:], in[:min(len(in), f.stored)])
			if n == 0 {
				return in, false, nil
			}
			in = in[n:]
			f.pos += n
			f.stored -= n
		}
		if f.pos == f.size {
			if err := f.flush(emit); err != nil {
				return in, false, err
			}
		}
	}
	f.end()
	return in, true, nil
}

// length takes one length of a dynamic block's codes, or several that are the same.
func (f *Inflater) length() (bool, error) {
	sym, n := f.lit.decode(f.hold)
	if n == 0 || n > f.nhold {
		// Codes for lengths have 7 bits at most.
		if f.nhold >= 7 {
			return false, corrupt("code for a length")
		}
		return false, nil
	}
	extra := [...]uint{2, 3, 7}
	if sym >= 16 && n+extra[sym-16] > f.nhold {
		return false, nil
	}
	f.take(n)
	var more uint
	if sym >= 16 {
		more = f.take(extra[sym-16])
	}
	done, err := f.dynamic.addLength(sym, more)
	if err != nil || !done {
		return true, err
	}
	if !f.lit.set(f.dynamic.lengths[:f.dynamic.nlit], true) ||
		!f.dist.set(f.dynamic.lengths[f.dynamic.nlit:f.dynamic.n], true) {
		return false, corrupt("lengths of codes")
	}
	f.state = inBlock
	return true, nil
}

// flush emits what was not emitted.
func (f *Inflater) flush(emit func([]byte) error) error {
	b := f.window[f.start:f.pos]
	f.start = f.pos
	if f.pos == f.size {
		f.pos, f.start, f.full = 0, 0, true
	}
	if len(b) == 0 {
		return nil
	}
	return emit(b)
}
