package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/cassette/foreign"
)

// An exporting is what export is asked to do.
type exporting struct {
	name, format, out string
	dir               rack
}

func exportCommand() *cobra.Command {
	var e exporting
	c := &cobra.Command{
		Use:   "export NAME --format FORMAT",
		Short: "write a cassette in another tool's form",
		Long: `export writes a cassette as HAR 1.2, WireMock's mappings, a cassette of VCR or
vcrpy, a shell script of curl calls, a k6 load test, Markdown, or a packet
capture. What cannot be carried is
listed. Secrets stay placeholders; scripts take them from the environment.`,
		Example: `  serge-net export login --format har -o login.har
  serge-net export login --format curl | AUTH_1=token sh`,
		Args: cassetteAnd(0),
		RunE: withConfig(func(c *cobra.Command, args []string) error {
			e.name = args[0]
			if e.format == "" {
				return hint(errors.New("no format named"), "serge-net export %s --format har; serge-net help export lists them", e.name)
			}
			return e.run(c.OutOrStdout(), c.ErrOrStderr())
		}),
		ValidArgsFunction: completeCassettes,
	}
	s := c.Flags()
	s.SortFlags = false
	s.StringVar(&e.format, "format", "", "what to write")
	s.StringVarP(&e.out, "output", "o", "", "write to `FILE` instead of the standard output")
	e.dir.register(c)
	makeOwn(c, "format")
	choices(c, "format", foreign.Targets()...)
	return c
}

// run exports e.name.
func (e *exporting) run(stdout, stderr io.Writer) error {
	store, err := e.dir.open()
	if err != nil {
		return err
	}
	defer store.Close()
	tape, err := loaded(store, e.name)
	if err != nil {
		return err
	}
	notes, err := e.write(stdout, stderr, tape)
	if err != nil {
		return err
	}
	say := newReport(stderr, false)
	for _, n := range notes {
		say.warnf("export: %s", n)
	}
	return nil
}

// write writes tape to e.out, which is replaced when all of it is written, or to
// stdout.
func (e *exporting) write(stdout, stderr io.Writer, tape *cassette.Cassette) ([]foreign.Note, error) {
	progress := newProgress(stderr, "export", len(tape.Interactions))
	defer progress.end()
	if e.out == "" {
		w := bufio.NewWriter(stdout)
		notes, err := foreign.Write(w, tape, e.format, progress.at)
		return notes, errors.Join(err, w.Flush())
	}
	var notes []foreign.Note
	err := replace(e.out, func(w io.Writer) (err error) {
		notes, err = foreign.Write(w, tape, e.format, progress.at)
		return err
	})
	var path *fs.PathError
	if errors.As(err, &path) && path.Op == "open" {
		err = hint(fmt.Errorf("export to %s: %w", e.out, err), "-o names a file in a directory that is there and can be written")
	}
	return notes, err
}
