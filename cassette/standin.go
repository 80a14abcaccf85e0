package cassette

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	mrand "math/rand/v2"
	"strconv"
	"strings"

	"github.com/serge-net/serge-net/cassette/secret"
)

// secrets numbers the secrets of a recording: the same secret, the same
// number. It keeps no secret, only a hash under a key of its own.
type secrets struct {
	key   [32]byte
	marks map[[32]byte]string
	count map[string]int
}

func newSecrets() secrets {
	s := secrets{marks: map[[32]byte]string{}, count: map[string]int{}}
	rand.Read(s.key[:]) // never fails, says its doc
	return s
}

// mark is the placeholder of a secret, and whether it is a new one.
func (s *secrets) mark(class, value string) (string, bool) {
	h := hmac.New(sha256.New, s.key[:])
	h.Write([]byte(value))
	k := [32]byte(h.Sum(nil))
	if m, ok := s.marks[k]; ok {
		return m, false
	}
	s.count[class]++
	m := placeholder(class, s.count[class])
	s.marks[k] = m
	return m, true
}

// placeholder stands for the n-th secret of class.
func placeholder(class string, n int) string {
	return secretOpen + class + "#" + strconv.Itoa(n) + secretClose
}

// classOf is the class of a placeholder.
func classOf(mark string) string {
	c, _, _ := strings.Cut(strings.TrimPrefix(mark, secretOpen), "#")
	return c
}

const (
	digits = "0123456789"
	lower  = "abcdefghijklmnopqrstuvwxyz"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// alphabet is what a run of class c is made of, the narrowest first.
func alphabet(c byte) string {
	switch c {
	case 'd':
		return digits
	case 'h':
		return digits + "abcdef"
	case 'H':
		return digits + "ABCDEF"
	case 'l':
		return lower
	case 'u':
		return upper
	}
	return digits + lower + upper
}

// shapeMarks stand between the runs of a secret, and for themselves in its shape.
const shapeMarks = ".-:=%/+_@"

// shapeOf describes what secret looks like without telling it: the kind and
// length of its runs, and the marks between them. A UUID is h8-h4-h4-h4-h12, a
// JWT j36.j120.m43. What tells everybody whose kind of token it is stands in
// quotes before the rest: 'ghp_'m36.
func shapeOf(value string) string {
	if p := secret.Prefix(value); p != "" && p != value {
		return "'" + p + "'" + shapeOf(value[len(p):])
	}
	const mostRuns = 8 // more tell too much
	var b strings.Builder
	runs := 0
	for rest := value; rest != ""; {
		n := strings.IndexAny(rest, shapeMarks)
		if n == 0 {
			b.WriteByte(rest[0])
			rest = rest[1:]
			continue
		}
		if n < 0 {
			n = len(rest)
		}
		b.WriteString(runShape(rest[:n]))
		rest = rest[n:]
		runs++
	}
	if runs > mostRuns {
		return "m" + strconv.Itoa(len(value))
	}
	return b.String()
}

// runShape is the class and the length of one run.
func runShape(s string) string {
	n := strconv.Itoa(len(s))
	if strings.HasPrefix(s, "eyJ") { // {" in base64: a part of a JWT
		return "j" + n
	}
	for _, c := range []byte("dhHlu") {
		if strings.Trim(s, alphabet(c)) == "" {
			return string(c) + n
		}
	}
	return "m" + n
}

// standIn makes a value of the given shape. The same seed gives the same one.
func standIn(shape, seed string) string {
	if shape == "" {
		shape = "m24"
	}
	sum := sha256.Sum256([]byte("serge-net stand-in " + seed))
	r := mrand.New(mrand.NewPCG(binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:])))
	var b strings.Builder
	if rest, ok := strings.CutPrefix(shape, "'"); ok {
		prefix, rest, _ := strings.Cut(rest, "'")
		b.WriteString(prefix)
		shape = rest
	}
	for shape != "" {
		c := shape[0]
		shape = shape[1:]
		if strings.IndexByte(shapeMarks, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		end := len(shape) - len(strings.TrimLeft(shape, digits))
		n, _ := strconv.Atoi(shape[:end])
		shape = shape[end:]
		b.WriteString(run(r, c, min(n, 1<<16)))
	}
	return b.String()
}

// run is n random bytes of class c; for 'j' they decode to a JSON object.
func run(r *mrand.Rand, c byte, n int) string {
	set := alphabet(c)
	out := make([]byte, n)
	for i := range out {
		out[i] = set[r.IntN(len(set))]
	}
	const frame = `{"x":""}`
	size := n * 3 / 4
	if c != 'j' || size < len(frame) {
		return string(out)
	}
	object := frame[:6] + string(out[:size-len(frame)]) + frame[6:]
	text := base64.RawURLEncoding.EncodeToString([]byte(object))
	return text + strings.Repeat("A", max(0, n-len(text)))
}
