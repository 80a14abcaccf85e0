package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"github.com/serge-net/serge-net/redirect"
)

// A runFlags is what run was asked to do, from its flags, the environment and
// the configuration file together.
type runFlags struct {
	engineFlags
	backend  string
	loopback []string
	hostPort []string
	publish  []string
	hermetic bool
	dns      string
	learning bool
	quic     string
	udp      []string
}

// register declares on c the flags of run and of those that are it in words.
func (f *runFlags) register(c *cobra.Command) {
	f.engineFlags.register(c)
	s := c.Flags()
	s.StringVar(&f.backend, "backend", "auto", "how to divert")
	s.StringSliceVar(&f.loopback, "intercept-loopback", nil, "divert these loopback `PORTS` too")
	s.StringSliceVar(&f.hostPort, "host-port", []string{"auto"}, "netns: the host's loopback `PORTS` that the command reaches; auto all but build daemons', none none")
	s.StringSliceVar(&f.publish, "publish", []string{"auto"}, "netns: let the host reach servers of the command, by `HOST:INNER` port; auto those that listen, none none")
	s.BoolVar(&f.hermetic, "hermetic", false, "let nothing but loopback leave, in any mode; replay always does")
	s.StringVar(&f.dns, "dns", "pin", "pin gives each name an address of its own, real passes the origin's addresses on")
	s.BoolVar(&f.learning, "learn", false, "record twice, and have the cassette's rules say what differed")
	s.StringVar(&f.quic, "quic", "refuse", "refuse QUIC, so that clients fall back to TCP, or record it, and replay it, as HTTP/3")
	s.StringSliceVar(&f.udp, "udp", []string{"auto"}, "let `PORT|HOST|CIDR[:PORT]` of UDP that is neither DNS nor QUIC pass unrecorded, and refuse others; auto: pass all, in a replay none")
	c.RegisterFlagCompletionFunc("udp", cobra.FixedCompletions(datagramWords(), cobra.ShellCompDirectiveNoFileComp))
	choices(c, "backend", backends()...)
	choices(c, "dns", "pin", "real")
	choices(c, "quic", "refuse", "record")
}

// backends are the words that --backend takes.
func backends() []string {
	words := []string{"auto"}
	for _, l := range redirect.Lanes() {
		words = append(words, l.String())
	}
	return words
}

func runCommand() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "run [flags] -- CMD ARGS…",
		Short: "record or replay the traffic of CMD and all its descendants",
		Long: `run starts CMD and records its traffic, or replays what was recorded. It exits
with CMD's own code; if that is 0, with 96 if the recording is incomplete, 97 if
requests missed, 98 if verify or --unused fail found something, 99 if nothing
was served. A flag's value can also be set in the environment (SERGE_MODE for
--mode) and in serge-net.toml.`,
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
	if f.learning {
		return f.learn(c.Context(), argv, newReport(out, f.quiet))
	}
	r := newRunner(f, argv, newReport(out, f.quiet))
	return r.accounted(r.run(c.Context()))
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
