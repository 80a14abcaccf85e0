package redirect

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// A questionCase is one UDP socket that asks some name servers, all before it
// reads the first answer.
type questionCase struct {
	Name      string
	Family    int
	Connected bool
	Servers   []string
}

// A questionResult is who answered, as the socket saw it, and whom the answer
// says was asked.
type questionResult struct {
	Name    string
	Peer    string            // of a connected socket
	Answers map[string]string // by source
	Err     string
}

// askRole asks as args[0] says and prints what came of it.
func askRole(args []string) int {
	var cases []questionCase
	if err := json.Unmarshal([]byte(args[0]), &cases); err != nil {
		fmt.Println(err)
		return 1
	}
	var results []questionResult
	for _, c := range cases {
		r := questionResult{Name: c.Name, Answers: make(map[string]string)}
		if err := c.ask(&r); err != nil {
			r.Err = err.Error()
		}
		results = append(results, r)
	}
	json.NewEncoder(os.Stdout).Encode(results)
	return 0
}

func (c questionCase) ask(r *questionResult) error {
	fd, err := unix.Socket(c.Family, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 3})
	for _, s := range c.Servers {
		to := sockaddr(c.Family, netip.MustParseAddrPort(s))
		if c.Connected {
			if err := unix.Connect(fd, to); err != nil {
				return err
			}
			peer, err := unix.Getpeername(fd)
			if err != nil {
				return err
			}
			r.Peer = fromSockaddr(peer).String()
			_, err = unix.Write(fd, []byte("question"))
			if err != nil {
				return err
			}
			continue
		}
		if err := unix.Sendto(fd, []byte("question"), 0, to); err != nil {
			return err
		}
	}
	b := make([]byte, 512)
	for range c.Servers {
		n, from, err := unix.Recvfrom(fd, b, 0)
		for err == unix.EINTR { // by the runtime's signals, for all SA_RESTART: signal(7) on SO_RCVTIMEO
			n, from, err = unix.Recvfrom(fd, b, 0)
		}
		if err != nil {
			return err
		}
		r.Answers[fromSockaddr(from).String()] = string(b[:n])
	}
	return nil
}

// nameServerRole is a name server on port 53, asks itself, and two others from
// that port, and prints who answers what.
func nameServerRole([]string) int {
	s, err := net.ListenPacket("udp4", "0.0.0.0:53")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	c, err := net.Dial("udp4", "127.0.0.1:53")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	b := make([]byte, 512)
	deadline := time.Now().Add(3 * time.Second)
	err = errors.Join(s.SetDeadline(deadline), c.SetDeadline(deadline))
	fmt.Fprint(c, "question")
	_, from, e := s.ReadFrom(b)
	if err = errors.Join(err, e); err == nil {
		s.WriteTo([]byte("mine"), from)
		n, e := c.Read(b)
		fmt.Println(c.RemoteAddr(), string(b[:n]))
		err = e
	}
	for _, host := range []string{"203.0.113.1", "203.0.113.2"} {
		_, e := s.WriteTo([]byte("question"), &net.UDPAddr{IP: net.ParseIP(host), Port: 53})
		n, from, e2 := s.ReadFrom(b)
		fmt.Println(from, string(b[:n]))
		err = errors.Join(err, e, e2)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// nameServer answers every question with the address that it was sent to,
// until d is closed.
func nameServer(t *testing.T, d *Diversion) { serverOf(t, d, dnsPort) }

// serverOf is nameServer for datagrams to port.
func serverOf(t *testing.T, d *Diversion, port uint16) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		p, b := d.Packets(port), make([]byte, 512)
		for {
			_, client, queried, err := p.ReadFrom(b)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if who := p.Sender(client, queried); err == nil && (who.PID == 0 || who.Command != commandName(os.Getpid())) {
				t.Errorf("%s to %s is sent by %+v; want by a process like this one", client, queried, who)
			}
			if err := errors.Join(err, p.WriteTo([]byte(queried.String()), client, queried)); err != nil {
				t.Error(err)
			}
		}
	}()
	t.Cleanup(func() { d.Close(); <-done })
}

// want is what c is to see of nameServer.
func (c questionCase) want() questionResult {
	r := questionResult{Name: c.Name, Answers: make(map[string]string)}
	for _, s := range c.Servers {
		seen := netip.MustParseAddrPort(s)
		if c.Family == unix.AF_INET6 {
			seen = netip.AddrPortFrom(netip.AddrFrom16(seen.Addr().As16()), seen.Port())
		}
		r.Answers[seen.String()] = s
		if c.Connected {
			r.Peer = seen.String()
		}
	}
	return r
}

func TestQuestions(t *testing.T) { eachLane(t, testQuestions) }

func testQuestions(t *testing.T) { everyQuestion(t, diverted(t, questionTarget())) }

// questionTarget is what everyQuestion is for.
func questionTarget() Target {
	return Target{
		Except:    []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		Resolvers: []netip.Addr{netip.MustParseAddr("127.0.0.53"), netip.MustParseAddr("::1"), netip.MustParseAddr("10.0.0.2")},
	}
}

// everyQuestion asks in every way that a socket can.
func everyQuestion(t *testing.T, d *Diversion) {
	t.Helper()
	const v4, v6 = unix.AF_INET, unix.AF_INET6
	var many []string
	for i := range 12 {
		many = append(many, fmt.Sprintf("[2001:db8::%x]:53", i+1))
	}
	cases := []questionCase{
		{"connected", v4, true, []string{"203.0.113.1:53"}},
		{"unconnected", v4, false, []string{"203.0.113.1:53", "203.0.113.2:53", "198.51.100.1:53"}},
		{"connected v6", v6, true, []string{"[2001:db8::1]:53"}},
		{"unconnected v6", v6, false, many},
		{"connected mapped", v6, true, []string{"203.0.113.3:53"}},
		{"unconnected mapped", v6, false, []string{"203.0.113.3:53", "203.0.113.4:53"}},
		{"unconnected mapped and v6", v6, false, []string{"203.0.113.3:53", "[2001:db8::9]:53"}},
		{"local resolver", v4, true, []string{"127.0.0.53:53"}},
		{"local resolver unconnected", v4, false, []string{"127.0.0.53:53"}},
		{"local resolver v6", v6, false, []string{"[::1]:53"}},
		{"excepted resolver", v4, false, []string{"10.0.0.2:53"}},
	}
	nameServer(t, d)
	asks(t, d, cases)
}

// told has the target ask cases, and returns what came of each.
func told(t *testing.T, d *Diversion, cases []questionCase) []questionResult {
	t.Helper()
	in, _ := json.Marshal(cases)
	out, _ := output(t, d, self(t, "ask", string(in))...)
	var got []questionResult
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return got
}

// asks has the target ask cases, and holds what comes of each to what it is to see.
func asks(t *testing.T, d *Diversion, cases []questionCase) {
	t.Helper()
	got := told(t, d, cases)
	var want []questionResult
	for _, c := range cases {
		want = append(want, c.want())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}

func TestOtherLocalNameServer(t *testing.T) { eachLane(t, testOtherLocalNameServer) }

func testOtherLocalNameServer(t *testing.T) {
	d := diverted(t, Target{})
	got := told(t, d, []questionCase{{"", unix.AF_INET, true, []string{"127.0.0.53:53"}}})
	if got[0].Err != unix.ECONNREFUSED.Error() {
		t.Errorf("a loopback name server that is no resolver: %+v; want %v", got[0], unix.ECONNREFUSED)
	}
}

func TestPacketsOfOtherPorts(t *testing.T) {
	p := (&Diversion{}).Packets(123)
	if _, _, _, err := p.ReadFrom(nil); !errors.Is(err, ErrUnsupported) {
		t.Errorf("ReadFrom = %v; want %v", err, ErrUnsupported)
	}
}

// packetsRole sends UDP port 443 and TCP to places that only a hermetic target
// is kept from, and prints the errors.
func packetsRole([]string) int {
	for range 3 {
		c, err := net.Dial("udp", "192.0.2.2:443")
		if err == nil {
			_, err = c.Write([]byte("initial"))
		}
		fmt.Println(errors.Is(err, unix.EPERM))
	}
	c, err := net.Dial("udp", "192.0.2.2:123")
	if err == nil {
		_, err = c.Write([]byte("time"))
	}
	fmt.Println(errors.Is(err, unix.EPERM))
	_, err = net.Dial("tcp", "192.0.2.2:80")
	fmt.Println(errors.Is(err, unix.EPERM))
	return 0
}

// addNeighbour gives this network namespace a route to 192.0.2.0/24 that ends
// in a device nobody listens on.
func addNeighbour(t *testing.T) {
	t.Helper()
	run(t, "ip link add dev0 type veth peer name dev1; ip link set dev0 up; ip link set dev1 up; ip addr add 192.0.2.1/24 dev dev0; ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev dev0")
}

// escape is an Escape of nobody in particular.
func escape(protocol string, dst netip.AddrPort, why string, n uint64) Escape {
	return Escape{Protocol: protocol, Dst: dst, Why: why, Count: n}
}

// byDestination compares Escapes but for who sent them.
func byDestination() []cmp.Option {
	type what struct{ protocol, why, dst string }
	return []cmp.Option{
		cmp.Transformer("byDestination", func(all []Escape) map[what]uint64 {
			counts := make(map[what]uint64)
			for _, e := range all {
				counts[what{e.Protocol, e.Why, e.Dst.String()}] += e.Count
			}
			return counts
		}),
	}
}

func TestRefused(t *testing.T) {
	udp443, udp123, tcp80 := netip.MustParseAddrPort("192.0.2.2:443"), netip.MustParseAddrPort("192.0.2.2:123"), netip.MustParseAddrPort("192.0.2.2:80")
	for _, c := range []struct {
		name     string
		hermetic bool
		out      string
		escapes  []Escape
	}{
		{"quic", false, "true\ntrue\ntrue\nfalse\n", []Escape{escape("udp", udp123, "passed", 1), escape("udp", udp443, "quic", 3)}},
		{"hermetic", true, "true\ntrue\ntrue\ntrue\ntrue\n",
			[]Escape{escape("tcp", tcp80, "hermetic", 1), escape("udp", udp123, "hermetic", 1), escape("udp", udp443, "hermetic", 3)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			isolate(t)
			addNeighbour(t)
			target := Target{Hermetic: c.hermetic}
			if c.hermetic {
				target.Except = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
			}
			d := diverted(t, target)
			echo(t, d)
			out, _ := output(t, d, self(t, "packets")...)
			if !c.hermetic {
				out = out[:len(c.out)] // TCP is diverted
			}
			if out != c.out {
				t.Errorf("refused: %q; want %q", out, c.out)
			}
			got, err := d.Escapes()
			if diff := cmp.Diff(c.escapes, got, byDestination()...); diff != "" || err != nil {
				t.Errorf("Escapes (-want +got): %v\n%s", err, diff)
			}
			for _, e := range got {
				if e.PID == 0 || e.Process != commandName(os.Getpid()) {
					t.Errorf("%+v; want who sent it", e)
				}
			}
			d.Close()
			if after, _ := d.Escapes(); len(after) != len(got) {
				t.Errorf("%d escapes after Close; want %d", len(after), len(got))
			}
		})
	}
}
