package ws

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// Code is why a connection was closed (RFC 6455, section 7.4).
type Code uint16

// The codes in the registry of IANA.
const (
	CodeNormal       Code = 1000
	CodeGoingAway    Code = 1001
	CodeProtocol     Code = 1002
	CodeUnsupported  Code = 1003 // a type of data that the endpoint does not take
	CodeNone         Code = 1005 // never sent: the close frame had no code
	CodeAbnormal     Code = 1006 // never sent: there was no close frame
	CodeInvalid      Code = 1007 // data that is not what its message's type says
	CodePolicy       Code = 1008
	CodeTooBig       Code = 1009
	CodeExtension    Code = 1010 // the client's, for want of an extension
	CodeInternal     Code = 1011
	CodeRestart      Code = 1012
	CodeTryLater     Code = 1013
	CodeBadGateway   Code = 1014
	CodeTLSHandshake Code = 1015 // never sent
)

// MaxReason is the most bytes of a close frame's reason.
const MaxReason = maxControl - 2

// Sendable reports whether c may be in a close frame: a registered code that
// is not for local use only, or one of those left to libraries (3000 to 3999)
// and applications (4000 to 4999).
func (c Code) Sendable() bool {
	switch c {
	case CodeNone, CodeAbnormal, 1004:
		return false
	}
	return CodeNormal <= c && c <= CodeBadGateway || 3000 <= c && c <= 4999
}

// ParseClose reads the payload of a close frame, unmasked. An empty one is
// CodeNone. The error is an *Error.
func ParseClose(payload []byte) (Code, string, error) {
	if len(payload) == 0 {
		return CodeNone, "", nil
	}
	if len(payload) == 1 {
		return 0, "", violation("close frame of 1 byte")
	}
	code, reason := Code(binary.BigEndian.Uint16(payload)), payload[2:]
	if !code.Sendable() {
		return 0, "", violation("close frame with code %d", code)
	}
	if !utf8.Valid(reason) {
		return 0, "", &Error{CodeInvalid, fmt.Sprintf("reason %q of a close frame is not UTF-8", reason)}
	}
	return code, string(reason), nil
}

// AppendClose appends the payload of a close frame: none if code is CodeNone.
// It is an error to send a code that is not Sendable, or a reason of more than
// MaxReason bytes or that is not UTF-8.
func AppendClose(dst []byte, code Code, reason string) ([]byte, error) {
	switch {
	case code == CodeNone && reason == "":
		return dst, nil
	case !code.Sendable():
		return dst, fmt.Errorf("close code %d is not one to send", code)
	case len(reason) > MaxReason:
		return dst, fmt.Errorf("close reason of %d bytes: %d are allowed", len(reason), MaxReason)
	case !utf8.ValidString(reason):
		return dst, fmt.Errorf("close reason %q is not UTF-8", reason)
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(code))
	return append(dst, reason...), nil
}
