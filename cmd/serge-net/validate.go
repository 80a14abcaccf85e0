package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/serge-net/serge-net/cassette"
)

// A validating is what validate is asked to do.
type validating struct {
	names  []string // none: all that there are
	dir    rack
	asJSON bool
	quiet  bool

	secrets bool // look for them too
	redact  redactFlags
	looked  cassette.Redaction
}

// A checked is a cassette as validate --json tells of it.
type checked struct {
	Name         string    `json:"name"`
	Path         string    `json:"path"`
	Interactions int       `json:"interactions"`
	Findings     []finding `json:"findings"`
}

// A finding is something that is wrong with a cassette. The keys are of
// docs/cassettes.md.
type finding struct {
	At      string `json:"at"` // a JSON pointer
	ID      string `json:"interaction,omitempty"`
	Problem string `json:"problem"`
}

func validateCommand() *cobra.Command {
	var v validating
	c := &cobra.Command{
		Use:   "validate [NAME…]",
		Short: "say what is wrong with cassettes",
		Long: `validate reads cassettes to their end, all that there are if none is named, and
says all that is wrong with them: JSON that is none, members that a cassette does
not have, body files that are gone or are not what was recorded. Each finding is
at a JSON pointer. With --secrets it also says where a secret stands, as one does
in a cassette that was recorded with redaction off, by an older version, or by
another tool. It exits with 98 if there is any finding.`,
		Example: `  serge-net validate
  serge-net validate login api --json
  serge-net validate --secrets`,
		RunE: withConfig(func(c *cobra.Command, args []string) error {
			v.names = args
			return v.run(c.OutOrStdout(), c.ErrOrStderr())
		}),
		ValidArgsFunction: completeAllCassettes,
	}
	s := c.Flags()
	s.SortFlags = false
	v.dir.register(c)
	s.BoolVar(&v.secrets, "secrets", false, "look for secrets too: see serge-net help redact")
	v.redact.registerMore(c)
	s.BoolVar(&v.asJSON, "json", false, "print JSON")
	s.BoolVarP(&v.quiet, "quiet", "q", false, "print findings only")
	return c
}

// run checks v.names, and returns an *exit if there are findings.
func (v *validating) run(stdout, stderr io.Writer) error {
	var err error
	if v.looked, err = v.redact.redaction(os.Environ()); err != nil {
		return err
	}
	store, err := v.dir.open()
	if err != nil {
		return err
	}
	defer store.Close()
	if len(v.names) == 0 {
		if v.names, err = complete(store); err != nil {
			return err
		}
	}
	progress := newProgress(stderr, "validate", len(v.names))
	all, wrong := []checked{}, 0
	for n, name := range v.names {
		one, err := v.check(store, name)
		if err != nil {
			progress.end()
			return err
		}
		all, wrong = append(all, one), wrong+len(one.Findings)
		progress.at(n + 1)
	}
	progress.end()
	if err := v.print(stdout, all); err != nil {
		return err
	}
	if wrong > 0 {
		return &exit{Code: exitFindings}
	}
	return nil
}

// complete are the cassettes of store that were ever finished.
func complete(store *cassette.Store) ([]string, error) {
	entries, err := store.List()
	var names []string
	for _, e := range entries {
		if e.Size > 0 {
			names = append(names, e.Name)
		}
	}
	return names, err
}

// check validates the cassette called name.
func (v *validating) check(store *cassette.Store, name string) (checked, error) {
	n, found, err := store.Validate(name)
	if errors.Is(err, fs.ErrNotExist) {
		return checked{}, noCassette(store, name, "serge-net list shows what there is")
	}
	if err != nil {
		return checked{}, err
	}
	if v.secrets && len(found) == 0 { // of one that cannot be read nothing more is known
		if found, err = store.Secrets(name, v.looked); err != nil {
			return checked{}, err
		}
	}
	one := checked{name, store.Path(name), n, []finding{}}
	for _, f := range found {
		one.Findings = append(one.Findings, finding(f))
	}
	return one, nil
}

// print writes what was found, a line each, and how much was looked at.
func (v *validating) print(w io.Writer, all []checked) error {
	if v.asJSON {
		return printJSON(w, struct {
			Version   int       `json:"version"`
			Cassettes []checked `json:"cassettes"`
		}{1, all})
	}
	found, held := 0, 0
	for _, one := range all {
		held += one.Interactions
		for _, f := range one.Findings {
			found++
			printText(w, one.Path+": "+cassette.Finding(f).String())
		}
	}
	if v.quiet {
		return nil
	}
	_, err := fmt.Fprintf(w, "%s, %s, %s\n", counted(len(all), "cassette"), interactions(held), counted(found, "finding"))
	return err
}
