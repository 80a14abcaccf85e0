package redirect

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// A socketCase is one way to connect. The role gets it as JSON.
type socketCase struct {
	Name   string
	Family int
	Mapped bool // IPv4 destination on an IPv6 socket
	V6Only bool
	Async  bool // non-blocking
	Device string
	Source bool // bound to a port of the role's choice
	Dst    string
	Errno  unix.Errno // what connect returns instead
}

// A socketResult is what the role saw.
type socketResult struct {
	Name, Peer, Said string
	Errno            unix.Errno
}

// dialRole connects in each of the ways in args[0] and prints what came of it.
func dialRole(args []string) int {
	var cases []socketCase
	if err := json.Unmarshal([]byte(args[0]), &cases); err != nil {
		fmt.Println(err)
		return 1
	}
	var results []socketResult
	for _, c := range cases {
		results = append(results, c.dial())
	}
	json.NewEncoder(os.Stdout).Encode(results)
	return 0
}

// sockaddr is dst for an IPv4 or an IPv6 socket.
func sockaddr(family int, dst netip.AddrPort) unix.Sockaddr {
	if family == unix.AF_INET {
		return &unix.SockaddrInet4{Port: int(dst.Port()), Addr: dst.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(dst.Port()), Addr: dst.Addr().As16()}
}

// fromSockaddr is the inverse of sockaddr; mapped addresses stay mapped.
func fromSockaddr(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

func (c socketCase) dial() (r socketResult) {
	r.Name = c.Name
	fd, err := unix.Socket(c.Family, unix.SOCK_STREAM, 0)
	if err == nil {
		defer unix.Close(fd)
		err = c.connect(fd)
	}
	if !errors.As(err, &r.Errno) && err != nil {
		r.Said = err.Error()
	}
	if err != nil {
		return r
	}
	if peer, err := unix.Getpeername(fd); err == nil {
		r.Peer = fromSockaddr(peer).String()
	}
	f := os.NewFile(uintptr(fd), "socket")
	b, _ := io.ReadAll(f)
	r.Said = strings.TrimSpace(string(b))
	return r
}

func (c socketCase) connect(fd int) error {
	if c.V6Only {
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}
	if c.Device != "" {
		if err := unix.BindToDevice(fd, c.Device); err != nil {
			return err
		}
	}
	if c.Source {
		if err := unix.Bind(fd, &unix.SockaddrInet4{Port: 4321}); err != nil {
			return err
		}
	}
	unix.SetNonblock(fd, c.Async)
	err := unix.Connect(fd, sockaddr(c.Family, netip.MustParseAddrPort(c.Dst)))
	if err == unix.EINPROGRESS {
		unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 5000)
		unix.SetNonblock(fd, false)
		n, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err = nil; n != 0 {
			err = unix.Errno(n)
		}
	}
	return err
}

// self is the test binary in a role.
func self(t *testing.T, role string, args ...string) []string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{path, role}, args...)
}

// localServer says "local" to who connects to it.
func localServer(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "local")
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return addrPort(l.Addr())
}

// want is what c is to see, with a server at local that is not diverted.
func (c socketCase) want(local netip.AddrPort) socketResult {
	r := socketResult{Name: c.Name, Errno: c.Errno}
	if c.Errno != 0 {
		return r
	}
	dst := netip.MustParseAddrPort(c.Dst)
	r.Said = dst.String()
	if dst.Port() == local.Port() {
		r.Said = "local"
	}
	if dst.Addr().IsUnspecified() {
		dst = local
	}
	if c.Mapped {
		dst = netip.AddrPortFrom(netip.AddrFrom16(dst.Addr().As16()), dst.Port())
	}
	r.Peer = dst.String()
	return r
}

// socketTarget is what the cases of connected are diverted by.
func socketTarget() Target {
	return Target{
		Except:    []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
		Loopback:  []uint16{7777},
		Resolvers: []netip.Addr{netip.MustParseAddr("127.0.0.53")},
	}
}

// socketKinds are the cases that are the same in every lane.
func socketKinds() []socketCase {
	const v4, v6 = unix.AF_INET, unix.AF_INET6
	return []socketCase{
		{Name: "v4", Family: v4, Dst: "203.0.113.1:80"},
		{Name: "v6", Family: v6, Dst: "[2001:db8::1]:80"},
		{Name: "mapped", Family: v6, Mapped: true, Dst: "203.0.113.2:80"},
		{Name: "v6only", Family: v6, V6Only: true, Dst: "[2001:db8::2]:80"},
		{Name: "v4 non-blocking", Family: v4, Async: true, Dst: "203.0.113.3:80"},
		{Name: "v6 non-blocking", Family: v6, Async: true, Dst: "[2001:db8::3]:80"},
		{Name: "source port", Family: v4, Source: true, Dst: "203.0.113.5:80"},
		{Name: "dns over tcp", Family: v4, Dst: "203.0.113.6:53"},
		{Name: "dns over tcp to a local resolver", Family: v4, Dst: "127.0.0.53:53"},
		{Name: "loopback port", Family: v4, Dst: "127.0.0.1:7777"},
		{Name: "loopback port by v6", Family: v6, Dst: "[::1]:7777"},
		{Name: "broadcast", Family: v4, Dst: "255.255.255.255:80", Errno: unix.ENETUNREACH},
		{Name: "multicast", Family: v4, Dst: "224.0.0.1:80", Errno: unix.ENETUNREACH},
		{Name: "v6 multicast", Family: v6, Dst: "[ff0e::1]:80", Errno: unix.ENETUNREACH},
		{Name: "other local :53", Family: v4, Dst: "127.0.0.54:53", Errno: unix.ECONNREFUSED},
	}
}

func TestSocketKinds(t *testing.T) {
	isolate(t)
	run(t, "ip link add dev0 type veth peer name dev1; ip link set dev0 up; ip link set dev1 up")
	local := localServer(t)
	const v4, v6 = unix.AF_INET, unix.AF_INET6
	cases := append(socketKinds(),
		socketCase{Name: "device", Family: v4, Device: "dev0", Dst: "203.0.113.4:80"},
		socketCase{Name: "v6 device", Family: v6, Device: "dev0", Dst: "[2001:db8::4]:80"},
		socketCase{Name: "loopback", Family: v4, Dst: fmt.Sprintf("127.0.0.1:%d", local.Port())},
		socketCase{Name: "unspecified", Family: v4, Dst: fmt.Sprintf("0.0.0.0:%d", local.Port())},
		socketCase{Name: "loopback mapped", Family: v6, Mapped: true, Dst: fmt.Sprintf("127.0.0.1:%d", local.Port())},
		socketCase{Name: "excepted", Family: v4, Dst: "198.51.100.9:80", Errno: unix.ENETUNREACH},
		socketCase{Name: "link-local", Family: v4, Dst: "169.254.1.1:80", Errno: unix.ENETUNREACH},
	)
	connected(t, diverted(t, socketTarget()), local, cases)
}

// connected has the cases tried in d, with a server at local that is not diverted.
func connected(t *testing.T, d *Diversion, local netip.AddrPort, cases []socketCase) {
	t.Helper()
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
		// The caller's command follows the destination.
		if dst, command, ok := strings.Cut(got[i].Said, " "); ok {
			if got[i].Said = dst; !strings.HasPrefix("redirect.test", command) || command == "" {
				t.Errorf("%s: caller %q; want redirect.test", got[i].Name, command)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("connected (-want +got):\n%s", diff)
	}
}

// dialManyRole makes 2000 connections at once, each to a destination of its
// own, and prints how many said another.
func dialManyRole([]string) int {
	var wait sync.WaitGroup
	var mu sync.Mutex
	wrong := 0
	for i := range 2000 {
		wait.Go(func() {
			dst := fmt.Sprintf("198.51.%d.%d:%d", 100+i/250, 1+i%250, 1000+i)
			if i%2 == 1 {
				dst = fmt.Sprintf("[2001:db8::%x]:%d", i, 1000+i)
			}
			said := ""
			if c, err := net.DialTimeout("tcp", dst, 30*time.Second); err == nil {
				if c.RemoteAddr().String() == dst {
					b, _ := io.ReadAll(c)
					said, _, _ = strings.Cut(string(b), " ")
				}
				c.Close()
			}
			if said != dst {
				mu.Lock()
				wrong++
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	fmt.Print(wrong)
	return 0
}

func TestManyConnections(t *testing.T) { eachLane(t, testManyConnections) }

func testManyConnections(t *testing.T) {
	d := diverted(t, Target{})
	echo(t, d)
	if out, _ := output(t, d, self(t, "dial-many")...); out != "0" {
		t.Errorf("%s of 2000 connections reached another destination; want 0", out)
	}
}
