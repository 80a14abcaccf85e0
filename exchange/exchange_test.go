package exchange

import "testing"

func TestGet(t *testing.T) {
	fields := []Field{{"X-Two", "first"}, {"x-TWO", "second"}, {"Empty", ""}}
	for _, c := range []struct {
		name, want string
		ok         bool
	}{
		{"x-two", "first", true},
		{"X-TWO", "first", true},
		{"empty", "", true},
		{"X-Tw", "", false},
		{"", "", false},
	} {
		if got, ok := Get(fields, c.name); got != c.want || ok != c.ok {
			t.Errorf("Get(%v, %q) = %q, %v; want %q, %v", fields, c.name, got, ok, c.want, c.ok)
		}
	}
}

// TestWords holds the words that cassettes are written in.
func TestWords(t *testing.T) {
	for how, want := range map[How]string{
		Complete: "complete", Truncated: "truncated", Reset: "reset", Refused: "connection_refused", Timeout: "connect_timeout",
		TLSAlert: "tls", Unreachable: "unreachable", Unresolved: "dns", Malformed: "protocol", Left: "read_timeout",
		Left + 1: "How(10)", 255: "How(255)",
	} {
		if got := how.String(); got != want {
			t.Errorf("How(%d).String() = %q; want %q", how, got, want)
		}
		if back, ok := HowOf(want); ok != (how <= Left) || ok && back != how {
			t.Errorf("HowOf(%q) = %v, %v; want %v, %v", want, back, ok, how, how <= Left)
		}
	}
	for side, want := range map[Side]string{Client: "client", Server: "server"} {
		if got := side.String(); got != want {
			t.Errorf("Side(%d).String() = %q; want %q", side, got, want)
		}
	}
}
