package cassette

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"strings"

	"github.com/serge-net/serge-net/exchange"
)

// framePrefix is how many bytes stand before each message of gRPC, gRPC-Web and
// Connect's streams: flags, and the length in four bytes
// (github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, Length-Prefixed-Message).
const framePrefix = 5

// The flags of a frame.
const (
	frameCompressed = 0x01
	frameEndStream  = 0x02 // Connect: the message ends the stream
	frameTrailers   = 0x80 // gRPC-Web: the message is the trailers
	// frameUndone is in no traffic: in a marked body it says that a message which
	// came compressed is not any more.
	frameUndone = 0x40
)

// A framing is how the messages of a body are coded that come one after the other.
type framing struct {
	bare   bool   // the body is one message, with nothing before it
	json   bool   // else protobuf, or something that only the peers know
	coding string // of the messages that are compressed
}

// framingOf is the framing of a body with fields, and whether it has one.
func framingOf(fields []exchange.Field) (framing, bool) {
	ct, _ := exchange.Get(fields, "content-type")
	media, _, _ := strings.Cut(ct, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	codec, connect := strings.CutPrefix(media, "application/connect+")
	if !connect {
		rest, ok := strings.CutPrefix(media, "application/grpc")
		rest = strings.TrimPrefix(rest, "-web")
		codec = strings.TrimPrefix(rest, "+")
		if !ok || rest != "" && codec == rest {
			return framing{}, false // grpc-web-text has them in base64
		}
	}
	name := "grpc-encoding"
	if connect {
		name = "connect-content-encoding"
	}
	coding, _ := exchange.Get(fields, name)
	return framing{json: codec == "json", coding: strings.ToLower(coding)}, true
}

// structured is framingOf, or that of a body that is a protobuf message and as such
// not compressed: what its lengths have to fit in.
func structured(fields []exchange.Field) (framing, bool) {
	ct, _ := exchange.Get(fields, "content-type")
	media, _, _ := strings.Cut(ct, ";")
	if isProtobuf(strings.ToLower(strings.TrimSpace(media))) && coding(fields) == "" {
		return framing{bare: true}, true
	}
	return framingOf(fields)
}

// A frame is a message with its flags.
type frame struct {
	flags byte
	data  []byte
}

// cutFrames cuts b into its messages. rest is one that is not whole.
func cutFrames(b []byte) (all []frame, rest []byte) {
	for len(b) >= framePrefix {
		n := uint64(binary.BigEndian.Uint32(b[1:]))
		if uint64(len(b)-framePrefix) < n {
			break
		}
		all = append(all, frame{b[0], b[framePrefix : framePrefix+n]})
		b = b[framePrefix+n:]
	}
	return all, b
}

// append appends f as it is sent.
func (f frame) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(append(b, f.flags), uint32(len(f.data)))
	return append(b, f.data...)
}

// compressed says whether f's data is to be decoded.
func (f frame) compressed() bool { return f.flags&(frameCompressed|frameUndone) == frameCompressed }

// plain is what f says, and false with its bytes if it cannot be decoded.
func (f frame) plain(coding string) ([]byte, bool) {
	if !f.compressed() {
		return f.data, true
	}
	if coding == "" || coding == "identity" {
		return f.data, false
	}
	out, ok := Decoded(f.data, coding, documentMost)
	if !ok {
		return f.data, false
	}
	return out, true
}

// mapText is f with its text replaced by text of it: of JSON and what is no
// message all, else that of the fields. What is marked stays undone.
func (f frame) mapText(fr framing, text func([]byte) []byte) frame {
	if fr.json || f.flags&(frameTrailers|frameEndStream) != 0 {
		f.data = text(f.data)
		return f
	}
	if out, ok := mapProto(f.data, text, 0); ok {
		f.data = out
	} else {
		f.data = text(f.data)
	}
	return f
}

// A frameHead is a frame without its message: of one that is not whole, size is
// how many bytes of it there are, its prefix included.
type frameHead struct {
	flags byte
	size  int64
	cut   bool
}

// frameHeads reads what frames there are in r.
func frameHeads(r io.Reader) ([]frameHead, error) {
	in := bufio.NewReaderSize(r, pieceSize)
	var out []frameHead
	for prefix := make([]byte, framePrefix); ; {
		n, err := io.ReadFull(in, prefix)
		switch {
		case errors.Is(err, io.EOF):
			return out, nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return append(out, frameHead{size: int64(n), cut: true}), nil
		case err != nil:
			return nil, err
		}
		size := int64(binary.BigEndian.Uint32(prefix[1:]))
		k, err := io.CopyN(io.Discard, in, size)
		switch {
		case errors.Is(err, io.EOF):
			return append(out, frameHead{size: framePrefix + k, cut: true}), nil
		case err != nil:
			return nil, err
		}
		out = append(out, frameHead{flags: prefix[0], size: size})
	}
}
