package cassette

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/serge-net/serge-net/exchange"
)

// contentWindow is the largest window, in bytes, that a content of coding zstd may
// ask for: RFC 9659, 3.
const contentWindow = 8 << 20

// decoder undoes content coding on r as it is read. Whoever has it closes it.
func decoder(r io.Reader, coding string) (io.ReadCloser, error) {
	out := io.NopCloser(r)
	for _, c := range slices.Backward(strings.Split(coding, ",")) {
		var err error
		if out, err = decoderOnce(out, strings.TrimSpace(c)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// partDecoder is decoder of what may have been cut: where that is, it ends.
func partDecoder(r io.Reader, coding string) (io.ReadCloser, error) {
	out, err := decoder(r, coding)
	if err != nil {
		return nil, err
	}
	return &cutShort{out}, nil
}

// A cutShort is a reader whose end may come at any time.
type cutShort struct{ io.ReadCloser }

// Read implements io.Reader.
func (c *cutShort) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// codingOf is the content coding of a body with fields that begins with b: what
// they say, else what the bytes do.
func codingOf(fields []exchange.Field, b []byte) string {
	c := coding(fields)
	switch {
	case c != "":
	case bytes.HasPrefix(b, []byte("\x1f\x8b\x08")):
		return "gzip" // RFC 1952, 2.3.1
	case bytes.HasPrefix(b, []byte("\x28\xb5\x2f\xfd")):
		return "zstd" // RFC 8878, 3.1.1
	}
	return c
}

// decoderOnce undoes one coding.
func decoderOnce(r io.ReadCloser, coding string) (io.ReadCloser, error) {
	switch coding {
	case "", "identity":
		return r, nil
	case "gzip", "x-gzip":
		return gzip.NewReader(r)
	case "deflate":
		// RFC 9110 8.4.1.2: zlib, but some servers send it bare.
		br := bufio.NewReader(r)
		if head, err := br.Peek(2); err == nil && head[0]&15 == 8 && (uint(head[0])<<8|uint(head[1]))%31 == 0 {
			return zlib.NewReader(br)
		}
		return flate.NewReader(br), nil
	case "br":
		return io.NopCloser(brotli.NewReader(r)), nil
	case "zstd":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(contentWindow))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	}
	return nil, fmt.Errorf("content coding %q is not known", coding)
}

// encoder applies content coding to r as it is read. Closing it closes r.
func encoder(r io.ReadCloser, coding string) (io.ReadCloser, error) {
	for c := range strings.SplitSeq(coding, ",") {
		c = strings.TrimSpace(c)
		if c == "" || c == "identity" {
			continue
		}
		e := &encoding{from: r}
		var err error
		if e.to, err = encoderOnce(&e.ready, c); err != nil {
			return nil, err
		}
		r = e
	}
	return r, nil
}

// encoderOnce applies one coding to what is written.
func encoderOnce(w io.Writer, coding string) (io.WriteCloser, error) {
	switch coding {
	case "gzip", "x-gzip":
		return gzip.NewWriter(w), nil
	case "deflate":
		return zlib.NewWriter(w), nil
	case "br":
		return brotli.NewWriter(w), nil
	case "zstd":
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(contentWindow))
	}
	return nil, fmt.Errorf("was edited and cannot be encoded again as %q", coding)
}

// encoding is what it reads, encoded.
type encoding struct {
	from  io.ReadCloser
	to    io.WriteCloser
	ready bytes.Buffer
	ended bool
}

// Read reads encoded bytes.
func (e *encoding) Read(b []byte) (int, error) {
	buf := make([]byte, pieceSize)
	for e.ready.Len() == 0 && !e.ended {
		n, err := e.from.Read(buf)
		if _, err := e.to.Write(buf[:n]); err != nil {
			return 0, err
		}
		if err == io.EOF {
			e.ended = true
			if err := e.to.Close(); err != nil {
				return 0, err
			}
		} else if err != nil {
			return 0, err
		}
	}
	return e.ready.Read(b)
}

// Close closes what is encoded.
func (e *encoding) Close() error { return e.from.Close() }
