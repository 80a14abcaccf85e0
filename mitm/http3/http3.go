// Package http3 turns the bytes of an HTTP/3 connection's streams into events
// (Decoder), and answers a client from events (Serve).
//
// The Decoder keeps what an exchange is made of: the fields with their order,
// bytes and duplicates, the data, the trailers, the interim answers and the
// error codes. Frame sizes, QPACK's tables, priorities and flow control are
// the connection's, not the exchange's; so are pushed answers, which nobody asks
// for any more. What is no HTTP message, as the streams of WebTransport, is told
// once and not decoded.
package http3

import (
	"errors"
	"fmt"

	"github.com/quic-go/quic-go/quicvarint"

	"github.com/serge-net/serge-net/exchange"
)

// ALPN is the name of HTTP/3 in a TLS handshake (RFC 9114, section 3.1).
const ALPN = "h3"

// Limits of what a Decoder holds. A connection beyond one is not understood.
const (
	// MaxBlock is the most bytes of a compressed field section, as in HTTP/2.
	MaxBlock = 256 << 10
	// MaxFields is the most bytes of a field section by the count of RFC 9114,
	// section 4.2.2: what net/http takes (DefaultMaxHeaderBytes).
	MaxFields = 1 << 20
	// MaxTable is the largest QPACK table that a side may fill; browsers allow 64 KiB.
	MaxTable = 1 << 20
	// MaxHeld is the most bytes of all streams that wait for what QPACK's encoder
	// has yet to send.
	MaxHeld = 4 << 20
)

// Frame types, RFC 9114, section 7.2. Others are skipped.
const (
	frameData     = 0x0
	frameHeaders  = 0x1
	frameSettings = 0x4
	// signalStream begins a stream of WebTransport in the place of a frame:
	// draft-ietf-webtrans-http3, section 4.3.
	signalStream = 0x41
)

// Types of unidirectional streams, RFC 9114, section 6.2, and RFC 9204, section 4.2.
const (
	streamControl = 0x0
	streamPush    = 0x1
	streamEncoder = 0x2
	streamDecoder = 0x3
	// streamTransport is WebTransport's: draft-ietf-webtrans-http3, section 4.2.
	streamTransport = 0x54
)

// settingTable is SETTINGS_QPACK_MAX_TABLE_CAPACITY, RFC 9204, section 5.
const settingTable = 0x1

// Error codes, RFC 9114, section 8.1, and RFC 9204, section 6.
const (
	NoError          = 0x100
	internalError    = 0x102
	streamCreation   = 0x103
	frameUnexpected  = 0x105
	requestRejected  = 0x10b
	requestCancelled = 0x10c
	messageError     = 0x10e
)

// The ways in which a stream is cut, RFC 9000, sections 19.4 and 19.5.
const (
	ResetStream = "RESET_STREAM"
	StopSending = "STOP_SENDING"
)

// errFraming is wrapped by whatever is refused.
var errFraming = errors.New("malformed")

// codeName is code in words, for an End's Err.
func codeName(code uint64) string {
	names := map[uint64]string{
		NoError: "H3_NO_ERROR", 0x101: "H3_GENERAL_PROTOCOL_ERROR", internalError: "H3_INTERNAL_ERROR",
		streamCreation: "H3_STREAM_CREATION_ERROR", 0x104: "H3_CLOSED_CRITICAL_STREAM", frameUnexpected: "H3_FRAME_UNEXPECTED",
		0x106: "H3_FRAME_ERROR", 0x107: "H3_EXCESSIVE_LOAD", 0x108: "H3_ID_ERROR", 0x109: "H3_SETTINGS_ERROR",
		0x10a: "H3_MISSING_SETTINGS", requestRejected: "H3_REQUEST_REJECTED", requestCancelled: "H3_REQUEST_CANCELLED",
		0x10d: "H3_REQUEST_INCOMPLETE", messageError: "H3_MESSAGE_ERROR", 0x10f: "H3_CONNECT_ERROR", 0x110: "H3_VERSION_FALLBACK",
	}
	if name, ok := names[code]; ok {
		return name
	}
	return fmt.Sprintf("%#x", code)
}

// ResetEnd is the end of a stream that by cut off with code, by what: ResetStream
// or StopSending. An answer that the client wants no more of is one that it did
// not wait for.
func ResetEnd(what string, code uint64, by exchange.Side) exchange.End {
	end := exchange.End{
		How:  exchange.Reset,
		Code: uint32(min(code, 1<<32-1)),
		Err:  fmt.Sprintf("%s %s by the %s", what, codeName(code), by),
	}
	if what == StopSending && by == exchange.Client {
		end.How = exchange.Left
	}
	return end
}

// ClosedEnd is the end of the streams of a connection that was closed with code.
func ClosedEnd(code uint64) exchange.End {
	if code == 0 || code == NoError {
		return exchange.End{How: exchange.Truncated, Err: "the connection ended before the stream did"}
	}
	return exchange.End{How: exchange.Reset, Code: uint32(min(code, 1<<32-1)), Err: "CONNECTION_CLOSE " + codeName(code)}
}

// A varintReader gathers one of QUIC's variable-length integers (RFC 9000,
// section 16) byte by byte.
type varintReader struct {
	buf [8]byte
	n   int
}

// take takes bytes of b until the integer is whole, and says how many.
func (r *varintReader) take(b []byte) (v uint64, n int, whole bool) {
	for n < len(b) {
		r.buf[r.n] = b[n]
		r.n++
		n++
		if r.n == 1<<(r.buf[0]>>6) {
			v, _, err := quicvarint.Parse(r.buf[:r.n])
			r.n = 0
			return v, n, err == nil
		}
	}
	return 0, n, false
}
