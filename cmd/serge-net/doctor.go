package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/serge-net/serge-net/redirect"
)

// A diagnosis is what doctor finds. Its JSON is documented in
// docs/troubleshooting.md and changes only with its version.
type diagnosis struct {
	Version int           `json:"version"` // of this form: 1
	Kernel  string        `json:"kernel"`
	UID     int           `json:"uid"`
	Works   bool          `json:"works"` // a lane does
	Lanes   []laneFinding `json:"lanes"` // in the order of --backend auto
	Needs   []needFinding `json:"needs"`
	Agent   agentFinding  `json:"agent"`
	Levels  []level       `json:"levels"`
	// Runtimes are those on the path; absent if they were not to be tried.
	Runtimes []runtimeFinding `json:"runtimes,omitzero"`
}

// A laneFinding is what became of a try to divert a probe.
type laneFinding struct {
	Lane  string `json:"lane"`
	Works bool   `json:"works"`
	MS    int64  `json:"ms"`              // how long it took to divert, in milliseconds; 0 if it did not
	By    string `json:"by,omitempty"`    // the lane, and whether by an agent: "ebpf (agent)"
	Trust string `json:"trust,omitempty"` // "mount" or "environment"
	Why   string `json:"why,omitempty"`   // it does not work
	Hint  string `json:"hint,omitempty"`  // what to do about it
}

// A needFinding is something that lanes need.
type needFinding struct {
	Name  string   `json:"name"`
	OK    bool     `json:"ok"`
	Found string   `json:"found"`
	Hint  string   `json:"hint,omitempty"`
	Lanes []string `json:"lanes"` // that need it
}

// An agentFinding is whether the agent is there, which gives ordinary users the
// ebpf lane.
type agentFinding struct {
	Socket  string `json:"socket"`
	Present bool   `json:"present"`
}

func doctorCommand() *cobra.Command {
	var asJSON, lanesOnly bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "say what works on this machine, and what to do about the rest",
		Long: `doctor tries each lane by really diverting a probe, and undoes it. It says what
the lanes need and whether it is there, and what other privileges would give. Then
it has each runtime on the path (curl, Python, Node, Java, …) ask an origin of its
own through a run, and says whether it trusts us, by what, and what to do if not.
It exits with 1 if no lane works.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			d := diagnose(c.Context())
			var err error
			if !lanesOnly {
				err = d.tryRuntimes(c.Context(), c.ErrOrStderr())
			}
			if err != nil {
				return err
			}
			if asJSON {
				e := json.NewEncoder(c.OutOrStdout())
				e.SetIndent("", "  ")
				err = e.Encode(d)
			} else {
				err = d.print(c.OutOrStdout())
			}
			if err == nil && !d.Works {
				err = &exit{Code: 1}
			}
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&lanesOnly, "lanes", false, "try the lanes only, no runtimes")
	return c
}

// diagnose looks at the machine and tries every lane.
func diagnose(ctx context.Context) diagnosis {
	init := []string{initArg}
	m := redirect.Inspect(ctx, init)
	d := diagnosis{Version: 1, Kernel: m.Kernel, UID: m.UID, Agent: agentFinding{Socket: agentSocket()}}
	_, err := os.Stat(d.Agent.Socket)
	d.Agent.Present = err == nil
	for _, l := range redirect.Lanes() {
		f := tryLane(ctx, l, redirect.Target{Init: init, Agent: d.Agent.Socket})
		d.Works = d.Works || f.Works
		d.Lanes = append(d.Lanes, f)
	}
	for _, n := range m.Needs {
		f := needFinding{Name: n.Name, OK: n.OK, Found: n.Found, Hint: n.Hint, Lanes: []string{}}
		for _, l := range n.Lanes {
			f.Lanes = append(f.Lanes, l.String())
		}
		d.Needs = append(d.Needs, f)
	}
	d.Levels = levels(m, d.Agent.Present)
	return d
}

// tryRuntimes tries them by the first lane that works, if one does.
func (d *diagnosis) tryRuntimes(ctx context.Context, stderr io.Writer) error {
	d.Runtimes = []runtimeFinding{}
	n := slices.IndexFunc(d.Lanes, func(f laneFinding) bool { return f.Works })
	if n < 0 {
		return nil
	}
	progress := func(string, int, int) {}
	if isTerminal(stderr) {
		const clear = "\r\x1b[K"
		defer fmt.Fprint(stderr, clear)
		progress = func(name string, n, of int) { fmt.Fprintf(stderr, clear+"runtimes: %d of %d tried: %s", n, of, name) }
	}
	var err error
	d.Runtimes, err = tryRuntimes(ctx, d.Lanes[n].Trust == "mount", progress)
	return err
}

// isTerminal tells whether w is a terminal, or another device of characters.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	fi, err := f.Stat()
	return err == nil && fi.Mode()&os.ModeCharDevice != 0
}

// tryLane diverts a probe by l, and undoes it.
func tryLane(ctx context.Context, l redirect.Lane, t redirect.Target) laneFinding {
	f := laneFinding{Lane: l.String()}
	start := time.Now()
	d, err := redirect.Start(ctx, t, l)
	if err == nil {
		f.MS, f.By, f.Trust = max(time.Since(start).Milliseconds(), 1), d.By(), "environment"
		if d.Private() {
			f.Trust = "mount"
		}
		err = d.Close()
	}
	if f.Works = err == nil; !f.Works {
		f.Why, f.Hint = err.Error(), hintOf(err)
		if e := new(redirect.LaneError); errors.As(err, &e) {
			f.Why = e.Reason()
		}
	}
	return f
}

// print writes d as a person reads it.
func (d diagnosis) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "Linux %s, user %d\n\n", d.Kernel, d.UID)
	for _, l := range d.Lanes {
		if l.Works {
			fmt.Fprintf(t, "%s lane\tworks\ta probe was diverted by %s, in %d ms; trust by %s\n", l.Lane, l.By, l.MS, l.Trust)
		} else {
			fmt.Fprintf(t, "%s lane\tdoes not work\t%s\n", l.Lane, l.Why)
		}
		printHint(t, l.Hint)
	}
	fmt.Fprintln(t)
	for _, n := range d.Needs {
		word := "ok"
		if !n.OK {
			word = "missing"
		}
		fmt.Fprintf(t, "%s\t%s\t%s (%s)\n", n.Name, word, n.Found, strings.Join(n.Lanes, ", "))
		printHint(t, n.Hint)
	}
	if d.Agent.Present {
		fmt.Fprintf(t, "agent\tok\t%s\n", d.Agent.Socket)
	} else {
		fmt.Fprintf(t, "agent\tnone\t%s is not there; it would give ordinary users the ebpf lane\n", d.Agent.Socket)
	}
	if len(d.Runtimes) > 0 {
		fmt.Fprintln(t)
		printRuntimes(t, d.Runtimes)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return printLevels(w, d.Levels)
}

// printHint writes what to do, if there is something.
func printHint(w io.Writer, hint string) {
	if hint != "" {
		fmt.Fprintf(w, "\t\thint: %s\n", hint)
	}
}
