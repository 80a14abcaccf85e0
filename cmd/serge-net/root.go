package main

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

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
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(flagError)
	root.SuggestionsMinimumDistance = 2
	root.AddCommand(
		runCommand(),
		recordCommand(),
		replayCommand(),
		listCommand(),
		showCommand(),
		doctorCommand(),
		demoCommand(),
		versionCommand(),
	)
	return root
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
	fmt.Fprintf(stderr, "serge-net: error: %s\n", strings.TrimPrefix(err.Error(), "serge-net: "))
	if h := hintOf(err); h != "" {
		fmt.Fprintf(stderr, "serge-net: hint: %s\n", h)
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

// flagError names the flag nearest to one that does not exist.
func flagError(c *cobra.Command, err error) error {
	msg := err.Error()
	_, name, found := strings.Cut(msg, "unknown flag: --")
	if !found {
		return hint(err, "serge-net help %s lists its flags", c.Name())
	}
	if near := nearest(name, flagNames(c)); near != "" {
		return hint(err, "did you mean --%s?", near)
	}
	return hint(err, "serge-net help %s lists its flags; those of the command to run go after --", c.Name())
}

// version is what the build says of itself; -ldflags "-X main.version=…" sets it.
var version = "devel"

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print the version",
		Args:  cobra.NoArgs,
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
