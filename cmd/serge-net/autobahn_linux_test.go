package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"github.com/serge-net/serge-net/redirect/testnet"
)

var (
	wstest        = flag.String("wstest", "", "the Autobahn test suite's program: testdata/wstest.sh installs it; empty: it is not run")
	autobahnTable = flag.String("write-autobahn", "", "file to write the suite's results to")
	autobahnCases = flag.String("autobahn-cases", "", "the cases, separated by commas, 6.* say; empty: all but of 12 and 13 two of each group")
)

// autobahnWays are the ways in which the suite is run.
func autobahnWays() []string { return []string{"direct", "recorded", "replayed"} }

// TestAutobahn runs the Autobahn test suite, direct, through us while we record, and
// against what we replay, and holds that the results are those that are direct, but
// for differences that are argued.
func TestAutobahn(t *testing.T) {
	report := &autobahnReport{}
	if *wstest != "" {
		r := newRig(t)
		at := func(port string) string { return testnet.Lookup(testnet.WWW).V4.String() + ":" + port }
		r.echoes(at("9001"))
		r.pythonEchoes(at("9002"))
		report.servers(r, "gorilla/websocket, a server", "ws://"+testnet.WWW+":9001")
		report.servers(r, "Python websockets, a server", "ws://"+testnet.WWW+":9002")
		report.clients(r, "gorilla/websocket, a client")
	}
	for _, s := range report.sections {
		for _, d := range s.differences() {
			if argued(d) == "" {
				t.Errorf("%s: case %s is %s: %s, direct: %s", s.name, d.id, d.way, d.is, d.was)
			}
		}
	}
	if *autobahnTable != "" {
		if err := report.write(*autobahnTable); err != nil {
			t.Fatal(err)
		}
	}
}

// autobahnRuns is how often cases are run that do not end as they do direct: many
// give the other side half a second, which on a busy machine is not enough.
const autobahnRuns = 3

// servers runs the suite's fuzzing client against the server at url.
func (a *autobahnReport) servers(r *rig, name, url string) {
	s := section{name: name, verdicts: map[string]map[string]judgement{}}
	for ids := cases(); len(ids) > 0 && s.runs < autobahnRuns; s.runs++ {
		r := r.in(r.t, "")
		for _, way := range autobahnWays() {
			out := filepath.Join(r.dir, way)
			spec := r.spec(way, map[string]any{"outdir": out, "servers": []any{map[string]any{"agent": "it", "url": url}}, "cases": ids})
			took := r.suite(way, *wstest, "-m", "fuzzingclient", "-s", spec).took
			if s.runs == 0 {
				s.took, s.verdicts[way] = append(s.took, took), map[string]judgement{}
			}
			maps.Copy(s.verdicts[way], r.verdicts(out))
		}
		ids = s.unargued()
	}
	a.sections = append(a.sections, s)
}

// clients runs a client of gorilla's against the suite's fuzzing server. In a replay
// there is none: there the client has to see what it saw when it was recorded.
func (a *autobahnReport) clients(r *rig, name string) {
	r = r.in(r.t, "")
	port := r.freePort() // that the suite's server listens on has to be that of the URL
	s := section{name: name, verdicts: map[string]map[string]judgement{}}
	argv := []string{r.client("wstestee"), "ws://" + net.JoinHostPort(testnet.WWW, port), "it"}
	var saw [2]string
	for _, way := range autobahnWays()[:2] {
		out := filepath.Join(r.dir, way)
		stop := r.fuzzingServer(way, out, port)
		o := r.suite(way, argv...)
		stop()
		s.took, saw[0] = append(s.took, o.took), o.stdout
		s.verdicts[way] = r.verdicts(out)
	}
	o := r.suite(autobahnWays()[2], argv...)
	s.took, saw[1] = append(s.took, o.took), o.stdout
	s.saw = otherwise(saw[0], saw[1])
	a.sections = append(a.sections, s)
}

// otherwise are the cases of which two runs of wstestee print what is not the same.
func otherwise(was, is string) []divergence {
	now := map[string]string{}
	for line := range strings.Lines(is) {
		id, what, _ := strings.Cut(strings.TrimSpace(line), " ")
		now[id] = what
	}
	var out []divergence
	for line := range strings.Lines(was) {
		if id, what, _ := strings.Cut(strings.TrimSpace(line), " "); now[id] != what {
			out = append(out, divergence{id, "replayed", what, now[id]})
		}
	}
	return out
}

// A suiteRun is what a run of the suite printed, and how long it took.
type suiteRun struct {
	outcome
	took time.Duration
}

// suite runs argv in one of the ways. Whether what is wrong is said in the suite's
// verdicts: a replay that misses exits with 97.
func (r *rig) suite(way string, argv ...string) suiteRun {
	r.t.Helper()
	if verb, ok := map[string]string{"recorded": "record", "replayed": "replay"}[way]; ok {
		argv = append([]string{built.serge, verb, "autobahn", "--"}, argv...)
	}
	var stdout, stderr bytes.Buffer
	cmd := r.net.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = r.dir, &stdout, &stderr
	cmd.Env = append(cmd.Env, "CI=", "NO_COLOR=1", "SERGE_UPSTREAM_CA="+r.net.CAFile, "HOME="+r.dir)
	start := time.Now()
	err := cmd.Run()
	if code := cmd.ProcessState.ExitCode(); err != nil && code != exitMissed {
		r.t.Fatalf("%s: %v\n%.2000s\n%s", way, err, stdout.String(), stderr.String())
	}
	r.t.Logf("%s: %s\n%.3000s", way, time.Since(start).Round(time.Second), stderr.String())
	return suiteRun{outcome{stdout.String(), stderr.String(), 0}, time.Since(start)}
}

// spec writes a specification for the suite.
func (r *rig) spec(name string, v any) string {
	r.t.Helper()
	b, err := json.Marshal(v)
	file := filepath.Join(r.dir, name+".json")
	if err = errors.Join(err, os.WriteFile(file, b, 0o644)); err != nil {
		r.t.Fatal(err)
	}
	return file
}

// verdicts reads those that the suite wrote to dir.
func (r *rig) verdicts(dir string) map[string]judgement {
	r.t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "index.json"))
	var all map[string]map[string]judgement
	if err = errors.Join(err, json.Unmarshal(b, &all)); err != nil || len(all) != 1 {
		r.t.Fatalf("verdicts of %d programs: %v", len(all), err)
	}
	for _, v := range all {
		return v
	}
	return nil
}

// cases are those that are run: by default, of the groups of 12 and 13, a thousand messages a
// case, those of 16 and of 8192 bytes.
func cases() []string {
	if *autobahnCases != "" {
		return strings.Split(*autobahnCases, ",")
	}
	all := []string{"1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"}
	for group, n := range map[int]int{12: 5, 13: 7} {
		for i := range n {
			for _, size := range []int{1, 6} {
				all = append(all, fmt.Sprintf("%d.%d.%d", group, i+1, size))
			}
		}
	}
	slices.SortFunc(all, byNumbers)
	return all
}

// echoes serves gorilla's WebSocket at addr: it says again what it hears.
func (r *rig) echoes(addr string) {
	r.t.Helper()
	l, err := r.net.Listen("tcp", addr)
	if err != nil {
		r.t.Fatal(err)
	}
	up := websocket.Upgrader{EnableCompression: true}
	var open sync.WaitGroup
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		c, err := up.Upgrade(w, req, nil)
		if err != nil {
			return // it has answered
		}
		open.Go(func() { echo(c) })
	})}
	open.Go(func() { _ = s.Serve(l) })
	r.t.Cleanup(func() {
		s.Close()
		open.Wait()
	})
}

// echo says again what c says. That a text is one is for the program to see to.
func echo(c *websocket.Conn) {
	defer c.Close()
	for {
		t, b, err := c.ReadMessage()
		if err != nil {
			return
		}
		if t == websocket.TextMessage && !utf8.Valid(b) {
			_ = c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseInvalidFramePayloadData, ""))
			return
		}
		if c.WriteMessage(t, b) != nil {
			return
		}
	}
}

// pythonEchoes is echoes with Python's websockets.
func (r *rig) pythonEchoes(addr string) {
	r.t.Helper()
	const server = `
import asyncio, logging, sys, websockets
logging.disable() # that a peer breaks the protocol is what is tested
async def echo(ws, path=None):
    async for m in ws:
        await ws.send(m)
async def main():
    s = await websockets.serve(echo, "127.0.0.1", 0, max_size=None, ping_interval=None)
    print(s.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
asyncio.run(main())
`
	line := r.origin(debianPython, "-c", server)
	r.bridge(addr, "127.0.0.1:"+line)
}

// origin runs a server on this host until the test ends, and returns the first
// line that it prints. It ends with its standard input.
func (r *rig) origin(argv ...string) string {
	r.t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			r.t.Error(err)
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// freePort is a port of this host that nothing listens on.
func (r *rig) freePort() string {
	r.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	return port
}

// fuzzingServer runs the suite's, reached at port of WWW, until stop.
func (r *rig) fuzzingServer(name, out, port string) (stop func()) {
	r.t.Helper()
	local := net.JoinHostPort("127.0.0.1", port)
	spec := r.spec(name, map[string]any{"url": "ws://" + local, "outdir": out, "cases": cases()})
	cmd := exec.Command(*wstest, "-m", "fuzzingserver", "-u", "0", "-s", spec)
	cmd.Dir = r.dir
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	end := sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // that it was killed
	})
	r.t.Cleanup(end)
	unbridge := r.bridge(net.JoinHostPort(testnet.Lookup(testnet.WWW).V4.String(), port), local)
	deadline := time.Now().Add(20 * time.Second)
	for {
		c, err := net.Dial("tcp", local)
		if err == nil {
			c.Close()
			break
		}
		if time.Now().After(deadline) {
			r.t.Fatal("the suite's server does not listen")
		}
		time.Sleep(50 * time.Millisecond) // it says nothing when it does
	}
	return func() {
		unbridge()
		end()
	}
}
