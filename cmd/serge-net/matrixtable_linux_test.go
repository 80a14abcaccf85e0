package main

import (
	"fmt"
	"slices"
	"strings"
)

// names are the columns of places.
func (m *matrix) names() []string {
	var names []string
	for _, p := range m.places {
		names = append(names, p.String())
	}
	return names
}

// markdown is the table of verdicts.
func (m *matrix) markdown(verdicts []verdict) string {
	var b strings.Builder
	b.WriteString(matrixHead)
	row := func(cells ...string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	row(slices.Concat([]string{"client", "version", "from"}, m.names(), []string{"by", "own setting", "another CA"})...)
	row(slices.Repeat([]string{"---"}, len(m.places)+6)...)
	for _, v := range verdicts {
		if v.absent != "" {
			row(slices.Concat([]string{v.name, absent, v.absent}, slices.Repeat([]string{absent}, len(m.places)+3))...)
			continue
		}
		row(slices.Concat([]string{v.name, v.version, v.from}, v.cells, []string{v.by, v.direct, v.other})...)
	}
	return b.String() + notes(verdicts)
}

// notes says more of those that have something to say.
func notes(verdicts []verdict) string {
	var b strings.Builder
	for _, v := range verdicts {
		if v.note != "" {
			fmt.Fprintf(&b, "- %s: %s\n", v.name, v.note)
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "\n" + b.String()
}

const matrixHead = `# Clients

Each was run against an origin whose CA it does not know: without serge-net it rejects it (checked). Written by
` + "`make matrix`" + `; [trust.md](trust.md) says how it works.

- **ebpf, root** and the like: lane and user. *user* has no capability, and has the eBPF lane by ` + "`serge-net agent`" + `. *yes*: recorded,
  then replayed with the origin gone; *recorded*: recorded only, as its protocol is not replayed yet; *named*: the
  client has roots of its own that nothing outside can change: it rejects us, and the report names host, process and remedy.
- **by**: what makes it trust us: *files* that it sees in our place, or *variables*, where it fails without those we set.
- **own setting**: its own way to be told a CA has it accept the origin without us (–: it has none).
- **another CA**: told another CA by that setting, it still accepts an origin of that CA, whose bytes we let pass.

`
