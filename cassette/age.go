package cassette

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ErrAge is wrapped by what ParseAge refuses.
var ErrAge = errors.New("cassette: not an age")

// ageMost is the greatest age that can be given, in days: a century.
const ageMost = 36525

// ParseAge reads how old a cassette may become: "720h" or any other duration, days
// as in "30d" or weeks as in "12w". 0 is no bound.
func ParseAge(s string) (time.Duration, error) {
	const day = 24 * time.Hour
	d, err := time.ParseDuration(s)
	for end, unit := range map[string]time.Duration{"d": day, "w": 7 * day} {
		if text, ok := strings.CutSuffix(s, end); ok {
			var n uint64
			n, err = strconv.ParseUint(text, 10, 16)
			d = time.Duration(n) * unit
		}
	}
	if err != nil || d < 0 || d > ageMost*day {
		return 0, fmt.Errorf("%w: %q; one is 720h, 30d or 12w, and 0 is none", ErrAge, s)
	}
	return d, nil
}

// MaxAge is how old the cassette may become by its own member max_age, 0 if it
// does not say.
func (c *Cassette) MaxAge() (time.Duration, error) {
	s := (&node{mem: c.extra}).text("max_age")
	if s == "" {
		return 0, nil
	}
	d, err := ParseAge(s)
	if err != nil {
		return 0, fmt.Errorf("/max_age: %w", err)
	}
	return d, nil
}
