package exchange

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Miss is a request for which nothing is recorded that it equals, with what
// comes nearest and what the user can do. Secrets in it are masked. Its texts
// are as they came: Error makes them fit for a terminal.
type Miss struct {
	Cassette string // that to record it would help; "" if it would not
	Method   string
	URL      string
	Caller   Caller
	Reason   string   // one line: "no recording for this host", "already served 3/3"
	Nearest  *Near    // nil if nothing is recorded for the host
	Hosts    []string // the recorded hosts, if this one is not among them
	JSON     bool     // the client asked for JSON: the miss is to be told so
	Call     string   // the media type of the request, if that is a call of gRPC, gRPC-Web or Connect: it is to be told so
	Begun    bool     // an answer has begun, and is to be ended
	Accept   string   // the flags of accept, and of run, that would make Nearest match, as a shell reads them; "" if none would
}

// Asked has m told in the form that a request with fields asks for.
func (m *Miss) Asked(fields []Field) {
	accept, _ := Get(fields, "accept")
	m.JSON = strings.Contains(accept, "json")
	media, _ := Get(fields, "content-type")
	_, connect := Get(fields, "connect-protocol-version")
	if media, _, _ = strings.Cut(strings.ToLower(media), ";"); connect || strings.HasPrefix(media, "application/grpc") || strings.HasPrefix(media, "application/connect+") {
		m.Call = strings.TrimSpace(media)
	}
}

// Near is the recorded request that comes nearest to one that missed.
type Near struct {
	Method, URL      string
	Served, Recorded int // how often its group was served, and recorded
	Diffs            []Diff
}

// Diff is one place in which a recorded and a live request differ.
type Diff struct {
	At             string // "query page", "header content-type", "body $.user.name"
	Recorded, Live string // "" means absent
	Why            string // what speaks against taking one for the other, where something else speaks for it
}

// String is the difference in one line, as a person reads it: values are cut
// where they are long, and nothing in it drives a terminal.
func (d Diff) String() string {
	s := fmt.Sprintf("%s: %s -> %s", Visible(d.At), shown(d.Recorded), shown(d.Live))
	if d.Why != "" {
		s += " (" + Visible(d.Why) + ")"
	}
	return s
}

// Error returns the miss as a person reads it, over several lines, without a
// newline at its end.
func (m *Miss) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "miss: %s %s", Visible(m.Method), Visible(m.URL))
	if m.Reason != "" {
		fmt.Fprintf(&b, "\n  %s", Visible(m.Reason))
	}
	if n := m.Nearest; n != nil {
		fmt.Fprintf(&b, "\n  nearest: %s %s (served %d/%d)", Visible(n.Method), Visible(n.URL), n.Served, n.Recorded)
		for _, d := range n.Diffs {
			b.WriteString("\n    " + d.String())
		}
	} else if len(m.Hosts) > 0 {
		fmt.Fprintf(&b, "\n  recorded hosts: %s", Visible(strings.Join(m.Hosts, ", ")))
	}
	switch {
	case m.Accept != "" && m.Cassette != "":
		fmt.Fprintf(&b, "\n  to accept: serge-net accept %s %s", Visible(m.Cassette), Visible(m.Accept))
	case m.Accept != "":
		fmt.Fprintf(&b, "\n  to accept: serge-net run %s …", Visible(m.Accept))
	}
	if m.Cassette != "" {
		fmt.Fprintf(&b, "\n  to record: serge-net run --mode new --cassette %s -- …", Visible(m.Cassette))
	}
	return b.String()
}

// shownMost is how many bytes of a differing value are printed: such a line
// still fits a wide terminal twice.
const shownMost = 80

// shown is a differing value as printed: short, and visible where absent.
func shown(v string) string {
	if v == "" {
		return "(none)"
	}
	if len(v) <= shownMost {
		return Visible(v)
	}
	cut := shownMost
	for cut > shownMost-utf8.UTFMax && !utf8.RuneStart(v[cut]) {
		cut--
	}
	return Visible(v[:cut]) + "…"
}

// Visible is s with everything escaped as in Go that a terminal would not print
// as it is: control characters, which could drive it, formatting characters,
// and bytes that are no UTF-8.
func Visible(s string) string {
	printable := func(r rune) bool { return unicode.IsPrint(r) && r != utf8.RuneError }
	if !strings.ContainsFunc(s, func(r rune) bool { return !printable(r) }) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case printable(r):
			b.WriteRune(r)
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
		s = s[n:]
	}
	return b.String()
}
