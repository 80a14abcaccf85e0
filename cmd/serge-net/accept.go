package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/serge-net/serge-net/cassette"
)

func acceptCommand() *cobra.Command {
	var dir string
	var rules cassette.Rules
	c := &cobra.Command{
		Use:   "accept NAME --bypass HOST",
		Short: "remember in a cassette what a run was told for once",
		Long: `accept writes rules into the cassette NAME. They hold in every run with it, to
record and to replay, and stay when it is recorded again. With --bypass a host
passes untouched and unrecorded, as of a program that pins its certificate: such
a replay needs that host, and is not isolated.`,
		Example: "  serge-net accept login --bypass api.example.com",
		Args: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return hint(errors.New("no cassette named"), "serge-net list shows what there is; then serge-net %s", c.Use)
			case len(args) > 1:
				return hint(fmt.Errorf("accept takes no %q", args[1]), "serge-net %s", c.Use)
			case len(rules.Bypass) == 0:
				return hint(errors.New("nothing to accept"), "serge-net accept %s --bypass HOST", args[0])
			}
			return nil
		},
		RunE:              withConfig(func(c *cobra.Command, args []string) error { return accept(c.OutOrStdout(), dir, args[0], rules) }),
		ValidArgsFunction: completeCassettes,
	}
	c.Flags().StringVar(&dir, "cassette-dir", "./cassettes", "the `DIR` that cassettes are in")
	c.Flags().StringSliceVar(&rules.Bypass, "bypass", nil, "let `HOST|CIDR|PORT` pass untouched and unrecorded")
	return c
}

// accept writes rules into the cassette called name in dir.
func accept(w io.Writer, dir, name string, rules cassette.Rules) error {
	if _, err := bypassed("--bypass", rules.Bypass); err != nil {
		return err
	}
	store, err := cassette.Open(dir)
	if err != nil {
		return err
	}
	defer store.Close()
	before := footprintOf(store.Paths(name))
	changed, err := store.Accept(name, rules)
	if errors.Is(err, fs.ErrNotExist) {
		return noCassette(store, name, "record it first: serge-net record "+name+" -- CMD ARGS…")
	}
	if err != nil {
		return err
	}
	before.own(store.Paths(name))
	what := strings.Join(rules.Bypass, ", ")
	if !changed {
		_, err = fmt.Fprintf(w, "%s passes already, by the rules of %s\n", what, store.Path(name))
		return err
	}
	_, err = fmt.Fprintf(w, "%s passes untouched and unrecorded from now on, by the rules of %s\n", what, store.Path(name))
	return err
}

// ruled adds the rules of the cassette to what the flags say. One that cannot be
// read is recorded anew, and its rules are lost with it.
func (e *engine) ruled() error {
	rules := e.cassette.Rules
	if e.mode == "record" || e.mode == "passthrough" { // then it is not loaded
		rules, _ = e.store.Rules(e.flags.cassette)
	}
	if len(rules.Bypass) == 0 {
		return nil
	}
	pass, err := bypassed("cassette "+e.cassettePath()+": rules: bypass", slices.Concat(rules.Bypass, e.flags.bypass))
	if err != nil {
		return err
	}
	e.pass = pass
	e.report.sayf("not recorded, by the rules of %s: %s", e.flags.cassette, strings.Join(rules.Bypass, ", "))
	return nil
}
