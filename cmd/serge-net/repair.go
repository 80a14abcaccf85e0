package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/serge-net/serge-net/cassette"
)

// A repairing is what repair is asked to do.
type repairing struct {
	dir         rack
	names       []string
	dry, asJSON bool
}

// A repaired is what repair found of one cassette, and did.
type repaired struct {
	Name       string    `json:"name"`
	Journal    string    `json:"journal,omitempty"`
	PID        uint64    `json:"pid,omitempty"`        // of the recorder
	Started    time.Time `json:"started,omitzero"`     // when its recording was begun
	Exchanges  int       `json:"exchanges"`            // that are saved, or would be
	Skipped    int       `json:"skipped"`              // that were under way
	LostBytes  int64     `json:"lost_bytes"`           // at the journal's end
	WrittenTo  string    `json:"written_to,omitempty"` // "" if the cassette said it all already, or --dry-run
	Incomplete bool      `json:"incomplete"`
	Recording  bool      `json:"recording,omitempty"` // a recorder is at work: left alone
	Error      string    `json:"error,omitempty"`

	was bool // there was something to repair
}

func repairCommand() *cobra.Command {
	var r repairing
	c := &cobra.Command{
		Use:   "repair [NAME…]",
		Short: "make cassettes of recordings that were cut off",
		Long: `repair does for the cassettes NAME, or for all, what the next run of each would:
of the journal that a killed recorder left, it makes a cassette, marked
incomplete, or beside a complete one a file in .failed. It says what was saved and
what was lost. A recorder that is at work is left alone.`,
		Example: `  serge-net repair --dry-run
  serge-net repair login`,
		RunE: withConfig(func(c *cobra.Command, args []string) error {
			r.names = args
			return r.run(c.OutOrStdout())
		}),
		ValidArgsFunction: completeAllCassettes,
	}
	s := c.Flags()
	s.SortFlags = false
	s.BoolVar(&r.dry, "dry-run", false, "say what would be saved, and change nothing")
	s.BoolVar(&r.asJSON, "json", false, "print JSON")
	r.dir.register(c)
	return c
}

// run repairs, and returns an error if something could not be.
func (r *repairing) run(w io.Writer) error {
	store, err := r.dir.open()
	if err != nil {
		return err
	}
	defer store.Close()
	if len(r.names) == 0 {
		if r.names, err = cutOff(store); err != nil {
			return err
		}
	}
	all, errs := []repaired{}, []error(nil)
	for _, name := range r.names {
		one, err := r.repair(store, name)
		if err != nil {
			one.Error = err.Error()
			errs = append(errs, err)
		}
		all = append(all, one)
	}
	if r.asJSON {
		err = printJSON(w, struct {
			Version  int        `json:"version"`
			Repaired []repaired `json:"repaired"`
		}{1, all})
	} else {
		err = r.print(w, all)
	}
	return errors.Join(append(errs, err)...)
}

// cutOff are the cassettes of store that a journal lies beside.
func cutOff(store *cassette.Store) ([]string, error) {
	entries, err := store.List()
	var names []string
	for _, e := range entries {
		if e.Recording {
			names = append(names, e.Name)
		}
	}
	return names, err
}

// repair repairs the cassette called name.
func (r *repairing) repair(store *cassette.Store, name string) (repaired, error) {
	one := repaired{Name: name}
	l, was, err := store.Inspect(name)
	if errors.Is(err, cassette.ErrBusy) {
		one.Recording = true
		return one, nil
	}
	if err != nil || !was {
		return one, err
	}
	one.Journal, one.PID, one.Started = l.Path, l.PID, l.Started
	one.was, one.Incomplete = true, !l.Ended && !l.Written
	if !l.Written {
		one.Exchanges, one.Skipped, one.LostBytes = l.Exchanges, l.Skipped, l.Lost
	}
	if r.dry {
		return one, nil
	}
	before := footprintOf(append(store.Paths(name), upTo(r.dir.dir)...))
	sum, _, err := store.Recover(name)
	before.own(append(store.Paths(name), upTo(r.dir.dir)...))
	one.WrittenTo = sum.Path
	return one, err
}

// print says it in words.
func (r *repairing) print(w io.Writer, all []repaired) error {
	for _, one := range all {
		if one.Error != "" {
			continue // it is told as an error
		}
		if _, err := fmt.Fprintf(w, "%s: %s\n", one.Name, one.words(r.dry)); err != nil {
			return err
		}
	}
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "nothing to repair")
		return err
	}
	return nil
}

// words are what was done, or what would be if dry is set.
func (o repaired) words(dry bool) string {
	switch {
	case o.Recording:
		return "is being recorded: left alone"
	case !o.was:
		return "nothing to repair"
	}
	did := "saved " + interactions(o.Exchanges)
	switch {
	case dry:
		did = "would save " + interactions(o.Exchanges)
	case o.WrittenTo != "":
		did += " to " + o.WrittenTo
	default:
		did += ": nothing that the cassette does not have"
	}
	parts := []string{did}
	if o.Incomplete {
		parts = append(parts, "the recording is incomplete")
	}
	if o.Skipped > 0 {
		parts = append(parts, counted(o.Skipped, "exchange")+" under way lost")
	}
	if o.LostBytes > 0 {
		parts = append(parts, fmt.Sprintf("the last %s of the journal cut or damaged", counted(int(o.LostBytes), "byte")))
	}
	if !o.Started.IsZero() {
		parts = append(parts, fmt.Sprintf("begun %s by process %d", o.Started.Format("2006-01-02 15:04:05Z"), o.PID))
	}
	return strings.Join(parts, "; ")
}
