// Package secret finds secrets in bytes: by what they look like, by the name
// they go by, and by their value where that is known. It does no I/O and keeps
// nothing of what it reads.
//
// A Set is what is looked for. Finding is one pass: a table of all that a secret
// can begin with is asked at each byte, four bytes at a time, and only where it
// says yes is more read. Each is found as it is, in base64 at every alignment and
// in both alphabets; a known value also percent-encoded, escaped as in JSON and
// in hex. Content coding is the caller's to undo.
//
// The shapes of tokens are those that their issuers publish.
package secret

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Most is the most bytes that a secret and what tells it apart may take, and so
// what a Stream holds back at most. A private key of 8192 bits in PEM has 6.4 KiB.
const Most = 16 << 10

// Least is how many bytes a known value must have to be looked for: shorter ones
// are part of too much else.
const Least = 8

// A Finding is where a secret stands.
type Finding struct {
	From, To int    // the bytes that stand for it
	Class    string // what it is: "jwt", "aws", "env", …
	Value    string // what it is when it is not encoded
	Form     Form   // how it is written
}

// Literal is the class of what is no secret but would be taken for a placeholder
// in a cassette, which escapes it.
const Literal = "{{"

// A Known is a value that is known to be a secret.
type Known struct{ Class, Value string }

// A Config says what is looked for besides what a Set knows itself.
type Config struct {
	Known    []Known
	Patterns []string // regular expressions (RE2); what matches, or its first group, is of class "custom"
	JSON     []string // JSONPaths of strings of JSON documents: see FindJSON; of class "custom"
	Personal bool     // email addresses, phone numbers and IP addresses too
	Bare     bool     // only what the other members say: nothing that this package knows itself
}

// A Set is what is looked for. It is safe for concurrent use.
type Set struct {
	patterns []classed // those without a prefix that the index could hold
	paths    []path

	mu      sync.RWMutex // of what follows
	learned bool
	known   map[string]bool
	index   *index
}

// New returns a Set of all that this package knows and all that c says.
func New(c Config) (*Set, error) {
	s := &Set{known: map[string]bool{}}
	var all []probe
	if !c.Bare {
		all = slices.Concat(tokens(), fields(), others())
	}
	for _, text := range []string{secretOpen, "{{lit}}"} {
		all = append(all, literal(Known{Literal, text}, "", text))
	}
	if c.Personal {
		s.patterns = personal()
	}
	for _, p := range c.Patterns {
		re, err := regexp.Compile(p)
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w", p, err)
		}
		if re.MatchString("") {
			return nil, fmt.Errorf("pattern %q: it matches nothing at all, and so everywhere", p)
		}
		if prefix, _ := re.LiteralPrefix(); len(prefix) >= window {
			all = append(all, pattern(prefix, re))
		} else {
			s.patterns = append(s.patterns, classed{"custom", re})
		}
	}
	for _, p := range c.JSON {
		q, err := parsePath(p)
		if err != nil {
			return nil, err
		}
		s.paths = append(s.paths, q)
	}
	for _, k := range c.Known {
		if len(k.Value) >= Least && !s.known[k.Value] {
			s.known[k.Value] = true
			all = append(all, literals(k)...)
		}
	}
	s.index = newIndex(all)
	return s, nil
}

// Default returns a Set of all that this package knows.
func Default() *Set {
	s, err := New(Config{})
	if err != nil {
		panic("secret: " + err.Error()) // only what a Config says can be wrong
	}
	return s
}

// learnedMost is how many values a Set learns. More are not looked for where
// nothing else tells them apart.
const learnedMost = 1024

// Learn adds a value that was found to be a secret, so that it is found where
// nothing but its value tells it. What is shorter than Least, or is a word that
// could stand anywhere, is not learned. It reports whether s changed.
func (s *Set) Learn(k Known) bool {
	if len(k.Value) < Least || len(k.Value) > Most/8 || common(k.Value) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[k.Value] || len(s.known) >= learnedMost {
		return false
	}
	s.known[k.Value], s.learned = true, true
	s.index.grow(literals(k))
	return true
}

// Find returns the secrets of b in order. They do not overlap.
func (s *Set) Find(b []byte) []Finding {
	found, _ := s.scan(b, 0, true)
	return found
}

// Learned says whether s has learned anything.
func (s *Set) Learned() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.learned
}

// scan finds the secrets of b that begin at or behind from. If not all is there,
// it also returns up to where b is decided: what is behind may belong to a
// secret that goes on.
func (s *Set) scan(b []byte, from int, final bool) (found []Finding, decided int) {
	found, decided = s.indexed(b, from, final)
	if len(s.patterns) == 0 {
		return found, decided
	}
	for _, p := range s.patterns {
		for _, m := range p.re.FindAllSubmatchIndex(b[from:], -1) {
			f := matched(b, from, m)
			f.Class = p.class
			switch {
			case f.To == len(b) && !final:
				decided = min(decided, f.From) // it may go on
			default:
				found = append(found, f)
			}
		}
	}
	if !final {
		decided = max(from, min(decided, len(b)-patternMost))
	}
	return untangled(found, decided), decided
}

// indexed is scan of what begins with something known.
func (s *Set) indexed(b []byte, from int, final bool) ([]Finding, int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.index.scan(b, from, final)
}

// patternMost is how many bytes a match of a pattern has at most where the text
// comes in pieces.
const patternMost = 1 << 10

// matched is the finding of m, a match of a pattern in b[from:].
func matched(b []byte, from int, m []int) Finding {
	if len(m) > 3 && m[2] >= 0 {
		m = m[2:]
	}
	f := Finding{From: from + m[0], To: from + m[1], Class: "custom"}
	f.Value = string(b[f.From:f.To])
	return f
}

// untangled is found in order: of two that overlap the one that begins first,
// else the longer. What begins at or behind decided is left out.
func untangled(found []Finding, decided int) []Finding {
	slices.SortStableFunc(found, func(a, b Finding) int {
		if a.From != b.From {
			return a.From - b.From
		}
		return b.To - a.To
	})
	end := 0
	return slices.DeleteFunc(found, func(f Finding) bool {
		if f.From < end || f.From >= decided {
			return true
		}
		end = f.To
		return false
	})
}

// common says whether s is a word that is no secret wherever it stands.
func common(s string) bool {
	lower := strings.ToLower(s)
	for _, w := range []string{
		"password", "passw0rd", "passwd", "changeme", "change-me", "secret", "token", "default", "example", "undefined", "required",
		"disabled", "enabled", "optional", "unknown", "invalid", "username", "anonymous", "localhost", "postgres", "production",
		"development", "redacted", "placeholder", "access_token", "refresh_token", "client_secret", "id_token", "authorization_code",
	} {
		if lower == w {
			return true
		}
	}
	return strings.Count(s, s[:1]) == len(s) // "********", "00000000"
}
