package exchange

import "fmt"

// MessageType is what a message of a WebSocket is.
type MessageType uint8

// The types of messages. The last three are of control: whole, and anywhere
// between the pieces of another.
const (
	MessageText MessageType = iota + 1
	MessageBinary
	MessagePing
	MessagePong
	MessageClose // of which Code and Reason are the payload
)

// String returns the name of t, and a number for what is none of the above.
func (t MessageType) String() string {
	words := [...]string{MessageText: "text", MessageBinary: "binary", MessagePing: "ping", MessagePong: "pong", MessageClose: "close"}
	if int(t) >= len(words) || t == 0 {
		return fmt.Sprintf("MessageType(%d)", uint8(t))
	}
	return words[t]
}

// Control reports whether t is neither text nor binary.
func (t MessageType) Control() bool { return t >= MessagePing }

// A Message is what an Event of KindMessage is a piece of. Event.Data is the
// piece as its sender meant it: unmasked and inflated. Frames show only where
// they begin.
type Message struct {
	Type   MessageType
	Frame  bool   // a frame begins with the piece
	Fin    bool   // with Frame: it is the last of the message
	Size   int64  // with Frame: its bytes, or -1 if they are not known (they come compressed)
	Last   bool   // the piece is the last of the message
	Code   uint16 // of a close: RFC 6455, section 7.4; 1005 if it had none
	Reason string // of a close, UTF-8
}
