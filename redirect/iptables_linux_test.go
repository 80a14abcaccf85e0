package redirect

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// isolateRouted is isolate with default routes, to a neighbour that never
// answers: the iptables lane diverts only what has a route.
func isolateRouted(t *testing.T) {
	t.Helper()
	t.Setenv(laneVariable, IPTables.String())
	isolate(t)
	addRoutes(t)
}

// addRoutes gives this network namespace default routes to a device nobody
// listens on.
func addRoutes(t *testing.T) {
	t.Helper()
	addNeighbour(t)
	run(t, `ip route add default via 192.0.2.2
ip addr add 2001:db8:ffff::1/64 dev dev0 nodad
ip neigh add 2001:db8:ffff::2 lladdr 02:00:00:00:00:02 dev dev0
ip route add default via 2001:db8:ffff::2`)
}

func TestIPTablesSockets(t *testing.T) {
	isolateRouted(t)
	local := localServer(t)
	const v4, v6 = unix.AF_INET, unix.AF_INET6
	cases := []socketCase{
		{Name: "v4", Family: v4, Dst: "203.0.113.1:80"},
		{Name: "v6", Family: v6, Dst: "[2001:db8::1]:80"},
		{Name: "mapped", Family: v6, Mapped: true, Dst: "203.0.113.2:80"},
		{Name: "v6only", Family: v6, V6Only: true, Dst: "[2001:db8::2]:80"},
		{Name: "v4 non-blocking", Family: v4, Async: true, Dst: "203.0.113.3:80"},
		{Name: "v6 non-blocking", Family: v6, Async: true, Dst: "[2001:db8::3]:80"},
		{Name: "source port", Family: v4, Source: true, Dst: "203.0.113.5:80"},
		{Name: "dns over tcp", Family: v4, Dst: "203.0.113.6:53"},
		{Name: "dns over tcp to a local resolver", Family: v4, Dst: "127.0.0.53:53"},
		{Name: "the host's own address", Family: v4, Dst: "192.0.2.1:80"},
		{Name: "loopback port", Family: v4, Dst: "127.0.0.1:7777"},
		{Name: "loopback port by v6", Family: v6, Dst: "[::1]:7777"},
		{Name: "loopback", Family: v4, Dst: fmt.Sprintf("127.0.0.1:%d", local.Port())},
		{Name: "unspecified", Family: v4, Dst: fmt.Sprintf("0.0.0.0:%d", local.Port())},
		{Name: "loopback mapped", Family: v6, Mapped: true, Dst: fmt.Sprintf("127.0.0.1:%d", local.Port())},
		{Name: "other local :53", Family: v4, Dst: "127.0.0.54:53", Errno: unix.ECONNREFUSED},
	}
	d := diverted(t, Target{
		Except:    []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
		Loopback:  []uint16{7777},
		Resolvers: []netip.Addr{netip.MustParseAddr("127.0.0.53")},
	})
	echo(t, d)
	in, _ := json.Marshal(cases)
	out, _ := output(t, d, self(t, "dial", string(in))...)
	var got, want []socketResult
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, c := range cases {
		want = append(want, c.want(local))
	}
	for i := range got {
		if dst, command, ok := strings.Cut(got[i].Said, " "); ok {
			if got[i].Said = dst; command != commandName(os.Getpid()) {
				t.Errorf("%s: caller %q; want %q", got[i].Name, command, commandName(os.Getpid()))
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("connected (-want +got):\n%s", diff)
	}
	// Our own server is no stranger, and a refused connect no use.
	if used, err := d.Local(); err != nil || len(used) != 0 {
		t.Errorf("Local() = %+v, %v; want none", used, err)
	}
}

// ways are the two by which the rules tell the target. By group is what is left
// where the cgroups are read-only.
func eachWay(t *testing.T, test func(t *testing.T)) {
	t.Run("by cgroup", test)
	t.Run("by group", func(t *testing.T) {
		requireRoot(t)
		runtime.LockOSThread() // never unlocked
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			t.Fatal(err)
		}
		run(t, "mount --make-rslave /; "+hideCgroups)
		test(t)
	})
}

// hideCgroups makes every cgroup v2 mount read-only.
const hideCgroups = `for m in $(awk '$3=="cgroup2"{print $2}' /proc/thread-self/mounts); do mount -o remount,bind,ro $m; done`

func TestIPTablesQuestions(t *testing.T) {
	eachWay(t, func(t *testing.T) {
		isolateRouted(t)
		const v4, v6 = unix.AF_INET, unix.AF_INET6
		cases := []questionCase{
			{"connected", v4, true, []string{"203.0.113.1:53"}},
			{"unconnected", v4, false, []string{"203.0.113.1:53", "203.0.113.2:53", "198.51.100.1:53"}},
			{"connected v6", v6, true, []string{"[2001:db8::1]:53"}},
			{"unconnected v6", v6, false, []string{"[2001:db8::1]:53", "[2001:db8::2]:53"}},
			{"connected mapped", v6, true, []string{"203.0.113.3:53"}},
			{"unconnected mapped and v6", v6, false, []string{"203.0.113.3:53", "[2001:db8::9]:53"}},
			{"local resolver", v4, true, []string{"127.0.0.53:53"}},
			{"local resolver v6", v6, false, []string{"[::1]:53"}},
			{"excepted resolver", v4, false, []string{"10.0.0.2:53"}},
		}
		d := diverted(t, Target{
			Except:    []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
			Resolvers: []netip.Addr{netip.MustParseAddr("127.0.0.53"), netip.MustParseAddr("::1"), netip.MustParseAddr("10.0.0.2")},
		})
		nameServer(t, d)
		asks(t, d, cases)
	})
}

func TestIPTablesRefused(t *testing.T) {
	udp443, udp123, tcp80 := netip.MustParseAddrPort("192.0.2.2:443"), netip.MustParseAddrPort("192.0.2.2:123"), netip.MustParseAddrPort("192.0.2.2:80")
	everywhere := netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	for _, c := range []struct {
		name              string
		hermetic, counted bool // counted: by the rules' own counters
		out               string
		escapes           []Escape
	}{
		{"quic", false, false, "true\ntrue\ntrue\nfalse\n", []Escape{escape("udp", udp123, "passed", 1), escape("udp", udp443, "quic", 3)}},
		{"hermetic", true, false, "true\ntrue\ntrue\ntrue\nfalse\n",
			[]Escape{escape("tcp", tcp80, "hermetic", 1), escape("udp", udp123, "hermetic", 1), escape("udp", udp443, "hermetic", 3)}},
		{"hermetic without NFLOG", true, true, "true\ntrue\ntrue\ntrue\nfalse\n",
			[]Escape{escape("udp", netip.AddrPortFrom(everywhere.Addr(), 443), "hermetic", 3), escape("tcp", everywhere, "hermetic", 1), escape("ip", everywhere, "hermetic", 1)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachWay(t, func(t *testing.T) {
				isolateRouted(t)
				if c.counted {
					takeLogGroups(t)
				}
				target := Target{Hermetic: c.hermetic}
				if c.hermetic {
					target.Except = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
				}
				d := diverted(t, target)
				echo(t, d)
				out, _ := output(t, d, self(t, "packets")...)
				if !c.hermetic {
					out = out[:min(len(out), len(c.out))] // TCP is diverted
				}
				if out != c.out {
					t.Errorf("refused: %q; want %q", out, c.out)
				}
				got, err := d.Escapes()
				if diff := cmp.Diff(c.escapes, got, byDestination()...); diff != "" || err != nil {
					t.Errorf("Escapes (-want +got): %v\n%s", err, diff)
				}
				d.Close()
				if after, _ := d.Escapes(); len(after) != len(got) {
					t.Errorf("%d escapes after Close; want %d", len(after), len(got))
				}
			})
		})
	}
}

// takeLogGroups leaves no NFLOG group to the lane.
func takeLogGroups(t *testing.T) {
	t.Helper()
	fd, err := openNetfilter()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	for n := range logTries + 1 {
		if err := bindLog(fd, uint16(os.Getpid()+n)); err != nil {
			t.Fatal(err)
		}
	}
}
