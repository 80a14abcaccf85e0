package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/serge-net/serge-net/cassette"
)

// A listed is a cassette as list shows it.
type listed struct {
	Name         string    `json:"name"`
	Interactions int       `json:"interactions"`
	Hosts        []string  `json:"hosts,omitempty"`
	Size         int64     `json:"size"`
	Changed      time.Time `json:"changed"`
	Incomplete   bool      `json:"incomplete,omitempty"`
	Recording    bool      `json:"recording,omitempty"`
	Error        string    `json:"error,omitempty"`
}

func listCommand() *cobra.Command {
	var dir string
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "list the cassettes",
		Args:  noArgs,
		RunE: withConfig(func(c *cobra.Command, _ []string) error {
			all, err := listAll(dir)
			if err != nil {
				return err
			}
			if asJSON {
				e := json.NewEncoder(c.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(all)
			}
			return printList(c.OutOrStdout(), all)
		}),
	}
	c.Flags().StringVar(&dir, "cassette-dir", "./cassettes", "the `DIR` that cassettes are in")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// withConfig runs f after the flags got their values from the environment and
// the configuration file.
func withConfig(f func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		if err := configureHere(c); err != nil {
			return err
		}
		return f(c, args)
	}
}

// listAll reads every cassette of dir. One that cannot be read is listed with
// the reason.
func listAll(dir string) ([]listed, error) {
	store, err := cassette.Open(dir)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	entries, err := store.List()
	if err != nil {
		return nil, err
	}
	all := []listed{}
	for _, e := range entries {
		l := listed{Name: e.Name, Size: e.Size, Changed: e.Changed, Recording: e.Recording}
		if e.Size > 0 {
			c, err := store.Load(e.Name)
			if err != nil {
				l.Error = err.Error()
			} else {
				l.Interactions, l.Hosts, l.Incomplete = len(c.Interactions), c.Hosts(), c.Incomplete
			}
		}
		all = append(all, l)
	}
	return all, nil
}

// printList writes a table.
func printList(w io.Writer, all []listed) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tINTERACTIONS\tSIZE\tCHANGED\tSTATE")
	for _, l := range all {
		state := "complete"
		switch {
		case l.Error != "":
			state = l.Error
		case l.Recording:
			state = "being recorded, or cut off"
		case l.Incomplete:
			state = "incomplete"
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\n", l.Name, l.Interactions, size(l.Size), l.Changed.Format(time.DateTime), state)
	}
	return t.Flush()
}

// size is a number of bytes as a person reads it.
func size(n int64) string {
	switch {
	case n < 10<<10:
		return fmt.Sprintf("%d B", n)
	case n < 10<<20:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}
