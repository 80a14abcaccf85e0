package testnet

import (
	"net/netip"
	"strings"
	"testing"

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
		syn, fin := 0, 0
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
