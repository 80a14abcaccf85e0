package cassette

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// zstdWindow is the largest window, in bytes, that a content of coding zstd may
// ask for: RFC 9659, 3.
const zstdWindow = 8 << 20

// Decoded undoes content coding on b: gzip, deflate, br, zstd, or a list of them
// as Content-Encoding has it; "" and identity are none. It is false if the coding
// is another, b is damaged, or the result is over most bytes.
func Decoded(b []byte, coding string, most int64) ([]byte, bool) {
	for _, c := range slices.Backward(strings.Split(coding, ",")) {
		var ok bool
		if b, ok = decodedOnce(b, strings.TrimSpace(c), most); !ok {
			return nil, false
		}
	}
	return b, true
}

// decodedOnce undoes one coding.
func decodedOnce(b []byte, coding string, most int64) ([]byte, bool) {
	var r io.Reader
	var err error
	switch coding {
	case "", "identity":
		return b, true
	case "gzip", "x-gzip":
		r, err = gzip.NewReader(bytes.NewReader(b))
	case "deflate":
		// RFC 9110 8.4.1.2: zlib, but some servers send it bare.
		if r, err = zlib.NewReader(bytes.NewReader(b)); err != nil {
			r, err = flate.NewReader(bytes.NewReader(b)), nil
		}
	case "br":
		r = brotli.NewReader(bytes.NewReader(b))
	case "zstd":
		var z *zstd.Decoder
		if z, err = zstd.NewReader(bytes.NewReader(b), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow)); err == nil {
			defer z.Close()
			r = z
		}
	default:
		return nil, false
	}
	if err != nil {
		return nil, false
	}
	out, err := io.ReadAll(io.LimitReader(r, most+1))
	return out, err == nil && int64(len(out)) <= most
}

// encoded applies content coding to b. The same bytes give the same result.
func encoded(b []byte, coding string) ([]byte, error) {
	for c := range strings.SplitSeq(coding, ",") {
		var err error
		if b, err = encodedOnce(b, strings.TrimSpace(c)); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// encodedOnce applies one coding.
func encodedOnce(b []byte, coding string) ([]byte, error) {
	var out bytes.Buffer
	var w io.WriteCloser
	var err error
	switch coding {
	case "", "identity":
		return b, nil
	case "gzip", "x-gzip":
		w = gzip.NewWriter(&out)
	case "deflate":
		w = zlib.NewWriter(&out)
	case "br":
		w = brotli.NewWriter(&out)
	case "zstd":
		w, err = zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(zstdWindow))
	default:
		return nil, fmt.Errorf("was edited and cannot be encoded again as %q", coding)
	}
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	err = w.Close()
	return out.Bytes(), err
}

// extension is a file name's end for content of media type t.
func extension(t string) string {
	t, _, _ = strings.Cut(strings.ToLower(t), ";")
	switch t = strings.TrimSpace(t); t {
	case "image/png", "image/gif", "image/webp", "application/pdf", "application/zip", "application/wasm", "text/html", "text/css":
		_, sub, _ := strings.Cut(t, "/")
		return sub
	case "application/json":
		return "json"
	case "application/gzip", "application/x-gzip":
		return "gz"
	case "image/jpeg":
		return "jpg"
	case "image/svg+xml":
		return "svg"
	case "text/plain":
		return "txt"
	case "text/javascript", "application/javascript":
		return "js"
	}
	return "bin"
}
