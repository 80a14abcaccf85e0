package main

import (
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/exchange"
)

// shownBody is how many bytes of a body show prints.
const shownBody = 4 << 10

func showCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "show NAME [ID]",
		Short: "show what a cassette holds, or one interaction of it",
		Args:  cobra.RangeArgs(1, 2),
		RunE: withConfig(func(c *cobra.Command, args []string) error {
			store, err := cassette.Open(dir)
			if err != nil {
				return err
			}
			defer store.Close()
			tape, err := store.Load(args[0])
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return printCassette(c.OutOrStdout(), tape)
			}
			i := tape.Interaction(args[1])
			if i == nil {
				var ids []string
				for _, k := range tape.Interactions {
					ids = append(ids, k.ID)
				}
				err := fmt.Errorf("cassette %s has no interaction %q", args[0], args[1])
				if near := nearest(args[1], ids); near != "" {
					return hint(err, "did you mean %s?", near)
				}
				return hint(err, "serge-net show %s lists them", args[0])
			}
			return printInteraction(c.OutOrStdout(), i)
		}),
		ValidArgsFunction: completeCassettes,
	}
	c.Flags().StringVar(&dir, "cassette-dir", "./cassettes", "the `DIR` that cassettes are in")
	return c
}

// printCassette writes a line for each interaction.
func printCassette(w io.Writer, c *cassette.Cassette) error {
	fmt.Fprintf(w, "%s: %d interactions, recorded %s with %s\n", c.Name, len(c.Interactions), c.RecordedAt.Format("2006-01-02 15:04:05Z"), c.RecordedWith)
	if c.Incomplete {
		fmt.Fprintln(w, "incomplete: the recording was cut off, or its command failed")
	}
	for _, i := range c.Interactions {
		fmt.Fprintf(w, "%4d  %-28s %s\n", i.Seq, i.ID, i.Line())
	}
	for _, d := range c.DNS {
		fmt.Fprintf(w, "      dns %s %s -> %s\n", d.Name, d.Type, d.Rcode)
	}
	return nil
}

// printInteraction writes one exchange in the form of HTTP/1, whatever it was.
func printInteraction(w io.Writer, i *cassette.Interaction) error {
	fmt.Fprintf(w, "%s %s HTTP/%s\n", i.Request.Method, i.Request.URL, i.Request.Version)
	printFields(w, i.Request.Fields)
	if err := printBody(w, i.Request.Body); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if i.Response == nil {
		_, err := fmt.Fprintf(w, "no response: %s: %s\n", i.Failure.Kind, i.Failure.Cause)
		return err
	}
	for _, n := range i.Response.Informational {
		fmt.Fprintf(w, "%d %s\n", n.Status, n.Reason)
		printFields(w, n.Fields)
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%d %s\n", i.Response.Status, i.Response.Reason)
	printFields(w, i.Response.Fields)
	if err := printBody(w, i.Response.Body); err != nil {
		return err
	}
	printFields(w, i.Response.Trailers)
	if i.Response.End != exchange.Complete {
		fmt.Fprintf(w, "(%s)\n", i.Response.End)
	}
	return nil
}

// printFields writes fields, a line each.
func printFields(w io.Writer, fields []exchange.Field) {
	for _, f := range fields {
		fmt.Fprintf(w, "%s: %s\n", f.Name, f.Value)
	}
}

// printBody writes the start of b behind an empty line, or what it is if it is
// no text.
func printBody(w io.Writer, b cassette.Body) error {
	r, err := b.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	start := make([]byte, shownBody)
	n, err := io.ReadFull(r, start)
	if n == 0 {
		return nil
	}
	fmt.Fprintln(w)
	if !utf8.Valid(start[:n]) {
		_, err := fmt.Fprintf(w, "(%d bytes that are no text)\n", b.Size)
		return err
	}
	w.Write(start[:n])
	if start[n-1] != '\n' {
		fmt.Fprintln(w)
	}
	if err == nil {
		fmt.Fprintf(w, "(the first %d of %d bytes)\n", n, b.Size)
	}
	return nil
}
