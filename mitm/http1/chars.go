package http1

import "strconv"

// tchar tells which bytes a token is made of (RFC 9110, section 5.6.2).
var tchar = func() (t [256]bool) {
	for c := range 256 {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
			t[c] = true
		}
	}
	for _, c := range []byte("!#$%&'*+-.^_`|~") {
		t[c] = true
	}
	return t
}()

// hexValue is the value of a hexadecimal digit, -1 for other bytes.
var hexValue = func() (t [256]int8) {
	for c := range 256 {
		t[c] = -1
		switch {
		case c >= '0' && c <= '9':
			t[c] = int8(c - '0')
		case c >= 'a' && c <= 'f':
			t[c] = int8(c - 'a' + 10)
		case c >= 'A' && c <= 'F':
			t[c] = int8(c - 'A' + 10)
		}
	}
	return t
}()

// token reports whether s is a token: a method or field name.
func token(s string) bool {
	for i := range len(s) {
		if !tchar[s[i]] {
			return false
		}
	}
	return s != ""
}

// tolerable reports whether clients read s as a field name in a response,
// though it is no token: no control, and no space at an end.
func tolerable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return s != "" && s[0] != ' ' && s[len(s)-1] != ' '
}

// visible reports whether s can be a request-target: neither space nor control.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return s != ""
}

// quote is s as an error shows it: short.
func quote(s string) string {
	const most = 40
	if len(s) > most {
		return strconv.Quote(s[:most]) + "…"
	}
	return strconv.Quote(s)
}
