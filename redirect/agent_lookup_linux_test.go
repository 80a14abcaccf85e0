package redirect

import (
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/serge-net/serge-net/bpf"
)

// TestAgentLooks has the agent look into the maps, as it must for an ordinary user
// before Linux 5.19.
func TestAgentLooks(t *testing.T) {
	isolate(t)
	a, err := dialAgent(startAgent(t, twoCaps()...).socket)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	e := &agentLane{ebpfLane: ebpfLane{door: newDoor(newDiversion(EBPF))}, agent: a}
	c, err := e.open(t.Context(), Target{Hermetic: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer e.closeListeners()
	defer e.sockets.close()
	if err := a.open(c, e.descriptors()); err != nil {
		t.Fatal(err)
	}
	maps := a.maps
	defer maps.Close()
	a.maps = nil
	dir := subtree(t, 0)
	client := exec.Command("bash", "-c", `read; exec 3<>/dev/udp/192.0.2.53/53; echo question >&3; exec 4</dev/tcp/203.0.113.1/80; read <&4`)
	client.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	in, err := client.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	defer client.Wait()
	defer in.Close()
	if _, err := a.place(client.Process.Pid); err != nil {
		t.Fatal(err)
	}
	in.Write([]byte("\n"))
	conn, err := e.listeners[0].AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	from, to := addrPort(conn.RemoteAddr()), addrPort(conn.LocalAddr())
	o, ok, err := a.Original(from, to)
	if want := netip.MustParseAddrPort("203.0.113.1:80"); o.Dst != want || !ok || err != nil || o.PID != client.Process.Pid {
		t.Errorf("Original = %+v, %v, %v; want %s of process %d", o, ok, err, want, client.Process.Pid)
	}
	at := netip.MustParseAddrPort("127.128.0.1:0")
	if server, ok, err := a.Queried(at); server != netip.MustParseAddrPort("192.0.2.53:53") || !ok || err != nil {
		t.Errorf("Queried = %s, %v, %v; want 192.0.2.53:53", server, ok, err)
	}
	if all, err := a.Escapes(); err != nil || len(all) != 0 {
		t.Errorf("Escapes = %v, %v; want none", all, err)
	}
	timeLookups(t, "by the agent", a, from, to)
	timeLookups(t, "by descriptor", maps, from, to)
}

// timeLookups logs how long it takes to look for what is not there.
func timeLookups(t *testing.T, how string, look interface {
	Original(client, listener netip.AddrPort) (bpf.Origin, bool, error)
}, from, to netip.AddrPort) {
	t.Helper()
	const n = 1000
	begun := time.Now()
	for range n {
		if _, ok, err := look.Original(from, to); ok || err != nil {
			t.Fatalf("%s: %v, %v", how, ok, err)
		}
	}
	t.Logf("a look-up %s takes %v", how, time.Since(begun)/n)
}

// TestPlaceOfTheDying has the init that is to be placed end at any moment: the
// agent serves on, and nothing is left.
func TestPlaceOfTheDying(t *testing.T) {
	isolate(t)
	agent := startAgent(t, twoCaps()...)
	dir := subtree(t, 0)
	const rounds = 40 // the last is later than any placing
	placed, took := 0, time.Duration(0)
	for i := range rounds {
		a, err := dialAgent(agent.socket)
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		u, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.open(bpf.Config{Probe: probe.Addr()}, []int{descriptor(l), descriptor(u)}); err != nil {
			t.Fatal(err)
		}
		child := exec.Command("sleep", "1000")
		child.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		// From before the agent has the request to after it has answered.
		begun := time.Now()
		late := time.AfterFunc(time.Duration(i)*time.Millisecond, func() { child.Process.Signal(unix.SIGKILL) })
		if _, err := a.place(child.Process.Pid); err == nil {
			placed++
			took += time.Since(begun)
		}
		late.Stop()
		child.Process.Signal(unix.SIGKILL)
		child.Wait()
		if err := a.Close(); err != nil {
			t.Errorf("round %d: %v", i, err)
		}
		l.Close()
		u.Close()
	}
	t.Logf("%d of %d were placed, in %v each", placed, rounds, took/time.Duration(max(placed, 1)))
	if said := agent.said(t); strings.Contains(said, "not undone") || strings.Contains(said, "remove cgroup") {
		t.Errorf("the agent:\n%s", said)
	}
	eventually(t, "cgroups are left", func() bool { return len(agentCgroups(dir)) == 0 })
}
