package bench

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// results is what a run measured.
type results struct {
	startup [2]time.Duration // true, serge-net run -- true
	idle    [variants]int64
	rows    []row
	bulk    [variants]sample
	lanes   []*path
	rivals  []*rival
}

// A row is one scenario's medians, and how far the rounds were apart.
type row struct {
	name   string
	median [variants]sample
	times  [variants]float64 // the rate, in times of direct's in the same round; the median
	spread float64           // the largest distance of a round's rate from the median, as a part of it
}

// add takes a scenario's samples in.
func (r *results) add(name string, got [variants][]sample) {
	w := row{name: name, median: medians(got)}
	for v, samples := range got {
		for _, s := range samples {
			w.spread = max(w.spread, s.rate/w.median[v].rate-1, 1-s.rate/w.median[v].rate)
		}
		w.times[v] = times(samples, got[direct])
	}
	r.rows = append(r.rows, w)
}

// times is the median of how many times of b's rate that of a is, round by round.
func times(a, b []sample) float64 {
	var ratios []float64
	for i := range a {
		ratios = append(ratios, a[i].rate/b[i].rate)
	}
	return median(ratios)
}

// write writes the table to the file at path, or to standard output.
func (r *results) write(path string) error {
	if path == "" {
		r.print(os.Stdout)
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	r.print(f)
	if err := f.Close(); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}

// print writes Markdown.
func (r *results) print(w io.Writer) {
	fmt.Fprintf(w, `# Measured speed

Written by `+"`make bench`"+` on %s; package bench says how. Only ratios within a row mean something on another machine.

%s
`, time.Now().UTC().Format(time.DateOnly), machine())
	fmt.Fprintf(w, `## Answers of %d B over TLS 1.3

Medians of %d rounds of %d s; the ratios are medians of those of single rounds. Direct is nginx, whose CPU time is the
one to beat, and of gRPC grpc-go's server; record is serge-net between client and nginx, replay serge-net in nginx's place. Spread is how far the worst
round of any variant was from its median. On a machine that others load, nginx's one thread gets less of it than Go's
several: the ratios then flatter serge-net, and CPU time is the figure to compare.

| scenario | direct req/s | record | replay | record × direct | replay × direct | median latency | CPU µs/req | spread |
|---|---|---|---|---|---|---|---|---|
`, smallSize, *rounds, *seconds)
	for _, row := range r.rows {
		m := row.median
		fmt.Fprintf(w, "| %s | %.0f | %.0f | %.0f | **%.2f** | **%.2f** | %s | %s | %.0f %% |\n", row.name,
			m[direct].rate, m[record].rate, m[replay].rate, row.times[record], row.times[replay],
			each(m, func(s sample) string { return fmt.Sprintf("%.2f ms", s.latency.Seconds()*1e3) }),
			each(m, func(s sample) string { return fmt.Sprintf("%.1f", s.cpu.Seconds()*1e6) }), 100*row.spread)
	}
	fmt.Fprint(w, "\nLatency and CPU time are direct / record / replay. wrk tells the median latency, h2load the mean.\n\n")
	b := r.bulk
	fmt.Fprintf(w, `## 100 MiB over TLS 1.3

| | direct | record | replay |
|---|---|---|---|
| MB/s | %.0f | %.0f | %.0f |
| × direct | 1 | **%.2f** | **%.2f** |
| peak RSS, MiB | - | %.0f | %.0f |

`, b[direct].rate, b[record].rate, b[replay].rate, b[record].rate/b[direct].rate, b[replay].rate/b[direct].rate,
		mib(b[record].memory), mib(b[replay].memory))
	fmt.Fprintf(w, `## Start and memory

| | |
|---|---|
| `+"`true`"+` | %.1f ms |
| `+"`serge-net run -- true`"+` | %.1f ms |
| RSS idle, record / replay | %.0f / %.0f MiB |
`, r.startup[0].Seconds()*1e3, r.startup[1].Seconds()*1e3, mib(r.idle[record]), mib(r.idle[replay]))
	for _, row := range r.rows {
		fmt.Fprintf(w, "| RSS after %s, record / replay | %.0f / %.0f MiB |\n", row.name, mib(row.median[record].memory), mib(row.median[replay].memory))
	}
	printSockets(w, r.rivals)
	printLanes(w, r.lanes)
}

// each is the variants' members that f prints, with slashes between.
func each(m [variants]sample, f func(sample) string) string {
	var s []string
	for _, v := range m {
		s = append(s, f(v))
	}
	return strings.Join(s, " / ")
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// machine is a list of what was measured on and with.
func machine() string {
	var b strings.Builder
	cpu := "unknown"
	info, _ := os.ReadFile("/proc/cpuinfo") // unreadable: unknown
	for line := range strings.Lines(string(info)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			cpu = strings.TrimSpace(value)
		}
	}
	fmt.Fprintf(&b, "- %d × %s\n- Linux %s, %s\n", runtime.NumCPU(), cpu, firstLine("uname", "-r"), runtime.Version())
	load, _ := os.ReadFile("/proc/loadavg") // unreadable: unknown
	one, _, _ := strings.Cut(string(load), " ")
	fmt.Fprintf(&b, "- load average at the end: %s, of which about 2 are this benchmark's\n", one)
	for _, argv := range [][]string{{"/usr/sbin/nginx", "-v"}, {"wrk", "-v"}, {"h2load", "--version"}, {"curl", "--version"}} {
		words := strings.Fields(firstLine(argv...))
		fmt.Fprintf(&b, "- %s\n", strings.Join(words[:min(3, len(words))], " "))
	}
	return b.String()
}

// firstLine is what a program first says, on either output.
func firstLine(argv ...string) string {
	out, _ := exec.Command(argv[0], argv[1:]...).CombinedOutput() // wrk -v exits with 1
	lines := slices.Collect(strings.Lines(string(out)))
	if len(lines) == 0 {
		return argv[0]
	}
	return strings.TrimSpace(lines[0])
}
