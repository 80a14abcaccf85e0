package http3

import (
	"errors"
	"fmt"

	"golang.org/x/net/http2/hpack"

	"github.com/serge-net/serge-net/exchange"
)

// errShort says that an instruction is not whole.
var errShort = errors.New("cut short")

// entrySize is what an entry of a dynamic table counts beyond its bytes, RFC
// 9204, section 3.2.1.
const entrySize = 32

// table is the dynamic table that one side's QPACK encoder fills (RFC 9204).
type table struct {
	most     uint64 // what the other side announced: SETTINGS_QPACK_MAX_TABLE_CAPACITY
	capacity uint64
	size     uint64
	dropped  uint64           // how many entries were evicted: the number of entries[0]
	entries  []exchange.Field // oldest first
	buf      []byte           // of an instruction that is not whole
}

// inserted is how many entries there ever were.
func (t *table) inserted() uint64 { return t.dropped + uint64(len(t.entries)) }

// feed takes what the encoder sends on its stream.
func (t *table) feed(b []byte) error {
	t.buf = append(t.buf, b...)
	rest := t.buf
	for len(rest) > 0 {
		after, err := t.instruction(rest)
		if errors.Is(err, errShort) {
			if len(rest) > MaxBlock {
				return fmt.Errorf("%w: an instruction of QPACK over %d bytes", errFraming, MaxBlock)
			}
			break
		}
		if err != nil {
			return err
		}
		rest = after
	}
	t.buf = append(t.buf[:0], rest...)
	return nil
}

// instruction does the first one in b and returns what follows it (RFC 9204,
// section 4.3).
func (t *table) instruction(b []byte) ([]byte, error) {
	switch first := b[0]; {
	case first&0x80 != 0: // insert with name reference
		i, rest, err := prefixed(b, 6)
		if err != nil {
			return nil, err
		}
		value, rest, err := text(rest, 7)
		if err != nil {
			return nil, err
		}
		var f exchange.Field
		if first&0x40 != 0 {
			f, err = staticField(i)
		} else {
			f, err = t.back(t.inserted(), i)
		}
		if err != nil {
			return nil, err
		}
		return rest, t.insert(exchange.Field{Name: f.Name, Value: value})
	case first&0x40 != 0: // insert with literal name
		name, rest, err := text(b, 5)
		if err != nil {
			return nil, err
		}
		value, rest, err := text(rest, 7)
		if err != nil {
			return nil, err
		}
		return rest, t.insert(exchange.Field{Name: name, Value: value})
	}
	n, rest, err := prefixed(b, 5)
	if err != nil {
		return nil, err
	}
	if b[0]&0x20 != 0 { // set capacity
		if n > min(t.most, MaxTable) {
			return nil, fmt.Errorf("%w: a QPACK table of %d bytes, over the %d announced", errFraming, n, t.most)
		}
		t.capacity = n
		t.evict(0)
		return rest, nil
	}
	f, err := t.back(t.inserted(), n) // duplicate
	if err != nil {
		return nil, err
	}
	return rest, t.insert(f)
}

// insert adds f, and drops what it has to for that.
func (t *table) insert(f exchange.Field) error {
	size := uint64(len(f.Name) + len(f.Value) + entrySize)
	if size > t.capacity {
		return fmt.Errorf("%w: an entry of %d bytes in a QPACK table of %d", errFraming, size, t.capacity)
	}
	t.evict(size)
	t.entries = append(t.entries, f)
	t.size += size
	return nil
}

// evict makes room for size bytes.
func (t *table) evict(size uint64) {
	for len(t.entries) > 0 && t.size+size > t.capacity {
		t.size -= uint64(len(t.entries[0].Name) + len(t.entries[0].Value) + entrySize)
		t.entries[0] = exchange.Field{}
		t.entries = t.entries[1:]
		t.dropped++
	}
}

// at is entry number n.
func (t *table) at(n uint64) (exchange.Field, error) {
	if n < t.dropped || n >= t.inserted() {
		return exchange.Field{}, fmt.Errorf("%w: no entry %d in the QPACK table", errFraming, n)
	}
	return t.entries[n-t.dropped], nil
}

// back is the entry that is i before the newest below base.
func (t *table) back(base, i uint64) (exchange.Field, error) {
	if i >= base {
		return exchange.Field{}, fmt.Errorf("%w: no entry %d before %d in the QPACK table", errFraming, i, base)
	}
	return t.at(base - 1 - i)
}

// staticField is entry i of the static table.
func staticField(i uint64) (exchange.Field, error) {
	if i >= uint64(len(staticTable)) {
		return exchange.Field{}, fmt.Errorf("%w: no entry %d in QPACK's static table", errFraming, i)
	}
	return staticTable[i], nil
}

// prefixed reads an integer of which the first n bits are in b[0] (RFC 9204,
// section 4.1.1).
func prefixed(b []byte, n uint) (uint64, []byte, error) {
	if len(b) == 0 {
		return 0, nil, errShort
	}
	limit := uint64(1)<<n - 1
	v := uint64(b[0]) & limit
	if v < limit {
		return v, b[1:], nil
	}
	for i, c := range b[1:] {
		if i == 9 {
			return 0, nil, fmt.Errorf("%w: an integer of QPACK over 62 bits", errFraming)
		}
		v += uint64(c&0x7f) << (7 * i)
		if c&0x80 == 0 {
			return v, b[i+2:], nil
		}
	}
	return 0, nil, errShort
}

// text reads a string whose length has n bits in b[0], behind the bit that says
// whether it is in Huffman's code (RFC 9204, section 4.1.2).
func text(b []byte, n uint) (string, []byte, error) {
	size, rest, err := prefixed(b, n)
	switch {
	case err != nil:
		return "", nil, err
	case size > MaxBlock:
		return "", nil, fmt.Errorf("%w: a string of QPACK of %d bytes", errFraming, size)
	case uint64(len(rest)) < size:
		return "", nil, errShort
	}
	raw, rest := rest[:size], rest[size:]
	if b[0]&(1<<n) == 0 {
		return string(raw), rest, nil
	}
	s, err := hpack.HuffmanDecodeToString(raw)
	if err != nil {
		return "", nil, fmt.Errorf("%w: %w", errFraming, err)
	}
	return s, rest, nil
}
