package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"

	"github.com/serge-net/serge-net/redirect"
	"github.com/serge-net/serge-net/redirect/testnet"
)

// datagramClients are real programs that send UDP to host: Python asks for the
// time and counts, logger logs, and dig, which waits where it is refused, asks a
// name server that is not at port 53.
func (r *rig) datagramClients(host, more string, dig bool) []string {
	script := fmt.Sprintf("python3 %s %s %s; logger -n %s -P 514 -d hello 2>/dev/null", testdata(r.t, "clients/datagrams.py"), host, more, host)
	if dig {
		script += fmt.Sprintf("; dig +notcp +tries=1 +time=5 +short -p 5300 @%s %s", testnet.Lookup(testnet.NameServer).V4, testnet.WWW)
	}
	return []string{"sh", "-c", script + "; true"}
}

// testdata is the path of a file in testdata.
func testdata(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// left counts the datagrams that a capture saw leave, by their destination's port,
// but for DNS.
func left(c *testnet.Capture) map[uint16]int {
	ports := map[uint16]int{}
	for _, p := range c.Packets() {
		if p.Outbound && p.Proto == layers.IPProtocolUDP && p.Dst.Port() != 53 {
			ports[p.Dst.Port()]++
		}
	}
	return ports
}

const (
	timed  = "stratum 1, 0102030405060708"
	denied = "Operation not permitted"
)

// TestDatagrams passes UDP that is neither DNS nor QUIC while recording, to hosts by
// name and by address, refuses it in a replay, and does as --udp says, in each
// lane; and the report has it all.
func TestDatagrams(t *testing.T) {
	r := newRig(t)
	host := testnet.Lookup(testnet.TCP)
	all := map[uint16]int{123: 2, 8125: 6, 514: 1, 5300: 1}
	for _, lane := range redirect.Lanes() {
		for _, c := range []struct {
			name  string
			flags []string // after the command
			host  string
			more  string
			want  map[uint16]int
			out   map[string]int // how often it prints what
			said  []string
		}{
			{name: "recording, by name", flags: []string{"record", "c"}, host: host.Name, want: all, out: map[string]int{timed: 2, "8125 sent": 2, "203.0.113.10": 1},
				said: []string{"passed, not recorded: UDP to tcp.test.example:123 (NTP) once", "passed, not recorded: UDP to tcp.test.example:8125 (StatsD) 3 times", "passed, not recorded: UDP to tcp.test.example:514 (syslog) once",
					"passed, not recorded: UDP to 203.0.113.53:5300 once"}},
			{name: "recording, by name, connected", flags: []string{"record", "c"}, host: host.Name, more: "connected", want: all, out: map[string]int{timed: 2, "8125 sent": 2, "203.0.113.10": 1}},
			{name: "recording, by address", flags: []string{"record", "c"}, host: host.V4.String(), more: "connected", want: map[uint16]int{123: 1, 8125: 3, 514: 1, 5300: 1}, out: map[string]int{timed: 1},
				said: []string{"UDP to 203.0.113.18:123 (NTP) once", "UDP to 203.0.113.18:8125 (StatsD) 3 times"}},
			{name: "recording, by IPv6 address", flags: []string{"record", "c"}, host: host.V6.String(), want: map[uint16]int{123: 1, 8125: 3, 514: 1, 5300: 1}, out: map[string]int{timed: 1},
				said: []string{"UDP to [2001:db8:113::18]:123 (NTP) once"}},
			{name: "recording, refused", flags: []string{"record", "c", "--udp", "refuse"}, host: host.V4.String(), out: map[string]int{"123 " + denied: 1, "8125 " + denied: 1},
				said: []string{"escaped: UDP to 203.0.113.18:8125 (StatsD) refused", "--udp does not let it pass", "escaped: UDP to 203.0.113.18:514 (syslog) refused"}},
			{name: "recording, some", flags: []string{"record", "c", "--udp", "123,203.0.113.18:514"}, host: host.V4.String(), want: map[uint16]int{123: 1, 514: 1}, out: map[string]int{timed: 1, "8125 " + denied: 1},
				said: []string{"passed, not recorded: UDP to 203.0.113.18:123 (NTP) once", "escaped: UDP to 203.0.113.18:8125 (StatsD) refused"}},
			{name: "replay", flags: []string{"replay", "empty"}, host: host.V4.String(), out: map[string]int{"123 " + denied: 1},
				said: []string{"escaped: UDP to 203.0.113.18:123 (NTP) refused", "isolated: yes", "--udp 203.0.113.18:123"}},
			{name: "replay, some pass by name", flags: []string{"replay", "empty", "--udp", "tcp.test.example:8125"}, host: host.Name, want: map[uint16]int{8125: 3}, out: map[string]int{"123 " + denied: 1, "8125 sent": 1},
				said: []string{"passed, not recorded: UDP to tcp.test.example:8125 (StatsD) 3 times", "isolated: no"}},
		} {
			t.Run(lane.String()+"/"+c.name, func(t *testing.T) {
				r := r.in(t, lane.String())
				r.cassette("empty")
				capture := r.net.Capture()
				o := r.serge(append(append(slices.Clone(c.flags), "--"), r.datagramClients(c.host, c.more, c.want[5300] > 0)...)...)
				if c.want == nil {
					c.want = map[uint16]int{}
				}
				if d := cmp.Diff(c.want, left(capture)); d != "" {
					t.Errorf("datagrams that left (-want +got):\n%s", d)
				}
				for text, n := range c.out {
					if got := strings.Count(o.stdout, text); got != n {
						t.Errorf("it prints %q %d times; want %d:\n%s", text, got, n, o.stdout)
					}
				}
				for _, text := range c.said {
					if !strings.Contains(o.stderr, text) {
						t.Errorf("the report has no %q:\n%s", text, o.stderr)
					}
				}
			})
		}
	}
}

// cassette makes one that has nothing in it.
func (r *rig) cassette(name string) {
	r.t.Helper()
	dir := filepath.Join(r.dir, "cassettes")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		r.t.Fatal(err)
	}
	text := fmt.Sprintf(`{"version": "1.0", "name": %q, "interactions": []}`, name)
	if err := os.WriteFile(filepath.Join(dir, name+".json"), []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// TestDatagramReport has programs told of datagrams too, with who sent them.
func TestDatagramReport(t *testing.T) {
	r := newRig(t)
	address := testnet.Lookup(testnet.TCP).V4.String()
	r.serge(append([]string{"record", "c", "--udp", "8125", "--report", "json=r.json", "--report", "junit=r.xml", "--"}, r.datagramClients(address, "", false)...)...)
	b, err := os.ReadFile(filepath.Join(r.dir, "r.json"))
	if err != nil {
		t.Fatal(err)
	}
	var a account
	if err := json.Unmarshal(b, &a); err != nil {
		t.Fatal(err)
	}
	type told struct{ Kind, To, Why, Use, By string }
	var got []told
	for _, e := range a.Escapes {
		one := told{e.Kind, e.To, e.Why, e.Use, ""}
		for _, s := range e.By {
			one.By += fmt.Sprintf("%s %d ", s.Process, s.Count)
			if s.PID == 0 {
				t.Errorf("%+v; want a pid", s)
			}
		}
		got = append(got, one)
	}
	want := []told{
		{"refused", "udp 203.0.113.18:123", "datagram", "NTP", "python3 1 "},
		// which tries twice
		{"refused", "udp 203.0.113.18:514", "datagram", "syslog", "logger 2 "},
		{"passed", "udp 203.0.113.18:8125", "", "StatsD", "python3 3 "},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("escapes (-want +got):\n%s", d)
	}
	b, err = os.ReadFile(filepath.Join(r.dir, "r.xml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`name="UDP to 203.0.113.18:8125 (StatsD) 3 times by python3`, `name="udp 203.0.113.18:123"`, `errors="2"`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("the JUnit report has no %s:\n%s", want, b)
		}
	}
}

// TestDatagramsUnprivileged passes datagrams for an ordinary user, in a namespace
// and by an agent that may not ask the kernel for names of processes.
func TestDatagramsUnprivileged(t *testing.T) {
	r := newRig(t)
	dig := []string{"dig", "+notcp", "+tries=1", "+time=5", "+short", "-p", "5300", "@" + testnet.NameServer, testnet.WWW}
	seat := r.seat(nobody, r.agent())
	for name, serge := range map[string]func(...string) outcome{"netns": r.inAs(t, "netns", nobody).serge, "agent": seat.serge} {
		o := serge(append([]string{"record", "c", "--"}, dig...)...)
		const want = "passed, not recorded: UDP to ns.test.example:5300 once by "
		if o.stdout != "203.0.113.10\n" || !strings.Contains(o.stderr, want) {
			t.Errorf("by %s it prints %q, and the report is\n%s\nwant an address and %q", name, o.stdout, o.stderr, want)
		}
	}
}
