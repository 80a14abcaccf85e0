package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/serge-net/serge-net/redirect"
)

// A level is a set of privileges and what it gives. Where it gives one thing or
// another, the first is had with user namespaces, and the second without.
type level struct {
	Level     string   `json:"level"`
	Lanes     []string `json:"lanes"`
	Trust     string   `json:"trust"`     // how the command is told of our CA: "mount", "environment", "mount or environment", "by hand"
	Resolvers string   `json:"resolvers"` // what of the sockets that resolve names: "masked", "reported", "masked or reported", "not diverted"
	Sudo      string   `json:"sudo"`      // whether sudo works inside: "yes", "no", "no or yes"
	Current   bool     `json:"current"`   // this process has it
}

// levels are all of them, most privileged first; the one that m has is marked.
// That sudo works inside and that mounts can be made exclude each other but for
// root: an ordinary user's mount namespace takes a user namespace, in which
// nobody is root.
func levels(m redirect.Machine, agent bool) []level {
	either := level{Trust: "mount or environment", Resolvers: "masked or reported", Sudo: "no or yes"}
	masked := level{Trust: "mount", Resolvers: "masked", Sudo: "no"}
	with := func(l level, name string, has bool, lanes ...string) level {
		l.Level, l.Current, l.Lanes = name, has, append([]string{}, lanes...)
		return l
	}
	root, none := masked, level{Trust: "by hand", Resolvers: "not diverted", Sudo: "yes"}
	root.Sudo = "yes"
	all := []level{
		with(root, "root", m.Root, "ebpf", "netns", "iptables"),
		with(masked, "root in a user namespace", m.Contained, "netns", "iptables"),
		with(either, "CAP_BPF and CAP_NET_ADMIN", m.BPF, "ebpf", "netns", "iptables"),
		with(either, "CAP_NET_ADMIN", m.Admin, "netns", "iptables"),
		with(either, "an ordinary user, the agent runs", agent, "ebpf", "netns"),
		with(masked, "an ordinary user, user namespaces", m.Namespaces, "netns"),
		with(none, "an ordinary user, neither", true),
	}
	for i, found := 0, false; i < len(all); i++ {
		all[i].Current = all[i].Current && !found
		found = found || all[i].Current
	}
	return all
}

// printLevels writes the table, with a star before the level that is ours.
func printLevels(w io.Writer, all []level) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\n  privileges\tlanes\ttrust by\tresolver sockets\tsudo inside")
	for _, l := range all {
		star, lanes := " ", "none"
		if l.Current {
			star = "*"
		}
		if len(l.Lanes) > 0 {
			lanes = strings.Join(l.Lanes, ", ")
		}
		fmt.Fprintf(t, "%s %s\t%s\t%s\t%s\t%s\n", star, l.Level, lanes, l.Trust, l.Resolvers, l.Sudo)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	_, err := fmt.Fprintln(w, "\n  * what this process has. Of two things the first is had with user namespaces, the second without.\n"+
		"  netns needs them, or CAP_SYS_ADMIN. Without a lane there is serge-net proxy, which is set by hand.")
	return err
}
