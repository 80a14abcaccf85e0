package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/serge-net/serge-net/cassette"
)

// A merging is what merge is asked to do.
type merging struct {
	dir         rack
	out, prefer string
	replace     bool
}

func mergeCommand() *cobra.Command {
	var m merging
	c := &cobra.Command{
		Use:   "merge A B -o NAME",
		Short: "make one cassette of what two hold",
		Long: `merge writes a cassette of what A and B hold, which are names of cassettes or
files. What both have is kept once. Where they have the same request and other
answers, those of B come after those of A, so that a replay serves all of them in
turn; --prefer new takes those of B alone, --prefer old those of A.`,
		Example: `  serge-net merge unit e2e -o all
  serge-net merge login cassettes/.failed/login.json -o login --prefer new --replace`,
		Args: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) != 2:
				return hint(errors.New("name two cassettes, or two files"), "serge-net %s; serge-net list shows what there is", c.Use)
			case m.out == "":
				return hint(errors.New("no name for what comes of it"), "serge-net %s", c.Use)
			}
			return nil
		},
		RunE:              withConfig(func(c *cobra.Command, args []string) error { return m.run(c.OutOrStdout(), args[0], args[1]) }),
		ValidArgsFunction: completeTwo,
	}
	s := c.Flags()
	s.SortFlags = false
	s.StringVarP(&m.out, "output", "o", "", "the cassette's `NAME`")
	s.StringVar(&m.prefer, "prefer", "both", "whose answers are kept where both have a request: B's, A's, or first A's and then B's")
	s.BoolVar(&m.replace, "replace", false, "replace a cassette of that name")
	m.dir.register(c)
	choices(c, "prefer", "both", "new", "old")
	c.RegisterFlagCompletionFunc("output", completeCassettes)
	return c
}

// run merges a and b.
func (m *merging) run(stdout io.Writer, a, b string) error {
	store, err := m.dir.open()
	if err != nil {
		return err
	}
	defer store.Close()
	switch _, err := store.Load(m.out); {
	case errors.Is(err, cassette.ErrName):
		return err
	case !errors.Is(err, fs.ErrNotExist) && !m.replace:
		return hint(fmt.Errorf("%s is there already", store.Path(m.out)), "--replace replaces it; -o NAME writes another")
	}
	old, done, err := namedOrFile(m.dir, a)
	if err != nil {
		return err
	}
	defer done()
	new, done, err := namedOrFile(m.dir, b)
	if err != nil {
		return err
	}
	defer done()
	of := [2]int{len(old.Interactions), len(new.Interactions)}
	merged, err := cassette.Merge(old, new, preferred(m.prefer))
	if err != nil {
		return err
	}
	if err := putInto(store, m.out, merged); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s of %d and %d -> %s\n", interactions(len(merged.Interactions)), of[0], of[1], store.Path(m.out))
	return err
}

// preferred is what --prefer says.
func preferred(word string) cassette.Prefer {
	if word == "both" {
		return cassette.PreferBoth
	}
	return cassette.Prefer(word)
}

// putInto makes c the cassette of store called name, and it is the user's.
func putInto(store *cassette.Store, name string, c *cassette.Cassette) error {
	before := footprintOf(store.Paths(name))
	err := store.Put(name, c)
	before.own(store.Paths(name))
	return err
}
