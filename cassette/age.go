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

// ParseAge reads how old a cassette may become: "720h" or any other duration, or
// days as in "30d". 0 is no bound.
func ParseAge(s string) (time.Duration, error) {
	const day = 24 * time.Hour
	var d time.Duration
	var err error
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n uint64
		if n, err = strconv.ParseUint(days, 10, 64); n <= ageMost {
			d = time.Duration(n) * day
		} else {
			d = -1
		}
	} else {
		d, err = time.ParseDuration(s)
	}
	if err != nil || d < 0 || d > ageMost*day {
		return 0, fmt.Errorf("%w: %q; one is 720h, or 30d, and 0 is none", ErrAge, s)
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
