package main

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// TestLatency serves answers in the time that --latency gives them: the first
// byte, and the events of a stream one by one, over both versions of HTTP.
func TestLatency(t *testing.T) {
	r := newRig(t)
	for name, base := range map[string]string{"HTTP1": "http://" + testnet.WWW, "HTTP2": "https://" + testnet.H2} {
		sse := base + "/sse?n=3&gap=150"
		r.record(name, "curl", "-sSN", sse)
		for _, c := range []struct {
			latency       string
			first, last   time.Duration // at least, since the request
			within        time.Duration // and no more than
			firstMeasured bool
		}{
			{"none", 0, 0, 250 * time.Millisecond, false},
			{"recorded", 0, 200 * time.Millisecond, 0, false},
			{"600ms+-10ms", 590 * time.Millisecond, 590 * time.Millisecond, 0, true},
		} {
			o := r.well("replay", name, "--latency", c.latency, "--", "curl", "-sSN", "-w", "%{time_starttransfer} %{time_total}", sse)
			times := strings.Fields(o.stdout[strings.LastIndex(o.stdout, "\n")+1:])
			first, err1 := time.ParseDuration(times[0] + "s")
			total, err2 := time.ParseDuration(times[1] + "s")
			if err1 != nil || err2 != nil || strings.Count(o.stdout, "event: tick") != 3 {
				t.Fatalf("%s: %v, %v: %q", name, err1, err2, o.stdout)
			}
			if c.firstMeasured && first < c.first || total < c.last || c.within > 0 && total > c.within {
				t.Errorf("%s, --latency %s: first byte after %v, all after %v; want at least %v and %v, all within %v", name, c.latency, first, total, c.first, c.last, c.within)
			}
		}
	}
}

// TestLatencyEnds has a client that leaves during a pause use nothing up, and
// keep nobody waiting; so with Ctrl-C.
func TestLatencyEnds(t *testing.T) {
	r := newRig(t)
	for name, url := range map[string]string{"HTTP1": hello, "HTTP2": "https://" + testnet.H2 + "/hello"} {
		r.record(name, "curl", "-sS", url)
		start := time.Now()
		o := r.serge("replay", name, "--latency", "20s", "--", "curl", "-sS", "-m", "0.3", url)
		if took := time.Since(start); took > 10*time.Second || o.code != 28 || !strings.Contains(o.stderr, "0 served (0 exact, 0 assumed), 0 missed, 1 unused") {
			t.Errorf("%s: the client left: after %v, exit code %d, it says\n%s", name, took, o.code, o.stderr)
		}
	}
	cmd, stderr := r.started(t, "replay", "HTTP1", "--latency", "20s", "--", "sh", "-c", "touch ready; exec curl -sS "+hello)
	start := time.Now()
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || time.Since(start) > 10*time.Second {
		t.Errorf("Ctrl-C: %v after %v\n%s", err, time.Since(start), stderr)
	}
}

// TestOnMiss gives a miss the status that was asked for, or a reset.
func TestOnMiss(t *testing.T) {
	r := newRig(t)
	r.record("m", "curl", "-sS", hello)
	other := "http://" + testnet.WWW + "/json"
	for _, c := range []struct {
		onMiss, status string
		code           int
	}{{"fail", "501", 97}, {"status:404", "404", 97}, {"reset", "000", 56}} {
		o := r.serge("replay", "m", "--on-miss", c.onMiss, "--", "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", other)
		if o.stdout != c.status || o.code != c.code || !strings.Contains(o.stderr, "1 missed") {
			t.Errorf("--on-miss %s: status %s, exit code %d; want %s, %d\n%s", c.onMiss, o.stdout, o.code, c.status, c.code, o.stderr)
		}
	}
}
