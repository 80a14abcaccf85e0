package cassette

import (
	"errors"
	"testing"
	"time"
)

func TestParseAge(t *testing.T) {
	for s, want := range map[string]time.Duration{"0": 0, "0d": 0, "720h": 720 * time.Hour, "30d": 720 * time.Hour, "90s": 90 * time.Second} {
		if got, err := ParseAge(s); got != want || err != nil {
			t.Errorf("ParseAge(%q) = %v, %v; want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "1", "-1h", "-1d", "1.5d", "d", "99999d", "18446744073709551615d", "month"} {
		if got, err := ParseAge(s); !errors.Is(err, ErrAge) {
			t.Errorf("ParseAge(%q) = %v, %v; want ErrAge", s, got, err)
		}
	}
}

func TestMaxAge(t *testing.T) {
	for text, want := range map[string]time.Duration{`{}`: 0, `{"max_age": "7d"}`: 168 * time.Hour, `{"max_age": 0}`: 0, `{"max_age": "soon"}`: -1} {
		c, err := parse([]byte(text), noFiles)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.MaxAge()
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%s: MaxAge() = %v, %v; want %v", text, got, err, want)
		}
	}
}
