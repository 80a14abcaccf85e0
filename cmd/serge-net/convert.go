package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/serge-net/serge-net/cassette"
)

// A converting is what convert is asked to do.
type converting struct {
	dir           rack
	name, out, to string
}

func convertCommand() *cobra.Command {
	var v converting
	c := &cobra.Command{
		Use:   "convert NAME --to FORMAT",
		Short: "put a cassette into another format, without loss",
		Long: `convert writes the cassette NAME, and its bodies, in another format: plain JSON,
compressed, or encrypted with the key of SERGE_KEY or --key-file, or MessagePack
with an index, which is for large ones. It takes the
place of the old one, unless --output names another. A run keeps the format that
a cassette has.`,
		Example: `  serge-net convert login --to json.enc
  serge-net convert login --to json.zst -o archive/login
  serge-net convert load-test --to msgpack`,
		Args: cassetteAnd(0),
		RunE: withConfig(func(c *cobra.Command, args []string) error {
			v.name = args[0]
			if v.to == "" {
				return hint(errors.New("no format named"), "serge-net convert %s --to json.enc; serge-net help convert lists them", v.name)
			}
			return v.run(c.OutOrStdout(), c.ErrOrStderr())
		}),
		ValidArgsFunction: completeCassettes,
	}
	s := c.Flags()
	s.SortFlags = false
	s.StringVar(&v.to, "to", "", "what to write")
	s.StringVarP(&v.out, "output", "o", "", "write the cassette `NAME` and leave the old one")
	v.dir.register(c)
	choices(c, "to", formatWords()...)
	c.RegisterFlagCompletionFunc("output", cobra.NoFileCompletions)
	return c
}

// formatWords are what formats are called on the command line.
func formatWords() []string {
	var words []string
	for _, f := range cassette.Formats() {
		if f == cassette.MessagePack {
			f = "msgpack"
		}
		words = append(words, string(f))
	}
	return words
}

// formatCalled is the format called word.
func formatCalled(word string) cassette.Format {
	if word == "msgpack" {
		return cassette.MessagePack
	}
	return cassette.Format(word)
}

// run converts v.name.
func (v *converting) run(stdout, stderr io.Writer) error {
	store, err := v.dir.open()
	if err != nil {
		return err
	}
	defer store.Close()
	if v.out == "" {
		v.out = v.name
	}
	from := store.Path(v.name)
	before := footprintOf(append(store.Paths(v.out), upTo(v.dir.dir)...))
	progress := newProgress(stderr, "convert", 0)
	changed, err := store.Convert(v.name, v.out, formatCalled(v.to), func(n, of int) { progress.of = of; progress.at(n) })
	progress.end()
	before.own(append(store.Paths(v.out), upTo(v.dir.dir)...))
	switch {
	case errors.Is(err, fs.ErrExist):
		return hint(err, "--output names a cassette that is not there yet")
	case errors.Is(err, fs.ErrNotExist):
		return noCassette(store, v.name, "serge-net list shows what there is")
	case err != nil:
		return err
	case !changed:
		_, err = fmt.Fprintf(stdout, "%s is %s already\n", from, v.to)
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s -> %s\n", from, store.Path(v.out))
	return err
}
