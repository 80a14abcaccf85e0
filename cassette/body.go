package cassette

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/serge-net/serge-net/exchange"
)

const (
	// wholeMost is how large a body may be, in bytes, to be held in memory,
	// shown in the cassette and compared by meaning. A larger one is a file,
	// and compared by its bytes.
	wholeMost = 1 << 20
	// base64Most is how large a binary body may be, in bytes, to stand in the cassette.
	base64Most = 8 << 10
)

// A Body is the bytes of one message as they passed, transfer coding removed.
// The zero value is none.
type Body struct {
	Size  int64
	data  []byte
	file  string // its name in the bodies folder, if it is there
	sum   string // sha256 in hex, if it is known
	open  func() (io.ReadCloser, error)
	plain []byte // without content coding, if that is shown beside the file; else nil
	lean  bool   // what is shown is kept, and encoded anew for a replay

	marked bool   // there are secrets in it: see marked.go
	coding string // of a marked one: the content coding that is undone

	frames *framing // how the messages in it are coded, if it is those of a call
}

// bodyOf is the Body of b.
func bodyOf(b []byte) Body { return Body{Size: int64(len(b)), data: b} }

// Open returns the bytes as a stream. The caller closes it.
func (b Body) Open() (io.ReadCloser, error) {
	if b.open != nil {
		return b.open()
	}
	return io.NopCloser(bytes.NewReader(b.data)), nil
}

// Whole returns the bytes of a body of up to 1 MiB, and false for a larger one.
func (b Body) Whole() ([]byte, bool, error) {
	switch {
	case b.Size > wholeMost:
		return nil, false, nil
	case b.open == nil:
		return b.data, true, nil
	}
	r, err := b.open()
	if err != nil {
		return nil, false, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, b.Size+1))
	if err == nil && int64(len(data)) != b.Size {
		err = fmt.Errorf("body is %d bytes long, want %d", len(data), b.Size)
	}
	return data, err == nil, err
}

// Sum is the sha256 of the bytes, in hex.
func (b Body) Sum() (string, error) {
	if b.sum != "" {
		return b.sum, nil
	}
	r, err := b.Open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// sumOf is the sha256 of b, in hex.
func sumOf(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// meaning is a digest of b, the body of a message with fields, that is the same
// for all encodings of the same bytes where they can be undone in memory, and for
// all boundaries of the same parts.
func (b Body) meaning(fields []exchange.Field) (string, error) {
	c := coding(fields)
	media, boundary := mediaOf(fields)
	parts := strings.HasPrefix(media, "multipart/")
	plain := b.plain
	if plain == nil && (c != "" || parts) {
		data, _, err := b.Whole()
		if err != nil {
			return "", err
		}
		if text, _, ok := decodedPart(data, b.wired(c), wholeMost); ok {
			plain = text
		}
	}
	if plain == nil {
		return b.Sum()
	}
	if parts {
		if n := partsView(plain, boundary); n != nil {
			return sumOf([]byte(n.without("boundary").compact())), nil
		}
	}
	return sumOf(plain), nil
}
