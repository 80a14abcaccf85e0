package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/serge-net/serge-net/exchange"
)

func configCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "config",
		Short: "show and change the configuration, and where each value comes from",
		Long: `config prints every setting that is in force in this directory, and where it comes
from: a variable of the environment, a line of the configuration file, or the
default. A flag of a command goes before all of them. The file is serge-net.toml,
or the older matgto.toml, of this directory or the nearest one above.`,
		Example: `  serge-net config
  serge-net config get mode
  serge-net config set ignore.headers X-Request-Id,X-Trace`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			err := fmt.Errorf("unknown command %q", "config "+args[0])
			if near := nearest(args[0], []string{"get", "set", "path"}); near != "" {
				return hint(err, "did you mean config %s?", near)
			}
			return hint(err, "serge-net config [get KEY|set KEY VALUE|path]")
		},
		RunE: func(c *cobra.Command, _ []string) error {
			conf, err := configurationHere()
			if err != nil {
				return err
			}
			return conf.print(c.OutOrStdout(), asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.AddCommand(configGet(), configSet(), configPath())
	return c
}

// print writes all settings.
func (c *configuration) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return printJSON(w, struct {
			Version  int     `json:"version"`
			Path     string  `json:"path,omitempty"`
			Settings []setTo `json:"settings"`
		}{1, c.path, c.settings})
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range c.settings {
		fmt.Fprintf(t, "%s\t%s\t%s\n", s.Key, exchange.Visible(s.text()), exchange.Visible(s.From))
	}
	return t.Flush()
}

func configGet() *cobra.Command {
	return &cobra.Command{
		Use:   "get KEY",
		Short: "print the value of a setting",
		Args:  takes(1, "KEY"),
		RunE: func(c *cobra.Command, args []string) error {
			conf, err := configurationHere()
			if err != nil {
				return err
			}
			s, err := conf.get(args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), exchange.Visible(s.text()))
			return err
		},
		ValidArgsFunction: completeKeys,
	}
}

func configSet() *cobra.Command {
	return &cobra.Command{
		Use:   "set KEY VALUE",
		Short: "write a setting to the configuration file",
		Long: `set writes a setting to the configuration file that is in force, or a new
serge-net.toml in this directory. A list goes with commas. Comments and the order
of the file stay.`,
		Args: takes(2, "KEY VALUE"),
		RunE: func(c *cobra.Command, args []string) error {
			conf, err := configurationHere()
			if err != nil {
				return err
			}
			return conf.write(c.OutOrStdout(), args[0], args[1])
		},
		ValidArgsFunction: completeKeys,
	}
}

// write sets key in the file.
func (c *configuration) write(w io.Writer, key, typed string) error {
	s, err := settingOf(key)
	if err != nil {
		return err
	}
	if c.path == "" {
		if c.path, err = filepath.Abs(configNames[0]); err != nil {
			return err
		}
	}
	text, err := c.set(s, typed)
	if err != nil {
		return err
	}
	err = replace(c.path, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	now, err := configurationHere()
	if err != nil {
		return err
	}
	in, err := now.get(key)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s = %s (%s)\n", in.Key, exchange.Visible(in.text()), exchange.Visible(in.From))
	return err
}

func configPath() *cobra.Command {
	return &cobra.Command{
		Use:   "path",
		Short: "print where the configuration file is",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := os.Getwd()
			if err != nil {
				return err
			}
			path, _, err := findConfig(dir)
			if err != nil {
				return err
			}
			if path == "" {
				return hint(errors.New("no configuration file, here or above"), "serge-net config set KEY VALUE makes one")
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), path)
			return err
		},
	}
}

// takes holds a command line to n arguments, which usage names.
func takes(n int, usage string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == n {
			return nil
		}
		return hint(fmt.Errorf("config %s takes %s", c.Name(), usage), "serge-net config %s %s; serge-net config lists the keys", c.Name(), usage)
	}
}

// completeKeys lets the shell complete a key of the configuration, and then what
// it can be set to.
func completeKeys(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var keys []string
	switch len(args) {
	case 0:
		for _, s := range allSettings() {
			keys = append(keys, s.key)
		}
	case 1:
		if s, err := settingOf(args[0]); err == nil && c.Name() == "set" {
			run := runCommand()
			if f := run.Flags().Lookup(s.flag); f != nil {
				if words, ok := f.Value.(*choice); ok {
					keys = words.words
				}
			}
		}
	}
	return keys, cobra.ShellCompDirectiveNoFileComp
}
