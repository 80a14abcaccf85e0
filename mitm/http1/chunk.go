package http1

import (
	"bytes"
	"fmt"

	"github.com/serge-net/serge-net/exchange"
)

// stepChunkLine reads a chunk-size line into h.line.
func (h *half) stepChunkLine(b []byte) (int, error) {
	i := bytes.IndexByte(b, '\n')
	n := i + 1
	if i < 0 {
		n = len(b)
	}
	if h.kept+n > MaxChunkLine {
		return 0, fmt.Errorf("%w: chunk-size line of over %d bytes", ErrTooLong, MaxChunkLine)
	}
	if i < 0 || h.kept > 0 {
		h.buf = append(h.buf[:h.kept], b[:n]...)
	}
	if i < 0 {
		h.kept = len(h.buf)
		return n, nil
	}
	line := b[:n]
	if h.kept > 0 {
		line = h.buf
	}
	size, plain, err := chunkSize(line, h.from == exchange.Client)
	if err != nil {
		return 0, err
	}
	h.line, h.plain, h.kept = append(h.line[:0], line...), plain, 0
	h.chunk, h.left, h.state = size, size, inChunk
	if size == 0 {
		h.state = inTrailers
	}
	return n, nil
}

// chunkSize reads a chunk-size line with its line end. plain tells that it is
// as it would be printed. A strict reading, for requests, takes no bare LF and
// no space but behind a semicolon: readers differ there.
func chunkSize(line []byte, strict bool) (size int64, plain bool, err error) {
	text, crlf := bytes.CutSuffix(line[:len(line)-1], []byte("\r"))
	plain = crlf
	i := 0
	for ; i < len(text); i++ {
		c := text[i]
		v := hexValue[c]
		if v < 0 {
			break
		}
		if i >= 15 { // 60 bits: what net/http reads too
			return 0, false, fmt.Errorf("%w: chunk size %s", errSyntax, quote(string(text)))
		}
		plain = plain && c != 'A' && (c < 'B' || c > 'F') && (i != 1 || text[0] != '0')
		size = size<<4 | int64(v)
	}
	ext := text[i:]
	plain = plain && len(ext) == 0
	if !strict {
		ext = bytes.TrimLeft(ext, " \t")
	}
	if i == 0 || strict && !crlf || len(ext) > 0 && ext[0] != ';' || bytes.ContainsAny(ext, "\r\x00") {
		return 0, false, fmt.Errorf("%w: chunk-size line %s", errSyntax, quote(string(line)))
	}
	return size, plain, nil
}

// stepTrailers reads what is behind the last chunk's line, through the empty line.
func (d *Decoder) stepTrailers(h *half, b []byte, o out) (int, error) {
	block, n, err := h.gather(b, false)
	if err != nil || block == nil {
		return n, err
	}
	if bytes.IndexByte(block, 0) >= 0 {
		return 0, fmt.Errorf("%w: NUL in trailers", errSyntax)
	}
	text := "\r\n" // what is almost always there costs no allocation
	if len(block) != len(text) {
		text = string(block)
	}
	// The fields are read as if behind a start line that ends in front of them.
	h.ends = append(h.ends, 0)
	copy(h.ends[1:], h.ends)
	h.ends[0] = -1
	even, err := h.parseFields(text, h.ends)
	if err != nil {
		return 0, err
	}
	e := exchange.Event{Stream: h.stream, From: h.from, Kind: exchange.KindTrailers, At: o.at, Fields: h.fields}
	if !even || !h.plain {
		h.line = append(h.line, block...)
		e.Raw = h.line
	}
	h.drop()
	o.emit(e)
	d.finish(h, o)
	return n, nil
}
