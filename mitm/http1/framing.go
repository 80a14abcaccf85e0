package http1

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/serge-net/serge-net/exchange"
)

// kind is how the end of a body is told.
type kind uint8

const (
	noBody kind = iota
	byLength
	byChunks
	byClose
)

// body is how a message's body is framed.
type body struct {
	kind kind
	size int64 // byLength
}

// framing is what the fields of a head say about what follows it.
type framing struct {
	host    string
	hosts   int // how many Host fields there are
	upgrade bool
	sized   bool
	size    int64
	codings int    // how many Transfer-Encoding fields there are
	coding  string // the last one's value
	chunked bool   // the last coding of all is chunked
}

// frames reports whether the field decides where a message ends.
func frames(name string) bool {
	return strings.EqualFold(name, "Content-Length") || strings.EqualFold(name, "Transfer-Encoding")
}

// framingOf reads the fields that frame a message. Two lengths that differ, or
// one that is not a plain number, are an error (RFC 9112, section 6.3).
func framingOf(fields []exchange.Field) (framing, error) {
	var f framing
	var length string
	for i := range fields {
		name, value := fields[i].Name, fields[i].Value
		switch len(name) {
		case len("Host"):
			if strings.EqualFold(name, "Host") {
				if f.hosts++; f.hosts == 1 {
					f.host = value
				}
			}
		case len("Upgrade"):
			f.upgrade = f.upgrade || strings.EqualFold(name, "Upgrade")
		case len("Content-Length"):
			if !strings.EqualFold(name, "Content-Length") {
				continue
			}
			n, ok := number(value)
			if !ok || f.sized && value != length {
				return f, fmt.Errorf("%w: Content-Length %s", errSyntax, quote(value))
			}
			f.sized, f.size, length = true, n, value
		case len("Transfer-Encoding"):
			if !strings.EqualFold(name, "Transfer-Encoding") {
				continue
			}
			if f.chunked || strings.Count(strings.ToLower(value), "chunked") > 1 {
				return f, fmt.Errorf("%w: chunked is not the last Transfer-Encoding", errSyntax)
			}
			f.codings++
			f.coding = value
			f.chunked = strings.EqualFold(strings.Trim(value[strings.LastIndexByte(value, ',')+1:], " \t"), "chunked")
			if !f.chunked && strings.Contains(strings.ToLower(value), "chunked") {
				return f, fmt.Errorf("%w: Transfer-Encoding %s", errSyntax, quote(value))
			}
		}
	}
	return f, nil
}

// number reads a Content-Length: digits, no sign.
func number(s string) (int64, bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// request is how the body of request h is framed. What two servers could read
// differently is an error: both framings, a coding other than chunked, any
// coding in HTTP/1.0, two hosts.
func (f *framing) request(h *exchange.Head) (body, error) {
	switch {
	case f.hosts > 1:
		return body{}, fmt.Errorf("%w: %d Host fields", errSyntax, f.hosts)
	case f.codings > 0 && f.sized:
		return body{}, fmt.Errorf("%w: Transfer-Encoding and Content-Length", errSyntax)
	case f.codings > 0 && (h.Version == "1.0" || f.codings > 1 || !strings.EqualFold(f.coding, "chunked")):
		return body{}, fmt.Errorf("%w: Transfer-Encoding %s in a request of HTTP/%s", errSyntax, quote(f.coding), h.Version)
	case f.codings > 0:
		return body{kind: byChunks}, nil
	case f.sized:
		return body{kind: byLength, size: f.size}, nil
	}
	return body{}, nil
}

// response is how the body of h, the answer to a request with flags, is
// framed. Chunked wins over a length, as RFC 9112, section 6.3 says and
// clients do; in HTTP/1.0 clients differ, so it is an error.
func (f *framing) response(h *exchange.Head, flags uint8) (body, error) {
	switch {
	case h.Status < 200 || h.Status == 204 || h.Status == 304 || flags&askedHead != 0 || tunnels(flags, h.Status):
		return body{}, nil
	case f.codings > 0 && h.Version == "1.0":
		return body{}, fmt.Errorf("%w: Transfer-Encoding %s in a response of HTTP/1.0", errSyntax, quote(f.coding))
	case f.chunked:
		return body{kind: byChunks}, nil
	case f.codings > 0 && f.sized:
		return body{}, fmt.Errorf("%w: Transfer-Encoding %s and Content-Length", errSyntax, quote(f.coding))
	case f.codings == 0 && f.sized:
		return body{kind: byLength, size: f.size}, nil
	}
	return body{kind: byClose}, nil
}
