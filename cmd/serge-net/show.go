package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
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
		Args: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return hint(errors.New("no cassette named"), "serge-net list shows what there is; then serge-net %s", c.Use)
			case len(args) > 2:
				return hint(fmt.Errorf("show takes no %q", args[2]), "serge-net %s", c.Use)
			}
			return nil
		},
		RunE:              withConfig(func(c *cobra.Command, args []string) error { return show(c.OutOrStdout(), dir, args) }),
		ValidArgsFunction: completeCassettes,
	}
	c.Flags().StringVar(&dir, "cassette-dir", "./cassettes", "the `DIR` that cassettes are in")
	return c
}

// show prints the cassette args[0] of dir, or the interaction args[1] of it.
func show(w io.Writer, dir string, args []string) error {
	store, err := cassette.Open(dir)
	if err != nil {
		return err
	}
	defer store.Close()
	tape, err := store.Load(args[0])
	if errors.Is(err, fs.ErrNotExist) {
		return noCassette(store, args[0], "serge-net list shows what there is")
	}
	if err != nil {
		return err
	}
	if len(args) == 1 {
		return printCassette(w, tape)
	}
	if i := tape.Interaction(args[1]); i != nil {
		return printInteraction(w, i)
	}
	var ids []string
	for _, k := range tape.Interactions {
		ids = append(ids, k.ID)
	}
	err = fmt.Errorf("cassette %s has no interaction %q", args[0], args[1])
	if near := nearest(args[1], ids); near != "" {
		return hint(err, "did you mean %s?", near)
	}
	return hint(err, "serge-net show %s lists them", args[0])
}

// printCassette writes a line for each interaction.
func printCassette(w io.Writer, c *cassette.Cassette) error {
	fmt.Fprintf(w, "%s: %s, recorded %s with %s\n", c.Name, interactions(len(c.Interactions)), c.RecordedAt.Format("2006-01-02 15:04:05Z"), c.RecordedWith)
	if c.Incomplete {
		fmt.Fprintln(w, "incomplete: the recording was cut off, or its command failed")
	}
	for _, p := range c.Rules.Bypass {
		fmt.Fprintf(w, "rule: %s passes untouched and unrecorded\n", exchange.Visible(p))
	}
	for _, i := range c.Interactions {
		fmt.Fprintf(w, "%4d  %-28s %s\n", i.Seq, i.ID, exchange.Visible(i.Line()))
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
		fmt.Fprintf(w, "%s: %s\n", exchange.Visible(f.Name), exchange.Visible(f.Value))
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
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if n == 0 {
		return nil
	}
	text := start[:n]
	if b.Size > int64(n) {
		text = wholeRunes(text)
	}
	fmt.Fprintln(w)
	if !utf8.Valid(text) {
		_, err := fmt.Fprintf(w, "(%d bytes that are no text)\n", b.Size)
		return err
	}
	printText(w, string(text))
	if b.Size > int64(n) {
		fmt.Fprintf(w, "(the first %d of %d bytes)\n", len(text), b.Size)
	}
	return nil
}

// wholeRunes is b without the start of a rune that it was cut in.
func wholeRunes(b []byte) []byte {
	for i := len(b) - 1; i >= 0 && i > len(b)-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				return b[:i]
			}
			break
		}
	}
	return b
}

// printText writes s, which ends in a line end then, such that it drives no
// terminal.
func printText(w io.Writer, s string) {
	for line := range strings.Lines(s) {
		parts := strings.Split(strings.TrimRight(line, "\r\n"), "\t")
		for i, p := range parts {
			parts[i] = exchange.Visible(p)
		}
		fmt.Fprintln(w, strings.Join(parts, "\t"))
	}
}
