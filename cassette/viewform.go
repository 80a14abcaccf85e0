package cassette

import (
	"strings"
	"unicode/utf8"
)

// A formStyle is how a program writes application/x-www-form-urlencoded: which
// bytes besides letters and digits stay as they are, and whether a space is "+".
type formStyle struct {
	name, safe string
	plus       bool
}

// formStyles are those of common programs.
func formStyles() []formStyle {
	return []formStyle{
		{"plus", "-._~", true},            // net/url, Python's urlencode
		{"browser", "-._*", true},         // URLSearchParams, java.net.URLEncoder: WHATWG URL, 1.3
		{"percent", "-._~", false},        // curl --data-urlencode: RFC 3986, 2.3
		{"component", "-._~!*'()", false}, // encodeURIComponent
		{"component+", "-._~!*'()", true}, // the same with "+" for a space
		{"raw", "", false},                // as it stands
	}
}

// encode is s in style f.
func (f formStyle) encode(s string) string {
	if f.name == "raw" {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case alphanumeric(c) || strings.IndexByte(f.safe, c) >= 0:
			b.WriteByte(c)
		case c == ' ' && f.plus:
			b.WriteByte('+')
		default:
			b.Write([]byte{'%', upperHex(c >> 4), upperHex(c & 15)})
		}
	}
	return b.String()
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func upperHex(v byte) byte { return "0123456789ABCDEF"[v] }

// decode undoes encode. What is not encoded as f does it comes back as another
// text: encode tells.
func (f formStyle) decode(s string) string {
	if f.name == "raw" {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '%' && i+2 < len(s):
			hi, lo := strings.IndexByte("0123456789ABCDEF", s[i+1]), strings.IndexByte("0123456789ABCDEF", s[i+2])
			if hi < 0 || lo < 0 {
				return s
			}
			b.WriteByte(byte(hi<<4 | lo))
			i += 2
		case c == '+' && f.plus:
			b.WriteByte(' ')
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// formView shows b as [[name, value]…], a name without "=" alone, in the first
// style that gives b back, or is nil.
func formView(b string) *node {
	if !strings.Contains(b, "=") || strings.Contains(b, "\n") {
		return nil
	}
	for _, f := range formStyles() {
		pairs, exact := list(), true
		for part := range strings.SplitSeq(b, "&") {
			pair := list()
			name, value, eq := strings.Cut(part, "=")
			sides := []string{name}
			if eq {
				sides = append(sides, value)
			}
			for _, s := range sides {
				plain := f.decode(s)
				exact = exact && f.encode(plain) == s && utf8.ValidString(plain)
				pair.kids = append(pair.kids, strNode(escape(valid(plain))))
			}
			pairs.kids = append(pairs.kids, pair)
		}
		if exact {
			return (&node{}).add("form", pairs).add("style", strNode(f.name))
		}
	}
	return nil
}

// printForm gives the bytes that formView shows.
func printForm(n *node, name string) ([]byte, error) {
	if name == "" {
		name = formStyles()[0].name
	}
	for _, f := range formStyles() {
		if f.name != name {
			continue
		}
		var parts []string
		for _, pair := range n.elements() {
			var sides []string
			for _, s := range pair.texts() {
				sides = append(sides, f.encode(unescape(s)))
			}
			parts = append(parts, strings.Join(sides, "="))
		}
		return []byte(strings.Join(parts, "&")), nil
	}
	return nil, unknownStyle(name)
}
