package secret

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// A path is a JSONPath (RFC 9535) of names, [*] and [n], with ".." for any depth.
type path []step

// A step is one part of a path: a member's name, an element, or "*".
type step struct {
	name string
	deep bool // any number of parts may be before it
}

// parsePath reads s.
func parsePath(s string) (path, error) {
	rest, ok := strings.CutPrefix(s, "$")
	if !ok || rest == "" {
		return nil, fmt.Errorf("JSONPath %q: it begins with $ and goes on, as in $.user.password", s)
	}
	var p path
	for rest != "" {
		var st step
		switch {
		case strings.HasPrefix(rest, "["):
			n := strings.IndexByte(rest, ']')
			if n < 2 {
				return nil, fmt.Errorf("JSONPath %q: a bracket is not closed", s)
			}
			st.name, rest = strings.Trim(rest[1:n], `'"`), rest[n+1:]
		case strings.HasPrefix(rest, "."):
			rest = rest[1:]
			if strings.HasPrefix(rest, ".") {
				st.deep, rest = true, rest[1:]
			}
			n := strings.IndexAny(rest, ".[")
			if n < 0 {
				n = len(rest)
			}
			st.name, rest = rest[:n], rest[n:]
		}
		if st.name == "" || strings.ContainsAny(st.name, "?@():") {
			return nil, fmt.Errorf("JSONPath %q: only names, [*], [n] and .. are understood", s)
		}
		p = append(p, st)
	}
	return p, nil
}

// fits says whether p leads to at, the names and numbers from the root.
func (p path) fits(at []string) bool {
	if len(p) == 0 {
		return len(at) == 0
	}
	if p[0].deep {
		for n := range at {
			if (path{{name: p[0].name}}).fits(at[n:n+1]) && p[1:].fits(at[n+1:]) {
				return true
			}
		}
		return false
	}
	return len(at) > 0 && (p[0].name == "*" || p[0].name == at[0]) && p[1:].fits(at[1:])
}

// HasPaths says whether FindJSON finds more than Find.
func (s *Set) HasPaths() bool { return len(s.paths) > 0 }

// FindJSON is Find of b, and of the strings in b at Config.JSON if it is a JSON
// document.
func (s *Set) FindJSON(b []byte) []Finding {
	found := s.Find(b)
	if len(s.paths) == 0 || !json.Valid(b) {
		return found
	}
	var named []Finding
	s.walk(b, func(at []string, from, to int) {
		for _, p := range s.paths {
			if p.fits(at) && to-from >= 2 && b[from] == '"' && to-from > 2 {
				f := Finding{From: from + 1, To: to - 1, Class: "custom"}
				f.Value, f.Form = ending{quote: `"`}.decode(b[f.From:f.To])
				named = append(named, f)
				return
			}
		}
	})
	for _, f := range found {
		if !overlaps(named, f) {
			named = append(named, f)
		}
	}
	return untangled(named, len(b))
}

// overlaps says whether f shares a byte with one of fs.
func overlaps(fs []Finding, f Finding) bool {
	for _, g := range fs {
		if f.From < g.To && g.From < f.To {
			return true
		}
	}
	return false
}

// walk calls each with every scalar of b, which is valid JSON, and where it is.
func (s *Set) walk(b []byte, each func(at []string, from, to int)) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var at []string  // the path to what comes next
	var counts []int // of each open array the next element, of an object -1
	key := false     // the next token is a member's name
	step := func() { // a value is over
		if n := len(counts) - 1; n >= 0 && counts[n] >= 0 {
			counts[n]++
			at[len(at)-1] = fmt.Sprint(counts[n])
		} else {
			key = n >= 0
		}
	}
	for {
		before := int(d.InputOffset())
		tok, err := d.Token()
		if err != nil {
			return
		}
		switch tok {
		case json.Delim('{'):
			counts, at, key = append(counts, -1), append(at, ""), true
		case json.Delim('['):
			counts, at, key = append(counts, 0), append(at, "0"), false
		case json.Delim('}'), json.Delim(']'):
			counts, at = counts[:len(counts)-1], at[:len(at)-1]
			step()
		default:
			name, isText := tok.(string)
			if key && isText {
				at[len(at)-1], key = name, false
				continue
			}
			to := int(d.InputOffset())
			from := before + bytes.IndexFunc(b[before:to], func(r rune) bool { return !strings.ContainsRune(" \t\r\n,:", r) })
			each(at, from, to)
			step()
		}
	}
}
