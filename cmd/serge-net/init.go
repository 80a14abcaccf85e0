package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// configTemplate is the serge-net.toml that init writes: every key, at its default.
//
//go:embed template/serge-net.toml
var configTemplate string

// The CI snippets.
var (
	//go:embed template/github.yml
	githubSnippet string
	//go:embed template/gitlab.yml
	gitlabSnippet string
)

// An initing is what init is asked to do.
type initing struct {
	dir        string // of cassettes
	ci         string
	force, dry bool
}

func initCommand() *cobra.Command {
	var i initing
	c := &cobra.Command{
		Use:   "init",
		Short: "set up a project: configuration, git and CI",
		Long: `init writes, in the working directory, serge-net.toml with every key at its
default, and the lines of .gitattributes and .gitignore that cassettes need: git
diff shows an encrypted or compressed one as its JSON, and no bodies. What is
there already stays. --ci prints what a job needs.`,
		Example: `  serge-net init --dry-run
  serge-net init --ci github`,
		Args: noArgs,
		RunE: withConfig(func(c *cobra.Command, _ []string) error { return i.run(c.OutOrStdout()) }),
	}
	s := c.Flags()
	s.SortFlags = false
	s.BoolVar(&i.dry, "dry-run", false, "say what would be written, and write nothing")
	s.BoolVar(&i.force, "force", false, "replace a serge-net.toml that is there")
	s.StringVar(&i.ci, "ci", "", "print a job for this CI")
	s.StringVar(&i.dir, "cassette-dir", "./cassettes", "the `DIR` that cassettes are in")
	choices(c, "ci", "github", "gitlab")
	c.MarkFlagDirname("cassette-dir")
	return c
}

// attributes are the lines of .gitattributes for cassettes below prefix, which is
// "" or ends in a slash.
func attributes(prefix string) []string {
	lines := []string{"# serge-net: bodies are not to be read, and other formats are shown as their JSON",
		prefix + "**/*.bodies/** -diff linguist-generated"}
	for _, end := range []string{"json.enc", "json.gz", "json.zst", "smpk"} {
		lines = append(lines, prefix+"**/*."+end+" diff=serge-net")
	}
	return lines
}

// ignored are the lines of .gitignore.
func ignored(prefix string) []string {
	lines := []string{"# serge-net: recordings that failed or are under way"}
	for _, p := range []string{".failed/", ".*.journal", ".*.commit", ".*.new"} {
		lines = append(lines, prefix+"**/"+p)
	}
	return lines
}

// run writes it all.
func (i *initing) run(w io.Writer) error {
	before := footprintOf([]string{configNames[0], ".gitattributes", ".gitignore"})
	defer before.own([]string{configNames[0], ".gitattributes", ".gitignore"})
	if err := i.config(w); err != nil {
		return err
	}
	prefix := i.prefix()
	if err := i.addLines(w, ".gitattributes", attributes(prefix)); err != nil {
		return err
	}
	if err := i.addLines(w, ".gitignore", ignored(prefix)); err != nil {
		return err
	}
	fmt.Fprint(w, "\nonce in each clone, for git diff to show cassettes of every format as JSON:\n\n  git config diff.serge-net.textconv 'serge-net show --file'\n")
	switch i.ci {
	case "github":
		fmt.Fprintf(w, "\n.github/workflows/test.yml:\n\n%s", githubSnippet)
	case "gitlab":
		fmt.Fprintf(w, "\n.gitlab-ci.yml:\n\n%s", gitlabSnippet)
	}
	return nil
}

// prefix is the directory of cassettes as git's files name it, "" for any: it is
// not below this one.
func (i *initing) prefix() string {
	here, err := os.Getwd()
	if err != nil {
		return ""
	}
	dir := i.dir
	if filepath.IsAbs(dir) {
		if dir, err = filepath.Rel(here, dir); err != nil {
			return ""
		}
	}
	if dir = filepath.Clean(dir); dir == "." || !filepath.IsLocal(dir) || strings.ContainsAny(dir, " \t*?[]!#\"\\") {
		return ""
	}
	return filepath.ToSlash(dir) + "/"
}

// config writes serge-net.toml.
func (i *initing) config(w io.Writer) error {
	name := configNames[0]
	_, err := os.Lstat(name)
	there := !errors.Is(err, fs.ErrNotExist)
	did := "wrote"
	switch {
	case there && !i.force:
		fmt.Fprintf(w, "%s is there already, and stays; --force replaces it\n", name)
		return nil
	case i.dry && there:
		did = "would replace"
	case i.dry:
		did = "would write"
	case there:
		did = "replaced"
	}
	text := strings.ReplaceAll(configTemplate, "./cassettes", i.dir)
	if !i.dry {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			return fmt.Errorf("init: %w", err)
		}
	}
	fmt.Fprintf(w, "%s %s\n", did, name)
	return nil
}

// addLines appends those of lines that the file name does not have.
func (i *initing) addLines(w io.Writer, name string, lines []string) error {
	b, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("init: %w", err)
	}
	has := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		has[strings.TrimSpace(line)] = true
	}
	text, n := "", 0
	for _, l := range lines {
		if !has[l] {
			text += l + "\n"
			n++
		}
	}
	if n == 0 {
		fmt.Fprintf(w, "%s has it already\n", name)
		return nil
	}
	if len(b) > 0 && b[len(b)-1] != '\n' {
		text = "\n" + text
	}
	if i.dry {
		_, err = fmt.Fprintf(w, "would add %s to %s\n", counted(n, "line"), name)
		return err
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("init: %w", err)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("init: write %s: %w", name, err)
	}
	_, err = fmt.Fprintf(w, "added %s to %s\n", counted(n, "line"), name)
	return err
}
