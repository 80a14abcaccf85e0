package redirect

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"
)

// hostRole listens at args[0] and args[1], a network and an address, prints
// where, and takes what comes until its standard input ends. Further arguments
// are there for others to read in /proc.
func hostRole(args []string) int {
	if strings.HasPrefix(args[0], "udp") {
		c, err := net.ListenPacket(args[0], args[1])
		if err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Println(c.LocalAddr())
		io.Copy(io.Discard, os.Stdin)
		return 0
	}
	l, err := net.Listen(args[0], args[1])
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(l.Addr())
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			fmt.Fprintln(c, "hello")
		}
	}()
	io.Copy(io.Discard, os.Stdin)
	return 0
}

// visitRole talks to each NETWORK=ADDRESS of args, tells when it has, and holds
// the connections until its standard input ends. It does the same to a server
// of its own, one that ends at once, and has a vsock, if there is such a thing.
func visitRole(args []string) int {
	own, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	visit("tcp", own.Addr().String())
	own.Close()
	if fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0); err == nil {
		defer unix.Close(fd)
	}
	for _, a := range args {
		network, address, _ := strings.Cut(a, "=")
		if c := visit(network, address); c != nil {
			defer c.Close()
		}
	}
	fmt.Println("visited")
	io.Copy(io.Discard, os.Stdin)
	return 0
}

// visit returns a connection over which something came or went, nil if there is none.
func visit(network, address string) net.Conn {
	c, err := net.Dial(network, address)
	if err != nil {
		return nil
	}
	if strings.HasPrefix(network, "udp") {
		c.Write([]byte("hello\n"))
	} else if network != "tcp" {
		c.Read(make([]byte, 1)) // it was accepted
	}
	return c
}

// host starts a server that is not ours, in this thread's network namespace,
// and returns its address and pid.
func host(t *testing.T, network, address string, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(self(t, "host", append([]string{network, address}, args...)...)[0], append([]string{"host", network, address}, args...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line), cmd.Process.Pid
}

// TestLocal tells what of this host the target talks to, and who that is: not
// what it serves itself, and not where nobody listens.
func TestLocal(t *testing.T) {
	isolate(t)
	const gradle = "org.gradle.launcher.daemon.bootstrap.GradleDaemon"
	dir := t.TempDir()
	v4, pid4 := host(t, "tcp4", "127.0.0.1:0")
	v6, pid6 := host(t, "tcp6", "[::1]:0", gradle)
	any, pidAny := host(t, "tcp", ":0")
	any = strings.Replace(any, "[::]", "127.0.0.1", 1)
	u, pidU := host(t, "udp4", "127.0.0.1:0", gradle)
	docker, pidDocker := host(t, "unix", filepath.Join(dir, "docker.sock"))
	abstract, pidAbstract := host(t, "unix", "@serge-test-local")
	nobody := "127.0.0.1:1"

	d := diverted(t, Target{})
	in, feed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, told, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p, err := d.Run(t.Context(), Command{Stdin: in, Stdout: told, Argv: self(t, "visit", "tcp4="+v4, "tcp4="+v4, "tcp="+v6,
		"tcp="+any, "udp="+u, "udp="+nobody, "tcp="+nobody, "unix="+docker, "unix="+abstract)})
	in.Close()
	told.Close()
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "visited\n" {
		t.Fatalf("%q, %v", line, err)
	}
	out.Close()
	got, err := d.Local()
	if err != nil {
		t.Error(err)
	}
	feed.Close()
	p.Wait()
	comm := commandName(os.Getpid())
	want := []Local{
		{Network: "tcp", Dst: netip.MustParseAddrPort(v4), Process: comm, PID: pid4, Count: 2},
		{Network: "tcp", Dst: netip.MustParseAddrPort(any), Process: comm, PID: pidAny, Count: 1},
		{Network: "tcp", Dst: netip.MustParseAddrPort(v6), Process: comm, PID: pid6, Count: 1, Resident: "Gradle daemon"},
		{Network: "udp", Dst: netip.MustParseAddrPort(u), Process: comm, PID: pidU, Count: 1},
		{Network: "unix", Path: abstract, Process: comm, PID: pidAbstract, Count: 1},
		{Network: "unix", Path: docker, Process: comm, PID: pidDocker, Count: 1, Resident: "Docker daemon"},
	}
	if fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0); err == nil {
		unix.Close(fd)
		want = append(want, Local{Network: "vsock", Count: 1})
	}
	sorted := cmpopts.SortSlices(func(a, b Local) bool {
		return a.Network+a.Dst.String()+a.Path < b.Network+b.Dst.String()+b.Path
	})
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }), cmpopts.IgnoreFields(Local{}, "Hint"), sorted); d != "" {
		t.Errorf("Local (-want +got):\n%s", d)
	}
	for _, l := range got {
		if (l.Resident != "") != (l.Hint != "") {
			t.Errorf("%+v: a resident and its hint go together", l)
		}
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if after, err := d.Local(); len(after) != len(got) || err != nil {
		t.Errorf("after Close: %v, %v; want what was known", after, err)
	}
}

// TestAnswers has the socket that is bound to an address get what is sent there.
func TestAnswers(t *testing.T) {
	var sockets []inetSocket
	for i, s := range []string{"0.0.0.0:80", "127.0.0.1:80", "[::]:81", "0.0.0.0:82", "127.0.0.1:83"} {
		sockets = append(sockets, inetSocket{local: netip.MustParseAddrPort(s), inode: uint32(i + 1)})
	}
	sockets[4].remote = netip.MustParseAddrPort("127.0.0.1:9")
	for dst, want := range map[string]uint32{
		"127.0.0.1:80": 2, "127.0.0.2:80": 1, "[::1]:80": 0, "[::1]:81": 3, "127.0.0.1:81": 3, "127.0.0.1:82": 4, "127.0.0.1:83": 0, "127.0.0.1:84": 0,
	} {
		if s, ok := answers(sockets, netip.MustParseAddrPort(dst)); s.inode != want || ok != (want != 0) {
			t.Errorf("answers(%s) = %d, %v; want %d", dst, s.inode, ok, want)
		}
	}
}
