package cassette

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/serge-net/serge-net/exchange"
)

// down is the origin of failed connections.
var down = exchange.Origin{Addr: netip.MustParseAddrPort("192.0.2.7:443"), Name: "down.example.com", SNI: "down.example.com", TLS: true}

// A turn is a connection to down: one that failed, or one with an exchange.
type turn struct {
	end *exchange.End // nil: it was answered
}

// record tells r of it, at a time of its own.
func (c turn) record(t *testing.T, r *Recorder, at time.Duration) {
	t.Helper()
	w, err := r.Open(down)
	if err != nil {
		t.Fatal(err)
	}
	if c.end == nil {
		asked{req: &exchange.Head{Method: "GET", Authority: down.Name, Target: "/", Version: "1.1"}, res: ok(), at: at}.tell(t, w, 1)
		return
	}
	head := &exchange.Head{Method: "CONNECT", Scheme: "tcp", Authority: "down.example.com:443"}
	for _, e := range []exchange.Event{
		{From: exchange.Client, Kind: exchange.KindHead, Head: head},
		{From: exchange.Client, Kind: exchange.KindEnd, End: &exchange.End{}},
		{From: exchange.Server, Kind: exchange.KindEnd, End: c.end},
	} {
		e.Stream, e.At = 1, at
		if err := w.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

// turns is a cassette of cs, one after the other.
func turns(t *testing.T, cs ...turn) *Cassette {
	t.Helper()
	s, _ := newStore(t)
	r, err := s.Record("x", RecordOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range cs {
		c.record(t, r, time.Duration(i)*time.Minute)
	}
	if _, err := r.Close(false); err != nil {
		t.Fatal(err)
	}
	return load(t, s, "x")
}

// TestFailureBack has every way to fail come back as it was told, by way of
// journal and file.
func TestFailureBack(t *testing.T) {
	for _, end := range []exchange.End{
		{How: exchange.Refused, Phase: exchange.PhaseConnect, Errno: "ECONNREFUSED", Err: "connect to x: connection refused", Wait: time.Second},
		{How: exchange.Unreachable, Phase: exchange.PhaseConnect, Errno: "ENETUNREACH", Wait: time.Second},
		{How: exchange.Timeout, Phase: exchange.PhaseConnect, Errno: "ETIMEDOUT", Wait: time.Minute},
		{How: exchange.Unresolved, Phase: exchange.PhaseDNS, Err: "no such host", Wait: time.Second},
		{How: exchange.TLSAlert, Code: 40, Phase: exchange.PhaseTLS, Err: "handshake failure", Wait: time.Second},
		{How: exchange.Truncated, Phase: exchange.PhaseTLS, Wait: time.Second},
		{How: exchange.Reset, Phase: exchange.PhaseTLS, Errno: "ECONNRESET", Wait: time.Second},
		{How: exchange.Reset, Code: 7, Wait: time.Second},
		{How: exchange.Malformed, Wait: time.Second},
		{How: exchange.Left, Phase: exchange.PhaseConnect, Wait: 2 * time.Second},
	} {
		c := turns(t, turn{&end})
		if len(c.Interactions) != 1 || !c.Interactions[0].Connects() {
			t.Fatalf("%v: interactions = %v; want a failed connection", end.How, c.lines())
		}
		got, ok := playerOf(t, c, PlayOptions{}).Fail(down)
		if d := cmp.Diff(end, got); d != "" || !ok {
			t.Errorf("%v: Fail() = %v (-want +got):\n%s", end.How, ok, d)
		}
	}
}

// TestFailureTurns has failed connections fail in their turn among those that
// were answered.
func TestFailureTurns(t *testing.T) {
	const refused, served = "connection_refused", "served"
	fail := turn{&exchange.End{How: exchange.Refused, Phase: exchange.PhaseConnect}}
	answered := turn{}
	tests := []struct {
		name   string
		turns  []turn
		repeat Repeat
		want   []string
	}{
		{"refused, then there", []turn{fail, answered}, RepeatAuto, []string{refused, served, served}},
		{"there, then refused", []turn{answered, fail}, RepeatAuto, []string{served, refused, refused}},
		{"refused twice, then there", []turn{fail, fail, answered}, RepeatAuto, []string{refused, refused, served, served}},
		{"never there", []turn{fail}, RepeatAuto, []string{refused, refused}},
		{"never there, nor again", []turn{fail}, RepeatNever, []string{refused, "miss"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := playerOf(t, turns(t, tt.turns...), PlayOptions{Repeat: tt.repeat})
			var got []string
			for range tt.want {
				got = append(got, connectTo(t, p))
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("connections (-want +got):\n%s", d)
			}
			if u := p.Tally().Unused; len(u) > 0 {
				t.Errorf("%d unused", len(u))
			}
		})
	}
}

// connectTo is what becomes of a connection to down, and a request over it.
func connectTo(t *testing.T, p *Player) string {
	t.Helper()
	if end, ok := p.Fail(down); ok {
		return end.How.String()
	}
	y, err := p.Open(down)
	if err != nil {
		t.Fatal(err)
	}
	defer y.Close()
	tell := func(exchange.Event) error { return nil }
	req := &exchange.Head{Method: "GET", Authority: down.Name, Target: "/", Version: "1.1"}
	for _, e := range []exchange.Event{{Kind: exchange.KindHead, Head: req}, {Kind: exchange.KindEnd, End: &exchange.End{}}} {
		e.Stream = 1
		err = y.Event(e, tell)
	}
	if err != nil {
		return "miss"
	}
	return "served"
}

// TestFailElsewhere has only the recorded host and port fail, and in the TLS
// handshake only one that is there.
func TestFailElsewhere(t *testing.T) {
	p := playerOf(t, turns(t, turn{&exchange.End{How: exchange.TLSAlert, Code: 40, Phase: exchange.PhaseTLS}}), PlayOptions{})
	host, port, plain := down, down, down
	host.SNI = "up.example.com"
	port.Addr = netip.MustParseAddrPort("192.0.2.7:8443")
	plain.TLS = false
	for name, o := range map[string]exchange.Origin{"another host": host, "another port": port, "before the handshake": plain} {
		if end, ok := p.Fail(o); ok {
			t.Errorf("%s: Fail() = %+v; want none", name, end)
		}
	}
}

// TestFailureWords reads the kinds of older cassettes and of other tools.
func TestFailureWords(t *testing.T) {
	for kind, want := range map[string]exchange.How{
		"refused": exchange.Refused, "connection_refused": exchange.Refused, "timeout": exchange.Timeout, "read_timeout": exchange.Left,
		"tls": exchange.TLSAlert, "reset": exchange.Reset, "strange": exchange.Reset, "complete": exchange.Reset,
	} {
		if d := cmp.Diff(&exchange.End{How: want}, (&Failure{Kind: kind}).end(), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%q (-want +got):\n%s", kind, d)
		}
	}
}
