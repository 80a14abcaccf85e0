package http1

import "bytes"

// MaxSniff is the most bytes LooksLike asks for: a request line with a method
// that it does not know and a longer target is not recognised.
const MaxSniff = 4 << 10

// maxMethod is the longest method LooksLike takes for one; the longest that is
// registered, UPDATEREDIRECTREF, has 17.
const maxMethod = 24

// known are the methods behind which " /" is enough.
var known = [...]string{"GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND"}

// LooksLike tells whether b, the first bytes of a client, is the beginning of
// an HTTP/1 request, or, if more, that it takes more bytes to tell. A known
// method is told by its target's first byte; any other by the version at the
// end of the line, so that the commands of Redis, SMTP or SIP are not mistaken.
func LooksLike(b []byte) (ok, more bool) {
	line := bytes.TrimLeft(b, "\r\n")
	n := 0
	for n < len(line) && tchar[line[n]] {
		n++
	}
	if n == len(line) {
		return false, n <= maxMethod && len(b) < MaxSniff
	}
	if n == 0 || n > maxMethod || line[n] != ' ' {
		return false, false
	}
	method, rest := line[:n], line[n+1:]
	if len(rest) == 0 {
		return false, true
	}
	for _, m := range known {
		if string(method) == m && rest[0] == '/' {
			return true, false
		}
	}
	target := bytes.IndexAny(rest, " \r\n")
	if target < 0 {
		return false, len(b) < MaxSniff && visible(string(rest))
	}
	const version = "HTTP/1."
	got := rest[target:]
	if target == 0 || got[0] != ' ' || !visible(string(rest[:target])) {
		return false, false
	}
	got = got[1:min(len(got), 1+len(version))]
	if !bytes.EqualFold(got, []byte(version[:len(got)])) {
		return false, false
	}
	return len(got) == len(version), len(got) < len(version)
}
