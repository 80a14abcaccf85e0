package redirect

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// listenStates are TCP_LISTEN, and what a UDP socket has that is not connected.
const listenStates = 1<<10 | 1<<7

// TestDiag finds sockets of this process, and that they are its.
func TestDiag(t *testing.T) {
	d, err := openDiag()
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	path := filepath.Join(t.TempDir(), "sock")
	for _, c := range []struct {
		network, address string
		protocol         uint8
	}{{"tcp4", "127.0.0.1:0", unix.IPPROTO_TCP}, {"tcp6", "[::1]:0", unix.IPPROTO_TCP}} {
		l, err := net.Listen(c.network, c.address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		found(t, d, c.protocol, addrPort(l.Addr()))
	}
	u, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	found(t, d, unix.IPPROTO_UDP, u.LocalAddr().(*net.UDPAddr).AddrPort())
	for _, name := range []string{path, "@serge-test-diag"} {
		l, err := net.Listen("unix", name)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		all, err := d.unix()
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(all, func(s unixSocket) bool { return s.path == name && s.listens })
		if i < 0 || socketOwner(all[i].inode) != os.Getpid() {
			t.Errorf("nobody listens on %s, or it is not us", name)
		}
	}
}

// found fails unless d knows the socket at addr, and that it is ours.
func found(t *testing.T, d *diag, protocol uint8, addr netip.AddrPort) {
	t.Helper()
	all, err := d.inet(protocol, listenStates)
	if err != nil {
		t.Fatal(err)
	}
	own, err := ownCgroup()
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(own, &st); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(s inetSocket) bool { return s.local == addr })
	if i < 0 {
		t.Fatalf("sock_diag does not know %s", addr)
	}
	if s := all[i]; socketOwner(s.inode) != os.Getpid() || s.cgroup != st.Ino || s.remote.Port() != 0 {
		t.Errorf("%s: %+v of process %d; want ours, cgroup %d", addr, s, socketOwner(s.inode), st.Ino)
	}
}

// FuzzDiag reads what never is past the end of an answer.
func FuzzDiag(f *testing.F) {
	f.Add(make([]byte, 100))
	f.Add([]byte{20, 0, 0, 0, 3, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		each := func(b []byte) { parseInet(b); parseUnix(b) }
		each(b)
		eachMessage(b, each)
	})
}
