package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/exchange"
)

// A diffing is what diff is asked to do.
type diffing struct {
	dir      rack
	old, new string
	asJSON   bool
}

// A changed is an interaction that two cassettes do not agree on, as diff --json
// has it.
type changed struct {
	Change string       `json:"change"` // added, removed or changed
	Old    *recorded    `json:"old,omitempty"`
	New    *recorded    `json:"new,omitempty"`
	Diffs  []difference `json:"diffs,omitempty"` // recorded is of the old one, live of the new one
}

func diffCommand() *cobra.Command {
	var d diffing
	c := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "say what differs between two cassettes, by what it means",
		Long: `diff lists the interactions that were added, removed and changed, and where they
differ: status, header fields, JSON by pointer, text by line. What varies by
nature is no difference: dates, request ids, the numbers of secrets. OLD and NEW
are names of cassettes or files. It exits with 1 if they differ, as diff(1).`,
		Example: `  serge-net diff login login-v2
  serge-net diff cassettes/login.json cassettes/.failed/login.json`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 2 {
				return hint(errors.New("name two cassettes, or two files"), "serge-net %s; serge-net list shows what there is", c.Use)
			}
			return nil
		},
		RunE: withConfig(func(c *cobra.Command, args []string) error {
			d.old, d.new = args[0], args[1]
			return d.run(c.OutOrStdout())
		}),
		ValidArgsFunction: completeTwo,
	}
	s := c.Flags()
	s.SortFlags = false
	s.BoolVar(&d.asJSON, "json", false, "print JSON")
	d.dir.register(c)
	return c
}

// run prints what differs, and returns an *exit if anything does.
func (d *diffing) run(w io.Writer) error {
	old, done, err := namedOrFile(d.dir, d.old)
	if err != nil {
		return err
	}
	defer done()
	new, done, err := namedOrFile(d.dir, d.new)
	if err != nil {
		return err
	}
	defer done()
	changes := cassette.Compare(old, new)
	if d.asJSON {
		err = printChanges(w, changes)
	} else {
		for _, c := range changes {
			fmt.Fprintln(w, paintedChange(onTerminal(w), c))
		}
	}
	if err == nil && len(changes) > 0 {
		return &exit{Code: exitDiffers}
	}
	return err
}

// printChanges writes all as JSON.
func printChanges(w io.Writer, all []cassette.Change) error {
	out := []changed{}
	for _, c := range all {
		one := changed{Change: "changed"}
		if c.Old != nil {
			old := recordedOf(c.Old)
			one.Old = &old
		}
		if c.New != nil {
			new := recordedOf(c.New)
			one.New = &new
		}
		switch {
		case c.Old == nil:
			one.Change = "added"
		case c.New == nil:
			one.Change = "removed"
		}
		for _, d := range c.Diffs {
			one.Diffs = append(one.Diffs, difference(d))
		}
		out = append(out, one)
	}
	return printJSON(w, struct {
		Version int       `json:"version"`
		Changes []changed `json:"changes"`
	}{1, out})
}

// paintedChange is c as a person reads it, in colour if it is for a terminal.
func paintedChange(terminal bool, c cassette.Change) string {
	text := c.String()
	if !terminal || os.Getenv("NO_COLOR") != "" {
		return text
	}
	colours := map[byte]string{'+': "\x1b[32m", '-': "\x1b[31m", '~': "\x1b[33m"}
	first, rest, more := strings.Cut(text, "\n")
	text = colours[text[0]] + first + "\x1b[0m"
	if more {
		text += "\n" + rest
	}
	return text
}

// namedOrFile is the cassette of dir called name, or that in the file of that
// path. The caller calls done when it is done with its bodies.
func namedOrFile(dir rack, name string) (tape *cassette.Cassette, done func(), err error) {
	store, err := dir.open()
	if err != nil {
		return nil, nil, err
	}
	tape, err = store.Load(name)
	if err == nil {
		return tape, func() { store.Close() }, nil
	}
	defer store.Close()
	if info, statErr := os.Stat(name); statErr == nil && info.Mode().IsRegular() {
		return fromFile(dir, name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = noCassette(store, name, "serge-net list shows what there is")
	}
	return nil, nil, err
}

// fromFile is the cassette in the file at path, for which keys has the key.
func fromFile(keys rack, path string) (*cassette.Cassette, func(), error) {
	dir, file := filepath.Split(filepath.Clean(path))
	name := file
	for _, f := range cassette.Formats() {
		name = strings.TrimSuffix(name, "."+string(f))
	}
	if name == file {
		return nil, nil, hint(fmt.Errorf("%s is no cassette: its name ends in none of %s", exchange.Visible(path), fileEndings()), "serge-net import makes cassettes of other tools' recordings")
	}
	keys.dir = cmp.Or(dir, ".")
	store, err := keys.open()
	if err != nil {
		return nil, nil, err
	}
	tape, err := store.Load(name)
	if err != nil {
		store.Close()
		return nil, nil, err
	}
	return tape, func() { store.Close() }, nil
}

// fileEndings are how the names of cassettes' files end, in words.
func fileEndings() string {
	var all []string
	for _, f := range cassette.Formats() {
		all = append(all, "."+string(f))
	}
	return strings.Join(all, ", ")
}
