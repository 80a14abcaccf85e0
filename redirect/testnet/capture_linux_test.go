package testnet

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket/layers"
)

// TestCapture compares what is captured with what was done.
func TestCapture(t *testing.T) {
	n := New(t)
	c := n.Capture()
	www := Lookup(WWW)
	for _, args := range []string{"http://203.0.113.10/hello", "http://[2001:db8:113::10]/hello"} {
		if err := n.Command("curl", "-sS", args).Run(); err != nil {
			t.Fatal(err)
		}
	}
	for _, a := range www.Addrs() {
		to := netip.AddrPortFrom(a, 80)
		syn, fin := handshake(t, c, to)
		for end := time.Now().Add(5 * time.Second); fin == 0 && time.Now().Before(end); { // the origin's may come after curl's exit
			time.Sleep(5 * time.Millisecond)
			syn, fin = handshake(t, c, to)
		}
		if syn != 1 || fin != 1 {
			t.Errorf("%v: %d SYN out, %d FIN in; want 1 and 1 in %v", to, syn, fin, c.Packets())
		}
	}
	if got := c.Lost(); got != 0 {
		t.Errorf("Lost() = %d; want 0", got)
	}
	if err := c.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

// handshake counts the client's SYNs and the server's FINs that c has of to.
func handshake(t *testing.T, c *Capture, to netip.AddrPort) (syn, fin int) {
	t.Helper()
	for _, p := range c.Packets() {
		switch {
		case p.Proto != layers.IPProtocolTCP:
			t.Errorf("packet %v is neither HTTP nor left out", p)
		case p.Outbound && p.Dst == to && p.Flags == "SYN":
			syn++
		case !p.Outbound && p.Src == to && strings.Contains(p.Flags, "FIN"):
			fin++
		}
	}
	return syn, fin
}

// TestCaptureQuiet checks that nothing is counted where the test sends nothing,
// with the network gone too.
func TestCaptureQuiet(t *testing.T) {
	n := New(t)
	c := n.Capture()
	n.Gone()
	if err := n.Command("curl", "-sS", "http://203.0.113.10/hello").Run(); err == nil {
		t.Error("curl reached the origin after Gone")
	}
	n.Back()
	if got := c.Packets(); len(got) != 0 {
		t.Errorf("Packets() = %v; want none", got)
	}
}
