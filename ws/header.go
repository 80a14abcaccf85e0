package ws

import (
	"encoding/binary"
	"math"
)

// MaxHeader is the most bytes of a frame's header: two, eight of length, four
// of masking key.
const MaxHeader = 14

// maxControl is the most bytes of a control frame's payload (RFC 6455, section 5.5).
const maxControl = 125

// Header is a frame without its payload (RFC 6455, section 5.2).
type Header struct {
	Fin    bool  // the last frame of its message
	RSV    uint8 // the reserved bits: RSV1 and the two below it
	Opcode Opcode
	Masked bool
	Key    [4]byte // the masking key, zero if not Masked
	Length uint64  // of the payload, in bytes: less than 2^63
}

// RSV1 is the bit of Header.RSV that says that a message is compressed
// (RFC 7692, section 6). The other two bits belong to no registered extension.
const RSV1 = 0b100

// ParseHeader reads the header that b begins with, and says how many bytes of
// b it is: 0, without an error, if it goes on behind b. The error, an *Error
// with CodeProtocol, is known as early as the bytes tell it. What depends on
// the direction or on earlier frames is not checked: mask, reserved bits and
// the order of fragments.
func ParseHeader(b []byte) (h Header, n int, err error) {
	if len(b) == 0 {
		return h, 0, nil
	}
	h.Fin = b[0]&0x80 != 0
	h.RSV = b[0] >> 4 & 0b111
	h.Opcode = Opcode(b[0] & 0xF)
	switch {
	case h.Opcode > Binary && h.Opcode < Close || h.Opcode > Pong:
		return h, 0, violation("reserved %v", h.Opcode)
	case h.Opcode.Control() && !h.Fin:
		return h, 0, violation("%v frame in fragments", h.Opcode)
	}
	if len(b) < 2 {
		return h, 0, nil
	}
	h.Masked = b[1]&0x80 != 0
	h.Length = uint64(b[1] & 0x7F)
	if h.Opcode.Control() && h.Length > maxControl {
		return h, 0, violation("%v frame of more than %d bytes", h.Opcode, maxControl)
	}
	n = 2
	if h.Length > 125 {
		if h, n, err = parseLength(h, b); n == 0 {
			return h, 0, err
		}
	}
	if h.Masked {
		if len(b) < n+4 {
			return h, 0, nil
		}
		n += copy(h.Key[:], b[n:])
	}
	return h, n, nil
}

// parseLength reads the length behind b's second byte, where 126 and 127 say
// that there is one.
func parseLength(h Header, b []byte) (Header, int, error) {
	n, least := 4, uint64(126)
	if h.Length == 127 {
		n, least = 10, 1<<16
	}
	if len(b) < n {
		return h, 0, nil
	}
	if n == 4 {
		h.Length = uint64(binary.BigEndian.Uint16(b[2:]))
	} else {
		h.Length = binary.BigEndian.Uint64(b[2:])
	}
	switch {
	case h.Length < least:
		return h, 0, violation("length %d in %d bytes: not its shortest form", h.Length, n-2)
	case h.Length > math.MaxInt64:
		return h, 0, violation("length 0x%X has the most significant bit", h.Length)
	}
	return h, n, nil
}

// AppendHeader appends h. Of a Header that was parsed it appends what was parsed.
func AppendHeader(dst []byte, h Header) []byte {
	first := byte(h.Opcode) | h.RSV<<4
	if h.Fin {
		first |= 0x80
	}
	var mask byte
	if h.Masked {
		mask = 0x80
	}
	switch {
	case h.Length <= 125:
		dst = append(dst, first, mask|byte(h.Length))
	case h.Length <= math.MaxUint16:
		dst = binary.BigEndian.AppendUint16(append(dst, first, mask|126), uint16(h.Length))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, first, mask|127), h.Length)
	}
	if h.Masked {
		dst = append(dst, h.Key[:]...)
	}
	return dst
}

// AppendFrame appends a frame: h, with payload's length in place of its own,
// and payload, masked if h says so.
func AppendFrame(dst []byte, h Header, payload []byte) []byte {
	h.Length = uint64(len(payload))
	dst = AppendHeader(dst, h)
	start := len(dst)
	dst = append(dst, payload...)
	if h.Masked {
		Mask(dst[start:], dst[start:], h.Key, 0)
	}
	return dst
}
