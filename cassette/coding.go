package cassette

import (
	"bytes"
	"io"
	"slices"
	"strings"
)

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
	if coding == "" || coding == "identity" {
		return b, true
	}
	r, err := decoderOnce(io.NopCloser(bytes.NewReader(b)), coding)
	if err != nil {
		return nil, false
	}
	defer r.Close()
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
	if coding == "" || coding == "identity" {
		return b, nil
	}
	var out bytes.Buffer
	w, err := encoderOnce(&out, coding)
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
