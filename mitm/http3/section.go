package http3

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/net/http2/hpack"

	"github.com/serge-net/serge-net/exchange"
)

// A section is a field section on its way through the decoder.
type section struct {
	lines    []byte // its field lines
	required uint64 // how many entries the table must have had
	base     uint64
}

// section reads the prefix of a field section (RFC 9204, section 4.5.1).
func (t *table) section(b []byte) (section, error) {
	encoded, rest, err := prefixed(b, 8)
	if err != nil {
		return section{}, whole(err)
	}
	if len(rest) == 0 {
		return section{}, whole(errShort)
	}
	negative := rest[0]&0x80 != 0
	delta, rest, err := prefixed(rest, 7)
	if err != nil {
		return section{}, whole(err)
	}
	s := section{lines: rest}
	if s.required, err = t.required(encoded); err != nil {
		return s, err
	}
	s.base = s.required + delta
	if negative {
		if delta >= s.required {
			return s, fmt.Errorf("%w: base of a field section before the table", errFraming)
		}
		s.base = s.required - delta - 1
	}
	return s, nil
}

// required is the insert count that encoded stands for (RFC 9204, section 4.5.1.1).
func (t *table) required(encoded uint64) (uint64, error) {
	if encoded == 0 {
		return 0, nil
	}
	entries := t.most / entrySize
	wrong := fmt.Errorf("%w: insert count %d of a field section", errFraming, encoded)
	if encoded > 2*entries {
		return 0, wrong
	}
	most := t.inserted() + entries
	n := most/(2*entries)*(2*entries) + encoded - 1
	if n > most {
		if n <= 2*entries {
			return 0, wrong
		}
		n -= 2 * entries
	}
	if n == 0 {
		return 0, wrong
	}
	return n, nil
}

// fields decodes s, whose entries are all there.
func (t *table) fields(s section) ([]exchange.Field, error) {
	var all []exchange.Field
	size := 0
	for b := s.lines; len(b) > 0; {
		f, rest, err := t.line(b, s.base)
		if err != nil {
			return nil, whole(err)
		}
		if size += len(f.Name) + len(f.Value) + entrySize; size > MaxFields {
			return nil, fmt.Errorf("%w: fields of more than %d bytes", errFraming, MaxFields)
		}
		all, b = append(all, f), rest
	}
	return all, nil
}

// line reads one field line (RFC 9204, sections 4.5.2 to 4.5.6).
func (t *table) line(b []byte, base uint64) (f exchange.Field, rest []byte, err error) {
	var i uint64
	switch first := b[0]; {
	case first&0x80 != 0: // indexed
		if i, rest, err = prefixed(b, 6); err != nil {
			return f, nil, err
		}
		if first&0x40 != 0 {
			f, err = staticField(i)
		} else {
			f, err = t.back(base, i)
		}
		return f, rest, err
	case first&0xf0 == 0x10: // indexed, behind base
		if i, rest, err = prefixed(b, 4); err != nil {
			return f, nil, err
		}
		f, err = t.at(base + i)
		return f, rest, err
	case first&0xc0 == 0x40: // literal with name reference
		if i, rest, err = prefixed(b, 4); err != nil {
			return f, nil, err
		}
		if first&0x10 != 0 {
			f, err = staticField(i)
		} else {
			f, err = t.back(base, i)
		}
	case first&0xe0 == 0x20: // literal with literal name
		f.Name, rest, err = text(b, 3)
	default: // literal with name reference, behind base
		if i, rest, err = prefixed(b, 3); err != nil {
			return f, nil, err
		}
		f, err = t.at(base + i)
	}
	if err != nil {
		return f, nil, err
	}
	f.Value, rest, err = text(rest, 7)
	return f, rest, err
}

// whole makes an error of err where nothing more comes.
func whole(err error) error {
	if errors.Is(err, errShort) {
		return fmt.Errorf("%w: field section %w", errFraming, err)
	}
	return err
}

// appendSection encodes fields, in their order, without a dynamic table: no other
// stream is waited for.
func appendSection(dst []byte, fields []exchange.Field) []byte {
	dst = append(dst, 0, 0)
	for _, f := range fields {
		name, exact := -1, false
		for i, s := range staticTable {
			if s.Name != f.Name {
				continue
			}
			if exact = s.Value == f.Value; exact || name < 0 {
				name = i
			}
			if exact {
				break
			}
		}
		switch {
		case exact:
			dst = appendPrefixed(dst, 0xc0, 6, uint64(name))
			continue
		case name >= 0:
			dst = appendPrefixed(dst, 0x50, 4, uint64(name))
		default:
			dst = appendText(dst, 0x20, 3, f.Name)
		}
		dst = appendText(dst, 0, 7, f.Value)
	}
	return dst
}

// appendPrefixed writes v with its first n bits behind first.
func appendPrefixed(dst []byte, first byte, n uint, v uint64) []byte {
	limit := uint64(1)<<n - 1
	if v < limit {
		return append(dst, first|byte(v))
	}
	dst = append(dst, first|byte(limit))
	for v -= limit; v >= 0x80; v >>= 7 {
		dst = append(dst, byte(v)|0x80)
	}
	return append(dst, byte(v))
}

// appendText writes s, in Huffman's code where that is shorter.
func appendText(dst []byte, first byte, n uint, s string) []byte {
	if size := hpack.HuffmanEncodeLength(s); size < uint64(len(s)) {
		return hpack.AppendHuffmanString(appendPrefixed(dst, first|1<<n, n, size), s)
	}
	return append(appendPrefixed(dst, first, n, uint64(len(s))), s...)
}

// pseudo splits a section in its pseudo fields, by name, and the rest.
func pseudo(fields []exchange.Field) (map[string]string, []exchange.Field, error) {
	first := map[string]string{}
	for i, f := range fields {
		if !strings.HasPrefix(f.Name, ":") {
			return first, fields[i:], nil
		}
		if _, twice := first[f.Name]; twice {
			return nil, nil, fmt.Errorf("%w: %s twice", errFraming, f.Name)
		}
		first[f.Name] = f.Value
	}
	return first, nil, nil
}
