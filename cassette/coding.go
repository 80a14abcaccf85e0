package cassette

import (
	"bytes"
	"io"
	"slices"
	"strings"

	"github.com/serge-net/serge-net/exchange"
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

// decodedPart is Decoded of what may have been cut: as much of it as came, which
// is some. whole is false if it was cut.
func decodedPart(b []byte, coding string, most int64) (plain []byte, whole, ok bool) {
	if plain, ok = Decoded(b, coding, most); ok {
		return plain, true, true
	}
	r, err := partDecoder(bytes.NewReader(b), coding)
	if err != nil {
		return nil, false, false
	}
	defer r.Close()
	plain, err = io.ReadAll(io.LimitReader(r, most+1))
	return plain, false, err == nil && len(plain) > 0 && int64(len(plain)) <= most
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

// covered says whether the bytes of a message are covered as they are, encoded,
// by a digest or a range: others that decode to the same would not do.
func covered(status int, fields, trailers []exchange.Field) bool {
	if status == 206 {
		return true // RFC 9110, 15.3.7: a range of the encoded bytes
	}
	for _, f := range slices.Concat(fields, trailers) {
		switch name := strings.ToLower(f.Name); name {
		case "content-md5", "digest", "repr-digest", "content-digest", "content-range", "x-goog-hash", "x-amz-content-sha256":
			return true
		case "etag":
			if sum := strings.Trim(f.Value, `"`); len(sum) >= 32 && strings.Trim(sum[:32], "0123456789abcdefABCDEF") == "" {
				return true // object stores' is the MD5 of the bytes, and clients check it
			}
		default:
			if strings.HasPrefix(name, "x-amz-checksum-") {
				return true
			}
		}
	}
	return false
}

// codedEnd is what coding adds to the name of a file.
func codedEnd(coding string) string {
	switch coding {
	case "gzip", "x-gzip":
		return ".gz"
	case "br":
		return ".br"
	case "zstd":
		return ".zst"
	case "deflate":
		return ".zz"
	}
	return ""
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

// fileEnding is how b, the body of a message with fields, ends its file's name.
func fileEnding(b Body, fields []exchange.Field) string {
	ct, _ := exchange.Get(fields, "content-type")
	return extension(ct) + codedEnd(b.wired(coding(fields)))
}
