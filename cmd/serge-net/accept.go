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
	var dir rack
	var bypass []string
	var match matchFlags
	var last bool
	c := &cobra.Command{
		Use:   "accept NAME FLAGS",
		Short: "remember in a cassette what a run was told for once",
		Long: `accept writes rules into the cassette NAME. They hold in every run with it and
stay when it is recorded again. A miss names the flags that would have made the
nearest recording match. With --bypass a host passes untouched and unrecorded, as
of a program that pins its certificate: such a replay needs that host, and is not
isolated.`,
		Example: `  serge-net accept login --ignore-query page
  serge-net accept login --last
  serge-net accept login --path-template '/users/{id}/…' --ignore-body '$.meta.*'
  serge-net accept login --bypass api.example.com`,
		Args: cassetteAnd(0),
		RunE: func(c *cobra.Command, args []string) error {
			if err := configureOnly(c, "cassette-dir", "key-file"); err != nil { // the rest of it holds without a rule
				return err
			}
			if last {
				store, err := dir.open()
				if err != nil {
					return err
				}
				defer store.Close()
				if err := takeProposals(c, store.Path(args[0])); err != nil {
					return err
				}
			}
			rules, err := match.rules()
			if err != nil {
				return err
			}
			all := cassette.Rules{Bypass: bypass, Match: rules}
			if len(bypass)+len(rules) == 0 {
				return hint(errors.New("nothing to accept"), "a miss says which flags to give; or serge-net accept %s --bypass HOST", args[0])
			}
			return accept(c.OutOrStdout(), dir, args[0], all)
		},
		ValidArgsFunction: completeCassettes,
	}
	dir.register(c)
	match.register(c)
	c.Flags().BoolVar(&last, "last", false, "what the misses of the last run proposed")
	c.Flags().StringSliceVar(&bypass, "bypass", nil, "let `HOST|CIDR|PORT` pass untouched and unrecorded")
	return c
}

// accept writes rules into the cassette called name in dir.
func accept(w io.Writer, dir rack, name string, rules cassette.Rules) error {
	if _, err := bypassed("--bypass", rules.Bypass); err != nil {
		return err
	}
	store, err := dir.open()
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
	return accepted(w, store.Path(name), rules, changed)
}

// accepted tells what rules hold from now on, or held already.
func accepted(w io.Writer, file string, rules cassette.Rules, changed bool) error {
	since := "from now on"
	if !changed {
		since = "already"
	}
	var err error
	if len(rules.Bypass) > 0 {
		_, err = fmt.Fprintf(w, "%s passes untouched and unrecorded %s, by the rules of %s\n", strings.Join(rules.Bypass, ", "), since, file)
	}
	for _, r := range rules.Match {
		_, e := fmt.Fprintf(w, "%s %s, by the rules of %s\n", r, since, file)
		err = errors.Join(err, e)
	}
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
