package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/spf13/cobra"

	"github.com/serge-net/serge-net/redirect"
)

// A runFlags is what run was asked to do, from its flags, the environment and
// the configuration file together.
type runFlags struct {
	backend      string
	bypass       []string
	loopback     []string
	hermetic     bool
	dns          string
	mode         string
	cassette     string
	cassetteDir  string
	onMiss       string
	repeat       string
	ignoreHeader []string
	ignoreQuery  []string
	shiftDates   string
	upstreamCA   []string
	insecure     bool
	log          string
	verbose      bool
	quiet        bool
}

// registerMode declares on c the flags that record and replay say in words.
func (f *runFlags) registerMode(c *cobra.Command) {
	s := c.Flags()
	s.SortFlags = false
	s.StringVar(&f.mode, "mode", "auto", "auto replays what is recorded, else records, and never records where CI=true")
	s.StringVar(&f.cassette, "cassette", "default", "the cassette's `NAME`")
	choices(c, "mode", "auto", "record", "replay", "new", "passthrough")
	c.RegisterFlagCompletionFunc("cassette", completeCassettes)
}

// register declares the other flags on c.
func (f *runFlags) register(c *cobra.Command) {
	s := c.Flags()
	s.SortFlags = false
	s.StringVar(&f.cassetteDir, "cassette-dir", "./cassettes", "the `DIR` that cassettes are in")
	s.StringVar(&f.onMiss, "on-miss", "fail", "what a request gets that is not recorded: 501, the real answer, or that and be recorded")
	s.StringSliceVar(&f.ignoreHeader, "ignore-header", nil, "request headers by `NAME` that never tell requests apart")
	s.StringSliceVar(&f.ignoreQuery, "ignore-query", nil, "query parameters by `NAME` that never tell requests apart")
	s.StringVar(&f.repeat, "repeat", "auto", "what a request gets that was served as often as it was recorded; auto is last for safe methods, else never")
	s.StringVar(&f.shiftDates, "shift-dates", "on", "move the dates in served headers to today")
	s.StringVar(&f.backend, "backend", "auto", "how to divert")
	s.StringSliceVar(&f.bypass, "bypass", nil, "let `HOST|CIDR|PORT` pass untouched and unrecorded")
	s.StringSliceVar(&f.loopback, "intercept-loopback", nil, "divert these loopback `PORTS` too")
	s.BoolVar(&f.hermetic, "hermetic", false, "let nothing but loopback leave, in any mode; replay always does")
	s.StringVar(&f.dns, "dns", "pin", "pin gives each name an address of its own, real passes the origin's addresses on")
	s.StringSliceVar(&f.upstreamCA, "upstream-ca", nil, "trust the CAs in `FILE` too, beside the system's")
	s.BoolVar(&f.insecure, "upstream-insecure", false, "accept any certificate of an origin")
	s.StringVar(&f.log, "log", "", "write to `FILE` instead of the terminal")
	s.BoolVarP(&f.verbose, "verbose", "v", false, "say more: each connection, and whose it is")
	s.BoolVarP(&f.quiet, "quiet", "q", false, "say nothing but what needs attention")
	choices(c, "on-miss", "fail", "passthrough", "record")
	choices(c, "repeat", "auto", "never", "last", "first", "cycle")
	choices(c, "shift-dates", "on", "off")
	choices(c, "backend", backends()...)
	choices(c, "dns", "pin", "real")
	c.MarkFlagDirname("cassette-dir")
	c.MarkFlagFilename("upstream-ca", "pem", "crt")
}

// backends are the words that --backend takes.
func backends() []string {
	words := []string{"auto"}
	for _, l := range redirect.Lanes() {
		words = append(words, l.String())
	}
	return words
}

// choices holds the values of c's flag name to words, and has the shell complete
// them.
func choices(c *cobra.Command, name string, words ...string) {
	c.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	f := c.Flags().Lookup(name)
	f.Value = &choice{f.Value, words}
}

func runCommand() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "run [flags] -- CMD ARGS…",
		Short: "record or replay the traffic of CMD and all its descendants",
		Long: `run starts CMD and records its traffic, or replays what was recorded. It exits
with CMD's own code; if that is 0, with 96 if the recording is incomplete, 97 if
requests missed, 99 if nothing was served. A flag's value can also be set in
the environment (SERGE_MODE for --mode) and in serge-net.toml.`,
		Example: `  serge-net run -- ./gradlew test                    record the first time, replay from then on
  serge-net run --mode new --cassette api -- pytest  replay what is recorded, record the rest
  serge-net run --log run.log -- make                keep the terminal to make`,
		Args: func(c *cobra.Command, args []string) error {
			switch n := c.ArgsLenAtDash(); {
			case n < 0 && len(args) > 0:
				return hint(errors.New("no -- before the command"), "serge-net run [flags] -- %s", shellWords(args))
			case n > 0:
				return hint(fmt.Errorf("%s stands before --", shellWords(args[:n])), "serge-net run [flags] -- %s", shellWords(args))
			}
			return needsCommand(c, args)
		},
		RunE: func(c *cobra.Command, argv []string) error { return f.run(c, argv) },
	}
	f.registerMode(c)
	f.register(c)
	return c
}

func recordCommand() *cobra.Command {
	return namedRun("record", "record CMD's traffic to the cassette NAME")
}

func replayCommand() *cobra.Command {
	return namedRun("replay", "replay the cassette NAME to CMD, offline")
}

// namedRun is run with its mode and cassette said in words.
func namedRun(mode, short string) *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:     mode + " NAME [flags] -- CMD ARGS…",
		Short:   short,
		Long:    short + ": the same as\n\n  serge-net run --mode " + mode + " --cassette NAME -- CMD ARGS…",
		Example: fmt.Sprintf("  serge-net %s login -- curl https://api.example.com/login", mode),
		Args: func(c *cobra.Command, args []string) error {
			switch n := c.ArgsLenAtDash(); {
			case n == 0, len(args) == 0:
				return hint(errors.New("no cassette named"), "serge-net %s NAME -- CMD ARGS…", mode)
			case n < 0 && len(args) > 1:
				return hint(errors.New("no -- before the command"), "serge-net %s %s -- %s", mode, shellWords(args[:1]), shellWords(args[1:]))
			case n > 1:
				return hint(fmt.Errorf("%s stands between the cassette's name and --", shellWords(args[1:n])),
					"serge-net %s %s -- %s", mode, shellWords(args[:1]), shellWords(args[1:]))
			}
			return needsCommand(c, args[1:])
		},
		RunE: func(c *cobra.Command, args []string) error {
			f.mode, f.cassette = mode, args[0]
			return f.run(c, args[1:])
		},
		ValidArgsFunction: completeCassettes,
	}
	f.register(c)
	return c
}

// needsCommand refuses a command line without a command to run.
func needsCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return hint(errors.New("no command to run"), "serge-net %s", c.Use)
	}
	return nil
}

// run runs argv as c's flags say and returns an *exit with its code.
func (f *runFlags) run(c *cobra.Command, argv []string) error {
	if err := configureHere(c); err != nil {
		return err
	}
	if err := executable(argv[0]); err != nil {
		return err
	}
	out, err := f.output(c.ErrOrStderr())
	if err != nil {
		return err
	}
	defer out.Close()
	r := &runner{flags: f, argv: argv, report: newReport(out, f.quiet), start: time.Now()}
	return r.run(c.Context())
}

// executable tells by the shell's exit codes that a command cannot be run.
func executable(name string) error {
	_, err := exec.LookPath(name)
	switch {
	case err == nil, errors.Is(err, exec.ErrDot):
		return nil
	case errors.Is(err, os.ErrPermission):
		return &exit{exitNotExec, fmt.Errorf("run %s: it cannot be executed", name)}
	}
	return &exit{exitNotFound, fmt.Errorf("run %s: no such command", name)}
}

// output is where serge-net itself writes.
func (f *runFlags) output(stderr io.Writer) (io.WriteCloser, error) {
	if f.log == "" {
		return nopCloser{stderr}, nil
	}
	before := footprintOf([]string{f.log})
	file, err := os.OpenFile(f.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, hint(fmt.Errorf("--log: %w", err), "it names a file that can be written, in a directory that is there")
	}
	before.own([]string{f.log})
	return file, nil
}

// nopCloser is a Writer whose Close does nothing.
type nopCloser struct{ io.Writer }

// Close does nothing.
func (nopCloser) Close() error { return nil }
