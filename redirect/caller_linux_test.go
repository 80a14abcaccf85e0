package redirect

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/serge-net/serge-net/exchange"
)

// TestCallers finds this process behind its own connections.
func TestCallers(t *testing.T) {
	d, err := openDiag()
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	for _, c := range []struct {
		name, network, address string
		targets                []int
		pid                    int
	}{
		{"v4", "tcp4", "127.0.0.1:0", []int{1, os.Getpid()}, os.Getpid()},
		{"v6", "tcp6", "[::1]:0", []int{os.Getpid()}, os.Getpid()},
		{"another's", "tcp4", "127.0.0.1:0", nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := net.Listen(c.network, c.address)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			conn, err := net.Dial(c.network, l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			find := &callers{diag: d}
			find.watch(func([]int) []int { return c.targets })
			for range 2 { // from all targets, and from the recent ones
				got := find.find(unix.IPPROTO_TCP, addrPort(conn.LocalAddr()), addrPort(conn.RemoteAddr()))
				want := exchange.Caller{PID: c.pid, UID: os.Getuid(), Cgroup: got.Cgroup}
				if c.pid != 0 {
					want.Command = commandName(c.pid)
				}
				if got != want {
					t.Errorf("%+v; want %+v", got, want)
				}
			}
		})
	}
	if got := (&callers{diag: d}).find(unix.IPPROTO_TCP, netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2")); got != (exchange.Caller{}) {
		t.Errorf("of no connection: %+v; want none", got)
	}
}
