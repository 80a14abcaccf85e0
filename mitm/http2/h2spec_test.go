package http2

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	diff "github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/exchange"
)

var h2specTable = flag.String("write", "", "file to write TestH2spec's table to")

// h2specPackage is the suite; its version is in testdata/h2spec/go.mod.
const h2specPackage = "github.com/summerwind/h2spec/cmd/h2spec"

// argued are the cases of h2spec that Serve fails on purpose, and why.
var argued = map[string]string{}

// TestH2spec runs the conformance suite against Serve, and against net/http in
// the same minute. A case that Serve fails has to be argued here; one that
// net/http fails tells how the suite itself fares.
func TestH2spec(t *testing.T) {
	suite := filepath.Join(t.TempDir(), "h2spec")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", suite, h2specPackage)
	build.Dir = filepath.Join("testdata", "h2spec")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", h2specPackage, err, out)
	}
	lent := httptest.NewTLSServer(nil)
	defer lent.Close()
	secure := &tls.Config{Certificates: lent.TLS.Certificates, NextProtos: []string{"h2"}}
	runs := []*h2specRun{
		{name: "Serve, TLS", addr: played(t, secure, greet), args: []string{"-t", "-k"}},
		{name: "Serve, h2c", addr: played(t, nil, greet)},
		{name: "net/http, TLS", addr: standard(t, secure), args: []string{"-t", "-k"}},
		{name: "net/http, h2c", addr: standard(t, nil)},
	}
	var wg sync.WaitGroup
	for _, r := range runs {
		wg.Go(func() { r.run(t, suite) })
	}
	wg.Wait()
	for _, r := range runs[:2] {
		for _, c := range r.cases {
			if c.failed && argued[c.name] == "" {
				t.Errorf("%s fails %s: %s", r.name, c.name, c.detail)
			}
		}
	}
	var names [2][]string
	for i, r := range []*h2specRun{runs[0], runs[2]} {
		for _, c := range r.cases {
			names[i] = append(names[i], c.name)
		}
	}
	if d := diff.Diff(names[1], names[0]); d != "" || len(names[0]) < 140 {
		t.Errorf("%d cases; not the same as with net/http:\n%s", len(names[0]), d)
	}
	if *h2specTable != "" {
		if err := os.WriteFile(*h2specTable, []byte(h2specReport(runs)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// An h2specRun is the suite against one server.
type h2specRun struct {
	name, addr string
	args       []string
	cases      []h2specCase
}

// An h2specCase is one of the suite's cases and how it went.
type h2specCase struct {
	name, detail string
	failed       bool
}

// run runs suite in parts, as much of its time is waiting.
func (r *h2specRun) run(t *testing.T, suite string) {
	parts := [][]string{{"generic", "hpack"}, {"http2/3", "http2/4", "http2/5"}, {"http2/6"}, {"http2/7", "http2/8"}}
	cases := make([][]h2specCase, len(parts))
	var wg sync.WaitGroup
	for i, part := range parts {
		wg.Go(func() { cases[i] = r.runPart(t, suite, part) })
	}
	wg.Wait()
	r.cases = slices.Concat(cases...)
}

// runPart runs the sections of part, and reads the report.
func (r *h2specRun) runPart(t *testing.T, suite string, part []string) (cases []h2specCase) {
	host, port, err := net.SplitHostPort(r.addr)
	if err != nil {
		t.Error(err)
		return nil
	}
	report := filepath.Join(t.TempDir(), "junit.xml")
	args := slices.Concat([]string{"-S", "-h", host, "-p", port, "-j", report}, r.args, part)
	out, _ := exec.CommandContext(t.Context(), suite, args...).CombinedOutput() // fails if a case does
	raw, err := os.ReadFile(report)
	if err != nil {
		t.Errorf("%s: %v\n%s", r.name, err, out)
		return nil
	}
	var all struct {
		Suites []struct {
			Cases []struct {
				Package string  `xml:"package,attr"`
				Name    string  `xml:"classname,attr"`
				Failure *string `xml:"failure"`
				Error   *string `xml:"error"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(raw, &all); err != nil {
		t.Errorf("%s: %v", r.name, err)
		return nil
	}
	for _, s := range all.Suites {
		for _, c := range s.Cases {
			detail := cmp.Or(c.Failure, c.Error)
			cases = append(cases, h2specCase{name: c.Package + ": " + c.Name, failed: detail != nil})
			if detail != nil {
				cases[len(cases)-1].detail = strings.Join(strings.Fields(*detail), " ")
			}
		}
	}
	return cases
}

// h2specReport is the runs as docs/h2spec.md.
func h2specReport(runs []*h2specRun) string {
	var b strings.Builder
	fmt.Fprintf(&b, h2specIntro, time.Now().UTC().Format(time.DateOnly), runtime.Version())
	fmt.Fprint(&b, "| server | cases | passed | failed |\n|---|---|---|---|\n")
	outcomes := map[string][]string{}
	for i, r := range runs {
		failed := 0
		for _, c := range r.cases {
			if outcomes[c.name] == nil {
				outcomes[c.name] = slices.Repeat([]string{"passed"}, len(runs))
			}
			if c.failed {
				failed++
				outcomes[c.name][i] = "failed"
			}
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d |\n", r.name, len(r.cases), len(r.cases)-failed, failed)
	}
	fmt.Fprint(&b, "\n## Cases that one of them fails\n\n| case |")
	for _, r := range runs {
		fmt.Fprintf(&b, " %s |", r.name)
	}
	fmt.Fprint(&b, " argued |\n|---|---|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(outcomes)) {
		if slices.Contains(outcomes[name], "failed") {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", name, strings.Join(outcomes[name], " | "), argued[name])
		}
	}
	return b.String()
}

// h2specIntro begins docs/h2spec.md.
const h2specIntro = `# HTTP/2 conformance

What [h2spec](https://github.com/summerwind/h2spec) 2.2.1 in its strict mode says of the server that replays HTTP/2, and in the same
minute of net/http's. Written by ` + "`make conformance`" + ` on %s with %s. ` + "`make test`" + ` runs it too and fails on a case that ours fails
and that is not argued here. Some of net/http's outcomes are a matter of timing.

`

// greet answers every request that ends.
func greet(e exchange.Event, answer func(exchange.Event) error) error {
	if e.Kind != exchange.KindEnd {
		return nil
	}
	for _, a := range []exchange.Event{head(200, "content-type", "text/plain"), data("hello, h2spec"), ended(exchange.Complete)} {
		if err := answer(a); err != nil {
			return err
		}
	}
	return nil
}

// played serves play at the address it returns for as long as the test runs,
// in TLS if there is a conf.
func played(t testing.TB, conf *tls.Config, play Play) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				if conf == nil {
					Serve(ctx, conn, "http", play)
					return
				}
				c := tls.Server(conn, conf)
				if err := c.HandshakeContext(ctx); err != nil {
					c.Close()
					return
				}
				Serve(ctx, c, "https", play)
			})
		}
	})
	t.Cleanup(func() { ln.Close(); cancel(); wg.Wait() })
	return ln.Addr().String()
}

// standard serves the same with net/http.
func standard(t testing.TB, conf *tls.Config) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			io.WriteString(w, "hello, h2spec")
		}),
		ErrorLog: log.New(io.Discard, "", 0), Protocols: new(http.Protocols),
	}
	s.Protocols.SetHTTP2(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	var wg sync.WaitGroup
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil { // unlike Close it waits for its goroutines
			t.Error(err)
		}
		wg.Wait()
	})
	if conf == nil {
		wg.Go(func() { s.Serve(ln) })
		return ln.Addr().String()
	}
	s.TLSConfig = conf.Clone()
	wg.Go(func() { s.ServeTLS(ln, "", "") })
	return ln.Addr().String()
}
