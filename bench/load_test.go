package bench

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A load is what a load generator reports.
type load struct {
	requests int
	bytes    int64 // received, heads and bodies; of HTTP/2 the bodies alone
	took     time.Duration
	latency  time.Duration // the median; of h2load the mean, it tells no other
	errors   int
	cuts     int // reads that failed: wrk counts each connection that a server ends with TLS's close_notify
}

// rate is requests a second.
func (l load) rate() float64 { return float64(l.requests) / l.took.Seconds() }

// wrkScript makes wrk say what it measured in one line, for parseWrk.
const wrkScript = `done = function(s, latency, requests)
  local e = s.errors
  io.write(string.format("wrk %d %d %d %d %d %d\n", s.requests, s.bytes, s.duration, latency:percentile(50),
    e.connect + e.write + e.status + e.timeout, e.read))
end
`

// parseWrk reads wrkScript's line in out.
func parseWrk(out string) (load, error) {
	for line := range strings.Lines(out) {
		var l load
		var took, p50 int64
		if n, _ := fmt.Sscanf(line, "wrk %d %d %d %d %d %d", &l.requests, &l.bytes, &took, &p50, &l.errors, &l.cuts); n == 6 {
			l.took, l.latency = time.Duration(took)*time.Microsecond, time.Duration(p50)*time.Microsecond
			return l, nil
		}
	}
	return load{}, fmt.Errorf("no summary of wrk in %q", out)
}

// The lines of h2load 1.52 that parseH2load reads.
var (
	h2loadTook    = regexp.MustCompile(`finished in ([0-9.]+m?s),`)
	h2loadDone    = regexp.MustCompile(`requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored`)
	h2loadBytes   = regexp.MustCompile(`\((\d+)\) data`)
	h2loadLatency = regexp.MustCompile(`time for request:\s+\S+\s+\S+\s+(\S+)`)
)

// parseH2load reads the summary of h2load in out.
func parseH2load(out string) (load, error) {
	took, done := h2loadTook.FindStringSubmatch(out), h2loadDone.FindStringSubmatch(out)
	data, latency := h2loadBytes.FindStringSubmatch(out), h2loadLatency.FindStringSubmatch(out)
	if took == nil || done == nil || data == nil || latency == nil {
		return load{}, fmt.Errorf("no summary of h2load in %q", out)
	}
	var l load
	var err error
	if l.took, err = time.ParseDuration(took[1]); err != nil {
		return load{}, fmt.Errorf("duration of h2load: %w", err)
	}
	if l.latency, err = time.ParseDuration(latency[1]); err != nil {
		return load{}, fmt.Errorf("latency of h2load: %w", err)
	}
	l.requests, _ = strconv.Atoi(done[2]) // digits: the expression says so
	l.bytes, _ = strconv.ParseInt(data[1], 10, 64)
	failed, _ := strconv.Atoi(done[3])
	errored, _ := strconv.Atoi(done[4])
	l.errors = failed + errored
	return l, nil
}

// parseStat is the CPU time of the process whose /proc/PID/stat is s: utime and
// stime, the 14th and 15th field, in ticks of 10 ms (proc(5), USER_HZ is 100).
func parseStat(s string) (time.Duration, error) {
	_, rest, _ := strings.Cut(s, ") ") // the second field, a name, may hold anything but that
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("no times in %q", s)
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("times in %q: %w", s, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// parseMemory is the field called name of a /proc/PID/status, in bytes.
func parseMemory(status, name string) (int64, error) {
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			var kib int64
			if _, err := fmt.Sscanf(rest, "%d kB", &kib); err != nil {
				return 0, fmt.Errorf("%s: %w", strings.TrimSpace(line), err)
			}
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("no %s in a process's status", name)
}

func TestParseLoad(t *testing.T) {
	const h2load = `starting benchmark...
finished in 2.00s, 76452.50 req/s, 84.07MB/s
requests: 152905 total, 153065 started, 152905 done, 152904 succeeded, 1 failed, 0 errored, 0 timeout
status codes: 152904 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 168.15MB (176317369) total, 11.23MB (11773739) headers (space savings 54.70%), 149.32MB (156573696) data
                     min         max         mean         sd        +/- sd
time for request:      113us     12.24ms      2.07ms       628us    78.19%
`
	for _, c := range []struct {
		name  string
		parse func(string) (load, error)
		in    string
		want  load
	}{
		{"wrk", parseWrk, "Running 2s test\nwrk 5000 6200000 2000000 812 3 7\n", load{5000, 6200000, 2 * time.Second, 812 * time.Microsecond, 3, 7}},
		{"h2load", parseH2load, h2load, load{152904, 156573696, 2 * time.Second, 2070 * time.Microsecond, 1, 0}},
	} {
		got, err := c.parse(c.in)
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(load{})); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got)\n%s", c.name, err, diff)
		}
		if got, err := c.parse("nothing of it"); err == nil {
			t.Errorf("%s of nothing = %v; want an error", c.name, got)
		}
	}
}

func TestParseProc(t *testing.T) {
	const stat = "42 (odd name) S 1 42 42 0 -1 4194304 500 0 0 0 150 50 7 9 20 0 12 0 100 0 0"
	if got, err := parseStat(stat); got != 2*time.Second || err != nil {
		t.Errorf("parseStat(%q) = %v, %v; want 2s", stat, got, err)
	}
	if got, err := parseStat("42 (x) S"); err == nil {
		t.Errorf("parseStat of too little = %v; want an error", got)
	}
	const status = "Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t    1024 kB\n"
	if got, err := parseMemory(status, "VmRSS"); got != 1<<20 || err != nil {
		t.Errorf("parseMemory(VmRSS) = %d, %v; want %d", got, err, 1<<20)
	}
	if got, err := parseMemory(status, "VmSwap"); err == nil {
		t.Errorf("parseMemory(VmSwap) = %d; want an error", got)
	}
}
