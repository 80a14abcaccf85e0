package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/exchange"
)

// A cleaning is what clean is asked to do.
type cleaning struct {
	dir     rack
	older   string
	unused  []string // reports of replays
	orphans bool
	failed  bool
	dryRun  bool
	yes     bool
}

// A removal is one thing that clean would remove.
type removal struct {
	what string
	size int64 // bytes; 0 if it is part of a file
	do   func() error
}

func cleanCommand() *cobra.Command {
	var k cleaning
	c := &cobra.Command{
		Use:   "clean --older AGE | --unused REPORT | --orphans | --failed",
		Short: "remove cassettes and what is left of them",
		Long: `clean lists what it would remove and how much that is, and asks; where there is no
terminal to ask on it removes only with --yes.

  --older AGE      cassettes that were recorded longer ago: 90d, 12w, 720h
  --unused REPORT  interactions that no replay asked for, by its --report json=FILE;
                   of several reports of a cassette, what none of them used
  --orphans        body files that no cassette refers to, and failed recordings of
                   cassettes that are gone
  --failed         recordings that did not end well, in .failed`,
		Example: `  serge-net clean --orphans --failed --dry-run
  serge-net clean --older 90d --yes
  serge-net replay login --report json=login.report -- npm test && serge-net clean --unused login.report`,
		Args: func(c *cobra.Command, args []string) error {
			if err := noArgs(c, args); err != nil {
				return err
			}
			if k.older == "" && len(k.unused) == 0 && !k.orphans && !k.failed {
				return hint(errors.New("nothing named to clean"), "serge-net %s; --dry-run only lists it", c.Use)
			}
			return nil
		},
		RunE: withConfig(func(c *cobra.Command, _ []string) error {
			return k.run(c.Context(), c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr())
		}),
	}
	s := c.Flags()
	s.SortFlags = false
	s.StringVar(&k.older, "older", "", "cassettes recorded longer than `AGE` ago")
	s.StringArrayVar(&k.unused, "unused", nil, "interactions that the replay of `REPORT` left unused; may be given several times")
	s.BoolVar(&k.orphans, "orphans", false, "files that no cassette needs")
	s.BoolVar(&k.failed, "failed", false, "recordings that did not end well")
	s.BoolVar(&k.dryRun, "dry-run", false, "only list what would go")
	s.BoolVarP(&k.yes, "yes", "y", false, "do not ask")
	k.dir.register(c)
	c.MarkFlagFilename("unused")
	return c
}

// run lists, asks and removes.
func (k *cleaning) run(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	store, err := k.dir.open()
	if err != nil {
		return err
	}
	defer store.Close()
	all, err := k.plan(store)
	if err != nil {
		return err
	}
	var sum int64
	for _, r := range all {
		sum += r.size
		fmt.Fprintf(stdout, "%s\n", exchange.Visible(r.what))
	}
	total := fmt.Sprintf("%s, %s", counted(len(all), "thing"), size(sum))
	switch {
	case len(all) == 0:
		_, err := fmt.Fprintln(stdout, "nothing to clean")
		return err
	case k.dryRun:
		_, err := fmt.Fprintln(stdout, total+" would be removed")
		return err
	case !k.yes:
		if err := sure(stdin, stderr, total); err != nil {
			return err
		}
	}
	if err := removeEach(ctx, all, stderr); err != nil {
		return fmt.Errorf("clean: %w", err)
	}
	_, err = fmt.Fprintln(stdout, total+" removed")
	return err
}

// removeEach removes all. Ctrl-C ends it between two of them.
func removeEach(ctx context.Context, all []removal, stderr io.Writer) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	progress := newProgress(stderr, "clean", len(all))
	defer progress.end()
	for n, r := range all {
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted, %d of %d removed", n, len(all))
		}
		if err := r.do(); err != nil {
			return err
		}
		progress.at(n + 1)
	}
	return nil
}

// sure asks whether to remove what total says, and is nil if so.
func sure(stdin io.Reader, stderr io.Writer, total string) error {
	in, ok := stdin.(*os.File)
	if !ok || !onTerminal(in) || !onTerminal(stderr) {
		return hint(errors.New("nothing was removed: there is no terminal to ask on"), "--yes removes without asking")
	}
	fmt.Fprintf(stderr, "remove %s? [y/N] ", total)
	answer, _ := bufio.NewReader(in).ReadString('\n')
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return &exit{exitStart, errors.New("nothing was removed")}
	}
	return nil
}

// plan is all that would go.
func (k *cleaning) plan(store *cassette.Store) ([]removal, error) {
	var all []removal
	for _, of := range []func(*cassette.Store) ([]removal, error){k.old, k.notUsed, k.strays, k.broken} {
		some, err := of(store)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// old are the cassettes that are too old.
func (k *cleaning) old(store *cassette.Store) ([]removal, error) {
	if k.older == "" {
		return nil, nil
	}
	limit, err := cassette.ParseAge(k.older)
	if err != nil {
		return nil, fmt.Errorf("--older: %w", err)
	}
	listed, err := listAll(k.dir, io.Discard)
	var all []removal
	now := time.Now()
	for _, l := range listed {
		if !l.Recording && l.Error == "" && now.Sub(l.since()) > limit {
			all = append(all, removal{fmt.Sprintf("cassette %s, recorded %s ago, %s, %s", l.Name, age(l.since(), now), interactions(l.Interactions), size(l.Size)), l.Size,
				func() error { return store.Remove(l.Name) }})
		}
	}
	return all, err
}

// strays are the files that no cassette needs.
func (k *cleaning) strays(store *cassette.Store) ([]removal, error) {
	if !k.orphans {
		return nil, nil
	}
	strays, err := store.Strays()
	var all []removal
	for _, s := range strays {
		all = append(all, removal{fmt.Sprintf("%s, %s: %s", s.Path, size(s.Size), s.Why), s.Size, func() error { return store.Sweep([]cassette.Stray{s}) }})
	}
	return all, err
}

// broken are the recordings that did not end well.
func (k *cleaning) broken(store *cassette.Store) ([]removal, error) {
	if !k.failed {
		return nil, nil
	}
	entries, err := store.List()
	var all []removal
	for _, e := range entries {
		if !e.Failed {
			continue
		}
		var sum int64
		for _, p := range store.Paths(e.Name) {
			if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() && strings.HasPrefix(p, filepath.Join(k.dir.dir, ".failed")+"/") {
				sum += info.Size()
			}
		}
		all = append(all, removal{fmt.Sprintf("the recording of %s that failed, %s", e.Name, size(sum)), sum, func() error { return store.Forget(e.Name) }})
	}
	return all, err
}

// notUsed are the interactions that none of the reports used.
func (k *cleaning) notUsed(store *cassette.Store) ([]removal, error) {
	left := map[string]map[string]bool{} // by cassette: the IDs that no report used
	for _, path := range k.unused {
		a, err := readAccount(path)
		if err != nil {
			return nil, err
		}
		ids := map[string]bool{}
		for _, u := range a.Replay.Unused {
			ids[u.ID] = true
		}
		name := a.Cassette.Name
		if left[name] == nil {
			left[name] = ids
		}
		for id := range left[name] {
			if !ids[id] {
				delete(left[name], id)
			}
		}
		tape, err := loaded(store, name)
		if err != nil {
			return nil, err
		}
		if len(tape.Interactions) != a.Cassette.Interactions {
			return nil, hint(fmt.Errorf("--unused %s: %s held %s then, and holds %d now", path, name, interactions(a.Cassette.Interactions), len(tape.Interactions)), "replay it again with --report json=FILE")
		}
	}
	var all []removal
	for _, name := range slices.Sorted(maps.Keys(left)) {
		ids := left[name]
		tape, err := store.Load(name)
		if err != nil {
			return nil, err
		}
		drop := func() error { // all at once, with the first
			_, err := store.Drop(name, slices.Collect(maps.Keys(ids)))
			return err
		}
		for _, i := range tape.Interactions {
			if ids[i.ID] {
				all = append(all, removal{fmt.Sprintf("interaction %s of %s, unused: %s", i.ID, name, i.Line()), 0, drop})
				drop = func() error { return nil }
			}
		}
	}
	return all, nil
}

// readAccount reads a report of a replay that says what was unused.
func readAccount(path string) (*account, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--unused: %w", err)
	}
	var a account
	err = json.Unmarshal(b, &a)
	switch {
	case err != nil:
		err = fmt.Errorf("not a report: %w", err)
	case a.Version != accountVersion || a.Replay == nil:
		err = errors.New("not the report of a replay")
	case a.ExitCode != 0:
		err = fmt.Errorf("of a run that ended with %d: what it did not use says nothing", a.ExitCode)
	default:
		return &a, nil
	}
	return nil, hint(fmt.Errorf("--unused %s: %w", path, err), "serge-net replay NAME --report json=FILE -- CMD ARGS… writes one")
}
