package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/serge-net/serge-net/redirect"
)

// A finding is what doctor says of one part of the machine.
type finding struct {
	What  string `json:"what"`
	Works bool   `json:"works"`
	Why   string `json:"why,omitempty"`
	Hint  string `json:"hint,omitempty"`
}

func doctorCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "say what works on this machine, and what to do about the rest",
		Long: `doctor tries each lane by really diverting a probe, and undoes it. It exits with
1 if none works.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			found, works := diagnose(c.Context())
			if asJSON {
				e := json.NewEncoder(c.OutOrStdout())
				e.SetIndent("", "  ")
				if err := e.Encode(found); err != nil {
					return err
				}
			} else {
				for _, f := range found {
					f.print(c)
				}
			}
			if !works {
				return &exit{Code: 1}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// print writes f as a person reads it.
func (f finding) print(c *cobra.Command) {
	word := "works"
	if !f.Works {
		word = "does not work"
	}
	fmt.Fprintf(c.OutOrStdout(), "%s: %s", f.What, word)
	if f.Why != "" {
		fmt.Fprintf(c.OutOrStdout(), ": %s", f.Why)
	}
	fmt.Fprintln(c.OutOrStdout())
	if f.Hint != "" {
		fmt.Fprintf(c.OutOrStdout(), "  hint: %s\n", f.Hint)
	}
}

// diagnose tries the lanes; works tells whether one does.
func diagnose(ctx context.Context) (found []finding, works bool) {
	start := time.Now()
	d, err := redirect.Start(ctx, redirect.Target{Init: []string{initArg}}, redirect.EBPF)
	if err != nil {
		return []finding{{What: "ebpf lane", Why: err.Error(), Hint: hintOf(err)}}, false
	}
	took := time.Since(start)
	private := d.Private()
	if err := d.Close(); err != nil {
		return []finding{{What: "ebpf lane", Why: err.Error()}}, false
	}
	found = []finding{{What: "ebpf lane", Works: true, Why: fmt.Sprintf("a probe was diverted, in %d ms", took.Milliseconds())}}
	trust := finding{What: "trust by a private mount namespace", Works: private}
	if !private {
		trust.Why = "neither CAP_SYS_ADMIN nor an unprivileged user namespace can be had"
		trust.Hint = "clients are told of the CA by environment variables only; gnutls-cli and libsoup have none"
	}
	return append(found, trust), true
}
