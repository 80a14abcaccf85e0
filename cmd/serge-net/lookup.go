package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/spf13/cobra"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/exchange"
)

// cassetteAnd is the arguments of a command that takes a cassette's name, and at
// most more others behind it.
func cassetteAnd(more int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return hint(errors.New("no cassette named"), "serge-net list shows what there is; then serge-net %s", c.Use)
		case len(args) > 1+more:
			return hint(fmt.Errorf("%s takes no %q", c.Name(), args[1+more]), "serge-net %s", c.Use)
		}
		return nil
	}
}

// loaded is the cassette of store called name. That there is none is told with
// what there is.
func loaded(store *cassette.Store, name string) (*cassette.Cassette, error) {
	tape, err := store.Load(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noCassette(store, name, "serge-net list shows what there is")
	}
	return tape, err
}

// printJSON writes v as people and jq read it.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// counted is n of thing: "1 cassette", "2 cassettes".
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// completeCassettes lets the shell complete a cassette's name.
func completeCassettes(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return completeAllCassettes(c, args, "")
}

// completeAllCassettes is completeCassettes for a command that takes many names.
func completeAllCassettes(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	store, err := storeOf(c)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	defer store.Close()
	entries, err := store.List()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, e := range entries {
		if !slices.Contains(args, e.Name) {
			names = append(names, e.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// storeOf is the store that c's flags, the environment and the configuration
// name. The caller closes it.
func storeOf(c *cobra.Command) (*cassette.Store, error) {
	if err := configureHere(c); err != nil {
		return nil, err
	}
	dir, err := c.Flags().GetString("cassette-dir")
	if err != nil {
		return nil, err
	}
	file, err := c.Flags().GetString("key-file")
	if err != nil {
		return nil, err
	}
	return rack{dir, file}.open()
}

// completeInteraction lets the shell complete a cassette's name, and then the ID
// of an interaction of it, with what that is beside it.
func completeInteraction(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return completeAllCassettes(c, args, "")
	}
	store, err := storeOf(c)
	if err != nil || len(args) > 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer store.Close()
	tape, err := store.Load(args[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var ids []string
	for _, i := range tape.Interactions {
		ids = append(ids, cobra.CompletionWithDesc(i.ID, exchange.Visible(i.Line())))
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}

// completeTwo lets the shell complete the names of two cassettes, or files.
func completeTwo(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names, directive := completeAllCassettes(c, args, typed)
	if directive == cobra.ShellCompDirectiveError {
		return nil, directive
	}
	return names, cobra.ShellCompDirectiveDefault
}
