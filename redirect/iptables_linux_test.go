package redirect

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// isolateRouted is isolate with default routes, to a neighbour that never
// answers: the iptables lane diverts only what has a route.
func isolateRouted(t *testing.T) {
	t.Helper()
	isolate(t)
	addNeighbour(t)
	run(t, `ip route add default via 192.0.2.2
ip addr add 2001:db8:ffff::1/64 dev dev0 nodad
ip neigh add 2001:db8:ffff::2 lladdr 02:00:00:00:00:02 dev dev0
ip route add default via 2001:db8:ffff::2`)
}

// byIPTables starts a diversion of the iptables lane that ends with the test.
func byIPTables(t *testing.T, target Target) *Diversion {
	t.Helper()
	target.Init = []string{asInit}
	d, err := Start(t.Context(), target, IPTables)
	if err != nil {
		t.Fatalf("Start(%+v): %v", target, err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return d
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
	d := byIPTables(t, Target{
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
	used, err := d.Local()
	want1 := Local{Network: "tcp", Dst: netip.MustParseAddrPort("127.0.0.54:53"), Count: 1} // our own server is no stranger
	if err != nil || len(used) != 1 || used[0] != want1 {
		t.Errorf("Local() = %+v, %v; want %+v", used, err, want1)
	}
}
