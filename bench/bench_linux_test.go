package bench

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// What is fetched, in bytes.
const (
	smallSize = 1 << 10
	bulkSize  = 100 << 20
)

const (
	small = "https://" + testnet.Nginx + "/fast/small"
	bulk  = "https://" + testnet.Nginx + "/fast/bulk"
)

// The variants, in the order in which every round goes through them.
const (
	direct = iota
	record
	replay
	variants
)

// A scenario is a load that every variant gets.
type scenario struct {
	name    string
	command string // with %d for the seconds it lasts
	parse   func(string) (load, error)
	closes  bool // the server ends each connection
}

// scenarios are what load generators do. wrk and h2load run a thread each:
// with nginx and serge-net that fills two cores.
func scenarios() []scenario {
	const wrk = "wrk -t1 -d%ds -s wrk.lua "
	return []scenario{
		{name: "HTTP/1.1, 16 connections", command: wrk + "-c16 " + small, parse: parseWrk},
		{name: "HTTP/1.1, 256 connections", command: wrk + "-c256 " + small, parse: parseWrk},
		{name: "HTTP/2, 16 connections × 10 streams", command: "h2load -t1 -c16 -m10 -D%d " + small, parse: parseH2load},
		{name: "HTTP/1.1, a new connection each", command: wrk + "-c16 -H 'Connection: close' " + small, parse: parseWrk, closes: true},
	}
}

// A sample is one variant's round of a scenario.
type sample struct {
	rate    float64       // a second
	latency time.Duration // of one request
	cpu     time.Duration // of the server's process, per request
	memory  int64         // of the server's process at the end, resident bytes
}

// BenchmarkSerge measures everything once, however large b.N is.
func BenchmarkSerge(b *testing.B) {
	l := newLab(b)
	results := &results{}
	if strings.Contains("WebSocket", *only) {
		results.rivals = l.sockets()
	}
	if *only != "WebSocket" && *only != "gRPC" {
		l.record()
		results.startup = l.startup()
		results.lanes = l.lanes()
		l.loads(results)
		l.bulk(results)
	}
	if strings.Contains("gRPC", *only) {
		l.calls(results)
	}
	if err := results.write(*output); err != nil {
		b.Fatal(err)
	}
}

var (
	output  = flag.String("write", "", "file to write the table to; empty: standard output")
	rounds  = flag.Int("rounds", 5, "how often each variant is measured")
	seconds = flag.Int("seconds", 2, "how long a round of a load lasts")
	only    = flag.String("only", "", "measure only the scenarios whose name holds this, beside lanes and bulk; WebSocket: only that")
)

// record makes the cassettes that are replayed, and checks what is received.
func (l *lab) record() {
	l.tb.Helper()
	for name, url := range map[string]string{"small": small, "bulk": bulk} {
		fetch := "curl -sk --http1.1 -H 'Accept:' " + url + " | sha256sum"
		if url == small {
			fetch += "; curl -sk --http2 -H 'Accept:' " + url + " | sha256sum"
		}
		want := l.sum(filepath.Join(filepath.Dir(l.net.CAFile), "root", name))
		for _, mode := range []string{"record", "replay"} {
			s := l.open(mode, name)
			for line := range strings.Lines(strings.TrimSpace(s.run(fetch))) {
				if got, _, _ := strings.Cut(line, " "); got != want {
					l.tb.Fatalf("%s of %s gave a body with the sum %s; want %s", mode, url, got, want)
				}
			}
			s.close()
		}
	}
}

// sum is the sha256 of a file, in hex.
func (l *lab) sum(path string) string {
	l.tb.Helper()
	f, err := os.Open(path)
	if err != nil {
		l.tb.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		l.tb.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// startup is how long `true` takes, and `serge-net run -- true`, in turn.
func (l *lab) startup() [2]time.Duration {
	l.tb.Helper()
	s := l.open()
	defer s.close()
	var took [2][]time.Duration
	for range 4 * *rounds {
		for i, command := range []string{"true", l.serge + " run -- true"} {
			took[i] = append(took[i], s.time(command))
		}
	}
	return [2]time.Duration{median(took[0]), median(took[1])}
}

// loads measures the scenarios. A session of each variant stays open for all of them.
func (l *lab) loads(r *results) {
	l.tb.Helper()
	wanted := slices.DeleteFunc(scenarios(), func(s scenario) bool { return !strings.Contains(s.name, *only) })
	if len(wanted) == 0 {
		return
	}
	sessions := [variants]*session{l.open(), l.open("record", "load"), l.open("replay", "small")}
	servers := [variants]int{l.nginx(), sessions[record].pid, sessions[replay].pid}
	for v, pid := range servers {
		r.idle[v] = memory(l.tb, pid, "VmRSS")
	}
	for _, sc := range wanted {
		r.add(sc.name, l.alternate(sc, sessions, servers))
	}
	for _, s := range sessions {
		s.close()
	}
}

// alternate measures the variants of sc in turn, once a round.
func (l *lab) alternate(sc scenario, sessions [variants]*session, servers [variants]int) (got [variants][]sample) {
	l.tb.Helper()
	for range *rounds {
		for v, s := range sessions {
			got[v] = append(got[v], l.load(sc, s, servers[v]))
		}
	}
	return got
}

// nginx is the process id of the small internet's nginx.
func (l *lab) nginx() int {
	l.tb.Helper()
	b, err := os.ReadFile(filepath.Join(filepath.Dir(l.net.CAFile), "nginx.pid"))
	if err != nil {
		l.tb.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		l.tb.Fatal(err)
	}
	return pid
}

// load runs sc once in s, and fails unless every answer was whole.
func (l *lab) load(sc scenario, s *session, server int) sample {
	l.tb.Helper()
	before := cpu(l.tb, server)
	out := s.run(fmt.Sprintf(sc.command, *seconds))
	used := cpu(l.tb, server) - before
	got, err := sc.parse(out)
	if err != nil {
		l.tb.Fatalf("%s: %v", sc.name, err)
	}
	if !sc.closes {
		got.errors += got.cuts
	}
	// A head of 1 kB or more would be none of ours.
	if each := got.bytes / int64(max(got.requests, 1)); got.errors > 0 || each < smallSize || each >= 2*smallSize {
		l.tb.Fatalf("%s: %d requests, %d errors, %d bytes each\n%s", sc.name, got.requests, got.errors, each, out)
	}
	return sample{got.rate(), got.latency, used / time.Duration(got.requests), memory(l.tb, server, "VmRSS")}
}

// bulk downloads a large body, each time in a new session: what it peaks at counts.
func (l *lab) bulk(r *results) {
	l.tb.Helper()
	modes := [variants][]string{nil, {"record", "load-bulk"}, {"replay", "bulk"}}
	var got [variants][]sample
	for range *rounds {
		for v, args := range modes {
			s := l.open(args...)
			var size, speed float64
			out := s.run("curl -sk --http1.1 -H 'Accept:' -o /dev/null -w '%{size_download} %{speed_download}' " + bulk)
			if _, err := fmt.Sscan(out, &size, &speed); err != nil || size != bulkSize {
				l.tb.Fatalf("bulk: %v in %q; want %d bytes", err, out, bulkSize)
			}
			pid := s.pid
			if v == direct {
				pid = l.nginx()
			}
			got[v] = append(got[v], sample{rate: speed / 1e6, memory: memory(l.tb, pid, "VmHWM")})
			s.close()
		}
	}
	r.bulk = medians(got)
}

// median is the middle of v, which is sorted.
func median[T int64 | float64 | time.Duration](v []T) T {
	slices.Sort(v)
	return v[len(v)/2]
}

// medians are those of each variant's samples.
func medians(got [variants][]sample) [variants]sample {
	var m [variants]sample
	for v, samples := range got {
		m[v] = medianOf(samples)
	}
	return m
}

// medianOf are the medians of samples, member by member.
func medianOf(samples []sample) sample {
	var rates []float64
	var latencies, cpus []time.Duration
	var memories []int64
	for _, s := range samples {
		rates, latencies = append(rates, s.rate), append(latencies, s.latency)
		cpus, memories = append(cpus, s.cpu), append(memories, s.memory)
	}
	return sample{median(rates), median(latencies), median(cpus), median(memories)}
}
