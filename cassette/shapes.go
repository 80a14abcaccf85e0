package cassette

import (
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// A shape is a form that values made at random have.
type shape string

// The random shapes. None of them is had by a number, a word or a short value:
// those are always what they say.
const (
	shapeUUID shape = "uuid" // RFC 9562, also without dashes: then it is 32 hexadecimal digits
	shapeULID shape = "ulid" // github.com/ulid/spec: 26 digits of Crockford's base 32
	shapeHex  shape = "hex"  // 16, 20, 24, 40 or 64 digits, such as span ids, object ids and hashes
	shapeKSID shape = "ksuid"
	shapeB256 shape = "base64url" // 43 digits: 256 bits, as PKCE has them (RFC 7636 section 4.1)
	shapeJWT  shape = "jwt"       // RFC 7519
)

// tokenLeast is how short a random value may be, in bytes.
const tokenLeast = 16

// jwtLeast is how short a JWT may be, in bytes: {"alg":""} takes 14, and claims
// and a signature follow.
const jwtLeast = 24

// A token is where in a text a value of a random shape is.
type token struct {
	from, to int
	shape    shape
}

// nextToken finds the first random value in s at or after i; a zero shape says
// that there is none. It is whole: no letter or digit stands beside it.
func nextToken(s string, i int) token {
	for len(s)-i >= tokenLeast {
		switch {
		case s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			i += 3
			continue
		case !alnum(s[i]):
			i++
			continue
		}
		if t := tokenAt(s, i); t.shape != "" {
			return t
		}
		for i < len(s) && alnum(s[i]) {
			i++
		}
	}
	return token{}
}

// tokenAt is the random value that begins at i, where a word does.
func tokenAt(s string, i int) token {
	word := i
	for word < len(s) && alnum(s[word]) {
		word++
	}
	if word-i == 8 && isUUID(s[i:]) {
		return token{i, i + 36, shapeUUID}
	}
	if strings.HasPrefix(s[i:], "eyJ") {
		if n := jwtLen(s[i:]); n >= jwtLeast {
			return token{i, i + n, shapeJWT}
		}
	}
	wide := word
	for wide < len(s) && (alnum(s[wide]) || s[wide] == '-' || s[wide] == '_') {
		wide++
	}
	if wide-i == 43 && (i == 0 || s[i-1] != '-' && s[i-1] != '_') && mixed(s[i:wide]) {
		return token{i, wide, shapeB256}
	}
	return token{i, word, wordShape(s[i:word])}
}

// wordShape is the random shape of a word of letters and digits.
func wordShape(w string) shape {
	switch len(w) {
	case 32:
		if hexWord(w) {
			return shapeUUID
		}
	case 16, 20, 24, 40, 64:
		if hexWord(w) {
			return shapeHex
		}
	case 26:
		if crockford(w) {
			return shapeULID
		}
	case 27:
		if mixed(w) {
			return shapeKSID
		}
	}
	return ""
}

func alnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// isUUID says whether s begins with a UUID that ends there.
func isUUID(s string) bool {
	if len(s) < 36 || len(s) > 36 && alnum(s[36]) {
		return false
	}
	for i := range 36 {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (s[i] == '-') || !dash && !isHex(s[i]) {
			return false
		}
	}
	return true
}

// jwtLen is how long the JWT is that s begins with, 0 if it does not.
func jwtLen(s string) int {
	dots := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.' && dots < 2:
			dots++
		case !alnum(c) && c != '-' && c != '_':
			if dots == 2 {
				return i
			}
			return 0
		}
	}
	if dots == 2 {
		return len(s)
	}
	return 0
}

// count is how many digits, lower-case and upper-case letters w has.
func count(w string) (digit, lower, upper int) {
	for i := range len(w) {
		switch c := w[i]; {
		case c >= '0' && c <= '9':
			digit++
		case c >= 'a' && c <= 'z':
			lower++
		case c >= 'A' && c <= 'Z':
			upper++
		}
	}
	return digit, lower, upper
}

// hexWord says whether w is hexadecimal digits of one case, some of them letters:
// digits alone are a number.
func hexWord(w string) bool {
	digit, lower, upper := count(w)
	if digit == 0 || (lower > 0) == (upper > 0) {
		return false
	}
	for i := range len(w) {
		if !isHex(w[i]) {
			return false
		}
	}
	return true
}

// crockford says whether w is a ULID: of one case, its first digit at most 7.
func crockford(w string) bool {
	digit, lower, upper := count(w)
	return digit > 0 && (lower > 0) != (upper > 0) && w[0] <= '7' && !strings.ContainsAny(w, "ilouILOU")
}

// mixed says whether w has digits, and letters of both cases.
func mixed(w string) bool {
	digit, lower, upper := count(w)
	return digit > 0 && lower > 0 && upper > 0
}

// digestBefore says whether what follows s is the digest of something.
func digestBefore(s string) bool {
	if s == "" || strings.IndexByte(":-=A", s[len(s)-1]) < 0 {
		return false
	}
	for _, end := range []string{"sha1", "sha256", "sha384", "sha512", "sha-256", "sha-512", "md5", "blake3"} {
		for _, mark := range []string{":", "-", "=", "%3A"} {
			if n := len(s) - len(end) - len(mark); n >= 0 && strings.HasSuffix(s, mark) && strings.EqualFold(s[n:n+len(end)], end) {
				return true
			}
		}
	}
	return false
}

// tokenKey is what a random value is known by: a UUID is the same in any case
// and without its dashes, hexadecimal digits are in any case.
func tokenKey(s string, sh shape) string {
	switch sh {
	case shapeUUID:
		return strings.ToLower(strings.ReplaceAll(s, "-", ""))
	case shapeHex, shapeULID:
		return strings.ToLower(s)
	}
	return s
}

// like is the random value v, as tokenKey has it, in the style of the one that
// stands where it is to be.
func like(v, style string, sh shape) string {
	if sh == shapeUUID && len(style) == 36 && len(v) == 32 {
		v = v[:8] + "-" + v[8:12] + "-" + v[12:16] + "-" + v[16:20] + "-" + v[20:]
	}
	if sh != shapeUUID && sh != shapeHex && sh != shapeULID {
		return v
	}
	if _, lower, upper := count(style); upper > lower {
		return strings.ToUpper(v)
	}
	return strings.ToLower(v)
}

// mapTokens is s with each of its random values that to knows replaced.
func mapTokens(s string, to func(key string) (string, bool)) string {
	var b strings.Builder
	from := 0
	for t := nextToken(s, 0); t.shape != ""; t = nextToken(s, t.to) {
		was := s[t.from:t.to]
		v, ok := to(tokenKey(was, t.shape))
		if !ok {
			continue
		}
		b.WriteString(s[from:t.from])
		b.WriteString(like(v, was, t.shape))
		from = t.to
	}
	if from == 0 {
		return s
	}
	b.WriteString(s[from:])
	return b.String()
}

// masked appends s to b, each of its random values as the name of its shape.
func maskTokens(b []byte, s string) []byte {
	from := 0
	for t := nextToken(s, 0); t.shape != ""; t = nextToken(s, t.to) {
		b = append(b, s[from:t.from]...)
		b = append(b, '\x00')
		b = append(b, t.shape...)
		b = strconv.AppendInt(append(b, ' '), int64(keyLen(s[t.from:t.to], t.shape)), 10)
		from = t.to
	}
	return append(b, s[from:]...)
}

// keyLen is the length that tells two values of one shape apart, 0 where it does not.
func keyLen(s string, sh shape) int {
	if sh == shapeHex {
		return len(s)
	}
	return 0
}

// sameHolder says whether two JWTs say the same of whom they are for: all of
// their claims but the times, the number and the nonce. One that cannot be read
// is like any other.
func sameHolder(a, b string) bool {
	x, y := claims(a), claims(b)
	return x == nil || y == nil || reflect.DeepEqual(x, y)
}

// claims are what a JWT says of its holder, nil if it cannot be read.
func claims(jwt string) map[string]any {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return nil
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var m map[string]any
	if err != nil || json.Unmarshal(payload, &m) != nil {
		return nil
	}
	for _, volatile := range []string{"iat", "exp", "nbf", "auth_time", "jti", "nonce"} {
		delete(m, volatile)
	}
	return m
}

// The units in which clocks are written.
const (
	clockSec    = "seconds"
	clockMilli  = "milliseconds"
	clockMicro  = "microseconds"
	clockNano   = "nanoseconds"
	clockFrac   = "fractions of a second"
	clockRFC    = "RFC 3339"
	clockHTTP   = "HTTP date"
	clockSigV4  = "SigV4 date"
	clockNoZone = "ISO 8601 without a zone"
)

// clockOf reads s as a moment and says in what unit, "" if it is none: seconds to
// nanoseconds since 1970 of this century, RFC 3339, an HTTP date, a SigV4 date.
func clockOf(s string) (time.Time, string) {
	if len(s) < 10 || len(s) > 40 || s[0] < '0' || s[0] > '9' {
		if len(s) >= 24 && len(s) <= 33 && strings.Contains("Mon Tue Wed Thu Fri Sat Sun", s[:3]) {
			if t, _, ok := parseDate(s); ok {
				return t, clockHTTP
			}
		}
		return time.Time{}, ""
	}
	if whole, frac, ok := strings.Cut(s, "."); ok && len(whole) == 10 && len(frac) <= 9 {
		if t, unit := epoch(whole); unit != "" {
			if _, err := strconv.ParseUint(frac, 10, 64); err == nil {
				return t, clockFrac
			}
		}
	}
	switch {
	case len(s) == 16 && s[8] == 'T' && s[15] == 'Z':
		if t, err := time.Parse("20060102T150405Z", s); err == nil {
			return t, clockSigV4
		}
	case s[4] == '-' && len(s) >= 19 && (s[10] == 'T' || s[10] == ' '):
		if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
			return t, clockRFC
		}
		if t, err := time.Parse("2006-01-02T15:04:05.999999999", s); err == nil {
			return t, clockNoZone
		}
	}
	return epoch(s)
}

// epoch reads s as a number of seconds, or parts of them, since 1970.
func epoch(s string) (time.Time, string) {
	n, err := strconv.ParseInt(s, 10, 64)
	const first = 946684800 // 2000: what is earlier is more likely to be a number
	if err != nil {
		return time.Time{}, ""
	}
	var t time.Time
	var unit string
	switch len(s) {
	case 10:
		t, unit = time.Unix(n, 0), clockSec
	case 13:
		t, unit = time.UnixMilli(n), clockMilli
	case 16:
		t, unit = time.UnixMicro(n), clockMicro
	case 19:
		t, unit = time.Unix(0, n), clockNano
	}
	if unit == "" || t.Unix() < first {
		return time.Time{}, ""
	}
	return t, unit
}
