package main

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/redirect"
)

// newRoot is the command tree.
func newRoot(stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "serge-net",
		Short: "record and replay the network traffic of any command",
		Long: `serge-net runs a command and has the kernel send it the command's connections:
it records them to a cassette, and replays them offline. The command needs no
proxy setting, no code change and no CA installed.`,
		SilenceErrors:         true,
		SilenceUsage:          true,
		DisableAutoGenTag:     true,
		DisableFlagsInUseLine: true,
		Args:                  unknownCommand,
		RunE:                  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(
		runCommand(),
		recordCommand(),
		replayCommand(),
		attachCommand(),
		proxyCommand(),
		caCommand(),
		listCommand(),
		showCommand(),
		validateCommand(),
		diffCommand(),
		mergeCommand(),
		reviewCommand(),
		cleanCommand(),
		redactCommand(),
		anonymizeCommand(),
		acceptCommand(),
		importCommand(),
		exportCommand(),
		convertCommand(),
		repairCommand(),
		initCommand(),
		configCommand(),
		doctorCommand(),
		agentCommand(),
		demoCommand(),
		manCommand(),
		versionCommand(),
	)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			c.Short = "say more about a command"
		case "completion":
			c.Short = "print the completion script of a shell"
		}
	}
	return root
}

// noArgs refuses arguments.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return hint(fmt.Errorf("%s takes no %q", c.Name(), args[0]), "serge-net help %s", c.Name())
	}
	return nil
}

// exitCode prints err as a person reads it and returns the code to exit with.
func exitCode(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	code := exitStart
	var e *exit
	if errors.As(err, &e) {
		code = e.Code
		err = e.Err
	}
	if err == nil {
		return code
	}
	say := newReport(stderr, false)
	say.warnf("error: %s", strings.TrimPrefix(err.Error(), "serge-net: "))
	if h := hintOf(err); h != "" {
		say.warnf("hint: %s", h)
	}
	return code
}

// hintOf is what err says can be done about it, "" if nothing.
func hintOf(err error) string {
	var ours hinted
	var lanes *redirect.HintError
	switch {
	case errors.As(err, &ours):
		return ours.hint
	case errors.As(err, &lanes):
		return lanes.Hint
	case errors.Is(err, cassette.ErrForms):
		return "serge-net convert makes one of the other"
	case errors.Is(err, cassette.ErrKey):
		return "its key is that of --key-file, else SERGE_KEY, else SERGE_KEY_FILE or key_file in serge-net.toml; git diff --no-textconv does without"
	case errors.Is(err, cassette.ErrName):
		return "a cassette is named as a file below --cassette-dir is, without its ending: api, login/first"
	}
	return ""
}

// A hinted error says what to do about it.
type hinted struct {
	error
	hint string
}

// Unwrap returns the error without its hint.
func (h hinted) Unwrap() error { return h.error }

// hint adds to err what to do about it.
func hint(err error, format string, args ...any) error {
	return hinted{err, fmt.Sprintf(format, args...)}
}

// flagError says what is wrong with c's flags, and names the one nearest to one
// that does not exist.
func flagError(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return hintUnlessHinted(valueError(err, ""), "serge-net help %s lists its flags", c.Name())
	}
	if near := nearest(unknown.GetSpecifiedName(), flagNames(c)); near != "" && unknown.GetSpecifiedShortnames() == "" {
		return hint(err, "did you mean --%s?", near)
	}
	switch {
	case !c.HasParent():
		return hint(err, "serge-net help lists the commands; to run one of the system's: serge-net run -- CMD ARGS…")
	case strings.Contains(c.Use, "--"):
		return hint(err, "serge-net help %s lists its flags; those of the command to run go after --", c.Name())
	}
	return hint(err, "serge-net help %s lists its flags", c.Name())
}

// valueError is err, of a flag that was set, told by where the value is from:
// "" for the command line.
func valueError(err error, where string) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	if where == "" {
		where = "--" + invalid.GetFlag().Name
	}
	cause := invalid.Unwrap()
	if invalid.GetFlag().Value.Type() == "bool" {
		cause = errors.New("not one of true, false")
	}
	return fmt.Errorf("%s: %q is %w", where, invalid.GetValue(), cause)
}

// hintUnlessHinted adds a hint to err that has none.
func hintUnlessHinted(err error, format string, args ...any) error {
	if hintOf(err) != "" {
		return err
	}
	return hint(err, format, args...)
}

// unknownCommand names the command nearest to one that does not exist.
func unknownCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("unknown command %q", args[0])
	var names []string
	for _, c := range root.Commands() {
		names = append(names, c.Name())
	}
	if near := nearest(args[0], names); near != "" {
		return hint(err, "did you mean %s?", near)
	}
	return hint(err, "serge-net help lists the commands; to run one of the system's: serge-net run -- %s", shellWords(args))
}

// version is what the build says of itself; -ldflags "-X main.version=…" sets it.
var version = "devel"

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print the version",
		Args:  noArgs,
		Run: func(c *cobra.Command, _ []string) {
			fmt.Fprintf(c.OutOrStdout(), "serge-net %s %s/%s %s\n", versionName(), runtime.GOOS, runtime.GOARCH, runtime.Version())
		},
	}
}

// versionName is the version, with the commit where the build knows it.
func versionName() string {
	if version != "devel" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return version + "-" + s.Value[:12]
		}
	}
	return version
}
