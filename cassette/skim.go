package cassette

import (
	"bytes"
	"errors"
)

// errSkim is what a skimmer finds that is no JSON.
var errSkim = errors.New("the JSON is cut or mangled")

// A skimmer walks JSON and makes nothing of what it skips, at the speed of
// looking for quotes and brackets. It believes that what it skips is JSON.
type skimmer struct {
	b   []byte
	i   int
	err error
}

// peek is the first byte of the next token, 0 at the end.
func (s *skimmer) peek() byte {
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\r', '\n', ',', ':':
			s.i++
		default:
			return c
		}
	}
	s.fail()
	return 0
}

// fail ends the walk.
func (s *skimmer) fail() {
	s.err, s.i = errSkim, len(s.b)
}

// members calls value at the value of each member of the object that comes
// next. Value steps over it.
func (s *skimmer) members(value func(key string)) {
	if s.peek() != '{' {
		s.skip()
		return
	}
	for s.i++; s.peek() == '"'; {
		value(unquote(string(s.scalar())))
	}
	s.end('}')
}

// elements calls value at each element of the array that comes next. Value steps
// over it.
func (s *skimmer) elements(value func()) {
	if s.peek() != '[' {
		s.skip()
		return
	}
	for s.i++; s.err == nil && s.peek() != ']'; {
		value()
	}
	s.end(']')
}

// end steps over a closing bracket.
func (s *skimmer) end(bracket byte) {
	if s.err == nil && s.b[s.i] != bracket {
		s.fail()
		return
	}
	s.i++
}

// scalar is the token of the string, number or word that comes next.
func (s *skimmer) scalar() []byte {
	c := s.peek()
	from := s.i
	if c != '"' {
		if n := bytes.IndexAny(s.b[s.i:], " \t\r\n,]}"); n > 0 {
			s.i += n
			return s.b[from:s.i]
		}
		s.fail()
		return nil
	}
	for s.i++; ; s.i++ {
		n := bytes.IndexByte(s.b[min(s.i, len(s.b)):], '"')
		if n < 0 {
			s.fail()
			return nil
		}
		s.i += n
		slashes := 0
		for s.b[s.i-1-slashes] == '\\' { // the opening quote ends it
			slashes++
		}
		if slashes%2 == 0 {
			s.i++
			return s.b[from:s.i]
		}
	}
}

// skip steps over the value that comes next.
func (s *skimmer) skip() {
	switch s.peek() {
	case '{', '[':
	default:
		s.scalar()
		return
	}
	depth := 0
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case '"':
			s.scalar()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if s.i++; depth == 0 {
			return
		}
	}
	s.fail()
}
