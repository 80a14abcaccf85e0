package main

import (
	"github.com/spf13/cobra"

	"github.com/serge-net/serge-net/cassette"
)

// A recordFlags is what a recording is asked to keep.
type recordFlags struct {
	bodies      string
	connInfo    string
	exactTiming bool
}

// register declares the flags on c.
func (f *recordFlags) register(c *cobra.Command) {
	s := c.Flags()
	s.StringVar(&f.bodies, "bodies", "full", "what is kept of compressed bodies: full is their bytes too, view only what they decode to")
	s.StringVar(&f.connInfo, "conn-info", "brief", "what is kept of connections: full is also address, process and command of each exchange")
	s.BoolVar(&f.exactTiming, "exact-timing", false, "write every interaction anew, also one that differs from the recorded one in time only")
	choices(c, "bodies", "full", "view")
	choices(c, "conn-info", "brief", "full")
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
