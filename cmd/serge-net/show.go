package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/cassette/foreign"
)

// A showing is what show is asked to do.
type showing struct {
	dir          rack
	name, id     string
	file         string // in place of a name
	asCurl, json bool
	body         string // request, response; "": as text, with all the rest
}

func showCommand() *cobra.Command {
	var s showing
	c := &cobra.Command{
		Use:   "show NAME [ID]",
		Short: "show what a cassette holds, or one interaction of it",
		Long: `show prints a line for each interaction of a cassette, or one of them in full.
Secrets stay placeholders, in every form.`,
		Example: `  serge-net show login
  serge-net show login get-users-5b1f.1
  serge-net show login get-users-5b1f.1 --curl | AUTH_1=token sh
  serge-net show login get-logo-77aa.1 --body > logo.png`,
		Args: func(c *cobra.Command, args []string) error {
			switch {
			case s.file != "" && len(args) > 0:
				return hint(fmt.Errorf("show takes no %q beside --file", args[0]), "serge-net show --file %s", s.file)
			case s.file != "":
				return nil
			case len(args) == 1 && s.body != "":
				return hint(errors.New("--body is that of one interaction"), "serge-net show %s lists them; then serge-net %s --body", args[0], c.Use)
			}
			return cassetteAnd(1)(c, args)
		},
		RunE: withConfig(func(c *cobra.Command, args []string) error {
			if s.file != "" {
				return showFile(c.OutOrStdout(), s.dir, s.file)
			}
			s.name = args[0]
			if len(args) > 1 {
				s.id = args[1]
			}
			return s.run(c.OutOrStdout(), c.ErrOrStderr())
		}),
		ValidArgsFunction: completeInteraction,
	}
	f := c.Flags()
	f.SortFlags = false
	f.BoolVar(&s.asCurl, "curl", false, "print a curl call that asks it again; secrets are taken from the environment")
	f.BoolVar(&s.json, "json", false, "print it as it stands in the cassette's file")
	f.StringVar(&s.body, "body", "", "print the body of one interaction alone, to the byte; --body=request that of the request")
	f.StringVar(&s.file, "file", "", "print the JSON in `FILE`, a cassette's in any format; git's textconv is to call it")
	s.dir.register(c)
	f.Lookup("body").NoOptDefVal = "response"
	choices(c, "body", "response", "request")
	c.MarkFlagsMutuallyExclusive("curl", "json", "body", "file")
	return c
}

// run shows it.
func (s *showing) run(stdout, stderr io.Writer) error {
	store, err := s.dir.open()
	if err != nil {
		return err
	}
	defer store.Close()
	tape, err := loaded(store, s.name)
	if err != nil {
		return err
	}
	if s.id == "" {
		return s.all(stdout, stderr, tape)
	}
	i, err := interactionOf(tape, s.name, s.id)
	if err != nil {
		return err
	}
	switch {
	case s.asCurl:
		one := &cassette.Cassette{Name: tape.Name, Interactions: []*cassette.Interaction{i}}
		return s.curl(stdout, stderr, one)
	case s.json:
		return tape.EncodeInteraction(stdout, i)
	case s.body != "":
		return s.raw(stdout, i)
	}
	return printInteraction(stdout, i)
}

// all shows the whole of tape.
func (s *showing) all(stdout, stderr io.Writer, tape *cassette.Cassette) error {
	switch {
	case s.asCurl:
		return s.curl(stdout, stderr, tape)
	case s.json:
		return tape.Encode(stdout)
	}
	return printCassette(stdout, tape)
}

// curl prints the calls of tape, and says what could not be carried.
func (s *showing) curl(stdout, stderr io.Writer, tape *cassette.Cassette) error {
	notes, err := foreign.Write(stdout, tape, "curl", nil)
	say := newReport(stderr, false)
	for _, n := range notes {
		say.warnf("show: %s", n)
	}
	return err
}

// raw writes the body of i that is asked for.
func (s *showing) raw(stdout io.Writer, i *cassette.Interaction) error {
	if i.Converses() {
		return hint(fmt.Errorf("interaction %s is no HTTP, and has no bodies", i.ID), "serge-net show without --body shows what was said")
	}
	b := i.Request.Body
	if s.body == "response" {
		if i.Response == nil {
			return hint(fmt.Errorf("interaction %s has no response: %s", i.ID, i.Failure.Kind), "--body=request is what was sent")
		}
		b = i.Response.Body
	}
	r, err := b.Open()
	if err != nil {
		return fmt.Errorf("read body of %s: %w", i.ID, err)
	}
	defer r.Close()
	if !onTerminal(stdout) {
		_, err = io.Copy(stdout, r)
		return err
	}
	start, err := io.ReadAll(io.LimitReader(r, shownBody))
	if err != nil {
		return err
	}
	if !isText(wholeRunes(start)) {
		return hint(fmt.Errorf("the body of %s is no text, and this is a terminal", i.ID), "add > FILE")
	}
	if _, err := stdout.Write(start); err != nil {
		return err
	}
	_, err = io.Copy(stdout, r)
	return err
}

// interactionOf is the one of tape, the cassette called name, that is called id.
// That there is none is told with the nearest.
func interactionOf(tape *cassette.Cassette, name, id string) (*cassette.Interaction, error) {
	if i := tape.Interaction(id); i != nil {
		return i, nil
	}
	var ids []string
	for _, k := range tape.Interactions {
		ids = append(ids, k.ID)
	}
	err := fmt.Errorf("cassette %s has no interaction %q", name, id)
	if near := nearest(id, ids); near != "" {
		return nil, hint(err, "did you mean %s?", near)
	}
	return nil, hint(err, "serge-net show %s lists them", shellWords([]string{name}))
}
