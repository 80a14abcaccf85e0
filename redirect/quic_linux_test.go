package redirect

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// TestQUIC has datagrams to port 443 arrive with where they were sent, beside
// those to port 53, in every way that a socket can send.
func TestQUIC(t *testing.T) { eachLane(t, testQUIC) }

func testQUIC(t *testing.T) { everyQUIC(t, diverted(t, quicTarget())) }

func TestNetnsQUIC(t *testing.T) {
	eachNetWay(t, func(t *testing.T, way netWay) { everyQUIC(t, inNetns(t, quicTarget(), way)) })
}

// quicTarget is what everyQUIC is for.
func quicTarget() Target {
	t := questionTarget()
	t.QUIC = true
	return t
}

// everyQUIC sends in every way that a socket can.
func everyQUIC(t *testing.T, d *Diversion) {
	t.Helper()
	const v4, v6 = unix.AF_INET, unix.AF_INET6
	nameServer(t, d)
	serverOf(t, d, quicPort)
	asks(t, d, []questionCase{
		{"connected", v4, true, []string{"203.0.113.1:443"}},
		{"unconnected", v4, false, []string{"203.0.113.1:443", "203.0.113.2:443", "203.0.113.1:53"}},
		{"connected v6", v6, true, []string{"[2001:db8::1]:443"}},
		{"unconnected v6", v6, false, []string{"[2001:db8::1]:443", "[2001:db8::2]:443", "[2001:db8::1]:53"}},
		{"connected mapped", v6, true, []string{"203.0.113.3:443"}},
		{"unconnected mapped and v6", v6, false, []string{"203.0.113.3:443", "[2001:db8::3]:443"}},
		{"resolver", v4, true, []string{"127.0.0.53:53"}},
	})
}

// TestQUICLeftAlone is QUIC that is not diverted all the same: on loopback, and
// to Except, which a hermetic target does not reach.
func TestQUICLeftAlone(t *testing.T) {
	eachLane(t, func(t *testing.T) {
		target := quicTarget()
		target.Hermetic = true
		d := diverted(t, target)
		serverOf(t, d, quicPort)
		got := told(t, d, []questionCase{
			{"loopback", unix.AF_INET, true, []string{"127.0.0.1:443"}},
			{"except", unix.AF_INET, true, []string{"10.0.0.1:443"}},
		})
		if got[0].Err != unix.ECONNREFUSED.Error() || len(got[1].Answers) > 0 || got[1].Err == "" {
			t.Errorf("%+v; want one refused, one without an answer", got)
		}
	})
}

// TestQUICSlots is more IPv6 servers than can be told apart: those beyond are
// refused, and name servers are not.
func TestQUICSlots(t *testing.T) {
	isolate(t)
	d := diverted(t, quicTarget())
	nameServer(t, d)
	serverOf(t, d, quicPort)
	var cases []questionCase
	for i := range 40 {
		cases = append(cases, questionCase{"", unix.AF_INET6, false, []string{fmt.Sprintf("[2001:db8::%x]:443", i+1)}})
	}
	cases = append(cases, questionCase{"", unix.AF_INET6, false, []string{"[2001:db8::53]:53"}})
	got := told(t, d, cases)
	for i, r := range got {
		want := ""
		if i >= 24 && i < 40 {
			want = unix.EPERM.Error()
		}
		if r.Err != want {
			t.Errorf("server %d: %q; want %q", i, r.Err, want)
		}
	}
}

func TestQUICUnsupported(t *testing.T) {
	_, err := Start(t.Context(), Target{QUIC: true, Init: []string{asInit}}, IPTables)
	h := new(HintError)
	if !errors.Is(err, ErrUnsupported) || !errors.As(err, &h) {
		t.Errorf("Start = %v; want %v and a hint", err, ErrUnsupported)
	}
	d := newDiversion(EBPF)
	if _, _, _, err := d.Packets(quicPort).ReadFrom(nil); !errors.Is(err, ErrUnsupported) {
		t.Errorf("ReadFrom without Target.QUIC = %v; want %v", err, ErrUnsupported)
	}
	if !d.arrived(datagram{queried: netip.MustParseAddrPort("192.0.2.1:123")}) {
		t.Error("a datagram for nobody ends the reader")
	}
}
