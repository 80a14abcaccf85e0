// Package ws is a codec of WebSocket: frames (RFC 6455), permessage-deflate
// (RFC 7692) and the values of the opening handshake. It does no I/O and holds
// a constant amount of memory: a frame of 2^63 bytes passes in pieces.
//
// A Reader turns the bytes of one direction into events, an Encoder messages
// into bytes. Reading is lossless: the events of a stream, with Reader.Rest
// behind the last of them, hold each byte that was read once. A frame's Header
// printed again is the header, because only the shortest form of a length is
// one; a payload masked again with the header's key is the payload; of what is
// compressed the Wire events are the payload. What was not understood is in
// Rest as it was read.
//
// Reading is as strict as RFC 6455 asks of an endpoint. An Error has the code
// to close with. Whoever only watches passes the bytes on regardless.
package ws

import "fmt"

// Opcode is what a frame is (RFC 6455, section 5.2).
type Opcode uint8

// The opcodes. All others are reserved.
const (
	Continuation Opcode = 0x0
	Text         Opcode = 0x1
	Binary       Opcode = 0x2
	Close        Opcode = 0x8
	Ping         Opcode = 0x9
	Pong         Opcode = 0xA
)

// Control reports whether o is a control frame's: never in fragments, and
// allowed between those of a message.
func (o Opcode) Control() bool { return o&0x8 != 0 }

// String returns the name that RFC 6455 has for o.
func (o Opcode) String() string {
	switch o {
	case Continuation:
		return "continuation"
	case Text:
		return "text"
	case Binary:
		return "binary"
	case Close:
		return "close"
	case Ping:
		return "ping"
	case Pong:
		return "pong"
	}
	return fmt.Sprintf("opcode 0x%X", uint8(o))
}

// Error is a violation of the protocol, or of a Reader's Limit.
type Error struct {
	Code Code   // what to close the connection with: 1002, 1007 or 1009
	Why  string // what was wrong, with the operand
}

// Error says what was wrong.
func (e *Error) Error() string { return fmt.Sprintf("%s (close code %d)", e.Why, e.Code) }

// violation is the Error of a peer that does not keep to RFC 6455.
func violation(format string, args ...any) *Error {
	return &Error{CodeProtocol, fmt.Sprintf(format, args...)}
}
