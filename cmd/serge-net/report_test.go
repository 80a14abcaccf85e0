package main

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/mitm"
)

// noPID is a pid that no process has: above PID_MAX_LIMIT, proc(5).
const noPID = 1<<22 + 42

// api is an origin of tests.
func api() exchange.Origin {
	return exchange.Origin{
		Addr: netip.MustParseAddrPort("198.18.0.1:443"), SNI: "api.example.com", TLS: true,
		Caller: exchange.Caller{PID: noPID, Command: "curl"},
	}
}

// TestTrouble says each kind of trouble once, and at the end how often it came.
func TestTrouble(t *testing.T) {
	cause := errors.New("cause")
	for _, c := range []struct {
		cause  mitm.Cause
		want   string
		broken bool
	}{
		{mitm.Unreachable, "origin: api.example.com:443: cause", false},
		{mitm.Untrusted, "origin: api.example.com:443: cause\n  the client was refused too; to trust its CA: --upstream-ca FILE; to trust anybody: --upstream-insecure", false},
		{mitm.Rejected, "rejected: curl (pid 4194346) does not trust serge-net's certificate for api.example.com:443: cause\n  leave out cacert and pinnedpubkey in its .curlrc\n  to let it pass unrecorded: --bypass api.example.com", false},
		{mitm.Opaque, "not recorded: api.example.com:443 by curl (pid 4194346): cause", false},
		{mitm.Unrecorded, "not recorded: cause\n  the command goes on; what was recorded until then stays readable", true},
	} {
		var out strings.Builder
		r := newReport(&out, true)
		r.trouble(mitm.Trouble{Cause: c.cause, Origin: api(), Err: cause})
		r.trouble(mitm.Trouble{Cause: c.cause, Origin: api(), Err: cause})
		r.again()
		first, _, _ := strings.Cut(c.want, "\n")
		want := "serge-net: " + c.want + "\nserge-net: 2 times: " + first + "\n"
		if d := cmp.Diff(want, out.String()); d != "" {
			t.Errorf("cause %v (-want +got):\n%s", c.cause, d)
		}
		if got := r.incomplete(); got != c.broken {
			t.Errorf("cause %v: incomplete %v; want %v", c.cause, got, c.broken)
		}
	}
}

// TestReport has quiet leave out what needs no attention, and hostile text drive
// no terminal.
func TestReport(t *testing.T) {
	for _, quiet := range []bool{false, true} {
		var out strings.Builder
		r := newReport(&out, quiet)
		r.sayf("record %s", "a")
		r.warnf("\x1b[2J%s", "b")
		r.miss(&exchange.Miss{Cassette: "c", Method: "GET", URL: "http://a.example/"})
		r.end(served{exact: 2, assumed: 1, unused: 3, isolation: ", 4 escaped; isolated: yes", assumptions: []string{"one", "one", "two"}}, 1234*time.Millisecond)
		want := "serge-net: \\x1b[2Jb\n" +
			"serge-net: miss: GET http://a.example/\n  to record: serge-net run --mode new --cassette c -- …\n"
		end := "serge-net: assumed: one, 2 times\nserge-net: assumed: two\n"
		if quiet {
			want += end
		} else {
			want = "serge-net: record a\n" + want +
				"serge-net: 3 served (2 exact, 1 assumed), 1 missed, 3 unused, 4 escaped; isolated: yes; 1.2 s\n" + end
		}
		if d := cmp.Diff(want, out.String()); d != "" {
			t.Errorf("quiet %v (-want +got):\n%s", quiet, d)
		}
	}
}

// TestExitCode prints an error as a person reads it, and returns its code.
func TestExitCode(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
		want string
	}{
		{nil, 0, ""},
		{&exit{Code: 97}, 97, ""},
		{&exit{exitNotFound, errors.New("run x: no such command")}, 127, "serge-net: error: run x: no such command\n"},
		{errors.New("serge-net: why"), 125, "serge-net: error: why\n"},
		{hint(errors.New("a"), "do %s", "b"), 125, "serge-net: error: a\nserge-net: hint: do b\n"},
		{errors.New("a\x07\nb"), 125, "serge-net: error: a\\a\nb\n"},
	} {
		var out strings.Builder
		if got := exitCode(c.err, &out); got != c.code || out.String() != c.want {
			t.Errorf("exitCode(%v) = %d, says %q; want %d, %q", c.err, got, out.String(), c.code, c.want)
		}
	}
}
