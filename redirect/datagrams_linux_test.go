package redirect

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// pinnedTarget is one whose datagrams pass to some destinations, of which some are
// pinned.
func pinnedTarget(pass ...Pass) Target {
	return Target{Pass: pass, Pinned: []netip.Prefix{netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("fd5e:7267::/64")}}
}

// everyPinned sends to pinned destinations in every way that a socket can.
func everyPinned(t *testing.T, d *Diversion) {
	t.Helper()
	const v4, v6 = unix.AF_INET, unix.AF_INET6
	nameServer(t, d)
	serverOf(t, d, otherPorts)
	asks(t, d, []questionCase{
		{"connected", v4, true, []string{"198.18.0.1:123"}},
		{"unconnected", v4, false, []string{"198.18.0.1:123", "198.19.0.2:8125", "198.18.0.1:8125", "203.0.113.1:53"}},
		{"connected v6", v6, true, []string{"[fd5e:7267::1]:123"}},
		{"unconnected v6", v6, false, []string{"[fd5e:7267::1]:123", "[fd5e:7267::2]:8125", "[2001:db8::1]:53"}},
		{"connected mapped", v6, true, []string{"198.18.0.3:123"}},
		{"unconnected mapped and v6", v6, false, []string{"198.18.0.3:123", "[fd5e:7267::3]:123"}},
	})
}

// TestDatagramsPinned brings those to pinned destinations here, in every lane.
func TestDatagramsPinned(t *testing.T) {
	t.Run("ebpf", func(t *testing.T) {
		isolateRouted(t)
		t.Setenv(laneVariable, EBPF.String())
		everyPinned(t, diverted(t, pinnedTarget(Pass{})))
	})
	t.Run("iptables", func(t *testing.T) {
		eachWay(t, func(t *testing.T) {
			isolateRouted(t)
			everyPinned(t, diverted(t, pinnedTarget(Pass{})))
		})
	})
	eachNetWay(t, func(t *testing.T, way netWay) {
		if way.TCP != byTProxy { // which has no datagrams pass
			return
		}
		everyPinned(t, inNetns(t, pinnedTarget(Pass{}), way))
	})
}

// TestDatagramsByRule refuses at once, at the sender's socket, what may not pass.
func TestDatagramsByRule(t *testing.T) {
	target := pinnedTarget(Pass{Port: 123}, Pass{To: netip.MustParsePrefix("198.18.0.7/32")}, Pass{To: netip.MustParsePrefix("fd5e:7267::7/128"), Port: 8125})
	const v4, v6 = unix.AF_INET, unix.AF_INET6
	cases := []questionCase{
		{"a port", v4, true, []string{"198.18.0.1:123"}},
		{"a port over IPv6", v6, true, []string{"[fd5e:7267::1]:123"}},
		{"an address", v4, false, []string{"198.18.0.7:1", "198.18.0.7:9999"}},
		{"an address and a port", v6, false, []string{"[fd5e:7267::7]:8125"}},
		{"another port", v4, false, []string{"198.18.0.1:8125"}},
		{"another port of an address", v6, false, []string{"[fd5e:7267::7]:8126"}},
		{"another address", v6, false, []string{"[fd5e:7267::8]:8125"}},
		{"QUIC", v4, false, []string{"198.18.0.7:443"}},
	}
	refused := []Escape{
		escape("udp", netip.MustParseAddrPort("198.18.0.1:8125"), "datagram", 1), escape("udp", netip.MustParseAddrPort("[fd5e:7267::7]:8126"), "datagram", 1),
		escape("udp", netip.MustParseAddrPort("[fd5e:7267::8]:8125"), "datagram", 1), escape("udp", netip.MustParseAddrPort("198.18.0.7:443"), "quic", 1),
	}
	hold := func(t *testing.T, d *Diversion) {
		serverOf(t, d, otherPorts)
		got := told(t, d, cases)
		for i, c := range cases {
			want := c.want()
			if i >= len(cases)-len(refused) {
				want = questionResult{Name: c.Name, Answers: map[string]string{}, Err: unix.EPERM.Error()}
			}
			if diff := cmp.Diff(want, got[i]); diff != "" {
				t.Errorf("answers (-want +got):\n%s", diff)
			}
		}
		escapes, err := d.Escapes()
		if diff := cmp.Diff(refused, escapes, byDestination()...); diff != "" || err != nil {
			t.Errorf("Escapes: %v (-want +got):\n%s", err, diff)
		}
	}
	for _, lane := range []Lane{EBPF, IPTables} {
		t.Run(lane.String(), func(t *testing.T) {
			isolateRouted(t)
			t.Setenv(laneVariable, lane.String())
			hold(t, diverted(t, target))
		})
	}
	t.Run("netns", func(t *testing.T) {
		isolate(t)
		hold(t, inNetns(t, target, netWays()[0]))
	})
}

// TestNarrowed holds what of a rule concerns some prefixes.
func TestNarrowed(t *testing.T) {
	p := netip.MustParsePrefix
	pins := []netip.Prefix{p("198.18.0.0/15"), p("fd5e:7267::/64")}
	for _, c := range []struct {
		name string
		pass Pass
		want []Pass
	}{
		{"all", Pass{}, []Pass{{To: pins[0]}, {To: pins[1]}}},
		{"a port", Pass{Port: 5}, []Pass{{pins[0], 5}, {pins[1], 5}}},
		{"wider", Pass{To: p("0.0.0.0/0")}, []Pass{{To: pins[0]}}},
		{"the same", Pass{To: pins[1], Port: 1}, []Pass{{pins[1], 1}}},
		{"within", Pass{To: p("198.19.1.0/24"), Port: 5}, []Pass{{p("198.19.1.0/24"), 5}}},
		{"elsewhere", Pass{To: p("10.0.0.0/8")}, nil},
	} {
		if d := cmp.Diff(c.want, narrowed([]Pass{c.pass}, pins), cmp.Comparer(func(a, b Pass) bool { return a == b })); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
	}
}

// TestDatagramsSlots is more IPv6 destinations than can be told apart: those beyond
// are refused, and QUIC and name servers are not.
func TestDatagramsSlots(t *testing.T) {
	isolateRouted(t)
	t.Setenv(laneVariable, EBPF.String())
	target := pinnedTarget(Pass{})
	target.QUIC = true
	d := diverted(t, target)
	nameServer(t, d)
	serverOf(t, d, quicPort)
	serverOf(t, d, otherPorts)
	var cases []questionCase
	for i := range 14 {
		cases = append(cases, questionCase{"", unix.AF_INET6, true, []string{fmt.Sprintf("[fd5e:7267::%x]:123", i+1)}})
	}
	cases = append(cases, questionCase{"", unix.AF_INET6, true, []string{"[fd5e:7267::1]:443"}}, questionCase{"", unix.AF_INET6, true, []string{"[2001:db8::53]:53"}})
	got := told(t, d, cases)
	for i, r := range got {
		want := ""
		if i == 12 || i == 13 {
			want = unix.EPERM.Error()
		}
		if r.Err != want {
			t.Errorf("destination %d: %q; want %q", i, r.Err, want)
		}
	}
}

// TestDatagramsSource holds that getsockname of a diverted socket tells what it
// does without us: what libc sorts addresses by.
func TestDatagramsSource(t *testing.T) {
	isolateRouted(t)
	t.Setenv(laneVariable, EBPF.String())
	want := "192.0.2.1\n192.0.2.1\n2001:db8:ffff::1\n2001:db8:ffff::1\n::ffff:192.0.2.1\n::ffff:192.0.2.1\n"
	if out, _ := output(t, diverted(t, pinnedTarget(Pass{})), self(t, "source")...); out != want {
		t.Errorf("sockets are bound to %q; want %q", out, want)
	}
}

// sourceRole prints where sockets of it send from, that are connected by UDP to
// pinned destinations and to name servers.
func sourceRole([]string) int {
	for _, to := range []struct {
		family int
		addr   string
	}{{unix.AF_INET, "198.18.0.1"}, {unix.AF_INET6, "fd5e:7267::1"}, {unix.AF_INET6, "198.18.0.1"}} {
		for _, port := range []uint16{123, 53} {
			fd, err := unix.Socket(to.family, unix.SOCK_DGRAM, 0)
			if err == nil {
				err = unix.Connect(fd, sockaddr(to.family, netip.AddrPortFrom(netip.MustParseAddr(to.addr), port)))
			}
			if err != nil {
				fmt.Println(err)
				return 1
			}
			from, err := unix.Getsockname(fd)
			if err != nil {
				fmt.Println(err)
				return 1
			}
			fmt.Println(fromSockaddr(from).Addr())
		}
	}
	return 0
}
