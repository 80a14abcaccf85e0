package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/cassette/secret"
)

// A redacting is what redact and anonymize are asked to do.
type redacting struct {
	verb   string // for messages: "redact"
	dir    rack
	dryRun bool
	quiet  bool
	redact redactFlags
	people []string // names, for anonymize
}

func redactCommand() *cobra.Command {
	r := redacting{verb: "redact"}
	c := &cobra.Command{
		Use:   "redact NAME…",
		Short: "take secrets out of cassettes that were recorded with them",
		Long: `redact rewrites cassettes with placeholders in the place of what a recording of
today would not write: credentials in header fields, tokens, keys and passwords
anywhere, and the values of secret-like environment variables. Placeholders that
are there already stay. What version control remembers, it remembers: secrets
that were committed have to be revoked.`,
		Example: `  serge-net redact login --dry-run
  serge-net redact login api --redact-json '$.user.pin'`,
		RunE: withConfig(func(c *cobra.Command, args []string) error {
			redaction, err := r.redact.redaction(os.Environ())
			if err != nil {
				return err
			}
			return r.run(args, redaction, c.OutOrStdout(), c.ErrOrStderr())
		}),
		Args:              r.named,
		ValidArgsFunction: completeAllCassettes,
	}
	r.register(c)
	return c
}

func anonymizeCommand() *cobra.Command {
	r := redacting{verb: "anonymize"}
	c := &cobra.Command{
		Use:   "anonymize NAME…",
		Short: "take what tells of people out of cassettes",
		Long: `anonymize rewrites cassettes with placeholders in the place of email addresses,
phone numbers that begin with +, IP addresses, and of what the flags name. The
same value gets the same placeholder, and a replay serves a value of the same
shape in its place, so that a test that compares them still passes.`,
		Example: `  serge-net anonymize login --dry-run
  serge-net anonymize login --person "Ada Lovelace" --redact-json '$.address.street'`,
		RunE: withConfig(func(c *cobra.Command, args []string) error {
			config := secret.Config{Bare: true, Personal: true, Patterns: r.redact.patterns, JSON: r.redact.json}
			for _, p := range r.people {
				if len(p) < secret.Least {
					return hint(fmt.Errorf("--person %q is shorter than %d bytes, and would be found in too much else", p, secret.Least), "--redact-json names where it stands")
				}
				config.Known = append(config.Known, secret.Known{Class: "person", Value: p})
			}
			set, err := secret.New(config)
			if err != nil {
				return fmt.Errorf("anonymize: %w", err)
			}
			return r.run(args, cassette.Redaction{Set: set, Headers: r.redact.headers}, c.OutOrStdout(), c.ErrOrStderr())
		}),
		Args:              r.named,
		ValidArgsFunction: completeAllCassettes,
	}
	r.register(c)
	c.Flags().StringArrayVar(&r.people, "person", nil, "this `NAME` of a person too")
	return c
}

// register declares the flags that both have on c.
func (r *redacting) register(c *cobra.Command) {
	s := c.Flags()
	s.SortFlags = false
	r.dir.register(c)
	s.BoolVar(&r.dryRun, "dry-run", false, "say what would be replaced, and change nothing")
	r.redact.registerMore(c)
	s.BoolVarP(&r.quiet, "quiet", "q", false, "say nothing but what needs attention")
}

// named refuses a command line without a cassette.
func (r *redacting) named(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return hint(errors.New("no cassette named"), "serge-net %s NAME…; serge-net list shows what there is", r.verb)
	}
	return nil
}

// run takes out of the cassettes called names what redaction says.
func (r *redacting) run(names []string, redaction cassette.Redaction, stdout, stderr io.Writer) error {
	store, err := r.dir.open()
	if err != nil {
		return err
	}
	defer store.Close()
	progress := newProgress(stderr, r.verb, len(names))
	defer progress.end()
	for n, name := range names {
		do := store.Redact
		if r.dryRun {
			do = store.Secrets
		}
		before := footprintOf(store.Paths(name))
		found, err := do(name, redaction)
		before.own(store.Paths(name))
		if errors.Is(err, fs.ErrNotExist) {
			return noCassette(store, name, "serge-net list shows what there is")
		}
		if err != nil {
			return err
		}
		progress.at(n + 1)
		r.tell(stdout, store.Path(name), found)
	}
	return nil
}

// tell writes what was found in the file at path.
func (r *redacting) tell(w io.Writer, path string, found []cassette.Finding) {
	if r.dryRun {
		for _, f := range found {
			printText(w, path+": "+f.String())
		}
	}
	if r.quiet {
		return
	}
	did := "replaced"
	if r.dryRun {
		did = "would be replaced"
	}
	printText(w, fmt.Sprintf("%s: %s %s", path, counted(len(found), "place"), did))
}
