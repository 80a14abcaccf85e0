package cassette

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrVersion is wrapped when a cassette was written in a format that this
// program does not know.
var ErrVersion = errors.New("cassette: written by a newer version")

// A migration makes the tree of a cassette of version from one of version to.
type migration struct {
	from, to string
	step     func(top *node) *node
}

// migrations are all that there are, in order: each begins where the one before
// it ends, and the last ends at Version. testdata has a cassette of every version.
func migrations() []migration {
	return []migration{
		{older, "1.0", ofOlder},
	}
}

// older is the version of what the programs before this one wrote, whatever they
// say it is: their shapes tell.
const older = "0"

// A version is a major and a minor number.
type version [2]int

func (v version) compare(w version) int {
	return cmp.Or(cmp.Compare(v[0], w[0]), cmp.Compare(v[1], w[1]))
}

// parseVersion reads "1.0", and "1" for the same.
func parseVersion(s string) (version, error) {
	first, rest, _ := strings.Cut(strings.TrimPrefix(s, "v"), ".")
	second, _, _ := strings.Cut(rest, ".")
	major, err := strconv.Atoi(first)
	minor, err2 := strconv.Atoi(cmp.Or(second, "0"))
	if err != nil || err2 != nil || major < 0 || minor < 0 {
		return version{}, fmt.Errorf("/version: %q is not a version", s)
	}
	return version{major, minor}, nil
}

// migrate makes top a cassette of the version that the last of steps ends at. A
// later minor version is left as it is: what it adds is kept. A later major one
// is refused.
func migrate(top *node, steps []migration) (*node, error) {
	v, err := parseVersion(cmp.Or(top.text("version"), older))
	if err != nil {
		return nil, err
	}
	last := steps[len(steps)-1].to
	ours, err := parseVersion(last)
	if err != nil {
		return nil, err
	}
	if v[0] > ours[0] {
		return nil, fmt.Errorf("%w: format %s needs a serge-net that reads %d.x; this one reads up to %s", ErrVersion, top.text("version"), v[0], last)
	}
	if hasOlder(top) {
		v = version{}
	}
	for _, m := range steps {
		to, err := parseVersion(m.to)
		if err != nil {
			return nil, err
		}
		if v.compare(to) < 0 {
			top = m.step(top)
		}
	}
	return top, nil
}
