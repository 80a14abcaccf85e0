package redirect

import (
	"os/exec"
	"slices"
	"strings"
)

// nftables' iptables makes a table with the first rule in it, and keeps it when
// the last is gone: an empty table would stay behind where there was none. So
// who finds none says so in the comment of the jump, freshMark; who finds one
// that only rules like that are in says the same; and the last to go removes the
// table: see unlink. Legacy iptables' tables go with their kernel module.

// freshMark ends the tag of a jump in a table that was not there before us.
const freshMark = "+"

// saved is what iptables-save prints, by table.
type saved map[string]savedTable

// A savedTable is a table: its chains, and its rules, "CHAIN ARGUMENTS".
type savedTable struct{ chains, rules []string }

// save lists every table there is, for each family.
func (x xtables) save() ([]saved, error) {
	cmds := make([]*exec.Cmd, len(x))
	for n, f := range x {
		cmds[n] = exec.Command(f.path + "-save")
	}
	printed, err := together(cmds)
	all := make([]saved, len(x))
	for n, p := range printed {
		all[n] = parseSave(p)
	}
	return all, err
}

// parseSave reads what iptables-save prints.
func parseSave(text string) saved {
	all := make(saved)
	var name string
	for l := range strings.Lines(text) {
		l = strings.TrimSuffix(l, "\n")
		t := all[name]
		switch {
		case strings.HasPrefix(l, "*"):
			name, t = l[1:], savedTable{}
		case strings.HasPrefix(l, ":"):
			chain, _, _ := strings.Cut(l[1:], " ")
			t.chains = append(t.chains, chain)
		case strings.HasPrefix(l, "-A "):
			t.rules = append(t.rules, l[len("-A "):])
		default:
			continue
		}
		all[name] = t
	}
	return all
}

// of are the arguments of the rules in chain.
func (t savedTable) of(chain string) []string {
	var all []string
	for _, r := range t.rules {
		if in, arguments, _ := strings.Cut(r, " "); in == chain {
			all = append(all, arguments)
		}
	}
	return all
}

// has says whether a table has the chain.
func (s saved) has(chain string) bool {
	for _, t := range s {
		if slices.Contains(t.chains, chain) {
			return true
		}
	}
	return false
}

// fresh returns which tables are not there but for runs of ours.
func (s saved) fresh() map[string]bool {
	all := make(map[string]bool)
	for _, h := range builtins() {
		t, there := s[h[0]]
		all[h[0]] = !there || slices.ContainsFunc(t.rules, func(r string) bool {
			return strings.Contains(r, freshMark+`" -j `+chainPrefix)
		})
	}
	return all
}
