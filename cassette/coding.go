package cassette

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"strings"
)

// decoded undoes content coding on b. It is false if the coding is not one of
// the standard library's, b is damaged, or the result is over wholeMost bytes.
func decoded(b []byte, coding string) ([]byte, bool) {
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
	default:
		return nil, false
	}
	if err != nil {
		return nil, false
	}
	out, err := io.ReadAll(io.LimitReader(r, wholeMost+1))
	return out, err == nil && len(out) <= wholeMost
}

// encoded applies content coding to b.
func encoded(b []byte, coding string) ([]byte, error) {
	var out bytes.Buffer
	var w io.WriteCloser
	switch coding {
	case "", "identity":
		return b, nil
	case "gzip", "x-gzip":
		w = gzip.NewWriter(&out)
	case "deflate":
		w = zlib.NewWriter(&out)
	default:
		return nil, fmt.Errorf("body was edited and cannot be encoded again as %q", coding)
	}
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	err := w.Close()
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
