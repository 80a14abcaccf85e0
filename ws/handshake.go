package ws

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"strings"
)

// Version is the only value of Sec-WebSocket-Version (RFC 6455, section 11.6).
const Version = "13"

// Key returns the Sec-WebSocket-Key of a nonce, which is random for each
// connection.
func Key(nonce [16]byte) string { return base64.StdEncoding.EncodeToString(nonce[:]) }

// ValidKey reports whether key is that of a nonce (RFC 6455, section 4.1).
func ValidKey(key string) bool {
	b, err := base64.StdEncoding.DecodeString(key)
	return err == nil && len(b) == 16
}

// Accept returns the Sec-WebSocket-Accept that answers a Sec-WebSocket-Key
// (RFC 6455, section 4.2.2). Servers do not have to check what the key is.
func Accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Subprotocols reads the values of a request's Sec-WebSocket-Protocol fields:
// tokens, none of them twice, the client's favourite first.
func Subprotocols(values []string) ([]string, error) {
	var all []string
	seen := make(map[string]bool)
	for _, v := range values {
		l := list{v}
		for l.next() {
			name, ok := l.token()
			switch {
			case !ok || !l.ended():
				return nil, fmt.Errorf("subprotocols %q: not a list of tokens", v)
			case seen[name]:
				return nil, fmt.Errorf("subprotocols %q: %s twice", v, name)
			}
			seen[name] = true
			all = append(all, name)
		}
	}
	return all, nil
}

// Extension is an element of Sec-WebSocket-Extensions: an offer of a client's,
// or what a server accepted (RFC 6455, section 9.1).
type Extension struct {
	Name   string
	Params []Param
}

// Param is a parameter of an Extension. Value is a token, or "" if it has none.
type Param struct{ Name, Value string }

// String returns the element as it is sent.
func (x Extension) String() string {
	s := x.Name
	for _, p := range x.Params {
		s += "; " + p.Name
		if p.Value != "" {
			s += "=" + p.Value
		}
	}
	return s
}

// Extensions reads the values of Sec-WebSocket-Extensions fields. A value in
// quotes is returned without them; what it says has to be a token.
func Extensions(values []string) ([]Extension, error) {
	var all []Extension
	for _, v := range values {
		l := list{v}
		for l.next() {
			x, ok := l.extension()
			if !ok || !l.ended() {
				return nil, fmt.Errorf("extensions %q: not as RFC 6455, section 9.1, has them", v)
			}
			all = append(all, x)
		}
	}
	return all, nil
}

// list is what is left of a field's value, a list with commas (RFC 9110, section 5.6.1).
type list struct{ s string }

// next goes to the next element, and reports whether there is one. Empty ones
// are passed over.
func (l *list) next() bool {
	l.s = strings.TrimLeft(l.s, " \t,")
	return l.s != ""
}

// ended reports whether the element ends here.
func (l *list) ended() bool {
	l.space()
	return l.s == "" || l.s[0] == ','
}

func (l *list) space() { l.s = strings.TrimLeft(l.s, " \t") }

// accept takes c, with the space before it, if it comes next.
func (l *list) accept(c byte) bool {
	l.space()
	if l.s == "" || l.s[0] != c {
		return false
	}
	l.s = l.s[1:]
	return true
}

// token takes a token, with the space before it.
func (l *list) token() (string, bool) {
	l.space()
	n := strings.IndexFunc(l.s, func(c rune) bool { return !tokenChar(c) })
	if n < 0 {
		n = len(l.s)
	}
	t := l.s[:n]
	l.s = l.s[n:]
	return t, n > 0
}

// quoted takes a token in quotes, whose first one was taken.
func (l *list) quoted() (string, bool) {
	var t strings.Builder
	for i := 0; i < len(l.s); i++ {
		c := l.s[i]
		if c == '"' {
			l.s = l.s[i+1:]
			return t.String(), t.Len() > 0
		}
		if c == '\\' && i+1 < len(l.s) {
			i++
			c = l.s[i]
		}
		if !tokenChar(rune(c)) {
			return "", false
		}
		t.WriteByte(c)
	}
	return "", false
}

// extension takes an element of Sec-WebSocket-Extensions.
func (l *list) extension() (x Extension, ok bool) {
	if x.Name, ok = l.token(); !ok {
		return x, false
	}
	for l.accept(';') {
		var p Param
		if p.Name, ok = l.token(); !ok {
			return x, false
		}
		if l.accept('=') {
			if l.accept('"') {
				p.Value, ok = l.quoted()
			} else {
				p.Value, ok = l.token()
			}
			if !ok {
				return x, false
			}
		}
		x.Params = append(x.Params, p)
	}
	return x, true
}

// tokenChar reports whether c may be in a token (RFC 9110, section 5.6.2).
func tokenChar(c rune) bool {
	return c > ' ' && c < 0x7F && !strings.ContainsRune("\"(),/:;<=>?@[\\]{}", c)
}
