package bench

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/serge-net/serge-net/redirect"
	"github.com/serge-net/serge-net/redirect/testnet"
)

// dialEnv has this test binary be a client that dials the address it holds.
const dialEnv = "SERGE_BENCH_DIAL"

// dials is how many connections one round of dialling makes.
const dials = 300

func TestMain(m *testing.M) {
	if to := os.Getenv(dialEnv); to != "" {
		p50, err := dial(to)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(p50.Nanoseconds())
		os.Exit(0)
	}
	if err := errand(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// dial is the median time of a connection to an echo server, from connect to
// the one byte that comes back.
func dial(to string) (time.Duration, error) {
	var took []time.Duration
	b := []byte{'x'}
	for range dials {
		start := time.Now()
		c, err := net.Dial("tcp", to)
		if err != nil {
			return 0, err
		}
		_, err = c.Write(b)
		if err == nil {
			_, err = io.ReadFull(c, b)
		}
		took = append(took, time.Since(start))
		c.Close()
		if err != nil {
			return 0, err
		}
	}
	return median(took), nil
}

// A path is what one way to the origin costs: direct, or by a lane that passes
// everything on and records nothing.
type path struct {
	name    string
	start   []time.Duration // of `true`
	connect []time.Duration
	bulk    []float64 // MB/s
}

// lanes measures every lane that works here, beside none, in turn.
func (l *lab) lanes() []*path {
	l.tb.Helper()
	paths := []*path{{name: "direct"}}
	sessions := []*session{l.open()}
	for _, lane := range redirect.Lanes() {
		paths = append(paths, &path{name: lane.String()})
		sessions = append(sessions, l.open("run", "--mode", "passthrough", "--backend", lane.String()))
	}
	for range *rounds {
		for i, s := range sessions {
			paths[i].measure(l, s)
		}
	}
	bare := sessions[0]
	for range 4 * *rounds {
		for _, p := range paths {
			command := "true"
			if p.name != "direct" {
				command = l.serge + " run --mode passthrough --backend " + p.name + " -- true"
			}
			p.start = append(p.start, bare.time(command))
		}
	}
	for _, s := range sessions {
		s.close()
	}
	return paths
}

// measure adds one round of p, in its session s.
func (p *path) measure(l *lab, s *session) {
	l.tb.Helper()
	echo := net.JoinHostPort(testnet.Lookup(testnet.TCP).V4.String(), "7")
	out := strings.TrimSpace(s.run(dialEnv + "=" + echo + " " + os.Args[0]))
	ns, err := strconv.ParseInt(out, 10, 64)
	if err != nil {
		l.tb.Fatalf("%s: dial: %q", p.name, out)
	}
	p.connect = append(p.connect, time.Duration(ns))
	var size, speed float64
	out = s.run("curl -s -H 'Accept:' -o /dev/null -w '%{size_download} %{speed_download}' http://" + testnet.Nginx + "/fast/bulk")
	if _, err := fmt.Sscan(out, &size, &speed); err != nil || size != bulkSize {
		l.tb.Fatalf("%s: bulk: %v in %q; want %d bytes", p.name, err, out, bulkSize)
	}
	p.bulk = append(p.bulk, speed/1e6)
}

// time is how long command takes in s.
func (s *session) time(command string) time.Duration {
	s.tb.Helper()
	lines := strings.Fields(s.run("date +%s%N; sh -c 'exec " + command + "'; date +%s%N"))
	from, err1 := strconv.ParseInt(lines[0], 10, 64)
	to, err2 := strconv.ParseInt(lines[len(lines)-1], 10, 64)
	if err1 != nil || err2 != nil {
		s.tb.Fatalf("%s: %q", command, lines)
	}
	return time.Duration(to - from)
}

// printLanes writes the lanes' table.
func printLanes(w io.Writer, paths []*path) {
	fmt.Fprint(w, "\n## Lanes\n\nEverything passes, nothing is recorded: what is left is the lane and a relay. Times are medians; a ratio is the median of\nthose of single rounds. Connect is from connect(2) to the one byte that an echo server sends back; bulk is 100 MiB over HTTP.\n\n")
	fmt.Fprint(w, "| | start of `true` | connect | × direct | bulk MB/s | × direct |\n|---|---|---|---|---|---|\n")
	for _, p := range paths {
		var connect, bulk []float64
		for i := range p.connect {
			connect = append(connect, p.connect[i].Seconds()/paths[0].connect[i].Seconds())
			bulk = append(bulk, p.bulk[i]/paths[0].bulk[i])
		}
		fmt.Fprintf(w, "| %s | %.1f ms | %.0f µs | %.2f | %.0f | %.2f |\n", p.name, median(p.start).Seconds()*1e3,
			median(p.connect).Seconds()*1e6, median(connect), median(p.bulk), median(bulk))
	}
}
