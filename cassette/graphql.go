package cassette

import "strings"

// isGraphQL says whether s reads as a GraphQL document.
func isGraphQL(s string) bool {
	t := strings.TrimLeft(s, " \t\r\n,\ufeff")
	for strings.HasPrefix(t, "#") {
		_, t, _ = strings.Cut(t, "\n")
		t = strings.TrimLeft(t, " \t\r\n,")
	}
	if strings.HasPrefix(t, "{") {
		return true
	}
	for _, word := range []string{"query", "mutation", "subscription", "fragment"} {
		if rest, ok := strings.CutPrefix(t, word); ok && strings.Contains(rest, "{") && !alnum(rest[0]) && rest[0] != '_' {
			return true
		}
	}
	return false
}

// isRead says whether a GraphQL document has no mutation in it: what it asks for
// is named by its variables.
func isRead(s string) bool {
	if !isGraphQL(s) {
		return false
	}
	rest := foldGraphQL(s)
	for depth, i := 0, 0; i < len(rest); i++ {
		switch rest[i] {
		case '{':
			depth++
		case '}':
			depth--
		case 'm':
			if depth == 0 && strings.HasPrefix(rest[i:], "mutation") && (i == 0 || !alnum(rest[i-1])) {
				return false
			}
		case '"':
			i += stringLen(rest[i:]) - 1
		}
	}
	return true
}

// foldQuery is s, a GraphQL document, with its white space folded; any other
// text is itself.
func (u *rules) foldQuery(s string) string {
	if u.off.has(lawGraphQL) || !isGraphQL(s) {
		return s
	}
	return foldGraphQL(s)
}

// foldGraphQL is a GraphQL document without what has no meaning in it: white
// space, line ends, commas and comments (GraphQL specification, 2.1.7), but for
// one space between two names.
func foldGraphQL(s string) string {
	var b strings.Builder
	gap := false
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case strings.IndexByte(" \t\r\n,", c) >= 0:
			gap = true
			i++
			continue
		case strings.HasPrefix(s[i:], "\ufeff"):
			gap = true
			i += len("\ufeff")
			continue
		case c == '#':
			gap = true
			for i < len(s) && s[i] != '\n' && s[i] != '\r' {
				i++
			}
			continue
		}
		n := 1
		if c == '"' {
			n = stringLen(s[i:])
		}
		if gap && b.Len() > 0 && nameByte(c) && nameByte(b.String()[b.Len()-1]) {
			b.WriteByte(' ')
		}
		gap = false
		b.WriteString(s[i : i+n])
		i += n
	}
	return b.String()
}

// nameByte says whether c can be part of a name, a number or a string: two of
// those need a space between them.
func nameByte(c byte) bool {
	return alnum(c) || c == '_' || c == '"' || c == '-' || c == '.' || c >= 0x80
}

// stringLen is how long the string or block string is that s begins with.
func stringLen(s string) int {
	if strings.HasPrefix(s, `"""`) {
		for i := 3; i < len(s); i++ {
			switch {
			case strings.HasPrefix(s[i:], `\"""`):
				i += 3
			case strings.HasPrefix(s[i:], `"""`):
				return i + 3
			}
		}
		return len(s)
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"', '\n':
			return min(i+1, len(s))
		}
	}
	return len(s)
}
