package main

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/redirect"
)

// sent is an outside of which nothing else is known.
func sent(all ...redirect.Escape) outside {
	return outside{sent: sendings(all, func(a netip.Addr) (string, bool) { return "time.example.com", a == netip.MustParseAddr("198.18.0.1") })}
}

// TestOutside holds what is said of each way beside us, with its remedy, and
// whether a run is isolated all the same.
func TestOutside(t *testing.T) {
	postgres := redirect.Local{Network: "tcp", Dst: netip.MustParseAddrPort("127.0.0.1:5432"), Process: "postgres", PID: 7, Count: 3}
	for _, c := range []struct {
		name     string
		o        outside
		lines    []string
		used     string
		isolated bool
	}{
		{name: "nothing", isolated: true},
		{name: "QUIC", o: sent(redirect.Escape{Protocol: "udp", Dst: netip.MustParseAddrPort("203.0.113.1:443"), Why: "quic", Count: 2}),
			lines: []string{"UDP to 203.0.113.1:443 (QUIC) refused 2 times: QUIC is not recorded; clients fall back to TCP\n" +
				"  one that does not: --quic record, or its own setting to leave HTTP/3 off"}, isolated: true},
		{name: "ICMP", o: sent(redirect.Escape{Protocol: "icmp", Dst: netip.MustParseAddrPort("203.0.113.1:0"), Why: "hermetic", Count: 1}),
			lines: []string{"ICMP to 203.0.113.1 refused once: nothing but loopback leaves this run\n" +
				"  what needs it cannot be replayed; to let it out: no --hermetic, and in a replay --on-miss passthrough"}, isolated: true},
		{name: "datagrams", o: sent(
			redirect.Escape{Protocol: "udp", Dst: netip.MustParseAddrPort("198.18.0.1:123"), Why: "hermetic", Count: 1, PID: 9, Process: "ntpdate"},
			redirect.Escape{Protocol: "udp", Dst: netip.MustParseAddrPort("203.0.113.1:8125"), Why: "datagram", Count: 1, PID: 7, Process: "node"},
			redirect.Escape{Protocol: "udp", Dst: netip.MustParseAddrPort("203.0.113.1:8125"), Why: "datagram", Count: 2, PID: 8, Process: "python3"},
			redirect.Escape{Protocol: "udp", Dst: netip.MustParseAddrPort("203.0.113.1:8125"), Why: "passed", Count: 5},
			redirect.Escape{Protocol: "udp", Dst: netip.MustParseAddrPort("224.0.0.251:5353"), Why: "lane", Count: 1}),
			lines: []string{
				"UDP to time.example.com:123 (NTP) refused once by ntpdate (pid 9): nothing but loopback leaves this run\n" +
					"  it cannot be replayed; to let it pass unrecorded: --udp time.example.com:123",
				"UDP to 203.0.113.1:8125 (StatsD) refused 3 times by python3 (pid 8), node (pid 7): --udp does not let it pass\n" +
					"  to let it pass unrecorded: --udp 203.0.113.1:8125",
				"UDP to 224.0.0.251:5353 (mDNS) refused once: it does not leave the command's network namespace\n" +
					"  to let it pass unrecorded: --backend ebpf"}, isolated: true},
		{name: "servers", o: outside{local: []redirect.Local{postgres,
			{Network: "udp", Dst: netip.MustParseAddrPort("[::1]:8125"), Count: 9},
			{Network: "unix", Path: "/run/user/0/bus", Process: "dbus-daemon", PID: 8, Count: 1}}},
			used: "127.0.0.1:5432 (postgres), UDP [::1]:8125 (an unknown process), /run/user/0/bus (dbus-daemon)", isolated: true},
		{name: "resident", o: outside{local: []redirect.Local{postgres,
			{Network: "tcp", Dst: netip.MustParseAddrPort("[::1]:4000"), Process: "java", PID: 9, Count: 1, Resident: "Gradle daemon", Hint: "stop it"}}},
			lines: []string{"[::1]:4000 (java, pid 9) is a Gradle daemon that does not belong to the command: what it does for it is not recorded\n  stop it"},
			used:  "127.0.0.1:5432 (postgres)"},
		{name: "vsock", o: outside{local: []redirect.Local{{Network: "vsock", Count: 2}}},
			lines: []string{"the command made 2 vsock sockets, which lead to the hypervisor or its guests: they are not seen\n" +
				"  to deny them: systemd-run -p RestrictAddressFamilies=~AF_VSOCK, or a container's seccomp profile"}},
		{name: "resolver", o: outside{open: []string{"/run/nscd/socket"}},
			lines: []string{"/run/nscd/socket could be asked for names, unseen: it is hidden only where a private mount namespace can be had\n" +
				"  stop it for the run, or see serge-net doctor"}},
		{name: "unknown", o: outside{err: errors.New("cause")}},
	} {
		if d := cmp.Diff(c.lines, c.o.lines()); d != "" {
			t.Errorf("%s: lines (-want +got):\n%s", c.name, d)
		}
		if d := cmp.Diff(c.used, c.o.used()); d != "" {
			t.Errorf("%s: used (-want +got):\n%s", c.name, d)
		}
		if got := c.o.isolated(); got != c.isolated {
			t.Errorf("%s: isolated %v; want %v", c.name, got, c.isolated)
		}
		if got := c.o.escaped(); got != len(c.lines) {
			t.Errorf("%s: escaped %d; want %d", c.name, got, len(c.lines))
		}
	}
}

// TestLaneName says which lane diverts, and why not those before it.
func TestLaneName(t *testing.T) {
	refused := []error{&redirect.LaneError{Lane: redirect.EBPF, Err: fmt.Errorf("%w: missing CAP_BPF", redirect.ErrUnsupported)}}
	if got, want := laneName("netns", refused), "netns; not ebpf: missing CAP_BPF"; got != want {
		t.Errorf("laneName = %q; want %q", got, want)
	}
	if got := laneName("ebpf", nil); got != "ebpf" {
		t.Errorf("laneName = %q; want ebpf", got)
	}
}
