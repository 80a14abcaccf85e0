package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func manCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "man [COMMAND]",
		Short: "print the manual page of serge-net, or of one of its commands",
		Example: `  serge-net man replay | man -l -
  serge-net man --dir /usr/local/share/man/man1`,
		RunE: func(c *cobra.Command, args []string) error {
			if dir != "" {
				return manualIn(dir, c.Root())
			}
			of, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return hintUnlessHinted(unknownCommand(c.Root(), args), "serge-net help lists the commands")
			}
			return manual(c.OutOrStdout(), of)
		},
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var names []string
			if of, _, err := c.Root().Find(args); err == nil {
				for _, sub := range of.Commands() {
					names = append(names, cobra.CompletionWithDesc(sub.Name(), sub.Short))
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "write the pages of all commands into `DIR`")
	c.MarkFlagDirname("dir")
	return c
}

// manualIn writes the pages of c and of what is below it into dir.
func manualIn(dir string, c *cobra.Command) error {
	path := filepath.Join(dir, pageName(c)+".1")
	if err := replace(path, func(w io.Writer) error { return manual(w, c) }); err != nil {
		err = fmt.Errorf("write %s: %w", path, err)
		if errors.Is(err, os.ErrNotExist) {
			return hint(err, "--dir names a directory that is there")
		}
		return err
	}
	for _, sub := range c.Commands() {
		if sub.Hidden {
			continue
		}
		if err := manualIn(dir, sub); err != nil {
			return err
		}
	}
	return nil
}

// pageName is what c's page is called: serge-net-config-set.
func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// manual writes c's page in the man(7) macros.
func manual(w io.Writer, c *cobra.Command) error {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1 \"\" \"serge-net %s\" \"serge-net\"\n", strings.ToUpper(roff(pageName(c))), roff(versionName()))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(pageName(c)), roff(c.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n\\fB%s\\fR\n", roff(c.UseLine()))
	b.WriteString(".SH DESCRIPTION\n")
	about := c.Long
	if about == "" {
		about = c.Short
	}
	paragraphs(&b, about)
	if subs := c.Commands(); len(subs) > 0 {
		b.WriteString(".SH COMMANDS\n")
		for _, sub := range subs {
			if !sub.Hidden {
				fmt.Fprintf(&b, ".TP\n\\fB%s\\fR\n%s\n", roff(sub.Name()), roff(sub.Short))
			}
		}
	}
	if flags := c.NonInheritedFlags(); flags.HasAvailableFlags() {
		b.WriteString(".SH OPTIONS\n")
		flags.VisitAll(func(f *pflag.Flag) { manualFlag(&b, f) })
	}
	if c.Example != "" {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roffLines(c.Example))
	}
	if c.HasParent() {
		fmt.Fprintf(&b, ".SH SEE ALSO\n\\fB%s\\fR(1)\n", roff(pageName(c.Parent())))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// manualFlag writes f.
func manualFlag(b *strings.Builder, f *pflag.Flag) {
	if f.Hidden {
		return
	}
	value, usage := pflag.UnquoteUsage(f)
	b.WriteString(".TP\n")
	if f.Shorthand != "" {
		fmt.Fprintf(b, "\\fB\\-%s\\fR, ", f.Shorthand)
	}
	fmt.Fprintf(b, "\\fB\\-\\-%s\\fR", roff(f.Name))
	if value != "" {
		fmt.Fprintf(b, " \\fI%s\\fR", roff(value))
	}
	fmt.Fprintf(b, "\n%s", roff(usage))
	if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" && f.DefValue != "0" {
		fmt.Fprintf(b, " (%s)", roff(f.DefValue))
	}
	b.WriteByte('\n')
}

// paragraphs writes text, with the lines that begin with a space as they are.
func paragraphs(b *strings.Builder, text string) {
	plain := true
	for line := range strings.SplitSeq(text, "\n") {
		switch indented := strings.HasPrefix(line, " "); {
		case line == "" && plain:
			b.WriteString(".PP\n")
			continue
		case indented && plain:
			b.WriteString(".nf\n")
			plain = false
		case !indented && !plain && line != "":
			b.WriteString(".fi\n")
			plain = true
		}
		b.WriteString(roffLines(line) + "\n")
	}
	if !plain {
		b.WriteString(".fi\n")
	}
}

// roffLines is roff of each line.
func roffLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = roff(l)
	}
	return strings.Join(lines, "\n")
}

// roff is one line of text for roff(7): nothing in it is a request.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...", "“", `"`, "”", `"`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
