package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/exchange"
)

// A reviewing is what review is asked to do.
type reviewing struct {
	dir       rack
	name, new string   // new is "" for what is in .failed
	accept    []string // all, none or IDs; none given: ask
}

func reviewCommand() *cobra.Command {
	var r reviewing
	c := &cobra.Command{
		Use:   "review NAME [NEW]",
		Short: "take or leave what changed, one interaction at a time",
		Long: `review shows what differs between the cassette NAME and NEW, a cassette or a file,
and asks for each interaction whether NAME is to take it. Without NEW it is the
recording of NAME that failed, which is removed when all of it was decided on.
Nothing is written before the last answer.`,
		Example: `  serge-net review login
  serge-net review login login-v2
  serge-net review login login-v2 --accept get-users-5b1f.1,post-login-77aa.1`,
		Args: cassetteAnd(1),
		RunE: withConfig(func(c *cobra.Command, args []string) error {
			r.name = args[0]
			if len(args) > 1 {
				r.new = args[1]
			}
			return r.run(c.InOrStdin(), c.OutOrStdout())
		}),
		ValidArgsFunction: completeTwo,
	}
	s := c.Flags()
	s.SortFlags = false
	s.StringSliceVar(&r.accept, "accept", nil, "do not ask: take all, none, or the interactions with these `IDS`")
	r.dir.register(c)
	c.RegisterFlagCompletionFunc("accept", func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		words := []string{"all", "none"}
		if len(args) > 0 {
			ids, _ := completeInteraction(c, args[:1], typed)
			words = append(words, ids...)
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	})
	return c
}

// run shows the changes, has them decided and writes what comes of it.
func (r *reviewing) run(stdin io.Reader, stdout io.Writer) error {
	store, err := r.dir.open()
	if err != nil {
		return err
	}
	defer store.Close()
	old, err := loaded(store, r.name)
	if err != nil {
		return err
	}
	new, done, err := r.other()
	if err != nil {
		return err
	}
	defer done()
	changes := cassette.Compare(old, new)
	if len(changes) == 0 {
		if _, err := fmt.Fprintln(stdout, "nothing changed"); err != nil {
			return err
		}
		return r.over(store, stdout)
	}
	taken, all, err := r.decide(stdin, stdout, changes)
	if err != nil {
		return err
	}
	if len(taken) > 0 {
		now, err := cassette.Apply(old, new, taken)
		if err != nil {
			return err
		}
		if err := putInto(store, r.name, now); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(stdout, "%d of %s taken into %s\n", len(taken), counted(len(changes), "change"), store.Path(r.name)); err != nil || !all {
		return err
	}
	return r.over(store, stdout)
}

// other is the cassette to compare with.
func (r *reviewing) other() (*cassette.Cassette, func(), error) {
	if r.new != "" {
		return namedOrFile(r.dir, r.new)
	}
	path := filepath.Join(r.dir.dir, ".failed", filepath.FromSlash(r.name))
	for _, f := range cassette.Formats() {
		new, done, err := fromFile(r.dir, path+"."+string(f))
		if !errors.Is(err, fs.ErrNotExist) {
			return new, done, err
		}
	}
	return nil, nil, hint(fmt.Errorf("no recording of %s failed: there is no %s.%s", r.name, path, cassette.JSON), "serge-net review NAME NEW compares it with another")
}

// over removes the failed recording that was decided on.
func (r *reviewing) over(store *cassette.Store, stdout io.Writer) error {
	if r.new != "" {
		return nil
	}
	if err := store.Forget(r.name); err != nil {
		return err
	}
	_, err := fmt.Fprintf(stdout, "the recording of %s that failed is removed\n", r.name)
	return err
}

// decide returns the changes to take, and whether all were decided on.
func (r *reviewing) decide(stdin io.Reader, stdout io.Writer, changes []cassette.Change) ([]cassette.Change, bool, error) {
	if len(r.accept) > 0 {
		taken, err := chosen(changes, r.accept)
		return taken, true, err
	}
	in, ok := stdin.(*os.File)
	if !ok || !onTerminal(in) || !onTerminal(stdout) {
		return nil, false, hint(fmt.Errorf("%s to decide on, and there is no terminal to ask on", counted(len(changes), "change")), "--accept all, none or IDS; serge-net diff shows them")
	}
	lines := bufio.NewScanner(in)
	var taken []cassette.Change
	for n, c := range changes {
		fmt.Fprintf(stdout, "%s\n", paintedChange(true, c))
		switch ask(lines, stdout, fmt.Sprintf("(%d of %d) take it? [y]es, [n]o, [a]ll from here, [q]uit here: ", n+1, len(changes)), "ynaq") {
		case 'y':
			taken = append(taken, c)
		case 'a':
			return append(taken, changes[n:]...), true, nil
		case 'q':
			return taken, false, nil
		}
	}
	return taken, true, nil
}

// ask puts a question until the answer begins with one of letters. The end of
// the input is a q.
func ask(lines *bufio.Scanner, w io.Writer, question, letters string) byte {
	for {
		fmt.Fprint(w, question)
		if !lines.Scan() {
			return 'q'
		}
		answer := strings.ToLower(strings.TrimSpace(lines.Text()))
		if answer != "" && strings.IndexByte(letters, answer[0]) >= 0 {
			return answer[0]
		}
	}
}

// chosen are those of changes that words name.
func chosen(changes []cassette.Change, words []string) ([]cassette.Change, error) {
	if len(words) == 1 && words[0] == "all" {
		return changes, nil
	}
	if len(words) == 1 && words[0] == "none" {
		return nil, nil
	}
	var ids []string
	var taken []cassette.Change
	for _, c := range changes {
		id := labelOf(c)
		ids = append(ids, id)
		if slices.Contains(words, id) {
			taken = append(taken, c)
		}
	}
	for _, w := range words {
		if slices.Contains(ids, w) {
			continue
		}
		err := fmt.Errorf("--accept: %q did not change", w)
		if near := nearest(w, ids); near != "" {
			return nil, hint(err, "did you mean %s?", near)
		}
		return nil, hint(err, "what changed: %s", exchange.Visible(strings.Join(ids, ", ")))
	}
	return taken, nil
}

// labelOf is the ID that a change goes by: of the old interaction, if there is
// one.
func labelOf(c cassette.Change) string {
	if c.Old != nil {
		return c.Old.ID
	}
	return c.New.ID
}
