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

// markdown is the table: a row for each client, that of old, an earlier table,
// for one that was not tried.
func (m *matrix) markdown(old string, verdicts []verdict) string {
	rows := map[string]string{}
	for line := range strings.Lines(old) {
		if cells := strings.Split(line, " | "); len(cells) > 2 {
			rows[cells[0]+" | "+cells[2]] = line
		}
	}
	for _, v := range verdicts {
		cells := slices.Concat([]string{v.name, v.version, v.from}, v.cells, []string{v.by, v.direct, v.other})
		if v.absent != "" {
			cells = slices.Concat([]string{v.name, v.absent, v.from}, slices.Repeat([]string{cellNone}, len(m.places)+3))
		}
		rows[v.key()] = line(cells)
	}
	var b strings.Builder
	b.WriteString(matrixHead)
	b.WriteString(line(slices.Concat([]string{"client", "version", "from"}, m.names(), []string{"by", "own setting", "another CA"})))
	b.WriteString(line(slices.Repeat([]string{"---"}, len(m.places)+6)))
	for _, p := range matrixClients() {
		b.WriteString(rows[p.key()])
	}
	return b.String() + notes()
}

// line is a row of the table.
func line(cells []string) string { return "| " + strings.Join(cells, " | ") + " |\n" }

// key is how p's row begins, but for its version.
func (p matrixClient) key() string { return "| " + p.name + " | " + p.from }

// notes says more of those that have something to say.
func notes() string {
	var b strings.Builder
	for _, p := range matrixClients() {
		if p.note != "" {
			fmt.Fprintf(&b, "\n- %s: %s\n", p.name, p.note)
		}
	}
	return b.String()
}

const matrixHead = `# Clients

Each was run against an origin whose CA it does not know: without serge-net it rejects it (checked). Written by
` + "`make matrix`" + `; [trust.md](trust.md) says how it works.

- **ebpf, root** and the like: lane and user. *user* has no capability, and has the eBPF lane by ` + "`serge-net agent`" + `. *yes*: recorded,
  then replayed with the origin gone; *named*: the client has roots of its own that nothing outside can change: it rejects us, and the report names host, process and remedy.
- **by**: what makes it trust us: *files* that it sees in our place, or *variables*, where it fails without those we set.
- **own setting**: its own way to be told a CA has it accept the origin without us (–: it has none).
- **another CA**: told another CA by that setting, it still accepts an origin of that CA, whose bytes we let pass.

`
