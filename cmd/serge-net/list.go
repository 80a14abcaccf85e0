package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/exchange"
)

// A listed is a cassette as list shows it.
type listed struct {
	Name         string    `json:"name"`
	Format       string    `json:"format,omitempty"`
	Interactions int       `json:"interactions"`
	Hosts        []string  `json:"hosts,omitempty"`
	Size         int64     `json:"size"` // with its bodies folder, in bytes
	Changed      time.Time `json:"changed"`
	RecordedAt   time.Time `json:"recorded_at,omitzero"`
	Incomplete   bool      `json:"incomplete,omitempty"`
	Recording    bool      `json:"recording,omitempty"`
	Failed       bool      `json:"failed,omitempty"`
	Locked       bool      `json:"locked,omitempty"` // encrypted, and not by the key that is given
	Error        string    `json:"error,omitempty"`
}

func listCommand() *cobra.Command {
	var dir rack
	var by string
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "list the cassettes",
		Long: `list shows what cassettes there are: how many interactions they hold and with
whom, how large they are with their bodies, when they were recorded, and whether
a recording is under way, was cut off, or failed. It counts without reading what
was said: serge-net validate tells whether a cassette is good.`,
		Example: `  serge-net list --sort size
  serge-net list --json | jq -r '.[] | select(.incomplete) | .name'`,
		Args: noArgs,
		RunE: withConfig(func(c *cobra.Command, _ []string) error {
			all, err := listAll(dir, c.ErrOrStderr())
			if err != nil {
				return err
			}
			order(all, by)
			if asJSON {
				return printJSON(c.OutOrStdout(), all)
			}
			return printList(c.OutOrStdout(), all, time.Now())
		}),
	}
	s := c.Flags()
	s.SortFlags = false
	dir.register(c)
	s.StringVar(&by, "sort", "name", "what goes first: the largest, the oldest, the one with the most interactions")
	s.BoolVar(&asJSON, "json", false, "print JSON")
	choices(c, "sort", "name", "size", "age", "count")
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

// listAll looks at every cassette of dir. One that cannot be read is listed with
// the reason.
func listAll(dir rack, stderr io.Writer) ([]listed, error) {
	store, err := dir.open()
	if err != nil {
		return nil, err
	}
	defer store.Close()
	entries, err := store.List()
	if err != nil {
		return nil, err
	}
	progress := newProgress(stderr, "list", len(entries))
	defer progress.end()
	all := []listed{}
	for n, e := range entries {
		l := listed{Name: e.Name, Size: e.Size, Format: string(e.Format), Changed: e.Changed, Recording: e.Recording, Failed: e.Failed}
		if !e.Changed.IsZero() { // there is a file, and not a journal alone
			g, err := store.Glance(e.Name)
			if err != nil {
				l.Error, l.Locked = err.Error(), errors.Is(err, cassette.ErrKey)
			}
			l.Interactions, l.Hosts, l.Incomplete, l.RecordedAt = g.Interactions, g.Hosts, g.Incomplete, g.RecordedAt
			l.Size += g.Bodies
		}
		all = append(all, l)
		progress.at(n + 1)
	}
	return all, nil
}

// since is when l was recorded, or else written.
func (l listed) since() time.Time {
	if l.RecordedAt.IsZero() {
		return l.Changed
	}
	return l.RecordedAt
}

// order sorts all, which is in the order of names.
func order(all []listed, by string) {
	slices.SortStableFunc(all, func(a, b listed) int {
		switch by {
		case "size":
			return cmp.Compare(b.Size, a.Size)
		case "age":
			return a.since().Compare(b.since())
		case "count":
			return cmp.Compare(b.Interactions, a.Interactions)
		}
		return 0
	})
}

// printList writes a table, as of now.
func printList(w io.Writer, all []listed, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tINTERACTIONS\tHOSTS\tSIZE\tAGE\tSTATE")
	for _, l := range all {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\n", exchange.Visible(l.Name), l.Interactions, exchange.Visible(briefly(l.Hosts)), size(l.Size), age(l.since(), now), l.state())
	}
	return t.Flush()
}

// state is how l is, in a few words.
func (l listed) state() string {
	var states []string
	for _, s := range []struct {
		is   bool
		word string
	}{
		{l.Locked, "encrypted, and this is not its key"},
		{l.Error != "" && !l.Locked, "unreadable: serge-net validate " + shellWords([]string{l.Name}) + " says why"},
		{l.Incomplete, "incomplete"},
		{l.Recording, "being recorded, or cut off"},
	} {
		if s.is {
			states = append(states, s.word)
		}
	}
	if len(states) == 0 {
		states = []string{"complete"}
	}
	if l.Failed {
		states = append(states, "but a later recording failed")
	}
	return strings.Join(states, ", ")
}

// briefly is the first of names, and how many there are more.
func briefly(names []string) string {
	switch len(names) {
	case 0:
		return "-"
	case 1, 2:
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s, +%d", names[0], len(names)-1)
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

// age is how long before now t was, as a person reads it.
func age(t, now time.Time) string {
	const day = 24 * time.Hour
	switch d := now.Sub(t); {
	case t.IsZero():
		return "-"
	case d < time.Minute:
		return "now"
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 2*day:
		return fmt.Sprintf("%d h", d/time.Hour)
	default:
		return fmt.Sprintf("%d d", d/day)
	}
}
