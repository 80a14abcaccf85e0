package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// A reportTo is a form that the end of a run is told in, and where.
type reportTo struct {
	form string // one of reportForms
	file string // "" is where serge-net itself writes
}

// reportForms are the forms. Text is what a person reads, and is always there.
func reportForms() []string { return []string{"text", "json", "junit"} }

// reportList is the flag --report, which may be given several times.
type reportList []reportTo

// Set implements pflag.Value.
func (l *reportList) Set(s string) error {
	form, file, named := strings.Cut(s, "=")
	if !slices.Contains(reportForms(), form) {
		err := fmt.Errorf("not one of %s, each with =FILE or without", strings.Join(reportForms(), ", "))
		if near := nearest(form, reportForms()); near != "" {
			return hint(err, "did you mean %s?", near)
		}
		return err
	}
	if named && (file == "" || form == "text") {
		return fmt.Errorf("not a form and a file: json=FILE, junit=FILE; --log FILE is for the text")
	}
	*l = append(*l, reportTo{form, file})
	return nil
}

// String implements pflag.Value.
func (l *reportList) String() string {
	var all []string
	for _, t := range *l {
		all = append(all, strings.TrimSuffix(t.form+"="+t.file, "="))
	}
	return strings.Join(all, ", ")
}

// Type implements pflag.Value.
func (l *reportList) Type() string { return "text|json|junit[=FILE]" }

// registerReport declares --report on c.
func registerReport(c *cobra.Command, l *reportList) {
	c.Flags().Var(l, "report", "tell the end of the run to programs too, on stderr or in a file; may be given several times")
	c.RegisterFlagCompletionFunc("report", func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		if strings.Contains(typed, "=") {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return []string{"text", "json", "json=", "junit", "junit="}, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
	})
}

// check says what can be known to be wrong with l before anything is done.
func (l reportList) check() error {
	for _, t := range l {
		if t.file == "" {
			continue
		}
		dir := filepath.Dir(t.file)
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			err = fmt.Errorf("%s is no directory", dir)
		}
		if at, statErr := os.Stat(t.file); err == nil && statErr == nil && at.IsDir() {
			err = fmt.Errorf("%s is a directory", t.file)
		}
		if err != nil {
			return hint(fmt.Errorf("--report %s=%s: %w", t.form, t.file, err), "it names a file in a directory that is there")
		}
	}
	return nil
}

// write writes a in every form that is asked for, all of them even if one fails.
func (l reportList) write(a *account, r *report) error {
	var first error
	for _, t := range l {
		print := func(w io.Writer) error { return printJSON(w, a) }
		switch t.form {
		case "text":
			continue
		case "junit":
			print = a.junit
		}
		err := t.put(print, r)
		if err != nil && first == nil {
			first = fmt.Errorf("--report %s: %w", t.form, err)
		}
	}
	return first
}

// put has print write to where t says.
func (t reportTo) put(print func(io.Writer) error, r *report) error {
	if t.file != "" {
		return replace(t.file, print)
	}
	var b bytes.Buffer
	if err := print(&b); err != nil {
		return err
	}
	return r.document(b.Bytes())
}
