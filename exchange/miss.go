package exchange

import (
	"fmt"
	"strings"
)

// A Miss is a request for which nothing is recorded that it equals, with what
// comes nearest and what the user can do. Secrets in it are masked.
type Miss struct {
	Cassette string
	Method   string
	URL      string
	Caller   Caller
	Reason   string   // one line: "no recording for this host", "already served 3/3"
	Nearest  *Near    // nil if nothing is recorded for the host
	Hosts    []string // the recorded hosts, if this one is not among them
	Accept   string   // the flag that would make Nearest match, "" if no flag would
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
}

// Error returns the miss as a person reads it, over several lines, without a
// newline at its end.
func (m *Miss) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "miss: %s %s", m.Method, m.URL)
	if m.Reason != "" {
		fmt.Fprintf(&b, "\n  %s", m.Reason)
	}
	if n := m.Nearest; n != nil {
		fmt.Fprintf(&b, "\n  nearest: %s %s (served %d/%d)", n.Method, n.URL, n.Served, n.Recorded)
		for _, d := range n.Diffs {
			fmt.Fprintf(&b, "\n    %s: %s -> %s", d.At, shown(d.Recorded), shown(d.Live))
		}
	} else if len(m.Hosts) > 0 {
		fmt.Fprintf(&b, "\n  recorded hosts: %s", strings.Join(m.Hosts, ", "))
	}
	if m.Accept != "" {
		fmt.Fprintf(&b, "\n  to accept: serge-net accept %s %s", m.Cassette, m.Accept)
	}
	fmt.Fprintf(&b, "\n  to record: serge-net run --mode new --cassette %s -- …", m.Cassette)
	return b.String()
}

// shown is a differing value as printed: short, and visible where absent.
func shown(v string) string {
	const most = 80
	if v == "" {
		return "(none)"
	}
	if len(v) > most {
		return v[:most] + "…"
	}
	return v
}
