package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/exchange"
)

// A recordFlags is what a recording is asked to keep.
type recordFlags struct {
	bodies      string
	connInfo    string
	exactTiming bool
	recordTCP   string
}

// register declares the flags on c.
func (f *recordFlags) register(c *cobra.Command) {
	s := c.Flags()
	s.StringVar(&f.bodies, "bodies", "full", "what is kept of compressed bodies: full is their bytes too, view only what they decode to")
	s.StringVar(&f.connInfo, "conn-info", "brief", "what is kept of connections: full is also address, process and command of each exchange")
	s.BoolVar(&f.exactTiming, "exact-timing", false, "write every interaction anew, also one that differs from the recorded one in time only")
	s.StringVar(&f.recordTCP, "record-tcp", "all", "which ports are recorded of what speaks neither HTTP nor TLS, and followed into TLS by STARTTLS")
	choices(c, "bodies", "full", "view")
	choices(c, "conn-info", "brief", "full")
	choices(c, "record-tcp", "all", "none").or(func(s string) bool {
		_, err := ports(strings.Split(s, ","))
		return err == nil
	}, "PORTS")
}

// options is how a recording is made so.
func (f *recordFlags) options() cassette.RecordOptions {
	return cassette.RecordOptions{
		With:  "serge-net " + versionName(),
		Exact: f.exactTiming,
		Lean:  f.bodies == "view",
		Peers: f.connInfo == "full",
	}
}

// records tells whether --record-tcp names o's port, if o speaks neither HTTP nor TLS.
func (f *recordFlags) records(o exchange.Origin) bool {
	if f.recordTCP == "all" || f.recordTCP == "none" {
		return f.recordTCP == "all"
	}
	some, err := ports(strings.Split(f.recordTCP, ","))
	return err == nil && slices.Contains(some, o.Addr.Port())
}
